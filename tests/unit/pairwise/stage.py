"""Clients and a server of `pairwise` whose messages an attacker carries: it may hold, change and invent what it likes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from protocols import pairwise
from protocols.pairwise import reveal
from protocols.pairwise.client import Client, upload_context
from protocols.pairwise.mask import mask_seed, opening_of, pair_keys, pair_sign, self_mask
from protocols.pairwise.messages import Agreement, Masked, Reveal, Shares, Survivors
from protocols.pairwise.params import Params
from protocols.pairwise.records import bitmap
from protocols.pairwise.server import Confirming, Server
from secagg.crypto.agree import AgreementKey
from secagg.crypto.expand import Stream
from secagg.crypto.pairs import Agreeing, cut, open_box, part
from secagg.ledger import Ledger
from secagg.math import shamir
from secagg.roles import Message, Outgoing, Vector
from secagg.round import Round, sign_round
from secagg.tally import Mask, Tally
from secagg.testing.consortium import Consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import terms
from secagg.types import Secret
from tests.unit.pairwise.rig import PLAN, VALUES, vectors_of


@dataclass
class Stage:
    """Clients and a server whose messages the attacker carries: it may hold, change and invent what it likes."""

    parties: Consortium
    params: Params
    opened: Round
    clients: list[Client]
    server: Server
    uploads: dict[int, Masked]
    boxes: dict[int, tuple[bytes, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, parties: Consortium, plan: pairwise.Plan = PLAN, *, seed: str = "stage", round: int = 1, attempt: int = 1, **changes: Any
    ) -> Stage:
        opened = sign_round(plan.describe(terms(values=VALUES, round=round, attempt=attempt), parties.roster), parties.coordinator)
        params = replace(Params.of(opened), **changes)
        clients = [Client(params, opened.ctx, me, ledger=Ledger(), entropy=InsecureEntropy(f"{seed}{me.party}")) for me in parties.clients]
        server = Server(params, opened, parties.coordinator, ledger=Ledger(), entropy=InsecureEntropy(seed))
        return cls(parties, params, opened, clients, server, {})

    def until_survivors(self, silent: Iterable[int] = (), adverts: list[Outgoing] | None = None) -> list[Outgoing]:
        """Play honestly until the server names the survivors; those who are silent send no vector. Gives its messages."""
        vectors, quiet = list(vectors_of(self.parties).values()), set(silent)
        said = self.until_inbox(adverts)
        for place, client in enumerate(self.clients):
            if place not in quiet:
                client.contribute(vectors[place], version=0)
        for item in said:
            uploads = self.clients[self.place(item)].receive(self.params.server, item.message)
            for upload in uploads:
                assert isinstance(upload.message, Masked)
                self.uploads[self.place(item)] = upload.message
                said = self.give(self.place(item), [upload])
        return list(said) or list(self.server.expire())

    def until_inbox(self, adverts: list[Outgoing] | None = None) -> list[Outgoing]:
        """Play honestly until the server passes on the boxes. Gives its messages; `boxes` are what each client sealed."""
        said = adverts or [self.give(place, client.start()) for place, client in enumerate(self.clients)][-1]
        answers: list[Outgoing] = []
        for item in said:
            shares = self.clients[self.place(item)].receive(self.params.server, item.message)[0]
            assert isinstance(shares.message, Shares)
            self.boxes[self.place(item)] = shares.message.boxes
            answers = self.give(self.place(item), [shares])
        return answers

    def place(self, item: Outgoing) -> int:
        return self.params.clients.index(item.recipient)

    def give(self, place: int, said: Iterable[Outgoing]) -> list[Outgoing]:
        """What a client says reaches the server."""
        answers: list[Outgoing] = []
        for item in said:
            answers = list(self.server.receive(self.params.clients[place], item.message))
        return answers

    def tell(self, item: Outgoing) -> list[Outgoing]:
        """What the server says reaches a client, and its answer the server."""
        return self.give(self.place(item), self.clients[self.place(item)].receive(self.params.server, item.message))

    @property
    def confirming(self) -> Confirming:
        state = self.server.state
        assert isinstance(state, Confirming)
        return state

    def masked(self, place: int, before: Confirming | None = None) -> Vector:
        """The masked vector of one client, as the server reads it."""
        before = before or self.confirming
        tally, context = Tally.zero(self.params.ring, self.params.length), self.context(place, before)
        tally.add(opening_of(before.uploads[place].key, context), self.uploads[place].payload)
        return tally.words

    def context(self, place: int, before: Confirming) -> bytes:
        """What the upload of one client is bound to."""
        return upload_context(self.opened.ctx, before.session.sid, self.params.clients[place])

    def shares_of(self, place: int, survivors: Message, agreement: Message) -> dict[int, Secret]:
        """What a client gives back for a set and an agreement of the attacker's making, by owner."""
        self.clients[place].receive(self.params.server, survivors)
        return self.shares(place, self.confirming, agreement)

    def shares(self, place: int, before: Confirming, agreement: Message) -> dict[int, Secret]:
        """What a client that has signed a set gives back for an agreement, by owner."""
        state: Any = self.clients[place].state.state
        message = self.clients[place].receive(self.params.server, agreement)[0].message
        assert isinstance(message, Reveal)
        key = reveal.reveal_key(before.uploads[place].key, before.session.sid)
        context = reveal.reveal_context(self.opened.ctx, state.roots, self.params.clients[place])
        opened, circle = open_box(key, message.box, context=context), before.session.graph.circle(place)
        given, _ = part(opened, shares := len(circle) * shamir.SHARE, len(opened) - shares)
        return dict(zip(circle, cut(given, shamir.SHARE), strict=True))

    def survivors(self, chosen: Iterable[int]) -> Survivors:
        """The message that names a set of the attacker's choice."""
        kept = sorted(chosen)
        return Survivors(bitmap(kept, self.params.size), tuple(self.confirming.uploads[place].digest for place in kept))

    def unmask(self, place: int, key: Secret | None, own: Secret) -> Vector:
        """A client's vector, from both of its seeds; without the first, what is left of its pair masks stays."""
        sid, name, words = self.confirming.session.sid, self.params.clients[place], self.masked(place)
        masks: list[Mask] = [(self_mask(own, sid, name), -1)]
        if key is not None:
            agreeing = Agreeing(AgreementKey(mask_seed(key, self.opened.ctx, name)))
            for other, record in self.confirming.wanted.records.items():
                if other != place:
                    (key_of_pair,) = pair_keys(agreeing, [record.mask], sid, name, [self.params.clients[other]])
                    masks.append((Stream(key_of_pair), -pair_sign(place, other)))
        tally = Tally.of(self.params.ring, words)
        tally.apply(masks)
        return tally.words


def blank(stage: Stage, count: int, signers: Sequence[int] | None = None) -> Agreement:
    """An agreement of the first `count` clients, or of `signers`, with signatures that nobody made."""
    return Agreement(bitmap(signers or range(count), stage.params.size), (bytes(64),) * count)
