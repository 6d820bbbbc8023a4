"""Stochastic rounding in fixed point: floor(value + coin), with the coin from a keystream.

Truncation to a grid of 2^-fraction first, then an integer coin of as many bits, gives floor(value + coin) in three integer passes, and
the expectation is the value on that grid: away from the value itself by at most 2^-fraction, towards zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.expand import SPARE, Stream
from secagg.encode.tensors import Floats
from secagg.math.ring import Ring, Words

COIN_BITS = 16
"""Randomness of one rounding: two bytes of keystream."""

SPARE_BITS = 4
"""Fractional bits that must remain at the largest weight for 32-bit arithmetic to do: truncation then loses at most 2^-30 of the range of a
value, less than float32 does."""


def needs_wide(largest: int) -> bool:
    """Whether integers up to `largest` are rounded in 64 bits. Public numbers decide: timing says nothing about a weight."""
    return largest.bit_length() + SPARE_BITS > 31


class FixedPoint:
    """Rounds values of magnitude up to `limit`; a value beyond it is cut off there.

    `scale` is what a value must be multiplied by before: the grid has 1/scale. The result is at most `limit` in magnitude, because the
    largest value plus the largest coin is (limit + 1) · scale − 1, which also fits the machine word.
    """

    __slots__ = ("_fraction", "_most", "scale")

    def __init__(self, limit: int, *, wide: bool) -> None:
        self._fraction = min(COIN_BITS, (63 if wide else 31) - limit.bit_length())
        self.scale = 1 << self._fraction
        self._most = _float32_below(limit * self.scale)

    def round_into(self, out: Words, scaled: Floats, coins: Stream, first: int, *, ring: Ring, scratch: Scratch, within: bool) -> None:
        """Write ring words for `scaled` (which is overwritten); word i takes coin `first` + i. `within`: no value is beyond the limit."""
        if not within:
            np.clip(scaled, -self._most, self._most, out=scaled)
        integers = scratch.integers(out)
        np.copyto(integers, scaled, casting="unsafe")
        drawn = scratch.coins[: len(out)]
        coins.draw(scratch.room, drawn.nbytes, first * drawn.itemsize)
        if self._fraction < COIN_BITS:
            np.right_shift(drawn, COIN_BITS - self._fraction, out=drawn)
        np.add(integers, drawn, out=integers)
        np.right_shift(integers, self._fraction, out=integers)
        if integers.dtype.itemsize != out.dtype.itemsize:
            np.copyto(out, integers, casting="unsafe")
        ring.reduce_into(out)


class Scratch:
    """The buffers of one thread, reused from span to span: together they fit a second-level cache."""

    __slots__ = ("_integers", "coins", "floats", "room", "spare")

    def __init__(self, length: int, *, wide: bool) -> None:
        self.floats = np.empty(length, np.float32)
        self.spare = np.empty(length, np.float32)
        room = np.empty(length * 2 + SPARE, np.uint8)
        self.room, self.coins = room.data, room[: length * 2].view(np.uint16)
        self._integers: NDArray[Any] = np.empty(length, np.int64 if wide else np.int32)

    def integers(self, out: Words) -> NDArray[Any]:
        """Signed integers to work in: those of `out` itself where the machine words are as long, which saves a copy."""
        if out.dtype.itemsize == self._integers.dtype.itemsize:
            return out.view(self._integers.dtype)
        return self._integers[: len(out)]


def _float32_below(value: int) -> np.float32:
    """The largest float32 that is not above `value`."""
    nearest = np.float32(value)
    return nearest if int(nearest) <= value else np.nextafter(nearest, np.float32(0))
