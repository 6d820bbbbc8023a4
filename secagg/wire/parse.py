"""Strict parsing: bytes give one message of one meaning, or MalformedMessage.

Plain protobuf keeps fields it does not know, lets a later field overwrite an earlier one and accepts several encodings of one
value. Here a message must be the canonical encoding of exactly what was understood, so no two parties can read it differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from secagg.errors import MalformedMessage
from secagg.payload import Payload
from secagg.types import PartyId, is_party_id

MAX_BODY = 4 << 20
"""Longest message body in bytes; anything longer travels as a payload."""
HASH = 32

M = TypeVar("M", bound=Message)


def parse(message: type[M], data: bytes, *, limit: int = MAX_BODY) -> M:
    """`data` as `message`. Raises MalformedMessage for bytes too long, not parseable, not canonical or with unknown fields."""
    name = message.DESCRIPTOR.name
    if len(data) > limit:
        raise MalformedMessage(f"{name} of {len(data)} bytes; at most {limit} are read")
    parsed = message()
    try:
        parsed.ParseFromString(data)
        canonical = parsed.SerializeToString(deterministic=True)
    except (DecodeError, ValueError) as refused:
        raise MalformedMessage(f"{name}: {len(data)} bytes that are no such message") from refused
    if _has_unknown(parsed):
        raise MalformedMessage(f"{name}: a field this version does not know; upgrade, or ask the sender to")
    if canonical != data:
        raise MalformedMessage(f"{name}: not the canonical encoding")
    return parsed


def _has_unknown(message: Message) -> bool:
    if len(UnknownFieldSet(message)):
        return True
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if any(_has_unknown(item) for item in (value if not isinstance(value, Message) else [value])):
            return True
    return False


def serialise(message: Message) -> bytes:
    """The canonical bytes of `message`."""
    return message.SerializeToString(deterministic=True)


def exactly(value: bytes, size: int, what: str) -> bytes:
    """`value`, which must have `size` bytes."""
    if len(value) != size:
        raise MalformedMessage(f"{what}: {len(value)} bytes, {size} expected")
    return value


def between(value: int, low: int, high: int, what: str) -> int:
    """`value`, which must lie in [low, high]."""
    if not low <= value <= high:
        raise MalformedMessage(f"{what}: {value} is not in [{low}, {high}]")
    return value


def party(text: str, what: str) -> PartyId:
    """`text` as a party's name."""
    if not is_party_id(text):
        raise MalformedMessage(f"{what}: not a party id (1 to 64 of a-z 0-9 . _ -)")
    return PartyId(text)


def parties(names: Sequence[str], what: str, *, is_sorted: bool = False) -> tuple[PartyId, ...]:
    """`names` as distinct parties; in rising order if `is_sorted`."""
    found = tuple(party(name, what) for name in names)
    if len(set(found)) != len(found):
        raise MalformedMessage(f"{what}: a party is named twice")
    if is_sorted and list(found) != sorted(found):
        raise MalformedMessage(f"{what}: not in rising order")
    return found


def no_payload(kind: str, payload: Payload | None) -> None:
    """A message of this kind travels without a payload."""
    if payload is not None:
        raise MalformedMessage(f"{kind} has no payload")
