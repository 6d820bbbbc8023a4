"""An update becomes ring words: clip, rotate, scale, weigh, round at random, wrap. The sum of many becomes their mean again.

    word = floor(x · shrink · weight · levels / range + coin)      coin uniform in [0, 1), from AES-256-CTR

The expectation of a word is the value itself, so rounding errors of many parties average out. The weight is applied before
rounding: a party of weight w is rounded to 1/w of a step. Two more words carry a one and the weight, so that the mean can be taken
of a sum of which nobody knows the parts. Every span of coordinates is encoded on its own, in one pass over cached memory: spans
may be spread over threads, or streamed without ever holding the whole vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.expand import Stream
from secagg.encode.encoding import EXTRA, Encoding
from secagg.encode.layout import Layout, Run
from secagg.encode.norms import MARGIN, norms
from secagg.encode.rotate import BLOCK, SEED, Rotation, deviation
from secagg.encode.tensors import Floats
from secagg.errors import ConfigError
from secagg.math.ring import Ring, Words
from secagg.types import Entropy

__all__ = ["Decoded", "Encoding", "Quantiser", "Update"]

_COIN_BITS = 16
_SPARE_BITS = 4
"""Fractional bits that remain at the largest weight for 32-bit arithmetic to be used: with them, what truncation loses of a value is
at most 2^-30 of its range, less than float32 loses."""

_CUT_FAILURE = -20.0
_BOUND_FAILURE = -40.0


@dataclass(frozen=True, slots=True)
class Decoded:
    """The mean of the encoded updates, float32, with how many there were and what they weighed together."""

    mean: Floats
    count: int
    weight: int

    @property
    def sum(self) -> Floats:
        """The weighted sum of the updates."""
        return self.mean * np.float32(self.weight)


class Quantiser:
    """Encodes vectors of one layout (or of `size` coordinates in one scale group) and decodes their sums.

    Args:
        encoding: the numbers.
        layout: a `Layout`, or the number of coordinates.
        rd: 32 public bytes that all parties share and that are new each round; the signs of the rotation come from them.

    Guarantees:
        No sum of at most `max_parties` encodings wraps. Without `value_clip`, rotation cuts off any coordinate of any clipped update
        with probability at most 2^-20 over the choice of `rd`: the default range is t·clip/√p for blocks of p values, with t from
        Hoeffding's bound over all coordinates.
    """

    __slots__ = ("_clips", "_free", "_limit", "_ranges", "_wide", "encoding", "ring", "rotation", "runs", "size", "spans")

    def __init__(self, encoding: Encoding, layout: Layout | int, rd: bytes) -> None:
        if len(rd) != SEED:
            raise ConfigError(f"rd has {len(rd)} bytes; {SEED} expected")
        self.encoding, self.ring = encoding, encoding.ring
        self.size = layout if isinstance(layout, int) else layout.size
        if self.size < 1:
            raise ConfigError("a vector without values cannot be encoded")
        self.runs: Sequence[Run] = (Run(0, self.size, 0),) if isinstance(layout, int) else layout.runs
        self._clips = encoding.clips(1 if isinstance(layout, int) else len(layout.groups))
        self.rotation = Rotation(self.size, rd) if encoding.rotation else None
        self._ranges = self._choose_ranges()
        # Public numbers alone decide the arithmetic, so that its time says nothing about a weight.
        self._wide = (encoding.levels * encoding.max_weight).bit_length() + _SPARE_BITS > 31
        spans = self.rotation.spans if self.rotation else [(start, min(start + BLOCK, self.size)) for start in range(0, self.size, BLOCK)]
        self.spans: tuple[tuple[int, int], ...] = (*spans[:-1], (spans[-1][0], self.words))
        self._free: list[_Scratch] = []

    @property
    def words(self) -> int:
        """Ring words of an encoded vector: the coordinates, the count and the weight."""
        return self.size + EXTRA

    def step(self, group: int = 0) -> float:
        """What one ring unit is worth in a sum: the value that a coordinate of weight 1 has at integer 1."""
        return self._ranges[group] / self.encoding.levels

    def prepare(self, vector: Floats, weight: int = 1, *, entropy: Entropy) -> Update:
        """Measure and clip `vector` (float32, `size` coordinates); the result encodes it span by span. One pass over memory.

        Raises:
            ConfigError: another dtype or shape, NaN or infinity, or a weight outside 1 … max_weight.
        """
        if vector.dtype != np.float32 or vector.shape != (self.size,) or not vector.flags.c_contiguous:
            raise ConfigError(f"a vector of {vector.dtype} and shape {vector.shape}; {self.size} contiguous float32 values expected")
        if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= self.encoding.max_weight:
            raise ConfigError(
                f"weight {weight!r} lies outside 1 … max_weight={self.encoding.max_weight}: a party of weight 0 stays out of the round; "
                "for larger weights raise max_weight, or count examples in larger units"
            )
        return Update(self, vector, weight, norms(vector, self.runs, len(self._clips)), Stream.fresh(entropy))

    def encode(self, vector: Floats, weight: int = 1, *, entropy: Entropy) -> Words:
        """`vector` as `size` + 2 ring words; `prepare` gives them span by span and says whether the vector was clipped.

        Raises:
            ConfigError: see `prepare`.
        """
        return self.prepare(vector, weight, entropy=entropy).encoded()

    def decode(self, total: Words) -> Decoded:
        """The weighted mean that a sum of encoded vectors stands for.

        The caller compares `count` with the size of the set that was agreed on.

        Raises:
            ConfigError: another dtype or length, or a count and weight that no sum of encodings under these numbers has.
        """
        if total.dtype != self.ring.dtype or total.shape != (self.words,):
            raise ConfigError(f"a sum of {total.dtype} and shape {total.shape}; {self.words} words of {self.ring.dtype} expected")
        count, weight = (int(word) for word in self.ring.center(total[self.size :]))
        if not 1 <= count <= self.encoding.max_parties or not count <= weight <= count * self.encoding.max_weight:
            raise ConfigError(
                f"the sum claims {count} parties of weight {weight} together, which this encoding (at most {self.encoding.max_parties} parties of "
                f"weight 1 … {self.encoding.max_weight}) cannot give: a mask is left in it, or the parties' encodings differ"
            )
        mean = np.empty(self.size, np.float32)
        scratch = self._borrow()
        for span, (start, stop) in enumerate(self.spans):
            part = mean[start : min(stop, self.size)]
            scratch.center(self.ring, total[start : start + len(part)], part)
            if self.rotation:
                self.rotation.inverse(span, part, scratch.spare)
            for low, high, group in _within(self.runs, start, start + len(part)):
                mean[low:high] *= np.float32(self.step(group) / weight)
        self._free.append(scratch)
        return Decoded(mean, count, weight)

    def error_bound(self, count: int, weight: int | None = None, group: int = 0) -> float:
        """How far a coordinate of the decoded mean may lie from the exact mean of the clipped updates, in the units of the update.

        For `count` parties that weigh `weight` together (`count` if not given, the worst case). Without rotation it always holds. With
        rotation it holds for all coordinates together but with probability 2^-40, by Hoeffding's bound on the coins, if no coordinate
        was cut off. Covers the float32 arithmetic of both ends.
        """
        weight = count if weight is None else weight
        step, reach = self.step(group), self._ranges[group]
        if self.rotation is None:
            return step * count / weight + reach * 2**-22
        spread = deviation(self.size, _BOUND_FAILURE) * step * sqrt(count) / (2 * weight)
        truncated = sqrt(2 * self.rotation.block) * (step * 2**-_COIN_BITS * count / weight + reach * 2**-30)
        return spread + truncated + reach * 2**-18

    def _choose_ranges(self) -> tuple[float, ...]:
        """The largest coordinate of each group that is not cut off, in its units."""
        if self.encoding.value_clip is not None:
            return (self.encoding.value_clip,) * len(self._clips)
        if self.rotation is None:
            return self._clips
        # Groups are rotated together after each is divided by its clip: the whole then has a norm of at most √groups.
        share = min(1.0, deviation(self.size, _CUT_FAILURE) / sqrt(self.rotation.block))
        return tuple(clip * share * sqrt(len(self._clips)) for clip in self._clips)

    def _borrow(self) -> _Scratch:
        """Scratch that no other thread uses; whoever borrows appends it to `_free` again."""
        try:
            return self._free.pop()
        except IndexError:
            return _Scratch(max(stop - start for start, stop in self.spans), np.dtype(np.int64 if self._wide else np.int32))


class Update:
    """One party's vector on its way into the ring: measured and clipped, encoded span by span on demand.

    `norms` are the L2 norms per scale group before clipping, and `clipped` says whether one was above its clip: both are the party's own
    secret. The same object gives the same words each time; spans may be written by different threads.
    """

    __slots__ = ("_coins", "_gains", "_quantiser", "_vector", "_weight", "clipped", "norms")

    def __init__(self, quantiser: Quantiser, vector: Floats, weight: int, lengths: tuple[float, ...], coins: Stream) -> None:
        self._quantiser, self._vector, self._weight, self._coins = quantiser, vector, weight, coins
        self.norms = lengths
        shrinks = [min(1.0, clip / length * (1 - MARGIN)) if length else 1.0 for clip, length in zip(quantiser._clips, lengths, strict=True)]
        self.clipped = any(length > clip for clip, length in zip(quantiser._clips, lengths, strict=True))
        scale = float(self._limit << self._fraction)
        self._gains = [np.float32(shrink * scale / reach) for shrink, reach in zip(shrinks, quantiser._ranges, strict=True)]

    @property
    def _limit(self) -> int:
        return self._quantiser.encoding.levels * self._weight

    @property
    def _fraction(self) -> int:
        """Bits below the point: as many as the machine word leaves, and no more than a coin has."""
        return min(_COIN_BITS, (63 if self._quantiser._wide else 31) - self._limit.bit_length())

    def encoded(self) -> Words:
        """The whole vector: `size` + 2 ring words."""
        words = np.empty(self._quantiser.words, self._quantiser.ring.dtype)
        for span, (start, stop) in enumerate(self._quantiser.spans):
            self.write(span, words[start:stop])
        return words

    def chunks(self) -> Iterator[tuple[int, Words]]:
        """`(first coordinate, words)` for each span, in order, all in one buffer: each view is valid until the next."""
        spans = self._quantiser.spans
        buffer = np.empty(max(stop - start for start, stop in spans), self._quantiser.ring.dtype)
        for span, (start, stop) in enumerate(spans):
            words = buffer[: stop - start]
            self.write(span, words)
            yield start, words

    def write(self, span: int, out: Words) -> None:
        """Encode one of the quantiser's `spans` into `out`, of the ring's dtype and exactly that length."""
        quantiser = self._quantiser
        start, stop = quantiser.spans[span]
        if out.dtype != quantiser.ring.dtype or out.shape != (stop - start,):
            raise ConfigError(f"room for {out.shape} words of {out.dtype}; span {span} has {stop - start} of {quantiser.ring.dtype}")
        values = min(stop, quantiser.size) - start
        scratch = quantiser._borrow()
        floats = scratch.floats[:values]
        for low, high, group in _within(quantiser.runs, start, start + values):
            np.multiply(self._vector[low:high], self._gains[group], out=floats[low - start : high - start])
        if quantiser.rotation:
            quantiser.rotation.forward(span, floats, scratch.spare)
        self._round(floats, start, out[:values], scratch)
        if stop > quantiser.size:
            out[values:] = (1, self._weight)
        quantiser._free.append(scratch)

    def _round(self, floats: Floats, start: int, out: Words, scratch: _Scratch) -> None:
        """Cut off, then floor(value + coin) in fixed point: the sum of the two is at most (limit + 1) · 2^fraction − 1, which fits."""
        fraction = self._fraction
        most = _float32_below(self._limit << fraction)
        np.clip(floats, -most, most, out=floats)
        integers = scratch.integers(len(out), out)
        np.copyto(integers, floats, casting="unsafe")
        coins = scratch.coins[: len(out)]
        self._coins.fill(coins, start * coins.itemsize)
        if fraction < _COIN_BITS:
            np.right_shift(coins, _COIN_BITS - fraction, out=coins)
        np.add(integers, coins, out=integers)
        np.right_shift(integers, fraction, out=integers)
        if not np.may_share_memory(integers, out):
            np.copyto(out, integers, casting="unsafe")
        self._quantiser.ring.reduce_into(out)

    def __repr__(self) -> str:
        return f"Update({self._quantiser.size} values of a party, <redacted>)"


class _Scratch:
    """The buffers of one thread, reused from span to span."""

    __slots__ = ("_integers", "coins", "floats", "spare")

    def __init__(self, length: int, integer: np.dtype[Any]) -> None:
        self.floats = np.empty(length, np.float32)
        self.spare = np.empty(length, np.float32)
        self.coins = np.empty(length, np.uint16)
        self._integers = np.empty(length, integer)

    def integers(self, length: int, out: Words) -> NDArray[Any]:
        """Signed integers to work in: those of `out` itself where the sizes agree, which saves a copy."""
        if out.dtype.itemsize == self._integers.dtype.itemsize:
            return out.view(self._integers.dtype)
        return self._integers[:length]

    def center(self, ring: Ring, words: Words, out: Floats) -> None:
        """The signed values of `words` as float32."""
        np.copyto(out, ring.center(words), casting="unsafe")


def _within(runs: Sequence[Run], start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The parts of `runs` that lie in `start` … `stop`."""
    for run in runs:
        low, high = max(run.start, start), min(run.stop, stop)
        if low < high:
            yield low, high, run.group


def _float32_below(value: int) -> np.float32:
    """The largest float32 that is not above `value`."""
    nearest = np.float32(value)
    return nearest if int(nearest) <= value else np.nextafter(nearest, np.float32(0))
