"""INSECURE: the same round without any protection, every update in the clear to the coordinator.

It exists to be measured against and to drive the runtime in tests: same encoding, same chunks, same envelopes and floors, no secrecy.
It is not an entry point; a party speaks it only where this class is passed to `join` explicitly.

    client ──Update──▶ coordinator: adds ─▶ Sum
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from secagg.crypto.derive import digest
from secagg.crypto.stream import PLAIN, sealed_size
from secagg.encode.quantise import Encoding
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, MalformedMessage, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.machine import check_spoken, describe, encoding_of, numbers_of
from secagg.payload import CHUNK, Blob, Payload, chunks
from secagg.policy import Floors, Policy
from secagg.privacy import PrivacyTerms
from secagg.roles import Codec, Message, Outgoing, Role, Source, Sum, Vector, whole
from secagg.roster import Roster
from secagg.round import Round, RoundDescription, Terms
from secagg.tally import Tallies, Tally
from secagg.types import Entropy, PartyId

VERSION = 1


@dataclass(frozen=True, slots=True)
class Update:
    """Client to coordinator: its vector, readable. Body: the model version, 8 bytes; payload: packed ring words."""

    KIND: ClassVar[str] = "insecure-plaintext/Update"
    version: int
    payload: Payload

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return struct.pack("<Q", self.version), self.payload

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        if len(body) != 8 or payload is None:
            raise MalformedMessage("update: 8 bytes of version and a payload expected")
        return cls(struct.unpack("<Q", body)[0], payload)


def pack_words(vector: Vector, encoding: Encoding) -> Blob:
    """Ring words in the chunks that a sealed vector would have, the room for each tag left zero: so both cost the same on the wire."""
    ring = encoding.ring
    packed = bytearray(sealed_size(ring.packed_size(len(vector))))
    step = PLAIN * 8 // ring.bits
    for index, start in enumerate(range(0, len(vector), step)):
        words = vector[start : start + step]
        at = index * CHUNK
        ring.pack_into(words, memoryview(packed)[at : at + ring.packed_size(len(words))])
    return Blob(packed)


def add_words(total: Vector, payload: Payload, encoding: Encoding) -> None:
    """Add packed words to `total`, chunk by chunk."""
    ring, start = encoding.ring, 0
    step = PLAIN * 8 // ring.bits
    for chunk in chunks(payload):
        part = total[start : start + step]
        ring.combine_packed(part, chunk[: ring.packed_size(len(part))], 1)
        start += len(part)


class Client:
    """Sends its vector once."""

    patience: float | None = None
    result: Sum | None = None

    def __init__(self, opened: Round, me: Identity, *, ledger: Ledger, entropy: Entropy) -> None:
        self._round, self._me, self._ledger, self._entropy = opened, me, ledger, entropy
        self.phase = "ready"

    @property
    def state(self) -> object:
        return self.phase

    def resume(self, state: object) -> None:
        raise LocalProtocolError("a plaintext round keeps no state over a restart")

    def start(self) -> Sequence[Outgoing]:
        return []

    def contribute(self, vector: Vector | Source, *, version: int) -> Sequence[Outgoing]:
        described = self._round.description
        if self.phase != "ready":
            raise LocalProtocolError(f"a vector is not due in phase {self.phase!r}")
        payload = pack_words(whole(vector), described.encoding)
        self._ledger.use(self._round.ctx, f"update/{self._me.party}", self._entropy(16))
        self.phase = "done"
        return [Outgoing(described.coordinator, Update(version, payload))]

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        self.phase = "failed"
        raise UnexpectedMessage(f"{type(message).__name__} is not due", culprits=[sender])

    def expire(self) -> Sequence[Outgoing]:
        raise LocalProtocolError("a client of insecure-plaintext has no time to expire")


class Collector:
    """Adds what comes until the quorum or the deadline."""

    def __init__(self, opened: Round) -> None:
        self._round, self._described = opened, opened.description
        self._included: list[PartyId] = []
        encoding = self._described.encoding
        self._total: Vector = np.zeros(self._described.values + encoding.extra, encoding.ring.dtype)
        self.phase = "gathering"
        self.result: Sum | None = None

    @property
    def patience(self) -> float | None:
        return self._described.submit_seconds if self.phase == "gathering" else None

    @property
    def state(self) -> object:
        return self.phase

    def resume(self, state: object) -> None:
        raise LocalProtocolError("a plaintext round keeps no state over a restart")

    def start(self) -> Sequence[Outgoing]:
        return []

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        if not isinstance(message, Update) or self.phase != "gathering" or sender in self._included:
            raise UnexpectedMessage(f"{type(message).__name__} is not due in {self.phase}", culprits=[sender])
        # > An update comes from the cohort, from an allowed model version, in the round's size (PL-C1).
        expected = sealed_size(self._described.encoding.ring.packed_size(len(self._total)))
        if sender not in self._described.cohort or self._described.input(message.version) is None or message.payload.size != expected:
            raise InvalidMessage("PL-C1", f"an update of {message.payload.size} bytes that does not fit the round", culprits=[sender])
        add_words(self._total, message.payload, self._described.encoding)
        self._included.append(sender)
        if len(self._included) >= self._described.quorum:
            self.expire()
        return []

    def expire(self) -> Sequence[Outgoing]:
        if self.phase != "gathering":
            return []
        included = tuple(sorted(self._included))
        found, needed = self._round.organisations(included), self._described.floors.floor
        # > Even the plaintext round opens no sum below the floor F.
        if found < needed:
            self.phase = "failed"
            raise SessionAborted(f"{found} organisations have reported, {needed} needed", answered=included, needed=needed)
        self.phase, self.result = (
            "done",
            Sum(self._total, included, digest("insecure-plaintext/set", *(name.encode() for name in included)), ()),
        )
        return []


@dataclass(frozen=True, slots=True)
class Plan:
    """Plaintext sums: the arguments mean what they mean for `additive`, and nothing is kept secret."""

    PROTOCOL: ClassVar[str] = "insecure-plaintext"
    CODEC: ClassVar[Codec] = Codec(Update)
    STATES: ClassVar[tuple[type, ...]] = ()

    clients: int
    clip: float | tuple[float, ...] = 1.0
    bits: int = 16
    max_weight: int = 4096
    rotation: bool = False
    ring_bits: int | None = None
    quorum: int | None = None
    staleness: tuple[int, ...] = (1,)
    submit_seconds: float = 600.0
    finish_seconds: float = 60.0
    floors: Floors = field(default_factory=Floors)
    privacy: PrivacyTerms | None = None

    @property
    def encoding(self) -> Encoding:
        return encoding_of(self, factor=max(self.staleness))

    def staleness_factor(self, age: int) -> int | None:
        return self.staleness[age] if 0 <= age < len(self.staleness) else None

    def describe(self, terms: Terms, roster: Roster) -> RoundDescription:
        return describe(self, terms, roster, version=VERSION, quorum=self.quorum)

    @classmethod
    def from_description(cls, description: RoundDescription) -> Self:
        # > The description is of this protocol and version (PL-P1).
        check_spoken(description, cls.PROTOCOL, VERSION, check="PL-P1")
        return cls(**numbers_of(description))

    def role(
        self, opened: Round, identity: Identity, *, policy: Policy, ledger: Ledger, entropy: Entropy, tallies: Tallies = Tally.zero
    ) -> Role:
        match identity.member.role:
            case "client":
                return Client(opened, identity, ledger=ledger, entropy=entropy)
            case "coordinator":
                return Collector(opened)
        raise ConfigError(f"{identity.party} is {identity.member.role}: the plaintext round has clients and a coordinator")
