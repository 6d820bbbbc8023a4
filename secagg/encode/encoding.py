"""The numbers of an encoding, and the proof that the sum of all parties fits its ring."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log2

from secagg.errors import ConfigError
from secagg.math.ring import WIDTHS, Ring

EXTRA = 2
"""Words after the coordinates: a one, so that the sum counts the parties, and the weight."""

MIN_BITS, MAX_BITS = 2, 24
"""A float32 has 24 significant bits: more would encode its rounding error."""

MAX_PARTIES = 1 << 24
MAX_WEIGHT = 1 << 32
_SMALLEST, _LARGEST = 1e-15, 1e15
"""Clips for which every intermediate value of the encoding is a normal float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How an update becomes integers: clip, rotate, scale, weigh, round, wrap. All parties of a round use the same one.

    Args:
        max_parties: most parties whose vectors are ever added.
        clip: L2 bound of an update, in its units; longer ones are scaled down to it. A tuple gives one bound per scale group of the layout.
            Groups are clipped apart from each other: the whole update may then be as long as the root of the sum of their squared clips.
        bits: a coordinate of weight 1 becomes a signed integer of this many bits, 2 to 24.
        rotation: random signs and Hadamard blocks first; then no coordinate is much larger than the others, and the bits are well spent.
        max_weight: largest integer weight of a party.
        value_clip: bound of one coordinate (after rotation), in the units of `clip`; coordinates beyond it are cut off. None: `clip`
            itself, or, with rotation, the bound that coordinates of any clipped update pass with probability at most 2^-20 in all
            (see `Quantiser`). Only with a single clip.
        noise_tail: largest magnitude, in ring units, of noise that protocols add to the sum, up to probability 2^-40.
        ring_bits: width of the ring; None takes the narrowest that the proof allows.

    Guarantees:
        max_parties · max_weight · 2^(bits − 1) + noise_tail ≤ 2^(ring bits − 1): no sum of encodings ever wraps.

    Raises:
        ConfigError: numbers out of range, or a ring that the sum does not fit, with the smallest ring that it does.
    """

    max_parties: int
    clip: float | tuple[float, ...] = 1.0
    bits: int = 16
    rotation: bool = False
    max_weight: int = 1
    value_clip: float | None = None
    noise_tail: int = 0
    ring_bits: int | None = None

    def __post_init__(self) -> None:
        _within("bits", self.bits, MIN_BITS, MAX_BITS)
        _within("max_parties", self.max_parties, 1, MAX_PARTIES)
        _within("max_weight", self.max_weight, 1, MAX_WEIGHT)
        _within("noise_tail", self.noise_tail, 0, 1 << 62)
        clips = self.clip if isinstance(self.clip, tuple) else (self.clip,)
        if not clips:
            raise ConfigError("clip=(): give one bound, or one per scale group")
        for clip in clips:
            _check_clip("clip", clip)
        if self.value_clip is not None:
            _check_clip("value_clip", self.value_clip)
            if len(clips) > 1:
                raise ConfigError("value_clip needs a single clip: with one clip per scale group, leave it out")
            if self.value_clip > clips[0]:
                raise ConfigError(
                    f"value_clip={self.value_clip} is above clip={clips[0]}, which no coordinate can pass: lower it or leave it out"
                )
        self._prove()

    @property
    def ring(self) -> Ring:
        """The ring of `ring_bits`, or the narrowest that holds the sum."""
        if self.ring_bits is not None:
            return Ring(self.ring_bits)
        return Ring(next(width for width in WIDTHS if width >= self.bits_needed))

    @property
    def extra(self) -> int:
        """Words of an encoded vector beyond its coordinates: count and weight."""
        return EXTRA

    @property
    def levels(self) -> int:
        """The largest magnitude of a coordinate of weight 1: 2^(bits − 1) − 1, so that rounding up never leaves the range."""
        return (1 << (self.bits - 1)) - 1

    @property
    def largest_sum(self) -> int:
        """A strict bound on the magnitude of any coordinate of any sum, noise included."""
        return self.max_parties * self.max_weight * (1 << (self.bits - 1)) + self.noise_tail

    @property
    def bits_needed(self) -> int:
        """ceil(log2(largest_sum)) + 1: bits that hold the sum and its sign."""
        return (self.largest_sum - 1).bit_length() + 1

    def clips(self, groups: int) -> tuple[float, ...]:
        """One clip per scale group; a single clip serves them all. Raises ConfigError if their number is another."""
        if not isinstance(self.clip, tuple):
            return (float(self.clip),) * groups
        if len(self.clip) != groups:
            raise ConfigError(
                f"{len(self.clip)} clips for {groups} scale groups: give one for each, in the order of layout.groups, or a single one"
            )
        return tuple(float(clip) for clip in self.clip)

    def _prove(self) -> None:
        needed = self.bits_needed
        fitting = next((width for width in WIDTHS if width >= needed), None)
        given = WIDTHS[-1] if self.ring_bits is None else Ring(self.ring_bits).bits
        if needed <= given:
            return
        fix = (
            f"use ring_bits={fitting}"
            if fitting
            else f"no ring holds this sum, which needs {needed} bits: lower bits, max_weight or max_parties"
        )
        raise ConfigError(f"{self._capacity(given)}; {self.max_parties} asked: {fix}")

    def _capacity(self, width: int) -> str:
        room = (1 << (width - 1)) - self.noise_tail
        parties = max(0, room // (self.max_weight << (self.bits - 1)))
        weights = f" of weight up to {self.max_weight}" if self.max_weight > 1 else ""
        noise = f" and noise up to 2^{log2(self.noise_tail):.0f}" if self.noise_tail else ""
        return f"{width}-bit ring holds the sum of at most {parties} clients at {self.bits}-bit values{weights}{noise}"


def _within(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{name}={value!r}: an integer from {least} to {most} expected")


def _check_clip(name: str, value: float) -> None:
    if not isfinite(value) or not _SMALLEST <= value <= _LARGEST:
        raise ConfigError(f"{name}={value}: a number from {_SMALLEST} to {_LARGEST} expected")
