"""Integer noise in the sum of rounded vectors: how much it hides, and how far it reaches. All lengths are in steps of the integer grid.

One unit's vector, rounded, is at most B long, and in the sum stand h shares of noise that nobody knows. The ratio of the two, and how far
sums of integer noise are from a Gaussian, give a Rényi divergence at each order, and all orders together an ε.

Sources: Agarwal, Kairouz and Liu, The Skellam mechanism (2021); Kairouz, Liu and Steinke, The distributed discrete Gaussian (2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, isfinite, log, log1p, pi, sqrt
from typing import Literal, get_args

from secagg.errors import ConfigError

Kind = Literal["skellam", "discrete-gaussian"]

ORDERS = (*range(2, 129), 256)
"""Rényi orders that are tried; Skellam's bound is proved for integers."""

ROUNDING_LOSS = exp(-0.5)
"""β: with at most this probability a rounding is drawn again because its norm is above the bound."""

LEAST_SCALE, MOST_SCALE = 8.0, float(1 << 16)
"""Standard deviations of one share. Below, rounding and not the noise decides what is lost; above, a finer grid gains nothing and the exact
sampler's table would be slow to make."""

TAIL_BITS = 80
"""A coordinate of the noise passes `tail` with a probability of at most 2^-80: none of 2^40 does, but with 2^-40."""


@dataclass(frozen=True, slots=True, order=True)
class IntegerNoise:
    """What `shares` shares of integer noise hide in a sum.

    Args:
        kind: the law of one share.
        values: coordinates of a vector (d).
        norm: largest L2 norm of a vector before rounding (s·c).
        variance: of one share, in squared steps; of a discrete Gaussian, its parameter σ². What is drawn has a whole number here.
        shares: those that nobody knows (h): the guarantee counts on these alone.
        count: sums that one unit is in.
        more: variance of noise beside the shares that nobody knows either: what aggregators that keep theirs to themselves have added. Of
            Skellam noise only: a sum of discrete Gaussians of several variances is another law, for which no bound is worked out here.

    Raises:
        ConfigError: a number out of its range, or noise that is too small for the grid.
    """

    kind: Kind
    values: int
    norm: float
    variance: float
    shares: int
    count: int = 1
    more: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"noise {self.kind!r}: one of {', '.join(get_args(Kind))}")
        for name in ("values", "shares", "count"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)!r}: an integer of at least 1")
        for name in ("norm", "variance"):
            value = float(getattr(self, name))
            object.__setattr__(self, name, value)  # 4 and 4.0 are the same noise, also where they are written down
            if not isfinite(value) or value <= 0:
                raise ConfigError(f"{name}={value}: a positive number")
        object.__setattr__(self, "more", float(self.more))
        if not isfinite(self.more) or self.more < 0 or (self.more > 0 and self.kind != "skellam"):
            raise ConfigError(f"more={self.more} beside {self.kind} shares: a number of at least 0, and 0 but for skellam")

    @property
    def total(self) -> float:
        """Variance of all the noise in a sum that nobody knows."""
        return self.shares * self.variance + self.more

    @property
    def bound(self) -> float:
        """Largest L2 norm of a rounded vector (B): the sensitivity. Roundings above it are drawn again. [KLS21, proposition 24]"""
        likely = self.norm**2 + self.values / 4 + sqrt(2 * log(1 / ROUNDING_LOSS)) * (self.norm + sqrt(self.values) / 2)
        return min(self.norm + sqrt(self.values), sqrt(likely))

    def renyi(self, order: int) -> float:
        """The Rényi divergence of one sum, at an integer order above 1."""
        return self._skellam(order) if self.kind == "skellam" else self._discrete_gaussian(order)

    def epsilon(self, delta: float) -> float:
        """ε at `delta`, for whoever knows all but `shares` shares, if one unit's vector is there or zero."""
        return epsilon_of([self], delta)

    def times(self, count: int) -> IntegerNoise:
        """The same noise in `count` sums."""
        return replace(self, count=count)

    def against(self, shares: int) -> IntegerNoise:
        """The same noise seen by somebody who knows all but `shares` shares."""
        return replace(self, shares=shares)

    def _skellam(self, order: int) -> float:
        """[AKL21, theorem 3.5]"""
        two, variance = self.bound, self.total
        one = two * min(sqrt(self.values), two)
        excess = min(((2 * order - 1) * two**2 + 6 * one) / (4 * variance**2), 3 * one / (2 * variance))
        return order * two**2 / (2 * variance) + excess

    def _discrete_gaussian(self, order: int) -> float:
        """[KLS21, theorem 5]"""
        two, variance, root = self.bound, self.shares * self.variance, sqrt(self.values)
        one, tau = two * min(root, two), self._distance
        return min(
            order * two**2 / (2 * variance) + tau * self.values,
            order / 2 * (two**2 / variance + 2 * one * tau / sqrt(variance) + tau**2 * self.values),
            order / 2 * (two / sqrt(variance) + tau * root) ** 2,
        )

    @property
    def _distance(self) -> float:
        """τ: how far a sum of discrete Gaussians is from one."""
        return 10 * sum(exp(-2 * pi**2 * self.variance * index / (index + 1)) for index in range(1, self.shares))


