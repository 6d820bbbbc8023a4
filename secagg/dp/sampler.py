"""Exact integer noise from uniform bits: Skellam and discrete Gaussian draws by inversion of a table, with doubtful cases resolved.

    64 uniform bits ──▶ sign, u (63 bits) ──▶ smallest k with u < P(|X| ≤ k) ──▶ ± k

The table holds the cumulative probabilities to 63 bits. Where u is so close to an entry that bits that were not drawn decide, more bits are
drawn and compared with the same probability at 128 bits, at 256, and so on: no draw depends on a rounding. [Devroye 1986, section III.2]

The probabilities are sums of whole numbers, without a floating-point operation on the way: Bessel functions by backward recurrence, in
which every term is positive [Olver and Sookne 1972], and powers of one exponential.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.expand import SPARE, Stream
from secagg.dp.integer import MOST_SCALE, Kind
from secagg.errors import ConfigError
from secagg.math.ring import Ring, Words
from secagg.types import Entropy

BITS = 63
"""Bits of a table entry: with the sign, one machine word a draw."""

_FIRST, _LOST, _GUARD = 128, 24, 64
"""Bits of the first table; of these, the last ones that rounding may have spoilt; bits beyond them that powers are worked out with."""

_CHUNK = 1 << 16
_STEPS = 3
"""Entries that are tried one after another before the rest is looked up by halving."""


class Sampler:
    """Draws noise of one law.

    Args:
        kind: `skellam` or `discrete-gaussian`.
        variance: a whole number of squared steps; of a discrete Gaussian, its parameter σ².
        bits: of a table entry. Fewer only make more draws doubtful, which tests do.

    Guarantees:
        Draws are independent and of exactly this law, if the bits are uniform: from a key of `entropy`, expanded by AES-256, and from
        `entropy` itself where a draw is doubtful.

    Raises:
        ConfigError: another law, or a variance that is no whole number from 1 to 2^32.
    """

    __slots__ = ("_bits", "_guide", "_kind", "_shift", "_table", "_variance")

    def __init__(self, kind: Kind, variance: int, *, bits: int = BITS) -> None:
        if kind not in _WEIGHTS or type(variance) is not int or not 1 <= variance <= MOST_SCALE**2:
            raise ConfigError(
                f"{kind} noise of variance {variance!r}: skellam or discrete-gaussian, of a whole number up to 2^32, expected"
            )
        self._kind, self._variance, self._bits = kind, variance, bits
        exact = cumulative(kind, variance, _FIRST)
        top = (1 << bits) - 2
        short = [entry >> (_FIRST - bits) for entry in exact]
        # The first entry out of reach of `bits` bits is the last one: whatever is beyond it is doubtful.
        self._table = np.array([*short[: bisect_right(short, top - 1)], 1 << bits], np.uint64)
        index = min(bits, max(len(self._table).bit_length() + 1, 8))
        self._shift = np.uint64(bits - index)
        starts = np.arange(1 << index, dtype=np.uint64) << self._shift
        self._guide = np.searchsorted(self._table, starts, side="right").astype(np.int32)

    def add_into(self, words: Words, ring: Ring, *, entropy: Entropy) -> None:
        """words += noise, in place, modulo the ring."""
        stream, room = Stream.fresh(entropy), np.empty(_CHUNK * 8 + SPARE, np.uint8)
        for start in range(0, len(words), _CHUNK):
            part = words[start : start + _CHUNK]
            stream.draw(room.data, len(part) * 8, start * 8)
            drawn = self._draw(room[: len(part) * 8].view(np.uint64), entropy)
            ring.add_into(part, drawn.astype(ring.dtype))
            ring.reduce_into(part)

    def draw(self, count: int, *, entropy: Entropy) -> NDArray[np.int64]:
        """`count` draws: for tests and audits."""
        ring = Ring(64)
        words: Words = np.zeros(count, ring.dtype)
        self.add_into(words, ring, entropy=entropy)
        return ring.center(words)

    def _draw(self, uniform: NDArray[np.uint64], entropy: Entropy) -> NDArray[np.int64]:
        point = (uniform >> np.uint64(1)) >> np.uint64(BITS - self._bits)
        found = self._guide[point >> self._shift].astype(np.int64)
        above = np.flatnonzero(self._table[found] <= point)
        for _ in range(_STEPS):
            found[above] += 1
            above = above[self._table[found[above]] <= point[above]]
        found[above] = np.searchsorted(self._table, point[above], side="right")
        for index in self._doubtful(point, found):
            found[index] = self._resolve(int(point[index]), entropy)
        negative = (uniform & np.uint64(1)).astype(np.int64)
        signed: NDArray[np.int64] = (found ^ -negative) + negative
        return signed

    def _doubtful(self, point: NDArray[np.uint64], found: NDArray[np.int64]) -> list[int]:
        """Where bits that were not drawn, or those that the table lacks, could have decided otherwise."""
        near = (self._table[found] - point <= 1) | (found == len(self._table) - 1)
        near |= point - self._table[np.maximum(found - 1, 0)] <= 1
        return [int(index) for index in np.flatnonzero(near)]

    def _resolve(self, point: int, entropy: Entropy) -> int:
        """The draw that begins with the bits of `point`: draws on, until no rounding of the probabilities matters."""
        precision, drawn = _FIRST, self._bits
        while True:
            wanted = precision - drawn
            more = int.from_bytes(entropy(-(-wanted // 8)), "little") & ((1 << wanted) - 1)
            point, drawn = point << wanted | more, precision
            exact = cumulative(self._kind, self._variance, precision)
            index = bisect_right(exact, point)
            margin = 1 << _LOST
            if index < len(exact) and exact[index] - point > margin and (index == 0 or point - exact[index - 1] > margin):
                return index
            precision *= 2


@lru_cache(maxsize=4)
def sampler(kind: Kind, variance: int) -> Sampler:
    """The sampler of this law, its table made once."""
    return Sampler(kind, variance)


@lru_cache(maxsize=1)
def cumulative(kind: Kind, variance: int, precision: int) -> list[int]:
    """P(|X| ≤ k) in units of 2^-precision, for k up to where the rest is below one unit; off by less than 2^24 units.

    Rounding loses one unit in each of the steps, of a term that has at least `precision` bits (Skellam) or `_GUARD` bits more than are
    told (Gaussian): relative to their sum that stays below twice the number of steps, which is at most 2^22 for the precisions in use.
    """
    weights = _WEIGHTS[kind](variance, precision)
    folded = [weights[0], *(2 * weight for weight in weights[1:])]
    sums = list(accumulate(folded))
    total = sums[-1]
    return [(entry << precision) // total for entry in sums]


def _reach(variance: int, precision: int) -> int:
    """Where the tail is below 2^-precision, by Bernstein's inequality."""
    nats = (precision + 2) * log(2)
    return int(nats / 3 + sqrt(nats**2 / 9 + 2 * nats * variance)) + 2


