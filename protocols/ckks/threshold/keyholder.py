"""A key holder: offers a key for this attempt, commits to its part of the key of one sum, and gives it once all have committed to the same.

Offering ──Fixed──▶ Committing ──Committed of all others──▶ Done
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from protocols.ckks.cipher import Key, add_keys
from protocols.ckks.messages import SEED
from secagg.crypto.derive import digest, frame
from secagg.crypto.seal import CannotOpen, OpenKey
from secagg.crypto.sign import BadSignature
from secagg.crypto.stream import seal_stream
from secagg.errors import InvalidMessage, LocalProtocolError, PeerError, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.machine import Machine, Station
from secagg.payload import Blob, Payload, chunks
from secagg.receipt import sign_agreement, verify_agreement
from secagg.roles import Message, Outgoing
from secagg.round import Round
from secagg.types import Context, Entropy, PartyId, Secret

from .client import PART, part_context
from .dealing import dealt_key, imprint, imprint_digest, share_bytes
from .messages import REPORT, Committed, Entry, Fixed, Offer, Share, part_hash, roots_hash
from .params import Params

SHARE = "ckks-threshold/share"


@dataclass(frozen=True, slots=True)
class Ready:
    """No key yet."""


@dataclass(frozen=True, slots=True)
class Offering:
    """The key of this attempt is out. Another holder's commitment may come before the set."""

    key: OpenKey
    committed: Mapping[PartyId, Committed]


@dataclass(frozen=True, slots=True)
class Committing:
    """The part is computed, sealed and committed to; the key that the clients' seeds were sealed to is gone."""

    own: Committed
    share: Share
    committed: Mapping[PartyId, Committed]


@dataclass(frozen=True, slots=True)
class Done:
    """The part is out, and there can be no second one."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt ended without this holder's part; the key is gone."""


State = Ready | Offering | Committing | Done | Failed


@dataclass(frozen=True, slots=True)
class Seat(Station[Params]):
    """Where the key holder sits: everything that does not change in a round."""

    @property
    def others(self) -> tuple[PartyId, ...]:
        """The other key holders of the round."""
        return tuple(name for name in self.params.keyholders if name != self.me.party)


def offer(*, seat: Seat, ledger: Ledger, entropy: Entropy) -> tuple[Offering, list[Outgoing]]:
    """A fresh key for this attempt, of the suite of the roster's."""
    key = OpenKey.generate(entropy, seat.me.opening.kind)
    message = Offer(key.seal_key())
    # > One key is offered for an attempt, and no other: a key holder that restarts without its key ends the attempt.
    ledger.use(seat.ctx, "offer", digest("ckks-threshold/offer", message.key.raw))
    return Offering(key, {}), [Outgoing(client, message) for client in seat.params.clients]


def check_fixed(message: Fixed, *, seat: Seat) -> None:
    """Raises InvalidMessage."""
    params, blame = seat.params, [seat.params.coordinator]
    # > The set is of the cohort and not below the floor F, counted in organisations (TH-H1).
    if not set(message.included) <= set(params.clients) or seat.opened.organisations(message.included) < params.floor:
        raise InvalidMessage(
            "TH-H1", f"{len(message.included)} clients to sum, not all of the cohort or below the floor of {params.floor}", culprits=blame
        )
    own = params.keyholders.index(seat.me.party)
    for entry in message.entries:
        # > Each client has signed its report: this ciphertext, from an allowed model, with these parts for these holders (TH-H2).
        try:
            if entry.version not in params.versions or len(entry.parts) != len(params.keyholders):
                raise BadSignature("another model or another number of parts")
            if entry.parts[own] != part_hash(seat.ctx, entry.client, seat.me.party, entry.sealed, entry.imprint):
                raise BadSignature("another part")
            seat.me.roster.member(entry.client).signing.verify(entry.signature, REPORT, entry.root(seat.ctx))
        except BadSignature as refused:
            raise InvalidMessage(
                "TH-H2", f"{entry.client} has not signed for this part in this round: {refused}", culprits=blame
            ) from refused


