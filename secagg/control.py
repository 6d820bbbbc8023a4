"""The messages that every round has, whatever its protocol: its description, its end, and the ways it can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from secagg.errors import MalformedMessage
from secagg.payload import Payload
from secagg.roles import Codec
from secagg.wire.parse import no_payload, parse, serialise
from secagg.wire.v1 import common_pb2 as pb

_REASON_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Describe:
    """Coordinator to all: the signed description; to clients with the input model as payload (float32, little-endian, layout order)."""

    KIND: ClassVar[str] = "round/Describe"
    signed: bytes
    model: Payload | None = None

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return self.signed, self.model

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        return cls(body, payload)


@dataclass(frozen=True, slots=True)
class Publish:
    """Coordinator to all: the receipt of a sum that was opened."""

    KIND: ClassVar[str] = "round/Publish"
    receipt: bytes

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return self.receipt, None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        return cls(body)


@dataclass(frozen=True, slots=True)
class Booked:
    """Client to coordinator, ahead of its update: its signed statement of what the round costs it, see `secagg.spent`."""

    KIND: ClassVar[str] = "round/Booked"
    spent: bytes

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return self.spent, None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        return cls(body)


@dataclass(frozen=True, slots=True)
class Abort:
    """Any party to the coordinator, or the coordinator to all: this attempt is over. `code` is a check's id or a word."""

    KIND: ClassVar[str] = "round/Abort"
    code: str
    reason: str
    culprit: str = ""

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.Abort(code=self.code, culprit=self.culprit, reason=self.reason[:_REASON_LIMIT])), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        wire = parse(pb.Abort, body, limit=8 * _REASON_LIMIT)
        if len(wire.code) > 64 or len(wire.culprit) > 64 or len(wire.reason) > _REASON_LIMIT or not wire.reason.isprintable():
            raise MalformedMessage("abort: a field is too long or not printable")
        return cls(wire.code, wire.reason, wire.culprit)


CODEC = Codec(Describe, Publish, Booked, Abort)
