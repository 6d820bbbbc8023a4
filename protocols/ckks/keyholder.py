"""The key holder: makes the round's key, keeps the uniform half of each report, and decrypts one sum, once.

Keeping ──Added, and all its seeds──▶ Done
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from secagg.crypto.derive import digest, frame
from secagg.crypto.stream import commitment, seal_stream
from secagg.errors import InvalidMessage, LocalProtocolError, PeerError, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.machine import Machine, Station
from secagg.payload import Blob
from secagg.receipt import sign_agreement
from secagg.roles import Message, Outgoing, Vector
from secagg.round import Round
from secagg.types import Context, Entropy, PartyId, Secret

from .client import KEY, key_context
from .messages import SEED, Added, Key, Opened, Seed, root_hash
from .params import Params, payload_digest
from .residues import CannotDecrypt
from .slots import repeats_seeds, seeds_digest

OPENED = "ckks/opened"


@dataclass(frozen=True, slots=True)
class Ready:
    """No key yet."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """The key is out; seeds come in. A sum whose seeds are still under way waits."""

    key: Secret
    seeds: Mapping[PartyId, Seed]
    added: Added | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The sum is out and the key is gone: there can be no second one."""


@dataclass(frozen=True, slots=True)
class Failed:
    """What was asked for is not decrypted, and the key is gone."""


State = Ready | Keeping | Done | Failed


@dataclass(frozen=True, slots=True)
class Seat(Station[Params]):
    """Where the key holder sits: everything that does not change in a round."""


def make_key(*, seat: Seat, ledger: Ledger, entropy: Entropy) -> tuple[Keeping, list[Outgoing]]:
    """A fresh secret for this attempt, sealed to every client of the cohort."""
    key = Secret(entropy(SEED))
    outgoing = []
    for client in seat.params.clients:
        context = key_context(seat.ctx, seat.me.party, client)
        sealed = seat.me.roster.member(client).sealing.seal(key, purpose=KEY, context=context)
        outgoing.append(Outgoing(client, Key(sealed)))
    # > One key is made for an attempt, and no other: a key holder that restarts without its key ends the attempt.
    ledger.use(seat.ctx, "key", digest("ckks/keys", *(item.message.to_wire()[0] for item in outgoing)))
    return Keeping(key, {}), outgoing


def keep_seed(state: Keeping, message: Seed, client: PartyId, *, seat: Seat) -> Keeping:
    """Keep the uniform half of one report."""
    # > A report is from a client of the cohort, from an input model that the description allows, and its only one (CK-H1).
    if client not in seat.params.clients or message.version not in seat.params.versions or client in state.seeds:
        raise InvalidMessage("CK-H1", f"a seed from {client} that does not fit the round", culprits=[client])
    # > What comes with a seed is exactly what the round's cipher needs: as many bytes, and those that the seed is the digest of (CK-H6).
    beside = message.seeds
    if (0 if beside is None else beside.size) != seat.params.scheme.seeds or (beside is not None and seeds_digest(beside) != message.seed):
        raise InvalidMessage("CK-H6", f"the seeds from {client} are not those of its report", culprits=[client])
    # > No seed of a ciphertext stands in two reports: a copied part of a report would count its client twice (CK-H7).
    if repeats_seeds(message, state.seeds.values()):
        raise InvalidMessage("CK-H7", f"{client} sends a seed a second time, or another report's", culprits=[client])
    return replace(state, seeds={**state.seeds, client: message})


def check_added(message: Added, *, seat: Seat) -> None:
    """Raises InvalidMessage."""
    params, blame = seat.params, [seat.params.coordinator]
    # > The set is of the cohort and not below the floor F, counted in organisations (CK-H2).
    if not set(message.included) <= set(params.clients) or seat.opened.organisations(message.included) < params.floor:
        raise InvalidMessage(
            "CK-H2", f"{len(message.included)} clients to sum, not all of the cohort or below the floor of {params.floor}", culprits=blame
        )
    # > The sum has exactly the round's size, the digest that came with it, and residues below their primes (CK-H3).
    if message.payload.size != params.scheme.size or payload_digest(message.payload) != message.digest:
        raise InvalidMessage("CK-H3", f"a sum of {message.payload.size} bytes that is not the one announced", culprits=blame)
    try:
        params.scheme.check(message.payload)
    except CannotDecrypt as refused:
        raise InvalidMessage("CK-H3", str(refused), culprits=blame) from refused


