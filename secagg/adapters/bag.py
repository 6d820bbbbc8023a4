"""Packets as one run of bytes, for stacks that carry bytes.

A bag is a sequence of: envelope length (4 bytes) · payload length + 1, or 0 without payload (8 bytes) · envelope · payload.
All little-endian. Nothing in it is trusted: each envelope is signed by its sender and checked by whom it is for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from secagg.envelope import Packet
from secagg.errors import MalformedMessage
from secagg.payload import Blob, chunks

_HEAD = struct.Struct("<IQ")


def pack_bag(packets: Iterable[Packet]) -> bytes:
    """The packets in order; none make an empty bag."""
    return b"".join(_pieces(packets))


def _pieces(packets: Iterable[Packet]) -> Iterator[bytes | memoryview]:
    for packet in packets:
        payload = packet.payload
        yield _HEAD.pack(len(packet.envelope), 0 if payload is None else payload.size + 1)
        yield packet.envelope
        if payload is not None:
            yield from chunks(payload)


def open_bag(bag: bytes | memoryview) -> list[Packet]:
    """The packets; payloads are views of `bag`, which must not change. Raises MalformedMessage."""
    data, at, packets = memoryview(bag).cast("B"), 0, []
    while at < len(data):
        if len(data) - at < _HEAD.size:
            raise MalformedMessage("a bag that ends within a packet's lengths")
        envelope, after = _HEAD.unpack_from(data, at)
        start, size = at + _HEAD.size + envelope, max(after - 1, 0)
        if start + size > len(data):
            raise MalformedMessage(f"a bag of {len(data)} bytes with a packet that ends at {start + size}")
        payload = Blob(data[start : start + size]) if after else None
        packets.append(Packet.parse(bytes(data[at + _HEAD.size : start]), payload))
        at = start + size
    return packets
