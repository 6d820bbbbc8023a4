"""The coordinator: adds ciphertexts, which it cannot read, and opens the sum once every key holder has given its part of the key.

Gathering ──enough reports, or the deadline──▶ Opening ──Committed and Share of all──▶ Done
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from protocols.ckks.cipher import Key, add_into, add_keys, add_residues, decrypt_under, read_residues
from protocols.ckks.params import payload_digest
from protocols.ckks.residues import CannotDecrypt
from secagg.crypto.seal import CannotOpen
from secagg.crypto.sign import BadSignature
from secagg.crypto.stream import open_stream, sealed_size
from secagg.errors import InvalidMessage, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.machine import Machine, Station
from secagg.payload import Blob
from secagg.roles import Message, Outgoing, Sum
from secagg.round import Round
from secagg.types import PartyId

from .dealing import IMPRINT, SHARE_BYTES, imprint_digest, leaves, public_half, read_share
from .keyholder import SHARE, share_commitment, share_context, verify_committed
from .messages import REPORT, Committed, Entry, Fixed, Report, Share, part_hash, root_hash, roots_hash
from .params import Params


@dataclass(frozen=True, slots=True)
class Reported:
    """What is kept of a report once its ciphertext is in the sum."""

    version: int
    digest: bytes
    parts: tuple[bytes, ...]
    sealed: tuple[bytes, ...]
    imprints: tuple[bytes, ...]
    signature: bytes
    root: bytes

    def entry(self, client: PartyId, index: int) -> Entry:
        """What the key holder at `index` is told of it."""
        return Entry(client, self.version, self.digest, self.parts, self.sealed[index], self.imprints[index], self.signature)


@dataclass(frozen=True, slots=True, eq=False)
class Gathering:
    """Ciphertexts and imprints are added as they come: what is kept of each report is two kilobytes for each key holder."""

    total: NDArray[np.uint32]
    imprints: tuple[NDArray[np.uint32], ...]
    reports: Mapping[PartyId, Reported]


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """The set is with the key holders."""

    total: NDArray[np.uint32]
    imprints: tuple[NDArray[np.uint32], ...]
    included: tuple[PartyId, ...]
    roots: bytes
    committed: Mapping[PartyId, Committed]
    shares: Mapping[PartyId, Share]


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


def gathering(params: Params) -> Gathering:
    """No report yet."""
    imprints = tuple(np.zeros(IMPRINT.residues, np.uint32) for _ in params.keyholders)
    return Gathering(np.zeros(params.packing.residues, np.uint32), imprints, {})


def add(state: Gathering, message: Report, client: PartyId, *, desk: Desk) -> Gathering:
    """Add one ciphertext: all of it or nothing."""
    params, ctx = desk.params, desk.ctx
    # > A report is from a client of the cohort, from an input model that the description allows, and its only one (TH-S1).
    if client not in params.clients or message.version not in params.versions or client in state.reports:
        raise InvalidMessage("TH-S1", f"a report from {client} that does not fit the round", culprits=[client])
    # > It has a part for each key holder, and its client's signature over them and the ciphertext (TH-S2).
    digests = tuple(map(imprint_digest, message.imprints))
    parts = tuple(part_hash(ctx, client, *part) for part in zip(params.keyholders, message.sealed, digests, strict=False))
    root = root_hash(ctx, client, message.version, message.digest, parts)
    try:
        if not len(message.sealed) == len(message.imprints) == len(params.keyholders):
            raise BadSignature(f"{len(message.sealed)} parts, {len(message.imprints)} imprints for {len(params.keyholders)} key holders")
        desk.opened.roster.member(client).signing.verify(message.signature, REPORT, root)
    except BadSignature as refused:
        raise InvalidMessage("TH-S2", f"the report of {client} is not signed as a whole: {refused}", culprits=[client]) from refused
    # > A ciphertext has exactly the round's size, the digest in its report, and residues below their primes (TH-S3).
    if message.payload.size != params.packing.size or payload_digest(message.payload) != message.digest:
        raise InvalidMessage(
            "TH-S3", f"a ciphertext of {message.payload.size} bytes from {client} that is not the one announced", culprits=[client]
        )
    try:
        imprints = [read_residues(Blob(raw), IMPRINT) for raw in message.imprints]
        add_into(state.total, message.payload, params.packing)
    except CannotDecrypt as refused:
        raise InvalidMessage("TH-S3", f"the ciphertext of {client} or an imprint has {refused}", culprits=[client]) from refused
    for run, words in zip(state.imprints, imprints, strict=True):
        add_residues(run, words, IMPRINT)
    kept = Reported(message.version, message.digest, parts, message.sealed, digests, message.signature, root)
    return replace(state, reports={**state.reports, client: kept})


def fix(state: Gathering, *, desk: Desk) -> tuple[Opening, list[Outgoing]]:
    """Take no more reports, and tell each key holder the set with what its clients dealt to it."""
    params, reports = desk.params, sorted(state.reports.items())
    included = tuple(client for client, _ in reports)
    found = desk.opened.organisations(included)
    # > The coordinator does not ask for a sum below the floor F (TH-S4).
    if found < params.floor:
        raise SessionAborted(f"TH-S4: {found} organisations have reported, {params.floor} needed", answered=included, needed=params.floor)
    roots = roots_hash((client, kept.root) for client, kept in reports)
    fixed = [Fixed(tuple(kept.entry(client, index) for client, kept in reports)) for index in range(len(params.keyholders))]
    outgoing = [Outgoing(name, message) for name, message in zip(params.keyholders, fixed, strict=True)]
    return Opening(state.total, state.imprints, included, roots, {}, {}), outgoing


def keep_committed(state: Opening, message: Committed, sender: PartyId, *, desk: Desk) -> Opening:
    """One key holder's commitment to the set that was fixed."""
    # > A key holder signs for exactly the set that was fixed, once (TH-S5).
    verify_committed(message, sender, desk.params, desk.opened, check="TH-S5")
    if (message.included, message.roots) != (state.included, state.roots) or sender in state.committed:
        raise InvalidMessage("TH-S5", f"{sender} has not signed for the set that was fixed, or has before", culprits=[sender])
    check_share(state.shares.get(sender), message, sender, desk=desk)
    return replace(state, committed={**state.committed, sender: message})


