"""An update becomes ring words: clip, rotate, scale, weigh, round at random, wrap. The sum of many becomes their mean again.

    word = floor(x · shrink · weight · levels / range + coin)      coin uniform in [0, 1), from AES-256-CTR

The expectation of a word is the value itself, so rounding errors of many parties average out. The weight is applied before
rounding: a party of weight w is rounded to 1/w of a step. Two more words carry a one and the weight, so that the mean can be taken
of a sum of which nobody knows the parts. Every span of coordinates is encoded on its own, in one pass over cached memory: spans
may be spread over threads, or streamed without ever holding the whole vector.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import hypot, sqrt
from operator import attrgetter, index, itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.expand import Stream
from secagg.encode.encoding import EXTRA, Encoding
from secagg.encode.layout import Layout, Run
from secagg.encode.norms import MARGIN, certainly_below, norms, square_sum
from secagg.encode.rotate import SEED, Rotation, block_of, deviation
from secagg.encode.rounding import COIN_BITS, FixedPoint, Scratch, needs_wide
from secagg.encode.tensors import Floats
from secagg.errors import ConfigError
from secagg.math.ring import Words
from secagg.threads import spread
from secagg.types import Entropy

__all__ = ["Decoded", "Encoding", "Quantiser", "Update"]

Signed = NDArray[np.signedinteger[Any]]

_CUT_FAILURE = -20.0
_BOUND_FAILURE = -40.0
_NEAR = 2.0**-10
"""Norms are measured, and values scaled and rotated, with a smaller relative error than this."""
_SPAN = 1 << 17
"""Values that are encoded at a time where no rotation says otherwise: their buffers fit a second-level cache of 2 MiB, and threads do not
hand the interpreter's lock to each other all the time."""
_LEAST = 4
"""Spans that are worth a thread of their own."""


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


def ranges_of(encoding: Encoding, size: int, clips: tuple[float, ...]) -> tuple[float, ...]:
    """The largest coordinate of each scale group that is not cut off, in its units."""
    if encoding.value_clip is not None:
        return (encoding.value_clip,) * len(clips)
    if not encoding.rotation:
        return clips
    # Groups are rotated together after each is divided by its clip: the whole then has a norm of at most √groups.
    share: float = min(1.0, deviation(size, _CUT_FAILURE) / sqrt(block_of(size)))
    return tuple(clip * share * sqrt(len(clips)) for clip in clips)


