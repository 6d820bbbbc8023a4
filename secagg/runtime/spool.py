"""Where payloads lie while they wait: short ones in memory, long ones in files that have no name.

A spool file is unlinked as soon as it is open (O_TMPFILE where there is one), so it is gone with the packet, with the process, and
after a power cut: nothing is left to delete at the end of a round or at start-up. It is read through mmap, so it costs address space
and page cache, not memory of the process. What lies there is what travelled: ciphertext in every protocol that protects anything.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from pathlib import Path
from typing import BinaryIO, Protocol

from secagg.errors import ConfigError
from secagg.payload import CHUNK, Blob, Payload, chunk_count


class Arriving(Protocol):
    """A payload that is being received, chunk after chunk."""

    def append(self, chunk: memoryview) -> None:
        """The next chunk."""

    def finish(self) -> Payload:
        """All chunks are here."""


class Spool:
    """Makes room for payloads; `used` counts the bytes that lie in files now, `held` those in memory."""

    def __init__(self, folder: Path | None, *, spool_from: int) -> None:
        self._folder, self._from = folder, spool_from
        self.used = 0
        self.held = 0
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as refused:
            raise ConfigError(f"cannot make the spool folder {folder}: {refused.strerror}") from refused

    def room(self, size: int) -> Arriving:
        """Room for `size` bytes."""
        if size < self._from:
            return _InMemory(self, size)
        return _InFile(self, tempfile.TemporaryFile(buffering=0, dir=self._folder, prefix="spool-"), size)


class Mapped:
    """A payload in a file."""

    __slots__ = ("__weakref__", "_map", "size")

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        self.size = size

    def chunk(self, index: int) -> memoryview:
        if not 0 <= index < chunk_count(self.size):
            raise IndexError(f"chunk {index} of {chunk_count(self.size)}")
        return memoryview(self._map)[index * CHUNK : (index + 1) * CHUNK]

    def __repr__(self) -> str:
        return f"Mapped({self.size} bytes)"


class _InFile:
    def __init__(self, spool: Spool, file: BinaryIO, size: int) -> None:
        self._spool, self._file, self._size, self._at = spool, file, size, 0
        spool.used += size
        self._release = weakref.finalize(self, _abandon, spool, file, size)

    def append(self, chunk: memoryview) -> None:
        left = chunk
        while left:
            done = os.pwrite(self._file.fileno(), left, self._at)
            self._at, left = self._at + done, left[done:]

    def finish(self) -> Payload:
        mapped = Mapped(self._file, self._size)
        self._file.close()
        self._release.detach()
        weakref.finalize(mapped, _free, self._spool, "used", self._size)
        return mapped


class _Held(Blob):
    __slots__ = ("__weakref__",)


class _InMemory:
    def __init__(self, spool: Spool, size: int) -> None:
        self._spool, self._size, self._bytes = spool, size, bytearray()
        spool.held += size
        self._release = weakref.finalize(self, _free, spool, "held", size)

    def append(self, chunk: memoryview) -> None:
        self._bytes += chunk

    def finish(self) -> Payload:
        held = _Held(self._bytes)
        self._release.detach()
        weakref.finalize(held, _free, self._spool, "held", self._size)
        return held


def _abandon(spool: Spool, file: BinaryIO, size: int) -> None:
    file.close()
    _free(spool, "used", size)


def _free(spool: Spool, count: str, size: int) -> None:
    setattr(spool, count, getattr(spool, count) - size)
