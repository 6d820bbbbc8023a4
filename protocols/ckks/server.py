"""The coordinator: adds ciphertexts, which it cannot read, and has the sum decrypted.

Gathering ──enough reports, or the deadline──▶ Opening ──Opened──▶ Done
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from secagg.crypto.derive import digest
from secagg.crypto.seal import CannotOpen
from secagg.crypto.sign import BadSignature
from secagg.crypto.stream import commitment, open_stream
from secagg.errors import InvalidMessage, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.machine import Machine, Station
from secagg.receipt import verify_agreement
from secagg.roles import Message, Outgoing, Sum
from secagg.round import Round
from secagg.types import PartyId

from .keyholder import OPENED, opened_context
from .messages import Added, Encrypted, Opened, root_hash
from .params import Params, opened_size, payload_digest
from .residues import CannotDecrypt
from .scheme import Total


@dataclass(frozen=True, slots=True, eq=False)
class Gathering:
    """Ciphertexts are added as they come: constant memory, whatever their number."""

    total: Total
    roots: Mapping[PartyId, bytes]


@dataclass(frozen=True, slots=True)
class Opening:
    """The sum is with the key holder."""

    included: tuple[PartyId, ...]
    roots: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The sum is open."""

    total: Sum


@dataclass(frozen=True, slots=True)
class Failed:
    """The round ended without a sum."""


State = Gathering | Opening | Done | Failed


@dataclass(frozen=True, slots=True)
class Desk(Station[Params]):
    """Where the coordinator sits: everything that does not change in a round."""


def add(state: Gathering, message: Encrypted, client: PartyId, *, desk: Desk) -> Gathering:
    """Add one ciphertext: all of it or nothing."""
    params = desk.params
    # > A report is from a client of the cohort, from an input model that the description allows, and its only one (CK-S1).
    if client not in params.clients or message.version not in params.versions or client in state.roots:
        raise InvalidMessage("CK-S1", f"a report from {client} that does not fit the round", culprits=[client])
    # > A ciphertext has exactly the round's size, the digest in its report, and residues below their primes (CK-S2).
    if message.payload.size != params.scheme.size or payload_digest(message.payload) != message.digest:
        raise InvalidMessage(
            "CK-S2", f"a ciphertext of {message.payload.size} bytes from {client} that is not the one announced", culprits=[client]
        )
    try:
        params.scheme.add_into(state.total, message.payload)
    except CannotDecrypt as refused:
        raise InvalidMessage("CK-S2", f"the ciphertext of {client} has {refused}", culprits=[client]) from refused
    root = root_hash(desk.ctx, client, message.version, message.seed, message.digest)
    return Gathering(state.total, {**state.roots, client: root})


def close(state: Gathering, *, desk: Desk) -> tuple[Opening, list[Outgoing]]:
    """Hand the sum to the key holder, if there is something to open."""
    params, entries = desk.params, tuple(sorted(state.roots.items()))
    included = tuple(client for client, _ in entries)
    found = desk.opened.organisations(included)
    # > The coordinator does not ask for a sum below the floor F (CK-S3).
    if found < params.floor:
        raise SessionAborted(f"CK-S3: {found} organisations have reported, {params.floor} needed", answered=included, needed=params.floor)
    payload = params.scheme.as_payload(state.total)
    roots = digest("ckks/batch", *(piece for client, root in entries for piece in (client.encode(), root)))
    return Opening(included, roots), [Outgoing(params.keyholder, Added(entries, payload_digest(payload), payload))]


def finish(state: Opening, message: Opened, sender: PartyId, *, desk: Desk) -> Done:
    """Open what the key holder sealed."""
    params, ctx = desk.params, desk.ctx
    # > The key holder signs for exactly the set that was added (CK-S4).
    try:
        if sender != params.keyholder or (message.included, message.roots) != (state.included, state.roots):
            raise BadSignature("another set")
        verify_agreement(desk.opened.roster, sender, message.signature, rd=ctx.rd, included=message.included, roots=message.roots)
    except BadSignature as refused:
        raise InvalidMessage("CK-S4", f"{sender} has not signed for the set that was added", culprits=[sender]) from refused
    # > The sum has the round's size and the tags that were committed to, and opens with the coordinator's key (CK-S5).
    if message.payload.size != opened_size(params.scheme) or commitment(message.payload) != message.commitment:
        raise InvalidMessage("CK-S5", f"a sum of {message.payload.size} bytes that is not the one committed to", culprits=[sender])
    context = opened_context(ctx, sender, desk.me.party, message.roots)
    try:
        key = desk.me.opening.open(message.sealed, purpose=OPENED, context=context)
        packed = b"".join(bytes(chunk) for chunk in open_stream(key, message.payload, purpose=OPENED, context=context))
    except CannotOpen as refused:
        raise InvalidMessage("CK-S5", f"the sum from {sender} does not open: {refused}", culprits=[sender]) from refused
    vector = params.scheme.ring.unpack(packed, params.scheme.length)
    return Done(Sum(vector, message.included, message.roots, ((sender, message.signature),)))


class Server(Machine[State]):
    """The coordinator's machine. A bad report is refused and the round goes on for the others."""

    NAME: ClassVar = "server"
    STATES: ClassVar = State

    def __init__(self, params: Params, opened: Round, me: Identity) -> None:
        self._desk = Desk(me, params, opened)
        super().__init__(Gathering(params.scheme.zero(), {}))

    @property
    def patience(self) -> float | None:
        match self._state:
            case Gathering():
                return self._desk.params.submit_seconds
            case Opening():
                return self._desk.params.finish_seconds
        return None

    @property
    def result(self) -> Sum | None:
        return self._state.total if isinstance(self._state, Done) else None

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        match self._state, message:
            case Gathering() as state, Encrypted() as encrypted:
                self._state = after = add(state, encrypted, sender, desk=self._desk)
                params, included = self._desk.params, tuple(after.roots)
                if len(included) >= params.quorum and self._desk.opened.organisations(included) >= params.floor:
                    return self._close(after)
                return []
            case Opening() as state, Opened() as opened:
                self._state = finish(state, opened, sender, desk=self._desk)
                return []
        raise UnexpectedMessage(f"{type(message).__name__} is not due in {self.phase}", culprits=[sender])

    def expire(self) -> Sequence[Outgoing]:
        match self._state:
            case Gathering() as state:
                return self._close(state)
            case Opening():
                self._state = Failed()
                raise SessionAborted("the key holder did not open the sum in time", answered=[], needed=1)
        return []

    def _close(self, state: Gathering) -> list[Outgoing]:
        try:
            self._state, outgoing = close(state, desk=self._desk)
        except SessionAborted:
            self._state = Failed()
            raise
        return outgoing
