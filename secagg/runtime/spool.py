"""Where payloads lie while they wait: short ones in memory, long ones in files that have no name.

A spool file is unlinked as soon as it is open (O_TMPFILE where there is one), so it is gone with the process, and after a power cut:
nothing is left to delete at the end of a round or at start-up. It is read through mmap, so it costs address space and page cache, not
memory of the process. What lies there is what travelled: ciphertext in every protocol that protects anything.

A few files are kept for the next payloads: writing over pages that the system has already costs a third of making new ones.
"""

from __future__ import annotations

import logging
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from secagg.errors import ConfigError, TransportError
from secagg.payload import CHUNK, Blob, Payload, chunk_count
from secagg.runtime.claim import Claim

log = logging.getLogger("secagg.runtime")
_KEPT_FILES, _KEPT_BYTES = 16, 256 << 20


class Arriving(Protocol):
    """A payload that is being received, chunk after chunk."""

    def append(self, chunk: memoryview) -> None:
        """The next chunk."""

    def finish(self) -> Payload:
        """All chunks are here."""


class Spool:
    """Makes room for payloads; `used` counts the bytes of payloads that lie in files now, `held` those in memory."""

    def __init__(self, folder: Path | None, *, spool_from: int, claim: Claim | None = None) -> None:
        self._folder, self._from, self._claim = folder, spool_from, claim
        self.used = 0
        self.held = 0
        # Payloads are freed by whichever thread lets go of them last, perhaps within a call here: hence reentrant.
        self._lock = threading.RLock()
        self._kept: list[tuple[int, BinaryIO]] = []
        self._closed = False
        weakref.finalize(self, _close_all, self._kept)
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as refused:
            raise ConfigError(f"cannot make the spool folder {folder}: {refused.strerror}") from refused

    def room(self, size: int) -> Arriving:
        """Room for `size` bytes. Raises TransportError, as `append` and `finish` do, when the disk has none."""
        return _InMemory(self, size) if size < self._from else _InFile(self, size)

    def open(self) -> tuple[int, BinaryIO]:
        """A file, with the bytes that it has already."""
        with self._lock:
            if self._kept:
                return self._kept.pop()
        with self.writing():
            return 0, tempfile.TemporaryFile(buffering=0, dir=self._folder, prefix="spool-")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What the disk refuses breaks the connection: its peer keeps the payload, and sends the rest when there is room again."""
        try:
            yield
        except OSError as refused:
            log.warning("no room for a payload in %s: %s", self._folder or tempfile.gettempdir(), refused.strerror)
            raise TransportError(f"the receiver has no room for a payload: {refused.strerror}") from refused

    def give_back(self, length: int, file: BinaryIO) -> None:
        """Keep a file for later, or close it."""
        with self._lock:
            if not self._closed and len(self._kept) < _KEPT_FILES and sum(kept for kept, _ in self._kept) + length <= _KEPT_BYTES:
                self._kept.append((length, file))
                self._kept.sort(key=_length)  # the longest is taken first
                return
        file.close()

    def count(self, *, used: int = 0, held: int = 0) -> None:
        """Add to the counts."""
        with self._lock:
            self.used, self.held = self.used + used, self.held + held

    def close(self) -> None:
        """Keep no file for later any more, and let another process use the folder."""
        with self._lock:
            self._closed = True
            _close_all(self._kept)
        if self._claim is not None:
            self._claim.release()


def _close_all(kept: list[tuple[int, BinaryIO]]) -> None:
    while kept:
        kept.pop()[1].close()


def _length(kept: tuple[int, BinaryIO]) -> int:
    return kept[0]


class Mapped:
    """A payload in a file."""

    __slots__ = ("_map", "size")

    def __init__(self, mapped: mmap.mmap, size: int) -> None:
        self._map, self.size = mapped, size

    def chunk(self, index: int) -> memoryview:
        if not 0 <= index < chunk_count(self.size):
            raise IndexError(f"chunk {index} of {chunk_count(self.size)}")
        return memoryview(self._map)[index * CHUNK : min((index + 1) * CHUNK, self.size)]

    def __repr__(self) -> str:
        return f"Mapped({self.size} bytes)"


class _InFile:
    def __init__(self, spool: Spool, size: int) -> None:
        self._spool, self._size, self._at = spool, size, 0
        self._length, self._file = spool.open()
        spool.count(used=size)
        self._release = weakref.finalize(self, _free_file, spool, size, self._length, self._file)

    def append(self, chunk: memoryview) -> None:
        done = 0
        with self._spool.writing():
            while done < len(chunk):
                done += os.pwrite(self._file.fileno(), chunk[done:], self._at + done)
        # A chunk that was written in part comes again whole.
        self._at += done

    def finish(self) -> Payload:
        with self._spool.writing():
            mapped = mmap.mmap(self._file.fileno(), self._size, access=mmap.ACCESS_READ)
        self._release.detach()
        # The file goes back when nobody holds the map: a view of a chunk may outlive the payload, and must not change under its reader.
        last = weakref.finalize(mapped, _free_file, self._spool, self._size, max(self._length, self._size), self._file)
        last.atexit = False
        return Mapped(mapped, self._size)


class _Held(Blob):
    __slots__ = ("__weakref__",)


class _InMemory:
    def __init__(self, spool: Spool, size: int) -> None:
        self._spool, self._size, self._bytes = spool, size, bytearray()
        spool.count(held=size)
        self._release = weakref.finalize(self, spool.count, held=-size)

    def append(self, chunk: memoryview) -> None:
        self._bytes += chunk

    def finish(self) -> Payload:
        held = _Held(self._bytes)
        self._release.detach()
        weakref.finalize(held, self._spool.count, held=-self._size).atexit = False
        return held


def _free_file(spool: Spool, size: int, length: int, file: BinaryIO) -> None:
    spool.count(used=-size)
    spool.give_back(length, file)
