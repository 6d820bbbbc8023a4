"""The seven messages. To parse one is to validate it; what depends on the round is checked in the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from secagg.crypto.sign import SIGNATURE_BYTES
from secagg.errors import MalformedMessage
from secagg.payload import Payload
from secagg.types import PartyId
from secagg.wire.parse import HASH, exactly, no_payload, parse, parties, party, serialise
from secagg.wire.v1 import additive_pb2 as pb

REPORT_ID = 16
_SEALED_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Report:
    """Client to one aggregator: its part, and the hashes of all parts. The leader's carries the sealed vector."""

    KIND: ClassVar[str] = "additive/Report"
    report: bytes
    version: int
    parts: tuple[bytes, ...]
    sealed: bytes
    commitment: bytes
    payload: Payload | None = None

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        wire = pb.AdditiveReport(report=self.report, version=self.version, parts=self.parts, sealed=self.sealed, commitment=self.commitment)
        return serialise(wire), self.payload

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        wire = parse(pb.AdditiveReport, body)
        if (payload is not None) != bool(wire.commitment):
            raise MalformedMessage("report: a payload and its commitment come together or not at all")
        return cls(
            exactly(wire.report, REPORT_ID, "report id"),
            wire.version,
            tuple(exactly(part, HASH, "part hash") for part in wire.parts),
            _sealed(wire.sealed),
            exactly(wire.commitment, HASH, "commitment") if wire.commitment else b"",
            payload,
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """Aggregator to client and collector: this report is held, signed so that nobody can deny it later."""

    KIND: ClassVar[str] = "additive/Accepted"
    client: PartyId
    root: bytes
    signature: bytes

    @property
    def slot(self) -> str:
        return self.client

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.AdditiveAccepted(client=self.client, root=self.root, signature=self.signature)), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        wire = parse(pb.AdditiveAccepted, body)
        return cls(party(wire.client, "client"), exactly(wire.root, HASH, "root"), exactly(wire.signature, SIGNATURE_BYTES, "signature"))


@dataclass(frozen=True, slots=True)
class Close:
    """Collector to aggregators: take no more reports."""

    KIND: ClassVar[str] = "additive/Close"

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.AdditiveClose()), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        parse(pb.AdditiveClose, body)
        return cls()


@dataclass(frozen=True, slots=True)
class Listed:
    """Aggregator to aggregator: the reports it holds, sorted by client. The envelope's signature covers it."""

    KIND: ClassVar[str] = "additive/Listed"
    entries: tuple[tuple[PartyId, bytes], ...]

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.AdditiveListed(entries=[pb.AdditiveEntry(client=client, root=root) for client, root in self.entries])), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        wire = parse(pb.AdditiveListed, body)
        clients = parties([entry.client for entry in wire.entries], "listed clients", is_sorted=True)
        return cls(tuple(zip(clients, (exactly(entry.root, HASH, "root") for entry in wire.entries), strict=True)))


@dataclass(frozen=True, slots=True)
class Agreed:
    """Aggregator to all aggregators and the collector: its signature for the one set that is summed."""

    KIND: ClassVar[str] = "additive/Agreed"
    included: tuple[PartyId, ...]
    roots: bytes
    signature: bytes

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.AdditiveAgreed(included=self.included, roots=self.roots, signature=self.signature)), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        wire = parse(pb.AdditiveAgreed, body)
        return cls(
            parties(wire.included, "included", is_sorted=True),
            exactly(wire.roots, HASH, "roots"),
            exactly(wire.signature, SIGNATURE_BYTES, "signature"),
        )


@dataclass(frozen=True, slots=True)
class Ahead:
    """Aggregator to collector: its share of the whole cohort's sum, sealed under a key that follows once everybody has signed that set."""

    KIND: ClassVar[str] = "additive/Ahead"
    roots: bytes
    commitment: bytes
    payload: Payload

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.AdditiveAhead(roots=self.roots, commitment=self.commitment)), self.payload

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        wire = parse(pb.AdditiveAhead, body)
        if payload is None:
            raise MalformedMessage("share sent ahead: the sealed vector is missing")
        return cls(exactly(wire.roots, HASH, "roots"), exactly(wire.commitment, HASH, "commitment"), payload)


@dataclass(frozen=True, slots=True)
class Share:
    """Aggregator to collector: its share of the sum, sealed, once. Without a payload where the vector was sent ahead."""

    KIND: ClassVar[str] = "additive/Share"
    roots: bytes
    sealed: bytes
    commitment: bytes
    payload: Payload | None = None

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.AdditiveShare(roots=self.roots, sealed=self.sealed, commitment=self.commitment)), self.payload

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        wire = parse(pb.AdditiveShare, body)
        return cls(exactly(wire.roots, HASH, "roots"), _sealed(wire.sealed), exactly(wire.commitment, HASH, "commitment"), payload)


def _sealed(value: bytes) -> bytes:
    if not 0 < len(value) <= _SEALED_LIMIT:
        raise MalformedMessage(f"sealed key: {len(value)} bytes, 1 to {_SEALED_LIMIT} expected")
    return value