def open_part(entry: Entry, key: OpenKey, *, seat: Seat) -> Key:
    """What one client dealt to this holder. Raises InvalidMessage."""
    # > A client's part opens for this holder and round, and is a seed of 32 bytes (TH-H3).
    try:
        seed = key.open(entry.sealed, purpose=PART, context=part_context(seat.ctx, entry.client, seat.me.party))
    except CannotOpen as refused:
        raise InvalidMessage(
            "TH-H3", f"the part of {entry.client} was not sealed for this holder and round", culprits=[entry.client]
        ) from refused
    if len(seed) != SEED:
        raise InvalidMessage("TH-H3", f"a seed of {len(seed)} bytes from {entry.client}, {SEED} expected", culprits=[entry.client])
    dealt = dealt_key(seed, seat.ctx, entry.client, seat.me.party)
    # > The imprint that the client has signed is that of the seed: who deals what it did not sign for is named (TH-H6).
    if imprint_digest(imprint(seed, dealt, seat.ctx, entry.client, seat.me.party)) != entry.imprint:
        raise InvalidMessage("TH-H6", f"{entry.client} dealt another secret than the one whose imprint it signed", culprits=[entry.client])
    return dealt


def commit(state: Offering, message: Fixed, *, seat: Seat, ledger: Ledger, entropy: Entropy) -> tuple[Committing, list[Outgoing]]:
    """Add up what the clients of the set dealt, seal it, and tell everybody what it is a part of, not what it is."""
    part = add_keys(open_part(entry, state.key, seat=seat) for entry in message.entries)
    roots = roots_hash((entry.client, entry.root(seat.ctx)) for entry in message.entries)
    # > The set is on disk before it is signed: in one attempt there is no part for another.
    ledger.use(seat.ctx, "set", roots)
    share = seal_share(part, roots, seat=seat, entropy=entropy)
    own = Committed(
        message.included,
        roots,
        sign_agreement(seat.me, seat.ctx.rd, message.included, roots),
        share_commitment(seat.ctx, seat.me.party, roots, share),
    )
    return Committing(own, share, state.committed), [Outgoing(name, own) for name in (*seat.others, seat.params.coordinator)]


def seal_share(part: Key, roots: bytes, *, seat: Seat, entropy: Entropy) -> Share:
    """The part, sealed to the coordinator under a fresh key."""
    plain, key, to = share_bytes(part), Secret(entropy(SEED)), seat.params.coordinator

    def fill(offset: int, buffer: memoryview) -> None:
        buffer[:] = plain[offset : offset + len(buffer)]

    context = share_context(seat.ctx, seat.me.party, to, roots)
    sealed = seat.me.roster.member(to).sealing.seal(key, purpose=SHARE, context=context)
    return Share(sealed, Blob(seal_stream(key, fill, len(plain), purpose=SHARE, context=context)))


def share_context(ctx: Context, holder: PartyId, coordinator: PartyId, roots: bytes) -> bytes:
    """What a sealed part of the key is bound to."""
    return frame("ckks-threshold/share-context", ctx.rd, holder.encode(), coordinator.encode(), roots)


def share_commitment(ctx: Context, holder: PartyId, roots: bytes, share: Share) -> bytes:
    """Binds to the part, since the sealed key binds to what it opens, and hides it, since it is sealed."""
    payload: Payload = share.payload
    return digest("ckks-threshold/commitment", ctx.rd, holder.encode(), roots, share.sealed, *(bytes(chunk) for chunk in chunks(payload)))


