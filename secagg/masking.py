"""A vector under its masks, made piece by piece: without them it never lies in memory whole, nor anywhere but in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from secagg.crypto.many import Lanes, Room
from secagg.math.ring import Ring
from secagg.roles import Source, Vector
from secagg.tally import Mask

_PIECE = 1 << 17
"""Words that are made, masked and sealed before the next: as many as an update encodes at a time, and whole segments of its masks."""


def piece_of(ring: Ring) -> int:
    """Packed bytes of one piece: streams that are filled with pieces of this size are made fastest."""
    return ring.packed_size(_PIECE)


def masked(vector: Vector | Source, masks: Sequence[Mask], ring: Ring) -> Callable[[int, memoryview], None]:
    """`fill(offset, buffer)`, which writes packed bytes of `vector` plus or minus every mask, from byte `offset` on.

    Offsets and buffers are of whole words. Threads may fill different pieces at the same time.
    """
    word, lanes = ring.bits // 8, Lanes(masks, ring)
    room = Room(0 if ring.fills_word else min(_PIECE, vector.shape[0]), ring.dtype)

    def fill(offset: int, buffer: memoryview) -> None:
        start, count = offset // word, len(buffer) // word
        # A word that fills its machine word is masked where it will stay; others are packed first.
        words: Vector = np.frombuffer(buffer, ring.dtype) if ring.fills_word else room.words[:count]
        if isinstance(vector, np.ndarray):
            lanes.combine_into(words, start, vector[start : start + count])
        else:
            try:
                vector.read_into(words, start)
                lanes.combine_into(words, start)
            except BaseException:
                words[:] = 0  # buffers are used again: what is not masked yet does not stay in one
                raise
        if not ring.fills_word:
            ring.pack_into(words, buffer)

    return fill