def _skellam(variance: int, precision: int) -> list[int]:
    """Multiples of I_k(v): I_{k−1} = I_{k+1} + (2k/v)·I_k, from far out, where I is too small to matter, to 0."""
    reach = _reach(variance, precision)
    beyond, here = 0, 1 << precision
    found = [here]
    for index in range(reach, 0, -1):
        beyond, here = here, beyond + 2 * index * here // variance
        found.append(here)
    found.reverse()
    return found


def _discrete_gaussian(variance: int, precision: int) -> list[int]:
    """exp(−k²/2v), each the one before times q^(2k+1), where q = exp(−1/2v)."""
    reach, bits = _reach(variance, precision), precision + _GUARD
    step = _exp_minus(2 * variance, bits)
    square, here = step * step >> bits, 1 << bits
    found = [here]
    for _ in range(reach):
        here, step = here * step >> bits, step * square >> bits
        found.append(here)
    return found


def _exp_minus(inverse: int, bits: int) -> int:
    """exp(−1/inverse) in units of 2^-bits, by its series."""
    total = term = 1 << bits
    count = 0
    while term:
        count += 1
        term = term // (inverse * count)
        total += -term if count % 2 else term
    return total


_WEIGHTS: dict[str, Callable[[int, int], list[int]]] = {"skellam": _skellam, "discrete-gaussian": _discrete_gaussian}