def verify_committed(message: Committed, sender: PartyId, params: Params, opened: Round, *, check: str) -> None:
    """A key holder's signature for the set it sent. Raises InvalidMessage."""
    # > Each commitment is a key holder's, signed over the set it sent (TH-H4).
    try:
        if sender not in params.keyholders:
            raise BadSignature("no key holder of the round")
        verify_agreement(opened.roster, sender, message.signature, rd=opened.ctx.rd, included=message.included, roots=message.roots)
    except BadSignature as refused:
        raise InvalidMessage(check, f"{sender} has not signed the set it sent", culprits=[sender]) from refused


def keep(state: Offering | Committing, message: Committed, sender: PartyId, *, seat: Seat) -> Mapping[PartyId, Committed]:
    """Another holder's commitment, checked."""
    verify_committed(message, sender, seat.params, seat.opened, check="TH-H4")
    if sender in state.committed or sender == seat.me.party:
        raise UnexpectedMessage(f"a second commitment of {sender}", culprits=[sender])
    return {**state.committed, sender: message}


def reveal(state: Committing, *, seat: Seat, ledger: Ledger) -> tuple[Done, list[Outgoing]]:
    """All have committed: give the part."""
    own, described = state.own, seat.opened.description
    for name, other in state.committed.items():
        # > No part of the key leaves before all holders have committed to one and the same set (TH-H5).
        if (other.included, other.roots) != (own.included, own.roots):
            raise InvalidMessage("TH-H5", f"{name} committed to another set", culprits=[name])
    # > The release is on disk before the part leaves: from one input model one set.
    ledger.release(seat.ctx, own.included, own.roots, model=described.inputs[0].model, terms=described.substance)
    return Done(), [Outgoing(seat.params.coordinator, state.share)]


class KeyHolder(Machine[State]):
    """The key holder's machine. What fails a check is refused; what cannot be undone ends the attempt, and the key with it."""

    NAME: ClassVar = "key holder"
    STATES: ClassVar = State

    def __init__(self, params: Params, opened: Round, me: Identity, *, ledger: Ledger, entropy: Entropy) -> None:
        self._seat = Seat(me, params, opened)
        self._ledger, self._entropy = ledger, entropy
        super().__init__(Ready())

    @property
    def patience(self) -> float | None:
        """No key outlives the time of its attempt, whatever the coordinator says or does not say."""
        match self._state:
            case Offering():
                return self._seat.params.submit_seconds + self._seat.params.finish_seconds
            case Committing():
                return self._seat.params.finish_seconds
        return None

    def _begin(self) -> Sequence[Outgoing]:
        self._state, outgoing = offer(seat=self._seat, ledger=self._ledger, entropy=self._entropy)
        return outgoing

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        match self._state, message:
            case Offering() as state, Fixed() as fixed if sender == self._seat.params.coordinator:
                check_fixed(fixed, seat=self._seat)
                return self._commit(state, fixed)
            case Offering() | Committing() as state, Committed() as committed:
                self._state = replace(state, committed=keep(state, committed, sender, seat=self._seat))
                return self._reveal()
        raise UnexpectedMessage(f"{type(message).__name__} of {sender} is not due in {self.phase}", culprits=[sender])

    def expire(self) -> Sequence[Outgoing]:
        match self._state:
            case Offering() | Committing() as state:
                self._state = Failed()
                raise SessionAborted(
                    "the other key holders or the coordinator were too late: the key of this attempt is destroyed",
                    answered=tuple(state.committed),
                    needed=len(self._seat.others),
                )
        return []

    def _commit(self, state: Offering, fixed: Fixed) -> list[Outgoing]:
        try:
            self._state, outgoing = commit(state, fixed, seat=self._seat, ledger=self._ledger, entropy=self._entropy)
        except (PeerError, LocalProtocolError):
            self._state = Failed()
            raise
        return [*outgoing, *self._reveal()]

    def _reveal(self) -> list[Outgoing]:
        match self._state:
            case Committing() as state if len(state.committed) == len(self._seat.others):
                try:
                    self._state, outgoing = reveal(state, seat=self._seat, ledger=self._ledger)
                except PeerError:
                    self._state = Failed()
                    raise
                return outgoing
        return []
