"""The ten messages. To parse one is to validate it; what depends on the round is checked in the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from secagg.crypto.pairs import BOX_OVERHEAD, VOUCHER
from secagg.crypto.sign import SIGNATURE_BYTES
from secagg.errors import MalformedMessage
from secagg.math.shamir import SHARE
from secagg.payload import Payload
from secagg.types import PartyId
from secagg.wire.parse import HASH, exactly, no_payload, parse, party, serialise
from secagg.wire.v1 import pairwise_pb2 as pb

from .mask import PAIR_KEY
from .records import RECORD

BOX = 2 * SHARE + PAIR_KEY + BOX_OVERHEAD
"""Bytes of a box between two clients: one share of the key seed, one of the self-mask, and the pair's mask key or zeros."""
_SEALED_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Advert:
    """Client to server: its keys and commitment for this round, signed so that every other client can check them."""

    KIND: ClassVar[str] = "pairwise/Advert"
    record: bytes

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.PairwiseAdvert(record=self.record)), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        return cls(exactly(parse(pb.PairwiseAdvert, body).record, RECORD, "advert"))


@dataclass(frozen=True, slots=True)
class Adverts:
    """Server to client: who takes part, one digest each, and the adverts of the recipient's circle in full."""

    KIND: ClassVar[str] = "pairwise/Adverts"
    present: bytes
    digests: tuple[bytes, ...]
    records: tuple[bytes, ...]

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.PairwiseAdverts(present=self.present, digests=b"".join(self.digests), records=b"".join(self.records))), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        wire = parse(pb.PairwiseAdverts, body)
        return cls(wire.present, _items(wire.digests, HASH, "digests"), _items(wire.records, RECORD, "adverts"))


@dataclass(frozen=True, slots=True)
class Shares:
    """Client to server: a box for every other member of its circle."""

    KIND: ClassVar[str] = "pairwise/Shares"
    boxes: tuple[bytes, ...]

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.PairwiseShares(boxes=b"".join(self.boxes))), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        return cls(_items(parse(pb.PairwiseShares, body).boxes, BOX, "boxes"))


@dataclass(frozen=True, slots=True)
class Inbox:
    """Server to client: the boxes made for it; `present` says by whom in its circle."""

    KIND: ClassVar[str] = "pairwise/Inbox"
    present: bytes
    boxes: tuple[bytes, ...]

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.PairwiseInbox(present=self.present, boxes=b"".join(self.boxes))), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        wire = parse(pb.PairwiseInbox, body)
        return cls(wire.present, _items(wire.boxes, BOX, "boxes"))


@dataclass(frozen=True, slots=True)
class Masked:
    """Client to server: its masked vector as payload, with the sealed key of its tags and the commitment to them."""

    KIND: ClassVar[str] = "pairwise/Masked"
    version: int
    sealed: bytes
    commitment: bytes
    payload: Payload

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.PairwiseMasked(version=self.version, sealed=self.sealed, commitment=self.commitment)), self.payload

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        wire = parse(pb.PairwiseMasked, body)
        if payload is None:
            raise MalformedMessage("masked: the vector is missing")
        if not 0 < len(wire.sealed) <= _SEALED_LIMIT:
            raise MalformedMessage(f"masked: a sealed key of {len(wire.sealed)} bytes, 1 to {_SEALED_LIMIT} expected")
        return cls(wire.version, wire.sealed, exactly(wire.commitment, HASH, "commitment"), payload)


@dataclass(frozen=True, slots=True)
class Complaint:
    """Client to server, signed by its envelope: the box that `accused` made for it does not open. The client has left."""

    KIND: ClassVar[str] = "pairwise/Complaint"
    accused: PartyId

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.PairwiseComplaint(accused=self.accused)), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        return cls(party(parse(pb.PairwiseComplaint, body).accused, "accused"))


@dataclass(frozen=True, slots=True)
class Survivors:
    """Server to client: whose vectors are in the sum, and the digest that each of them signed for its vector."""

    KIND: ClassVar[str] = "pairwise/Survivors"
    present: bytes
    digests: tuple[bytes, ...]

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.PairwiseSurvivors(present=self.present, digests=b"".join(self.digests))), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        wire = parse(pb.PairwiseSurvivors, body)
        return cls(wire.present, _items(wire.digests, HASH, "digests"))


@dataclass(frozen=True, slots=True)
class Confirm:
    """Client to server: its signature for the set of survivors, and on the complete graph a tag for each other survivor or none."""

    KIND: ClassVar[str] = "pairwise/Confirm"
    signature: bytes
    tags: tuple[bytes, ...] = ()

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.PairwiseConfirm(signature=self.signature, tags=b"".join(self.tags))), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        wire = parse(pb.PairwiseConfirm, body)
        return cls(exactly(wire.signature, SIGNATURE_BYTES, "signature"), _items(wire.tags, VOUCHER, "tags"))


@dataclass(frozen=True, slots=True)
class Agreement:
    """Server to client: the survivors' signatures for the set, and the tags that the others among them made for this client, or none."""

    KIND: ClassVar[str] = "pairwise/Agreement"
    present: bytes
    signatures: tuple[bytes, ...]
    tags: tuple[bytes, ...] = ()

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        wire = pb.PairwiseAgreement(present=self.present, signatures=b"".join(self.signatures), tags=b"".join(self.tags))
        return serialise(wire), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        wire = parse(pb.PairwiseAgreement, body)
        return cls(wire.present, _items(wire.signatures, SIGNATURE_BYTES, "signatures"), _items(wire.tags, VOUCHER, "tags"))


@dataclass(frozen=True, slots=True)
class Reveal:
    """Client to server: one share of each party it holds shares of, then the keys that drop-outs told it, in one box.

    The box is sealed under the key of the client's upload.
    """

    KIND: ClassVar[str] = "pairwise/Reveal"
    box: bytes

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.PairwiseReveal(box=self.box)), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        box = parse(pb.PairwiseReveal, body).box
        if len(box) < BOX_OVERHEAD + SHARE:
            raise MalformedMessage(f"reveal: a box of {len(box)} bytes holds no row of shares")
        return cls(box)


def _items(joined: bytes, size: int, what: str) -> tuple[bytes, ...]:
    if len(joined) % size:
        raise MalformedMessage(f"{what}: {len(joined)} bytes are not made of items of {size}")
    return tuple(joined[start : start + size] for start in range(0, len(joined), size))
