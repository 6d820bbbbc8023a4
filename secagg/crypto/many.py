"""Many keystreams into one vector: the vector goes through the cache once, however many masks are put on it or taken off.

A piece of the vector and a piece of keystream stay in the second-level cache while every stream is added to the piece in turn, and each
stream's cipher is set up once for the whole run: what is left is the cipher's own speed, and one addition a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import local
from typing import Any, Protocol

import numpy as np

from secagg.crypto.expand import SEGMENT, SPARE, Reader, Stream, Words, cut_up
from secagg.errors import ConfigError
from secagg.threads import spread

_BLOCK = 4 * SEGMENT
"""Bytes of the vector that stay in the cache while all streams are added. Longer than a segment, because each addition hands the
interpreter's lock from thread to thread: with one segment at a time two threads are no faster than one."""


class RingLike(Protocol):
    """What is needed to know of `secagg.math.ring.Ring`."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def reduce_into(self, words: Words) -> None: ...


class _Mine(local):
    """What a thread has set up: its ciphers, the word that they make next, and its piece of keystream."""

    def __init__(self) -> None:
        self.readers: list[tuple[Reader, np.ufunc]] = []
        self.at = -1
        self.drawn = np.empty(_BLOCK + SPARE, np.uint8)


class Lanes:
    """Many keystreams side by side, each with its sign, 1 or −1. Ranges in order go on with the ciphers that a thread has set up.

    Threads may use one Lanes at the same time.

    Raises:
        ConfigError: a sign is neither 1 nor −1.
    """

    __slots__ = ("_mine", "_ring", "_streams")

    def __init__(self, streams: Sequence[tuple[Stream, int]], ring: RingLike) -> None:
        if any(sign not in (1, -1) for _, sign in streams):
            raise ConfigError("a keystream is added or taken away: its sign is 1 or -1")
        self._streams, self._ring = streams, ring
        self._mine = _Mine()

    def combine_into(self, words: Words, offset_words: int = 0, source: Words | None = None) -> None:
        """`words` ± every stream modulo the ring, in place, as `Stream.add_into` one after another would; word 0 takes word `offset_words`.

        With `source`, `words` becomes `source` ± every stream: what it held before counts for nothing.

        The machine word's modulus is a multiple of the ring's, so a piece is cut to the ring once, after all streams.

        Raises:
            ConfigError: `words` is not a vector of the ring's dtype, or `source` is not one as long.
        """
        dtype = self._ring.dtype
        if words.dtype != dtype or words.ndim != 1 or (source is not None and (source.dtype != dtype or source.shape != words.shape)):
            raise ConfigError(f"{words.ndim}-dimensional {words.dtype}: a vector of {dtype} expected")
        mine = self._mine
        if offset_words != mine.at:
            mine.readers = self._seek(offset_words * dtype.itemsize, words.nbytes)
        drawn, at = mine.drawn, 0
        while at < words.size:
            # A piece ends where a segment of the streams does.
            left = _BLOCK - (offset_words + at) * dtype.itemsize % _BLOCK
            part = words[at : at + left // dtype.itemsize]
            taken = drawn[: part.nbytes].view(dtype)
            before = part if source is None else source[at : at + part.size]
            cuts = cut_up(drawn.data, part.nbytes, (offset_words + at) * dtype.itemsize)
            for reader, combine in mine.readers:
                reader.read_cuts(cuts, drawn.data, part.nbytes)
                before = combine(before, taken, out=part)
            if before is not part:
                np.copyto(part, before)
            self._ring.reduce_into(part)
            at += part.size
        mine.at = offset_words + words.size

    def _seek(self, offset: int, length: int) -> list[tuple[Reader, np.ufunc]]:
        return [(stream.reader(offset, length), np.add if sign == 1 else np.subtract) for stream, sign in self._streams]


_PIECE = 8 * SEGMENT
"""Bytes of a vector that no two threads share: they end where segments do."""


def combine(streams: Sequence[tuple[Stream, int]], words: Words, ring: RingLike, first: int = 0) -> None:
    """`words` ± every stream from word `first` on, modulo the ring, in place. Threads share it. Raises ConfigError as `Lanes` does."""
    size = _PIECE // ring.dtype.itemsize

    def work(pieces: range) -> None:
        start = pieces.start * size
        Lanes(streams, ring).combine_into(words[start : pieces.stop * size], first + start)

    spread(work, -(-words.size // size))


class Room(local):
    """Words of one thread that lie in a ring's dtype before they are packed."""

    def __init__(self, length: int, dtype: np.dtype[Any]) -> None:
        self.words: Words = np.empty(length, dtype)
