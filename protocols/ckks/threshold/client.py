"""The client: waits for every key holder's key of this attempt, encrypts once, and sends one message.

Waiting ──all Offers, and the vector, in any order──▶ Done
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from protocols.ckks.cipher import add_keys, as_payload, encrypt_under
from protocols.ckks.client import check_vector
from protocols.ckks.messages import SEED
from protocols.ckks.params import payload_digest
from secagg.crypto.derive import frame
from secagg.crypto.seal import SealKey
from secagg.errors import InvalidMessage, LocalProtocolError, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.machine import Machine
from secagg.roles import Message, Outgoing, Source, Vector, whole
from secagg.types import Context, Entropy, PartyId, Secret

from .dealing import dealt_key, imprint, imprint_digest, public_half
from .messages import REPORT, Offer, Report, part_hash, root_hash
from .params import Params

PART = "ckks-threshold/part"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Some of the keys are here; no vector yet."""

    offers: Mapping[PartyId, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """The vector is here, some key is not."""

    offers: Mapping[PartyId, bytes]
    vector: Vector
    version: int


@dataclass(frozen=True, slots=True)
class Done:
    """The report is out; secret and vector are gone."""

    root: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """A message was bad: nothing more is said in this round."""


State = Waiting | Holding | Done | Failed


def part_context(ctx: Context, client: PartyId, holder: PartyId) -> bytes:
    """What a sealed part is bound to."""
    return frame("ckks-threshold/part-context", ctx.rd, client.encode(), holder.encode())


def take_offer(offers: Mapping[PartyId, bytes], message: Offer, holder: PartyId, *, me: Identity) -> dict[PartyId, bytes]:
    """Keep one key holder's key."""
    # > A key holder offers one key, of the suite that the roster names for it, and no other holder's (TH-K1).
    named = me.roster.member(holder).sealing
    if holder in offers or message.key.raw[0] != named.raw[0] or message.key.raw in offers.values():
        raise InvalidMessage("TH-K1", f"a second key of {holder}, one of another suite or another's", culprits=[holder])
    return {**offers, holder: message.key.raw}


def report(state: Holding, *, me: Identity, params: Params, ctx: Context, entropy: Entropy) -> tuple[Done, list[Outgoing]]:
    """Deal a fresh secret to the key holders, encrypt under it, and sign for both."""
    seeds = {holder: Secret(entropy(SEED)) for holder in params.keyholders}
    dealt = {holder: dealt_key(seed, ctx, me.party, holder) for holder, seed in seeds.items()}
    imprints = tuple(imprint(seed, dealt[holder], ctx, me.party, holder) for holder, seed in seeds.items())
    payload = as_payload(encrypt_under(add_keys(dealt.values()), state.vector, params.packing, public_half(ctx, params.packing), entropy))
    sealed = tuple(
        SealKey(state.offers[holder]).seal(seed, purpose=PART, context=part_context(ctx, me.party, holder))
        for holder, seed in seeds.items()
    )
    committed, digests = payload_digest(payload), map(imprint_digest, imprints)
    parts = (part_hash(ctx, me.party, *part) for part in zip(seeds, sealed, digests, strict=True))
    root = root_hash(ctx, me.party, state.version, committed, parts)
    message = Report(state.version, committed, sealed, imprints, me.signing.sign(REPORT, root), payload)
    return Done(root), [Outgoing(params.coordinator, message)]


class Client(Machine[State]):
    """The client's machine. Keys and vector may come in any order; once its message is out it may go offline."""

    NAME: ClassVar = "client"
    STATES: ClassVar = State

    def __init__(self, params: Params, ctx: Context, me: Identity, *, ledger: Ledger, entropy: Entropy) -> None:
        self._params, self._ctx, self._me = params, ctx, me
        self._ledger, self._entropy = ledger, entropy
        super().__init__(Waiting({}))

    def contribute(self, vector: Vector | Source, *, version: int) -> Sequence[Outgoing]:
        """Hand in the vector; it must not change until all keys have come."""
        match self._state:
            case Waiting(offers) if self._started:
                check_vector(vector, version, self._params.packing, self._params.versions)
                return self._hold(Holding(offers, whole(vector), version))
        raise LocalProtocolError(f"a vector is not due in phase {self.phase!r}")

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        # > Only a key holder's message can end a client's round; anybody else's is refused and changes nothing.
        if sender not in self._params.keyholders:
            raise UnexpectedMessage(f"{sender} is no key holder of this round", culprits=[sender])
        try:
            match self._state, message:
                case Waiting(offers), Offer() as offer:
                    self._state = Waiting(take_offer(offers, offer, sender, me=self._me))
                    return []
                case Holding(offers) as state, Offer() as offer:
                    return self._hold(replace(state, offers=take_offer(offers, offer, sender, me=self._me)))
            raise UnexpectedMessage(f"{type(message).__name__} is not due in {self.phase}", culprits=[sender])
        except (InvalidMessage, UnexpectedMessage):
            self._state = Failed()
            raise

    def expire(self) -> Sequence[Outgoing]:
        raise LocalProtocolError("a client of ckks-threshold waits for the key holders' word: it has no time to expire")

    def _hold(self, state: Holding) -> list[Outgoing]:
        """Keep what is there, or report if it is all."""
        self._state = state
        if len(state.offers) < len(self._params.keyholders):
            return []
        after, outgoing = report(state, me=self._me, params=self._params, ctx=self._ctx, entropy=self._entropy)
        # > The root is on disk before the report is sent: after a crash the slot is used.
        self._ledger.use(self._ctx, f"report/{self._me.party}", after.root)
        self._state = after
        return outgoing
