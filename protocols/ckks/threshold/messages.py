"""The five messages. To parse one is to validate it; what depends on the round is checked in the steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from protocols.ckks.messages import sealed_key
from secagg.crypto.derive import digest
from secagg.crypto.seal import SealKey
from secagg.crypto.sign import SIGNATURE_BYTES
from secagg.errors import ConfigError, MalformedMessage
from secagg.payload import Payload
from secagg.types import Context, PartyId
from secagg.wire.parse import HASH, exactly, no_payload, parse, parties, serialise
from secagg.wire.v1 import ckks_threshold_pb2 as pb

from .dealing import IMPRINT_BYTES

REPORT = "ckks-threshold/report"
"""Label of a client's signature under its root."""


def part_hash(ctx: Context, client: PartyId, holder: PartyId, sealed: bytes, imprint: bytes) -> bytes:
    """What a report's root says of the seed that is sealed to one key holder, and of its imprint's digest."""
    return digest("ckks-threshold/part", ctx.rd, client.encode(), holder.encode(), sealed, imprint)


def root_hash(ctx: Context, client: PartyId, version: int, ciphertext: bytes, parts: Iterable[bytes]) -> bytes:
    """One hash for a whole report: the ciphertext's digest and every part."""
    return digest("ckks-threshold/root", ctx.rd, client.encode(), version.to_bytes(8, "little"), ciphertext, *parts)


def roots_hash(roots: Iterable[tuple[PartyId, bytes]]) -> bytes:
    """One hash for the reports of a set, sorted by client."""
    return digest("ckks-threshold/batch", *(piece for client, root in sorted(roots) for piece in (client.encode(), root)))


@dataclass(frozen=True, slots=True)
class Offer:
    """Key holder to client: the public key of this attempt, whose private half it destroys with the attempt."""

    KIND: ClassVar[str] = "ckks-threshold/Offer"
    key: SealKey

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.ThresholdOffer(key=self.key.raw)), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        try:
            return cls(SealKey(parse(pb.ThresholdOffer, body).key))
        except ConfigError as refused:
            raise MalformedMessage(f"offer: {refused}") from refused


@dataclass(frozen=True, slots=True)
class Report:
    """Client to coordinator: its ciphertext, and for each key holder the seed of a part of its secret, sealed, and that part's imprint."""

    KIND: ClassVar[str] = "ckks-threshold/Report"
    version: int
    digest: bytes
    sealed: tuple[bytes, ...]
    imprints: tuple[bytes, ...]
    signature: bytes
    payload: Payload

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        wire = pb.ThresholdReport(
            version=self.version, digest=self.digest, sealed=self.sealed, imprints=self.imprints, signature=self.signature
        )
        return serialise(wire), self.payload

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        wire = parse(pb.ThresholdReport, body)
        if payload is None:
            raise MalformedMessage("report: the ciphertext is missing")
        return cls(
            wire.version,
            exactly(wire.digest, HASH, "digest"),
            tuple(sealed_key(item) for item in wire.sealed),
            tuple(exactly(item, IMPRINT_BYTES, "imprint") for item in wire.imprints),
            exactly(wire.signature, SIGNATURE_BYTES, "signature"),
            payload,
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """What one key holder has to know of one report."""

    client: PartyId
    version: int
    digest: bytes
    parts: tuple[bytes, ...]
    sealed: bytes
    imprint: bytes
    signature: bytes

    def root(self, ctx: Context) -> bytes:
        """The root that the client has signed."""
        return root_hash(ctx, self.client, self.version, self.digest, self.parts)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Coordinator to one key holder: whose ciphertexts it has added, with what each of them dealt to this holder."""

    KIND: ClassVar[str] = "ckks-threshold/Fixed"
    entries: tuple[Entry, ...]

    @property
    def slot(self) -> str:
        return ""

    @property
    def included(self) -> tuple[PartyId, ...]:
        """The clients in the sum, sorted."""
        return tuple(entry.client for entry in self.entries)

    def to_wire(self) -> tuple[bytes, Payload | None]:
        entries = [
            pb.ThresholdEntry(
                client=item.client,
                version=item.version,
                digest=item.digest,
                parts=item.parts,
                sealed=item.sealed,
                imprint=item.imprint,
                signature=item.signature,
            )
            for item in self.entries
        ]
        return serialise(pb.ThresholdFixed(entries=entries)), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        wire = parse(pb.ThresholdFixed, body)
        clients = parties([entry.client for entry in wire.entries], "fixed clients", is_sorted=True)
        entries = (
            Entry(
                client,
                item.version,
                exactly(item.digest, HASH, "digest"),
                tuple(exactly(part, HASH, "part") for part in item.parts),
                sealed_key(item.sealed),
                exactly(item.imprint, HASH, "imprint"),
                exactly(item.signature, SIGNATURE_BYTES, "signature"),
            )
            for client, item in zip(clients, wire.entries, strict=True)
        )
        return cls(tuple(entries))


@dataclass(frozen=True, slots=True)
class Committed:
    """Key holder to all others and to the coordinator: its signature for the set, and a commitment to the Share it will send."""

    KIND: ClassVar[str] = "ckks-threshold/Committed"
    included: tuple[PartyId, ...]
    roots: bytes
    signature: bytes
    commitment: bytes

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        wire = pb.ThresholdCommitted(included=self.included, roots=self.roots, signature=self.signature, commitment=self.commitment)
        return serialise(wire), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        wire = parse(pb.ThresholdCommitted, body)
        return cls(
            parties(wire.included, "included", is_sorted=True),
            exactly(wire.roots, HASH, "roots"),
            exactly(wire.signature, SIGNATURE_BYTES, "signature"),
            exactly(wire.commitment, HASH, "commitment"),
        )


@dataclass(frozen=True, slots=True)
class Share:
    """Key holder to coordinator: its part of the sum's key, sealed, once."""

    KIND: ClassVar[str] = "ckks-threshold/Share"
    sealed: bytes
    payload: Payload

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.ThresholdShare(sealed=self.sealed)), self.payload

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        wire = parse(pb.ThresholdShare, body)
        if payload is None:
            raise MalformedMessage("share: the part of the key is missing")
        return cls(sealed_key(wire.sealed), payload)