def keep_share(state: Opening, message: Share, sender: PartyId, *, desk: Desk) -> Opening:
    """One key holder's part; it may overtake its commitment."""
    # > A part of the key is a key holder's, its only one, and has exactly the size of one (TH-S6).
    expected = sealed_size(SHARE_BYTES)
    if sender not in desk.params.keyholders or sender in state.shares or message.payload.size != expected:
        raise InvalidMessage(
            "TH-S6", f"a part of {message.payload.size} bytes from {sender}; one of {expected} expected", culprits=[sender]
        )
    check_share(message, state.committed.get(sender), sender, desk=desk)
    return replace(state, shares={**state.shares, sender: message})


def check_share(share: Share | None, committed: Committed | None, sender: PartyId, *, desk: Desk) -> None:
    """Once both are here. Raises InvalidMessage."""
    # > A part of the key is the one that its holder committed to (TH-S7).
    if share and committed and share_commitment(desk.ctx, sender, committed.roots, share) != committed.commitment:
        raise InvalidMessage("TH-S7", f"{sender} has given another part than it committed to", culprits=[sender])


def open_share(share: Share, holder: PartyId, roots: bytes, *, desk: Desk) -> Key:
    """What a key holder sealed. Raises SessionAborted."""
    context = share_context(desk.ctx, holder, desk.me.party, roots)
    # > It opens with the coordinator's key, and its residues are below their primes (TH-S8).
    try:
        key = desk.me.opening.open(share.sealed, purpose=SHARE, context=context)
        return read_share(b"".join(bytes(chunk) for chunk in open_stream(key, share.payload, purpose=SHARE, context=context)))
    except (CannotOpen, CannotDecrypt) as refused:
        raise SessionAborted(f"TH-S8: the part of {holder} does not open: {refused}", culprits=[holder]) from refused


def finish(state: Opening, *, desk: Desk) -> Done:
    """All parts are here: their sum is the key of the sum."""
    params, ctx = desk.params, desk.ctx
    parts = {name: open_share(state.shares[name], name, state.roots, desk=desk) for name in params.keyholders}
    # > Each part of the key is the sum of what the clients of the set dealt to its holder: their imprints show it, and who lied (TH-S10).
    liars = [
        name
        for name, imprints in zip(params.keyholders, state.imprints, strict=True)
        if not leaves(imprints, parts[name], ctx, len(state.included))
    ]
    if liars:
        raise SessionAborted(f"TH-S10: {', '.join(liars)} gave a part of the key that is not the sum of what was dealt", culprits=liars)
    secret = add_keys(parts.values())
    # > A sum with more noise than that of honest ciphertexts is not opened: a client has lied, and no other try follows (TH-S9).
    try:
        vector = decrypt_under(secret, state.total, params.packing, public_half(ctx, params.packing), len(state.included))
    except CannotDecrypt as refused:
        raise SessionAborted(
            f"TH-S9: the parts of the key are right and do not open what was added: {refused}; a client encrypted under another secret"
            " than it dealt",
            answered=state.included,
            needed=params.floor,
        ) from refused
    signatures = tuple((name, state.committed[name].signature) for name in sorted(state.committed))
    return Done(Sum(vector, state.included, state.roots, signatures))


class Server(Machine[State]):
    """The coordinator's machine. A bad report is refused and the round goes on for the others."""

    NAME: ClassVar = "server"
    STATES: ClassVar = State

    def __init__(self, params: Params, opened: Round, me: Identity) -> None:
        self._desk = Desk(me, params, opened)
        super().__init__(gathering(params))

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
            case Gathering() as state, Report() as report:
                self._state = after = add(state, report, sender, desk=self._desk)
                params, included = self._desk.params, tuple(after.reports)
                if len(included) >= params.quorum and self._desk.opened.organisations(included) >= params.floor:
                    return self._fix(after)
                return []
            case Opening() as state, Committed() as committed:
                return self._finish(keep_committed(state, committed, sender, desk=self._desk))
            case Opening() as state, Share() as share:
                return self._finish(keep_share(state, share, sender, desk=self._desk))
        raise UnexpectedMessage(f"{type(message).__name__} is not due in {self.phase}", culprits=[sender])

    def expire(self) -> Sequence[Outgoing]:
        match self._state:
            case Gathering() as state:
                return self._fix(state)
            case Opening() as state:
                self._state = Failed()
                # > A missing part ends the attempt: its keys are destroyed, and the next attempt has new ones.
                late = [name for name in self._desk.params.keyholders if name not in state.shares]
                raise SessionAborted(
                    f"{', '.join(late)} gave no part of the key in time",
                    answered=tuple(state.shares),
                    needed=len(self._desk.params.keyholders),
                )
        return []

    def _fix(self, state: Gathering) -> list[Outgoing]:
        try:
            self._state, outgoing = fix(state, desk=self._desk)
        except SessionAborted:
            self._state = Failed()
            raise
        return outgoing

    def _finish(self, state: Opening) -> list[Outgoing]:
        self._state = state
        if len(state.shares) == len(state.committed) == len(self._desk.params.keyholders):
            try:
                self._state = finish(state, desk=self._desk)
            except SessionAborted:
                self._state = Failed()
                raise
        return []