def open_sum(state: Keeping, message: Added, *, seat: Seat, ledger: Ledger, entropy: Entropy) -> tuple[Done, list[Outgoing]]:
    """Recompute c1 from the clients' own seeds, decrypt, and seal the sum to the coordinator."""
    params, ctx = seat.params, seat.ctx
    for client, root in message.entries:
        seed = state.seeds[client]
        # > Every root is that of the report whose seed the client sent here (CK-H4).
        if root_hash(ctx, client, seed.version, seed.seed, seed.digest) != root:
            # Nobody is named: the client may have told two stories, or the coordinator another one than it heard.
            raise InvalidMessage("CK-H4", f"the report of {client} that was summed is not the one it told of: it or the coordinator lies")
    roots = digest("ckks/batch", *(piece for client, root in message.entries for piece in (client.encode(), root)))
    described = seat.opened.description
    # > The release is on disk before anything is decrypted: one sum for a key, and from one input model one set.
    ledger.use(ctx, "opened", digest("ckks/released", roots, message.digest))
    ledger.release(ctx, message.included, roots, model=described.inputs[0].model, terms=described.substance)
    reports = [(client, state.seeds[client]) for client in message.included]
    # > A sum with more noise than that of honest ciphertexts is refused, and nothing of it is told (CK-H5).
    try:
        vector = params.scheme.decrypt(message.payload, reports, state.key, ctx)
    except CannotDecrypt as refused:
        # Nobody is named: the coordinator may have added something else, or a client encrypted under another key.
        raise InvalidMessage(
            "CK-H5",
            f"what was added is not the sum of these reports: {refused}; the coordinator added something else, or a client encrypted under"
            " another key than the round's. Nothing was opened",
        ) from None
    return Done(), [Outgoing(params.coordinator, _sealed(vector, message.included, roots, seat=seat, entropy=entropy))]


def _sealed(vector: Vector, included: tuple[PartyId, ...], roots: bytes, *, seat: Seat, entropy: Entropy) -> Opened:
    packed, key, to = seat.params.scheme.ring.pack(vector), Secret(entropy(SEED)), seat.params.coordinator

    def fill(offset: int, buffer: memoryview) -> None:
        buffer[:] = packed[offset : offset + len(buffer)]

    context = opened_context(seat.ctx, seat.me.party, to, roots)
    payload = Blob(seal_stream(key, fill, len(packed), purpose=OPENED, context=context))
    sealed = seat.me.roster.member(to).sealing.seal(key, purpose=OPENED, context=context)
    return Opened(included, roots, sign_agreement(seat.me, seat.ctx.rd, included, roots), sealed, commitment(payload), payload)


def opened_context(ctx: Context, keyholder: PartyId, coordinator: PartyId, roots: bytes) -> bytes:
    """What the sealed sum is bound to."""
    return frame("ckks/opened-context", ctx.rd, keyholder.encode(), coordinator.encode(), roots)


class KeyHolder(Machine[State]):
    """The key holder's machine. A bad seed is refused and the round goes on; a sum that does not fit ends it, and the key with it."""

    NAME: ClassVar = "key holder"
    STATES: ClassVar = State

    def __init__(self, params: Params, opened: Round, me: Identity, *, ledger: Ledger, entropy: Entropy) -> None:
        self._seat = Seat(me, params, opened)
        self._ledger, self._entropy = ledger, entropy
        super().__init__(Ready())

    def _begin(self) -> Sequence[Outgoing]:
        self._state, outgoing = make_key(seat=self._seat, ledger=self._ledger, entropy=self._entropy)
        return outgoing

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        match self._state, message:
            case Keeping() as state, Seed() as seed:
                self._state = keep_seed(state, seed, sender, seat=self._seat)
                return self._open(self._state)
            case Keeping() as state, Added() as added if state.added is None and sender == self._seat.params.coordinator:
                check_added(added, seat=self._seat)
                self._state = replace(state, added=added)
                return self._open(self._state)
        raise UnexpectedMessage(f"{type(message).__name__} of {sender} is not due in {self.phase}", culprits=[sender])

    def expire(self) -> Sequence[Outgoing]:
        raise LocalProtocolError("a key holder waits for the coordinator's word: it has no time to expire")

    def _open(self, state: Keeping) -> list[Outgoing]:
        if state.added is None or not set(state.added.included) <= state.seeds.keys():
            return []
        try:
            self._state, outgoing = open_sum(state, state.added, seat=self._seat, ledger=self._ledger, entropy=self._entropy)
        except (PeerError, SessionAborted, LocalProtocolError):
            self._state = Failed()
            raise
        return outgoing
