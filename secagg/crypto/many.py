"""Many keystreams into one vector: the vector goes through the cache once, however many masks are put on it or taken off.

A piece of the vector and a piece of keystream stay in the second-level cache while every stream is added to the piece in turn, and each
stream's cipher is set up once for the whole run: what is left is the cipher's own speed, and one addition a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from secagg.crypto.expand import Stream, Words
from secagg.errors import ConfigError

PIECE = 1 << 17
"""Bytes of the vector worked on at a time, with as many of keystream beside them."""
_ZEROS = memoryview(bytes(PIECE))


class RingLike(Protocol):
    """What is needed to know of `secagg.math.ring.Ring`."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def reduce_into(self, words: Words) -> None: ...


def combine_into(words: Words, streams: Sequence[tuple[Stream, int]], offset_words: int = 0, *, ring: RingLike) -> None:
    """`words` ± every stream modulo the ring, in place, as `Stream.add_into` one after another would: each with its sign, 1 or −1.

    The machine word's modulus is a multiple of the ring's, so a piece is cut to the ring once, after all streams.

    Raises:
        ConfigError: `words` is not a vector of the ring's dtype, or a sign is neither 1 nor −1.
    """
    if words.dtype != ring.dtype or words.ndim != 1 or any(sign not in (1, -1) for _, sign in streams):
        raise ConfigError(f"{words.ndim}-dimensional {words.dtype}: a vector of {ring.dtype} and signs 1 or -1 expected")
    size = ring.dtype.itemsize
    lanes = [
        (stream._seek(offset_words * size, words.size * size).update_into, np.add if sign == 1 else np.subtract) for stream, sign in streams
    ]
    drawn = np.empty(PIECE // size, ring.dtype)
    for start in range(0, words.size, drawn.size):
        part = words[start : start + drawn.size]
        taken = drawn[: part.size]
        zeros, raw = _ZEROS[: taken.nbytes], taken.data.cast("B")
        for draw, combine in lanes:
            draw(zeros, raw)
            combine(part, taken, out=part)
        ring.reduce_into(part)
