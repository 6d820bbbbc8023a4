"""The signed envelope around every message: who says what to whom, in which round, of what kind.

The header is signed as the bytes that travel; it holds the hash of the body. A payload is authenticated by what the body says
of it (a commitment or a hash), its size by the header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secagg.crypto.derive import digest
from secagg.crypto.sign import BadSignature
from secagg.errors import InvalidMessage, MalformedMessage, UnexpectedMessage
from secagg.identity import Identity
from secagg.payload import Payload
from secagg.roles import Message
from secagg.roster import Roster
from secagg.types import Context, PartyId
from secagg.wire.parse import HASH, MAX_BODY, exactly, parse, party, serialise
from secagg.wire.v1 import common_pb2 as pb

VERSION = 1
_SIGN = "envelope"
_HEADER_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Header:
    """The parsed header: what a router may read without any key. `rd` names the session."""

    kind: str
    slot: str
    task: str
    round: int
    attempt: int
    rd: bytes
    sender: PartyId
    recipient: PartyId
    body_hash: bytes
    payload_size: int

    def fields(self) -> dict[str, Any]:
        """What the wire's header holds beside its version, by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Packet:
    """One envelope as bytes with its payload: what a transport carries. `header` is read, never trusted, by routers."""

    header: Header
    envelope: bytes
    payload: Payload | None = None

    @classmethod
    def parse(cls, envelope: bytes, payload: Payload | None = None) -> Packet:
        """Raises MalformedMessage."""
        wire = parse(pb.Envelope, envelope, limit=MAX_BODY + 2 * _HEADER_LIMIT)
        return cls(_parse_header(wire.header), envelope, payload)


def pack(me: Identity, ctx: Context, recipient: PartyId, message: Message) -> Packet:
    """Sign `message` for one recipient."""
    body, payload = message.to_wire()
    header = Header(
        kind=message.KIND,
        slot=message.slot,
        task=ctx.task,
        round=ctx.round,
        attempt=ctx.attempt,
        rd=ctx.rd,
        sender=me.party,
        recipient=recipient,
        body_hash=digest("envelope/body", body),
        payload_size=payload.size if payload is not None else 0,
    )
    raw = serialise(pb.Header(version=VERSION, **header.fields()))
    envelope = serialise(pb.Envelope(header=raw, signature=me.signing.sign(_SIGN, raw), body=body))
    return Packet(header, envelope, payload)


def unpack(packet: Packet, roster: Roster, *, me: PartyId) -> bytes:
    """The body, once header, signature and sizes hold. Raises MalformedMessage, UnexpectedMessage or InvalidMessage.

    Which round the envelope belongs to is the caller's to check, with `check_round`.
    """
    wire = parse(pb.Envelope, packet.envelope, limit=MAX_BODY + 2 * _HEADER_LIMIT)
    header = _parse_header(wire.header)
    if header.recipient != me:
        raise UnexpectedMessage(f"an envelope for {header.recipient} reached {me}", culprits=[])
    # > The sender is in the roster and has signed the header (EV-C1).
    try:
        roster.member(header.sender).signing.verify(wire.signature, _SIGN, wire.header)
    except BadSignature as refused:
        raise InvalidMessage("EV-C1", f"the signature of {header.sender} under {header.kind} does not hold") from refused
    # > The body is the one whose hash the header holds (EV-C2).
    if digest("envelope/body", wire.body) != header.body_hash:
        raise InvalidMessage("EV-C2", f"the body of {header.kind} from {header.sender} is not the one signed for")
    # > The payload has the size that the header states (EV-C3).
    size = packet.payload.size if packet.payload is not None else 0
    if size != header.payload_size:
        raise InvalidMessage("EV-C3", f"a payload of {size} bytes came with {header.kind}; {header.payload_size} were signed for")
    return wire.body


def check_round(header: Header, ctx: Context) -> None:
    """The envelope is of this round. Raises UnexpectedMessage: a replay is not held against the party it was taken from."""
    if header.rd != ctx.rd or (header.task, header.round, header.attempt) != (ctx.task, ctx.round, ctx.attempt):
        raise UnexpectedMessage(
            f"{header.kind} of task {header.task!r}, round {header.round}, attempt {header.attempt} in"
            f" task {ctx.task!r}, round {ctx.round}, attempt {ctx.attempt}: replayed or late"
        )


def _parse_header(raw: bytes) -> Header:
    wire = parse(pb.Header, raw, limit=_HEADER_LIMIT)
    if wire.version != VERSION:
        raise MalformedMessage(f"envelope version {wire.version}; this library speaks {VERSION}")
    return Header(
        kind=wire.kind,
        slot=wire.slot,
        task=wire.task,
        round=wire.round,
        attempt=wire.attempt,
        rd=exactly(wire.rd, HASH, "rd"),
        sender=party(wire.sender, "sender"),
        recipient=party(wire.recipient, "recipient"),
        body_hash=exactly(wire.body_hash, HASH, "body hash"),
        payload_size=wire.payload_size,
    )
