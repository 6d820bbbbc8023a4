"""Frames: what one message of the gRPC stream is. 16 bytes of header, then a body of at most one chunk or one envelope.

byte 0      kind
bytes 1–3   zero
bytes 4–7   part, little-endian
bytes 8–15  sequence number of the packet, little-endian

HELLO   first in each direction: version, incarnations, roster, and what has been received so far
OPEN    a packet begins: 8 bytes payload size, then the envelope
PART    chunk `part` of its payload
ACK     every packet before this sequence number is held
REFUSE  this packet is not taken; body: code, zero byte, reason
BYE     the connection ends on purpose; body as for REFUSE
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from secagg.errors import MalformedMessage
from secagg.payload import CHUNK
from secagg.wire.parse import HASH, MAX_BODY

VERSION = 1
INCARNATION = 16
ENVELOPE_LIMIT = MAX_BODY + 4096
FRAME_LIMIT = ENVELOPE_LIMIT + 64
"""Longest frame in bytes: what gRPC is told to accept."""

_HEADER = struct.Struct("<B3sIQ")
_HELLO = struct.Struct(f"<4sI{INCARNATION}s{INCARNATION}s{HASH}sQI")
_SIZE = struct.Struct("<Q")
_MAGIC = b"SAGG"
_TEXT_LIMIT = 600


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1
    OPEN = 2
    PART = 3
    ACK = 4
    REFUSE = 5
    BYE = 6


_LIMITS = {
    Kind.HELLO: _HELLO.size,
    Kind.OPEN: _SIZE.size + ENVELOPE_LIMIT,
    Kind.PART: CHUNK,
    Kind.ACK: 0,
    Kind.REFUSE: _TEXT_LIMIT,
    Kind.BYE: _TEXT_LIMIT,
}


@dataclass(frozen=True, slots=True)
class Frame:
    """A parsed frame; `body` is a view of the bytes that came."""

    kind: Kind
    seq: int
    part: int
    body: memoryview

    @classmethod
    def parse(cls, raw: bytes) -> Frame:
        """Raises MalformedMessage."""
        if len(raw) < _HEADER.size:
            raise MalformedMessage(f"a frame of {len(raw)} bytes; its header has {_HEADER.size}")
        number, zero, part, seq = _HEADER.unpack_from(raw)
        try:
            kind = Kind(number)
        except ValueError as refused:
            raise MalformedMessage(f"a frame of unknown kind {number}") from refused
        body = memoryview(raw)[_HEADER.size :]
        if any(zero) or len(body) > _LIMITS[kind]:
            raise MalformedMessage(f"a {kind.name} frame with a body of {len(body)} bytes or set reserved bits")
        return cls(kind, seq, part, body)


def frame(kind: Kind, seq: int = 0, part: int = 0, *body: bytes | memoryview) -> bytes:
    """The bytes of a frame."""
    return b"".join((_HEADER.pack(kind, b"\0\0\0", part, seq), *body))


@dataclass(frozen=True, slots=True)
class Position:
    """Everything before chunk `part` of packet `seq` has been received; part 0 also misses the envelope."""

    seq: int = 0
    part: int = 0


@dataclass(frozen=True, slots=True)
class Hello:
    """How each end starts a connection.

    Attributes:
        incarnation: random name of this end's state; a new one means that it has forgotten everything.
        peer: incarnation of the other end that `received` is about; zeros: none known.
        roster: hash of the roster that this end has pinned.
        received: how far this end has received the other's packets.
    """

    incarnation: bytes
    peer: bytes
    roster: bytes
    received: Position

    def to_frame(self) -> bytes:
        body = _HELLO.pack(_MAGIC, VERSION, self.incarnation, self.peer, self.roster, self.received.seq, self.received.part)
        return frame(Kind.HELLO, 0, 0, body)

    @classmethod
    def parse(cls, raw: bytes) -> Hello:
        """The hello in a frame. Raises MalformedMessage."""
        parsed = Frame.parse(raw)
        if parsed.kind is not Kind.HELLO or len(parsed.body) != _HELLO.size:
            raise MalformedMessage(f"a connection begins with HELLO, not with {parsed.kind.name}")
        magic, version, incarnation, peer, roster, seq, part = _HELLO.unpack(parsed.body)
        if magic != _MAGIC or version != VERSION:
            raise MalformedMessage(f"transport version {version}; this library speaks {VERSION}")
        return cls(incarnation, peer, roster, Position(seq, part))


def open_frame(seq: int, envelope: bytes, payload_size: int) -> bytes:
    """A packet begins."""
    return frame(Kind.OPEN, seq, 0, _SIZE.pack(payload_size), envelope)


def parse_open(parsed: Frame) -> tuple[bytes, int]:
    """Envelope and payload size of an OPEN frame. Raises MalformedMessage."""
    if len(parsed.body) < _SIZE.size:
        raise MalformedMessage("an OPEN frame without a size")
    return bytes(parsed.body[_SIZE.size :]), _SIZE.unpack_from(parsed.body)[0]


def text_frame(kind: Kind, seq: int, code: str, reason: str) -> bytes:
    """REFUSE or BYE, with printable text only."""
    text = "".join(letter if letter.isprintable() else " " for letter in reason)
    return frame(kind, seq, 0, (code[:64] + "\0" + text).encode()[:_TEXT_LIMIT])


def parse_text(parsed: Frame) -> tuple[str, str]:
    """Code and reason of REFUSE or BYE; what cannot be printed is replaced."""
    code, _, reason = bytes(parsed.body).decode("utf-8", "replace").partition("\0")
    return _printable(code), _printable(reason)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
