"""A long run of bytes that travels as chunks of at most 1 MiB, wherever it lies: in memory here, in a spool file at the hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

CHUNK = 1 << 20
"""Bytes of every chunk but the last, which has 1 to CHUNK."""


def chunk_count(size: int) -> int:
    """How many chunks `size` bytes make."""
    return -(-size // CHUNK)


class Payload(Protocol):
    """Read-only bytes by chunk. `chunk` may be called for any index in any order, any number of times."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def chunk(self, index: int) -> memoryview:
        """Chunk `index`: CHUNK bytes, or what is left, as a view that stays valid. Threads may ask at the same time."""


class Blob:
    """A payload in memory; holds a view of `data`, which must not change."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data).cast("B").toreadonly()

    @property
    def size(self) -> int:
        return len(self._data)

    def chunk(self, index: int) -> memoryview:
        if not 0 <= index < chunk_count(self.size):
            raise IndexError(f"chunk {index} of {chunk_count(self.size)}")
        return self._data[index * CHUNK : (index + 1) * CHUNK]

    def __repr__(self) -> str:
        return f"Blob({self.size} bytes)"


def chunks(payload: Payload) -> Iterator[memoryview]:
    """Every chunk in order."""
    for index in range(chunk_count(payload.size)):
        yield payload.chunk(index)


def join(payload: Payload) -> bytes:
    """The whole payload as one bytes object: for small ones and tests."""
    return b"".join(chunks(payload))
