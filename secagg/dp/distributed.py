"""The numbers of distributed noise: what integer noise that each party adds to its encoded vector hides in their sum.

    clip (c) ─▶ rotate ─▶ scale (s) ─▶ round, until the norm is at most B ─▶ + integer noise of variance (s·σ)² ─▶ ring of 2^b

The sum of h noisy vectors carries variance h·(s·σ)², and one unit moves it by at most B: that ratio, and how far sums of integer noise are
from a Gaussian, give ε. Sources: Kairouz, Liu and Steinke 2021 (the discrete Gaussian, rounding, scale); Agarwal, Kairouz and Liu 2021
(Skellam noise, which stays Skellam when it is summed).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, sqrt

from secagg.dp.integer import IntegerNoise, Kind, check_scale, epsilon_from
from secagg.errors import ConfigError

DEVIATIONS = 4
"""Standard deviations of a coordinate of the sum that the ring has room for, to each side."""


@dataclass(frozen=True, slots=True)
class SummedNoise:
    """Integer noise in a sum of up to `parties` vectors of `values` coordinates.

    Args:
        parties: most vectors that are ever added (n): the ring has room for so many.
        values: coordinates, after padding to what the rotation needs (d).
        clip: L2 bound of one vector, in its units (c).
        noise_multiplier: standard deviation of the noise of all `parties` together, in units of the clip (z).
        bits: bits of a word of the sum (b).
        rounds: sums that one unit is in.
        honest: vectors in the sum whose noise nobody knows (h); None: all of them. The guarantee is for these alone.

    Raises:
        ConfigError: a number out of its range, a ring too narrow for so many parties, or noise finer than the grid of integers can hold.
    """

    parties: int
    values: int
    clip: float
    noise_multiplier: float
    bits: int
    rounds: int = 1
    honest: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("parties", 2), ("values", 1), ("bits", 4), ("rounds", 1)):
            if type(getattr(self, name)) is not int or getattr(self, name) < least:
                raise ConfigError(f"{name}={getattr(self, name)!r}: an integer of at least {least}")
        for name in ("clip", "noise_multiplier"):
            if not isfinite(getattr(self, name)) or getattr(self, name) <= 0:
                raise ConfigError(f"{name}={getattr(self, name)}: a positive number")
        if self.honest is not None and not 1 <= self.honest <= self.parties:
            raise ConfigError(f"honest={self.honest}: between 1 and the {self.parties} parties")
        if 4**self.bits <= self.parties * DEVIATIONS**2:
            raise ConfigError(f"{self.bits} bits hold no sum of {self.parties} noisy vectors: use more")
        check_scale(self.noise**2)

    @property
    def sigma(self) -> float:
        """Standard deviation of one party's noise, in the units of the update (σ = z·c/√n)."""
        return self.noise_multiplier * self.clip / sqrt(self.parties)

    @property
    def scale(self) -> float:
        """Grid steps in one unit of the update (s): as many as leave the ring room for DEVIATIONS of the sum."""
        room = sqrt(4.0**self.bits - self.parties * DEVIATIONS**2)
        spread = sqrt(self.clip**2 * self.parties**2 / self.values + self.parties * self.sigma**2)
        return room / (2 * DEVIATIONS * spread)

    @property
    def noise(self) -> float:
        """Standard deviation of one party's noise, in grid steps (s·σ)."""
        return self.scale * self.sigma

    @property
    def bound(self) -> float:
        """Largest L2 norm of a rounded vector, in grid steps (B): the sensitivity. Roundings above it are drawn again."""
        return self.noises("skellam").bound

    def noises(self, kind: Kind) -> IntegerNoise:
        """The integer noise of those whose noise nobody knows."""
        shares = self.honest or self.parties
        return IntegerNoise(kind, self.values, self.scale * self.clip, self.noise**2, shares, self.rounds)

    def against(self, *, honest: int) -> SummedNoise:
        """The same noise, seen by somebody who knows that of all but `honest` parties."""
        return replace(self, honest=honest)

    def skellam_epsilon(self, delta: float) -> float:
        """ε where each party adds Skellam noise, whose sum is Skellam noise."""
        return self.noises("skellam").epsilon(delta)

    def gaussian_epsilon(self, delta: float) -> float:
        """ε where each party adds discrete Gaussian noise, whose sum is nearly one."""
        return self.noises("discrete-gaussian").epsilon(delta)

    def continuous_epsilon(self, delta: float) -> float:
        """ε of a trusted party that adds Gaussian noise to the exact sum: what no distributed noise can undercut."""
        multiplier = self.noise_multiplier * sqrt((self.honest or self.parties) / self.parties)
        return epsilon_from(lambda order: self.rounds * order / (2 * multiplier**2), delta)
