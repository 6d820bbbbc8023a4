"""The numbers of distributed noise: what integer noise that each party adds to its encoded vector hides in their sum.

    clip (c) ─▶ rotate ─▶ scale (s) ─▶ round, until the norm is at most B ─▶ + integer noise of variance (s·σ)² ─▶ ring of 2^b

The sum of h noisy vectors carries variance h·(s·σ)², and one unit moves it by at most B: that ratio, and how far sums of integer noise are
from a Gaussian, give ε. Sources: Kairouz, Liu and Steinke 2021 (the discrete Gaussian, rounding, scale); Agarwal, Kairouz and Liu 2021
(Skellam noise, which stays Skellam when it is summed).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp, isfinite, log, log1p, pi, sqrt

from secagg.errors import ConfigError

ORDERS = (*range(2, 129), 256)
"""Rényi orders that are tried; Skellam's bound is proved for integers."""

ROUNDING_LOSS = exp(-0.5)
"""β: with at most this probability a rounding is drawn again because its norm is above the bound."""

DEVIATIONS = 4
"""Standard deviations of a coordinate of the sum that the ring has room for, to each side."""

LEAST_SCALE = 8.0
"""Grid steps in one standard deviation of a party's noise below which rounding, and not the noise, decides what is lost."""


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
        if self.noise < LEAST_SCALE:
            raise ConfigError(
                f"one party's noise has a standard deviation of {self.noise:.3g} grid steps, and {LEAST_SCALE:g} are needed: use more bits"
                f" ({self.bits} now), fewer parties or a larger noise_multiplier"
            )

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
        clipped = self.scale * self.clip
        likely = clipped**2 + self.values / 4 + sqrt(2 * log(1 / ROUNDING_LOSS)) * (clipped + sqrt(self.values) / 2)
        return min(clipped + sqrt(self.values), sqrt(likely))

    def against(self, *, honest: int) -> SummedNoise:
        """The same noise, seen by somebody who knows that of all but `honest` parties."""
        return replace(self, honest=honest)

    @property
    def _variance(self) -> float:
        """Of the sum of the honest parties' noise, in grid steps squared."""
        return (self.honest or self.parties) * self.noise**2

    def skellam_epsilon(self, delta: float) -> float:
        """ε where each party adds Skellam noise. [Agarwal, Kairouz and Liu 2021, theorem 3.5]"""
        two, variance = self.bound, self._variance
        one = two * min(sqrt(self.values), two)

        def renyi(order: int) -> float:
            excess = min(((2 * order - 1) * two**2 + 6 * one) / (4 * variance**2), 3 * one / (2 * variance))
            return order * two**2 / (2 * variance) + excess

        return _epsilon(renyi, self.rounds, delta)

    def gaussian_epsilon(self, delta: float) -> float:
        """ε where each party adds discrete Gaussian noise, whose sum is nearly one. [Kairouz, Liu and Steinke 2021, theorem 5]"""
        two, variance, root = self.bound, self._variance, sqrt(self.values)
        one, parties = two * min(root, two), self.honest or self.parties
        tau = 10 * sum(exp(-2 * pi**2 * self.noise**2 * index / (index + 1)) for index in range(1, parties))

        def renyi(order: int) -> float:
            return min(
                order * two**2 / (2 * variance) + tau * self.values,
                order / 2 * (two**2 / variance + 2 * one * tau / sqrt(variance) + tau**2 * self.values),
                order / 2 * (two / sqrt(variance) + tau * root) ** 2,
            )

        return _epsilon(renyi, self.rounds, delta)

    def continuous_epsilon(self, delta: float) -> float:
        """ε of a trusted party that adds Gaussian noise to the exact sum: what no distributed noise can undercut."""
        multiplier = self.noise_multiplier * sqrt((self.honest or self.parties) / self.parties)
        return _epsilon(lambda order: order / (2 * multiplier**2), self.rounds, delta)


def _epsilon(renyi: Callable[[int], float], rounds: int, delta: float) -> float:
    """The smallest ε over all orders. [Canonne, Kamath and Steinke 2020, proposition 12]"""
    if not 0 < delta < 1:
        raise ConfigError(f"delta={delta}: between 0 and 1")
    spent: list[float] = [rounds * renyi(order) + log1p(-1 / order) - log(delta * order) / (order - 1) for order in ORDERS]
    return max(0.0, min(spent))