def check_scale(variance: float) -> None:
    """Raise ConfigError unless a share of this variance is neither lost between the grid's steps nor needlessly fine."""
    deviation = sqrt(variance)
    if deviation < LEAST_SCALE:
        raise ConfigError(
            f"one party's noise has a standard deviation of {deviation:.3g} grid steps, and {LEAST_SCALE:g} are needed: use more bits,"
            " fewer parties or a larger noise_multiplier"
        )
    if deviation > MOST_SCALE:
        raise ConfigError(
            f"one party's noise has a standard deviation of {deviation:.3g} grid steps, at most {MOST_SCALE:g} are drawn: use fewer bits,"
            " which costs no precision under so much noise"
        )


def tail(variance: int) -> int:
    """What a coordinate of a sum of noise of this variance passes with a probability of at most 2^-80.

    Bernstein's inequality: P(|X| > t) ≤ 2·exp(−t²/(2(v + t/3))) for Skellam noise of variance v, and without t/3 for discrete Gaussians.
    """
    nats = (TAIL_BITS + 1) * log(2)
    return int(nats / 3 + sqrt(nats**2 / 9 + 2 * nats * variance)) + 1


def epsilon_of(noises: Sequence[IntegerNoise], delta: float) -> float:
    """ε of all sums together: the divergences add up order by order."""
    return epsilon_from(lambda order: sum(one.count * one.renyi(order) for one in noises), delta)


def epsilon_from(renyi: Callable[[int], float], delta: float) -> float:
    """The smallest ε over all orders. [Canonne, Kamath and Steinke 2020, proposition 12]"""
    if not 0 < delta < 1:
        raise ConfigError(f"delta={delta}: between 0 and 1")
    spent: list[float] = [renyi(order) + log1p(-1 / order) - log(delta * order) / (order - 1) for order in ORDERS]
    return max(0.0, min(spent))


@lru_cache(maxsize=256)
def least_variance(kind: Kind, *, values: int, norm: float, shares: int, epsilon: float, delta: float, count: int = 1) -> int:
    """The smallest variance of one share, to 0.1 %, with which `count` sums stay within `epsilon`.

    Raises:
        ConfigError: no share that can be drawn is enough.
    """
    low, high = 1.0, MOST_SCALE**2

    def cost(variance: float) -> float:
        return IntegerNoise(kind, values, norm, int(variance), shares, count).epsilon(delta)

    if cost(high) > epsilon:
        raise ConfigError(f"no noise that can be drawn keeps ε within {epsilon:g}: fewer sums, fewer bits or a larger ε")
    while high > low * 1.001 and high - low > 1:
        middle = sqrt(low * high)
        low, high = (low, middle) if cost(middle) <= epsilon else (middle, high)
    return int(high) + 1