def grid_norm(encoding: Encoding, size: int) -> float:
    """The largest L2 norm of a clipped update of `size` coordinates in ring units, before it is rounded; one clip: of one scale group."""
    clips = encoding.clips(len(encoding.clip) if isinstance(encoding.clip, tuple) else 1)
    ranges = ranges_of(encoding, size, clips)
    return encoding.levels * sqrt(sum((clip / reach) ** 2 for clip, reach in zip(clips, ranges, strict=True)))


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

    __slots__ = ("_idle", "clips", "encoding", "ranges", "ring", "rotation", "runs", "size", "spans", "wide")

    def __init__(self, encoding: Encoding, layout: Layout | int, rd: bytes) -> None:
        if len(rd) != SEED:
            raise ConfigError(f"rd has {len(rd)} bytes; {SEED} expected")
        self.encoding, self.ring = encoding, encoding.ring
        self.size = layout if isinstance(layout, int) else layout.size
        if self.size < 1:
            raise ConfigError("a vector without values cannot be encoded")
        self.runs: tuple[Run, ...] = (Run(0, self.size, 0),) if isinstance(layout, int) else layout.runs
        self.clips = encoding.clips(1 if isinstance(layout, int) else len(layout.groups))
        self.rotation = Rotation(self.size, rd) if encoding.rotation else None
        self.ranges = ranges_of(encoding, self.size, self.clips)
        self.wide = needs_wide(encoding.levels * encoding.max_weight)
        spans = self.rotation.spans if self.rotation else [(start, min(start + _SPAN, self.size)) for start in range(0, self.size, _SPAN)]
        self.spans: tuple[tuple[int, int], ...] = (*spans[:-1], (spans[-1][0], self.words))
        self._idle: list[Scratch] = []

    @property
    def words(self) -> int:
        """Ring words of an encoded vector: the coordinates, the count and the weight."""
        return self.size + EXTRA

    def step(self, group: int = 0) -> float:
        """What one ring unit is worth in a sum: the value that a coordinate of weight 1 has at integer 1."""
        return self.ranges[group] / self.encoding.levels

    def prepare(self, vector: Floats, weight: int = 1, *, entropy: Entropy) -> Update:
        """Measure and clip `vector` (float32, `size` coordinates); the result encodes it span by span. One pass over memory.

        Raises:
            ConfigError: another dtype or shape, NaN or infinity, or a weight outside 1 … max_weight.
        """
        weight = self._check(vector, weight)
        return Update(self, vector, weight, norms(vector, self.runs, self.clips), Stream.fresh(entropy))

    def _check(self, vector: Floats, weight: int) -> int:
        if vector.dtype != np.float32 or vector.shape != (self.size,) or not vector.flags.c_contiguous:
            raise ConfigError(f"a vector of {vector.dtype} and shape {vector.shape}; {self.size} contiguous float32 values expected")
        weight = index(weight)
        if not 1 <= weight <= self.encoding.max_weight:
            raise ConfigError(
                f"weight {weight} lies outside 1 … max_weight={self.encoding.max_weight}: a party of weight 0 stays out of the round; "
                "for larger weights raise max_weight, or count examples in larger units"
            )
        return weight

    def encode(self, vector: Floats, weight: int = 1, *, entropy: Entropy, out: Words | None = None) -> Words:
        """`vector` as `size` + 2 ring words, in `out` if given; `prepare` gives them span by span and says whether it was clipped.

        Measured and encoded in one pass over memory, as if it needed no clipping; where it does, in two passes more.

        Raises:
            ConfigError: see `prepare`; or `out` of another dtype or length.
        """
        weight, coins = self._check(vector, weight), Stream.fresh(entropy)
        words: Words = np.empty(self.words, self.ring.dtype) if out is None else out
        if not Update(self, vector, weight, (0.0,) * len(self.clips), coins).encode_measured(words):
            Update(self, vector, weight, norms(vector, self.runs, self.clips), coins).encode_into(words)
        return words

    def decode(self, total: Words) -> Decoded:
        """The weighted mean that a sum of encoded vectors stands for.

        The caller compares `count` with the size of the set that was agreed on.

        Raises:
            ConfigError: another dtype or length, or a count and weight that no sum of encodings under these numbers has, or a coordinate
                beyond what encodings of that weight add up to.
        """
        if total.dtype != self.ring.dtype or total.shape != (self.words,):
            raise ConfigError(f"a sum of {total.dtype} and shape {total.shape}; {self.words} words of {self.ring.dtype} expected")
        count, weight = (int(word) for word in self.ring.center(total[self.size :]))
        if not 1 <= count <= self.encoding.max_parties or not count <= weight <= count * self.encoding.max_weight:
            raise ConfigError(
                f"the sum claims {count} parties of weight {weight} together, which at most {self.encoding.max_parties} parties of weight "
                f"1 … {self.encoding.max_weight} cannot give: a mask is left in it, or the parties' encodings differ"
            )
        mean = np.empty(self.size, np.float32)
        reach = weight * (1 << (self.encoding.bits - 1)) + self.encoding.noise_tail

        def work(part: range) -> None:
            for span in part:
                start, stop = self.spans[span][0], min(self.spans[span][1], self.size)
                signed = self.ring.center(total[start:stop])
                _refuse_beyond(reach, signed)
                self._decode_span(span, signed, mean[start:stop], weight)

        spread(work, len(self.spans), least=_LEAST)
        return Decoded(mean, count, weight)

    def error_bound(self, count: int, weight: int | None = None, group: int = 0) -> float:
        """How far a coordinate of the decoded mean may lie from the exact mean of the clipped updates, in the units of the update.

        For `count` parties that weigh `weight` together (`count` if not given, the worst case). Without rotation it always holds. With
        rotation it holds for all coordinates together but with probability 2^-40, by Hoeffding's bound on the coins, if no coordinate
        was cut off. Covers the float32 arithmetic of both ends.
        """
        weight = count if weight is None else weight
        step, reach = self.step(group), self.ranges[group]
        if self.rotation is None:
            return step * count / weight + reach * 2.0**-21
        spread = deviation(self.size, _BOUND_FAILURE) * step * sqrt(count) / (2 * weight)
        truncated = sqrt(2 * self.rotation.block) * (step * 2.0**-COIN_BITS * count / weight + reach * 2.0**-30)
        return spread + truncated + reach * 2.0**-18

    def _decode_span(self, span: int, signed: Signed, out: Floats, weight: int) -> None:
        start = self.spans[span][0]
        np.copyto(out, signed, casting="unsafe")
        if self.rotation:
            with self.scratch() as scratch:
                self.rotation.inverse(span, out, scratch.spare)
        for low, high, group in self.runs_within(start, start + len(out)):
            out[low - start : high - start] *= np.float32(self.step(group) / weight)

    def runs_within(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """`(start, stop, group)` of the scale groups that lie in a range of coordinates."""
        first = bisect_right(self.runs, start, key=attrgetter("start")) - 1
        for run in self.runs[first:]:
            if run.start >= stop:
                return
            yield max(run.start, start), min(run.stop, stop), run.group

    @contextmanager
    def scratch(self) -> Iterator[Scratch]:
        """Buffers that no other thread is using. Taking and giving back are single list operations."""
        try:
            taken = self._idle.pop()
        except IndexError:
            taken = Scratch(max(stop - start for start, stop in self.spans), wide=self.wide)
        try:
            yield taken
        finally:
            self._idle.append(taken)


def _refuse_beyond(reach: int, signed: Signed) -> None:
    """Encodings fill only part of the ring: what lies in the rest of it is no sum of theirs."""
    if int(signed.max()) > reach or int(signed.min()) < -reach:
        raise ConfigError(
            f"the sum has a coordinate beyond {reach}, which no encodings of its weight add up to: a party sent something else than an"
            " encoding, or what was opened is not their sum"
        )


class Update:
    """One party's vector on its way into the ring: measured and clipped, encoded span by span on demand.

    `norms` are the L2 norms per scale group before clipping, and `clipped` says whether one was above its clip: both are the party's own
    secret. The same object gives the same words each time; spans may be written by different threads. It reads `vector` when it writes:
    leave that unchanged until the last span is written.
    """

    __slots__ = ("_coins", "_gains", "_quantiser", "_rounding", "_vector", "_weight", "_within", "clipped", "norms")

    def __init__(self, quantiser: Quantiser, vector: Floats, weight: int, lengths: tuple[float, ...], coins: Stream) -> None:
        clips = quantiser.clips
        limit = quantiser.encoding.levels * weight
        shrinks = [min(1.0, clip / length * (1 - MARGIN)) if length else 1.0 for clip, length in zip(clips, lengths, strict=True)]
        self.norms = lengths
        self.clipped = any(length > clip for clip, length in zip(clips, lengths, strict=True))
        parts = [length * shrink / reach for length, shrink, reach in zip(lengths, shrinks, quantiser.ranges, strict=True)]
        self._quantiser, self._vector, self._weight, self._coins = quantiser, vector, weight, coins
        self._within = self._inside(parts)
        self._rounding = FixedPoint(limit, wide=quantiser.wide)
        scale = float(limit * self._rounding.scale)
        self._gains = [np.float32(shrink * scale / reach) for shrink, reach in zip(shrinks, quantiser.ranges, strict=True)]

    def encoded(self) -> Words:
        """The whole vector: `size` + 2 ring words. Threads share it."""
        words: Words = np.empty(self._quantiser.words, self._quantiser.ring.dtype)
        self.encode_into(words)
        return words

    def encode_measured(self, words: Words) -> bool:
        """`encode_into`, measuring the vector on the way. False, and `words` are not its encoding, if it is not well within every bound.

        For an update that was made with norms of zero, as if nothing had to be clipped or cut off.
        """
        self._check_room(words)
        quantiser, spans = self._quantiser, self._quantiser.spans
        shares: list[list[float]] = []

        def work(part: range) -> None:
            squares = [0.0] * len(quantiser.clips)
            shares.append(squares)
            # The words of a vector that is out of bounds are not used.
            with np.errstate(all="ignore"), quantiser.scratch() as scratch:
                for span in part:
                    start, stop = spans[span]
                    scaled = self._scaled(span, scratch)
                    for low, high, group in quantiser.runs_within(start, start + len(scaled)):
                        squares[group] += square_sum(scaled[low - start : high - start])
                    if not self._fits(squares):
                        return
                    self._round(span, scaled, words[start:stop], scratch)

        spread(work, len(spans), least=_LEAST)
        return self._fits([sum(parts) for parts in zip(*shares, strict=True)])

    def _check_room(self, words: Words) -> None:
        if words.dtype != self.dtype or words.shape != self.shape or not words.flags.c_contiguous:
            raise ConfigError(f"room for {words.shape} words of {words.dtype}; {self.shape} contiguous words of {self.dtype} expected")

    def _inside(self, parts: Sequence[float]) -> bool:
        """Whether scale groups that are so long, in parts of their ranges, have no coordinate outside.

        None is longer than its vector: where that is well within the range, none need be looked at. Groups are rotated together.
        """
        return (hypot(*parts) if self._quantiser.rotation else max(parts)) < 1 - _NEAR

    def _fits(self, squares: Sequence[float]) -> bool:
        """Whether a vector of these squared norms per scale group, scaled, is encoded as it is: neither clipped nor cut off anywhere."""
        quantiser = self._quantiser
        lengths = [sqrt(square) / float(gain) for square, gain in zip(squares, self._gains, strict=True)]
        return all(map(certainly_below, lengths, quantiser.clips)) and self._inside(
            [length / reach for length, reach in zip(lengths, quantiser.ranges, strict=True)]
        )

    def encode_into(self, words: Words) -> None:
        """Write the whole vector into `words`. Raises ConfigError for another dtype or length."""
        self._check_room(words)
        spans = self._quantiser.spans

        def work(part: range) -> None:
            with self._quantiser.scratch() as scratch:
                for span in part:
                    self._round(span, self._scaled(span, scratch), words[slice(*spans[span])], scratch)

        spread(work, len(spans), least=_LEAST)

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The ring's."""
        return self._quantiser.ring.dtype

    @property
    def shape(self) -> tuple[int]:
        """Of the words, not of the values."""
        return (self._quantiser.words,)

    def read_into(self, out: Words, start: int) -> None:
        """Write words [start, start + len(out)) into `out`. Ranges of whole spans cost least: of others, whole spans are encoded."""
        spans, stop = self._quantiser.spans, start + len(out)
        span, at = bisect_right(spans, start, key=itemgetter(0)) - 1, start
        while at < stop:
            low, high = spans[span]
            part = out[at - start : high - start]
            if at == low and high <= stop:
                self.write(span, part)
            else:
                encoded: Words = np.empty(high - low, out.dtype)
                self.write(span, encoded)
                part[:] = encoded[at - low : at - low + len(part)]
            at, span = at + len(part), span + 1

    def write(self, span: int, out: Words) -> None:
        """Encode one of the quantiser's `spans` into `out`: words of the ring's dtype, contiguous, as many as the span has."""
        quantiser = self._quantiser
        start, stop = quantiser.spans[span]
        if out.dtype != quantiser.ring.dtype or out.shape != (stop - start,) or not out.flags.c_contiguous:
            raise ConfigError(f"room for {out.shape} words of {out.dtype}; span {span} has {stop - start} of {quantiser.ring.dtype}")
        with quantiser.scratch() as scratch:
            self._round(span, self._scaled(span, scratch), out, scratch)

    def _scaled(self, span: int, scratch: Scratch) -> Floats:
        """The values of a span in units of the rounding's grid."""
        quantiser, vector = self._quantiser, self._vector
        start, stop = quantiser.spans[span]
        floats = scratch.floats[: min(stop, quantiser.size) - start]
        for low, high, group in quantiser.runs_within(start, start + len(floats)):
            np.multiply(vector[low:high], self._gains[group], out=floats[low - start : high - start])
        return floats

    def _round(self, span: int, floats: Floats, out: Words, scratch: Scratch) -> None:
        """The words of a span from its scaled values, which are overwritten."""
        quantiser, start, values = self._quantiser, self._quantiser.spans[span][0], len(floats)
        if quantiser.rotation:
            quantiser.rotation.forward(span, floats, scratch.spare)
        self._rounding.round_into(out[:values], floats, self._coins, start, ring=quantiser.ring, scratch=scratch, within=self._within)
        if len(out) > values:
            out[values:] = (1, self._weight)

    def __repr__(self) -> str:
        return f"Update({self._quantiser.size} values of a party, <redacted>)"
