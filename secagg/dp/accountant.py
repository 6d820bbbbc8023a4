"""What noisy steps cost: ε at a δ, by privacy loss distributions, checked against an independent bound by Rényi divergences.

    steps ──▶ privacy loss distribution ──▶ ε (reported)
          └─▶ Rényi divergences ──────────▶ ε (an upper bound of its own: the two must agree)

Both come from Google's dp-accounting. An accountant that approximates by the central limit theorem is not offered: it can state less
than is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Context
from functools import lru_cache
from math import isfinite, log, log1p
from typing import Any, Literal

from secagg.dp.integer import ORDERS, IntegerNoise, epsilon_of
from secagg.errors import ConfigError

Unit = Literal["record", "customer", "organisation"]
"""Whose presence or absence the guarantee hides: one caption, everything of one user id, or everything of one party."""

HOPELESS = 64.0
"""ε above which the Rényi bound is stated and no loss distribution worked out: it would take minutes, and nobody can mean such a budget."""

MOST_DELTA = 1e-5
"""Largest δ for an organisation."""

_MOST_NOISE, _STEP, _COARSE = 1e4, 1e-4, 1e-3
_TINY = 1e-300


@dataclass(frozen=True, slots=True, order=True)
class Steps:
    """Gaussian noise on clipped sums of Poisson samples, so many times.

    Args:
        count: how often.
        noise_multiplier: standard deviation of the noise in units of the clip (σ).
        sampling: probability with which each unit is in a step; 1 for a sum over all.

    Raises:
        ConfigError: a number out of its range.
    """

    count: int
    noise_multiplier: float
    sampling: float = 1.0

    def __post_init__(self) -> None:
        if type(self.count) is not int or self.count < 1:
            raise ConfigError(f"count={self.count!r}: steps are counted from 1")
        for name in ("noise_multiplier", "sampling"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(f"{name}={value!r}: a number expected")
            object.__setattr__(self, name, float(value))  # 4 and 4.0 are the same noise, also where they are written down
        if not isfinite(self.noise_multiplier) or self.noise_multiplier <= 0:
            raise ConfigError(f"noise_multiplier={self.noise_multiplier}: a positive number; without noise there is no guarantee")
        if not 0 < self.sampling <= 1:
            raise ConfigError(f"sampling={self.sampling}: a probability above 0 and up to 1")


Spending = Steps | IntegerNoise
"""What a release may spend: Gaussian noise in a training, or integer noise in a secure sum."""


def spending_to(one: Spending) -> dict[str, Any]:
    """Plain values, for JSON."""
    return asdict(one)


def spending_from(told: dict[str, Any]) -> Spending:
    """The inverse of `spending_to`."""
    return IntegerNoise(**told) if "kind" in told else Steps(**told)


@dataclass(frozen=True, slots=True)
class Guarantee:
    """(ε, δ) for one unit, under adding or removing it.

    Attributes:
        epsilon: by privacy loss distributions, rounded up in every place where it is rounded, the text of four digits included.
        delta: the probability with which more may be lost.
        rdp_epsilon: the bound by Rényi divergences, which was the check.
    """

    unit: Unit
    epsilon: float
    delta: float
    rdp_epsilon: float

    def __str__(self) -> str:
        return f"ε = {_up(self.epsilon)} at δ = {self.delta:g} for one {self.unit}"


def _up(epsilon: float) -> str:
    """To four digits, and never less than it is."""
    shown = f"{epsilon:.4g}"
    return shown if float(shown) >= epsilon else f"{Context(prec=4, rounding=ROUND_CEILING).create_decimal(epsilon):g}"


def account(steps: Sequence[Spending], *, delta: float, unit: Unit) -> Guarantee:
    """The guarantee that all `steps` together leave to one unit.

    Guarantees:
        Holds for whoever sees every noisy sum, under adding or removing one unit, if the steps were fixed beforehand, units are
        sampled independently (Poisson), and the noise is fresh. [Koskela et al. 2020; Doroshenko et al. 2022;
        Mironov 2017; Mironov, Talwar and Zhang 2019] Integer noise is accounted by its Rényi divergences, which add up; where both kinds
        were spent, each is accounted at half of δ, and the two ε add up.

    Raises:
        ConfigError: a δ outside of (0, 1), or bounds that contradict each other: then a figure is wrong, and none is stated.
    """
    if not 0 < delta < 1:
        raise ConfigError(f"delta={delta}: between 0 and 1, and well under one in the number of units")
    summed = [one for one in steps if isinstance(one, IntegerNoise)]
    gaussian = [one for one in steps if isinstance(one, Steps)]
    if summed and gaussian:
        parts = [account(some, delta=delta / 2, unit=unit) for some in (summed, gaussian)]
        return Guarantee(unit, sum(one.epsilon for one in parts), delta, sum(one.rdp_epsilon for one in parts))
    if summed:
        epsilon = epsilon_of(summed, delta)
        return Guarantee(unit, epsilon, delta, epsilon)
    merged = _merged(gaussian)
    if not merged:
        return Guarantee(unit, 0.0, delta, 0.0)
    epsilon, rdp = _stated(merged, delta, _STEP)
    return Guarantee(unit, epsilon, delta, rdp)


def check(epsilon: float, rdp: float) -> None:
    """Raise ConfigError if the bound by loss distributions is above the other one, which cannot be: one of the accountants is wrong."""
    if epsilon > rdp * (1 + 1e-3) + 1e-6:
        raise ConfigError(
            f"the accountants contradict each other: ε = {epsilon:.4g} by privacy loss distributions, and at most {rdp:.4g} by Rényi"
            " divergences; neither is stated. Please report it with the steps and the version of dp-accounting"
        )


def adaptive(steps: Sequence[Spending], *, limit: float, delta: float) -> float:
    """ε of `steps` where the noise of later ones may have been chosen by looking at what earlier ones gave; for a stop at `limit`.

    A privacy filter by Rényi divergences at one order that `limit` and δ fix beforehand: who stops before it passes `limit` has spent no
    more, however the steps were chosen. [Feldman and Zrnic 2021, theorem 4.3; order and conversion: Canonne, Kamath and Steinke 2020]
    """
    summed = [one for one in steps if isinstance(one, IntegerNoise)]
    merged = _merged([one for one in steps if isinstance(one, Steps)])
    if not summed:
        return _by_renyi(merged, delta, _order(limit, delta)) if merged else 0.0
    order = min(ORDERS, key=lambda one: abs(one - _order(limit, delta)))  # integer noise has integer orders
    # The library states ε = 0 for a divergence under δ², and adding that up would forget what it costs to turn the sum into ε: at a δ this
    # small it states the divergence itself, from which the sum is made.
    lost: float = _by_renyi(merged, _TINY, order) - _spread(order, _TINY) if merged else 0.0
    lost += sum(one.count * one.renyi(order) for one in summed)
    return max(0.0, lost + _spread(order, delta))


def _spread(order: float, delta: float) -> float:
    """ε less the Rényi divergence at `order` that it comes from. [Canonne, Kamath and Steinke 2020, proposition 12]"""
    return log1p(-1 / order) - (log(delta) + log(order)) / (order - 1)


@lru_cache(maxsize=64)
def _order(limit: float, delta: float) -> float:
    """The order at which the most Gaussian noise fits under `limit`: there the loss is the order times a constant."""
    orders = [1 + step / 20 for step in range(1, 20 * 63)]
    return max(orders, key=lambda order: (limit - _spread(order, delta)) / order)


def noise_for(
    target_epsilon: float, *, delta: float, count: int, sampling: float = 1.0, spent: Sequence[Steps] = (), unit: Unit = "record"
) -> float:
    """The smallest noise multiplier, to 0.1 %, with which `count` further steps after `spent` stay within `target_epsilon` at `delta`.

    Raises:
        ConfigError: no noise is enough, because `spent` has used the budget up, or a number out of its range.
    """
    if not isfinite(target_epsilon) or target_epsilon <= 0:
        raise ConfigError(f"target_epsilon={target_epsilon}: a positive number")
    used = account(spent, delta=delta, unit=unit).epsilon
    if used >= target_epsilon:
        raise ConfigError(f"target_epsilon={target_epsilon}: ε = {used:.4g} is spent already: raise the target, or stop here")
    # The Rényi bound is quick and never states less: what it asks for is enough, and the loss distribution then lowers it. On a coarser
    # grid that one is ten times quicker and never states less either, so the fine one only confirms what it finds.
    enough = _bisect(lambda noise: _by_renyi(_merged([*spent, Steps(count, noise, sampling)]), delta), target_epsilon, 1e-2, _MOST_NOISE)

    def on(grid: float) -> Callable[[float], float]:
        return lambda noise: _stated(_merged([*spent, Steps(count, noise, sampling)]), delta, grid)[0]

    found = _bisect(on(_COARSE), target_epsilon, enough / 2, enough)
    return found if on(_STEP)(found) <= target_epsilon else _bisect(on(_STEP), target_epsilon, found, enough)


def check_delta(delta: float, units: int) -> None:
    """Raise ConfigError unless `delta` is under one in `units`: at 1/n a mechanism may publish one unit at random and still comply."""
    if delta * units >= 1:
        raise ConfigError(
            f"delta={delta:g} for {units} units: it must be under 1/{units} = {1 / units:.2g}; 1/(10·{units}) is a usual choice"
        )


def check_delta_for(unit: Unit, delta: float) -> None:
    """Raise ConfigError unless `delta` is a probability, and for an organisation a small one.

    Of a few organisations, one in n would be a chance that nobody takes: δ is the probability that everything is told.
    """
    if not 0 < delta < 1:
        raise ConfigError(f"delta={delta:g}: a number between 0 and 1")
    if unit == "organisation" and delta > MOST_DELTA:
        raise ConfigError(f"delta={delta:g} for an organisation: at most {MOST_DELTA:g}")


def _bisect(epsilon: Callable[[float], float], target: float, low: float, high: float) -> float:
    """The smallest noise in (low, high] with which `epsilon` is at most `target`. Raises ConfigError if `high` is not enough."""
    if epsilon(high) > target:
        raise ConfigError(f"no noise multiplier up to {high:g} keeps ε within {target:g}: fewer steps, or a larger target")
    while epsilon(low) <= target and low > 1e-3:
        high, low = low, low / 2
    while high - low > 1e-3 * high:
        middle = (low * high) ** 0.5
        if epsilon(middle) <= target:
            high = middle
        else:
            low = middle
    return high


def _merged(steps: Sequence[Steps]) -> tuple[Steps, ...]:
    """Steps of the same kind counted together: the order does not matter, and each kind is worked out once."""
    counts: dict[tuple[float, float], int] = {}
    for one in steps:
        kind = (one.noise_multiplier, one.sampling)
        counts[kind] = counts.get(kind, 0) + one.count
    return tuple(sorted(Steps(count, noise, sampling) for (noise, sampling), count in counts.items()))


def _stated(steps: tuple[Steps, ...], delta: float, grid: float) -> tuple[float, float]:
    """ε by loss distributions on a grid, and by Rényi divergences, which agree."""
    rdp = _by_renyi(steps, delta)
    epsilon = rdp if rdp > HOPELESS else _by_loss_distribution(steps, delta, grid)
    check(epsilon, rdp)
    return epsilon, rdp


@lru_cache(maxsize=256)
def _by_loss_distribution(steps: tuple[Steps, ...], delta: float, grid: float) -> float:
    pld = _library("pld").PLDAccountant(value_discretization_interval=grid)
    return _composed(pld, steps, delta)


@lru_cache(maxsize=4096)
def _by_renyi(steps: tuple[Steps, ...], delta: float, order: float | None = None) -> float:
    return _composed(_library("rdp").RdpAccountant(None if order is None else [order]), steps, delta)


def _composed(accountant: Any, steps: tuple[Steps, ...], delta: float) -> float:  # noqa: ANN401  # the library has no types
    events = _library("dp_event")
    for one in steps:
        noise = events.GaussianDpEvent(one.noise_multiplier)
        sampled = noise if one.sampling == 1 else events.PoissonSampledDpEvent(one.sampling, noise)
        accountant.compose(events.SelfComposedDpEvent(sampled, one.count))
    return float(accountant.get_epsilon(delta))


def _library(part: str) -> Any:  # noqa: ANN401  # the library has no types
    try:
        import dp_accounting
        from absl import logging as told
        from dp_accounting import pld, rdp
    except ImportError as missing:
        raise ConfigError(f"accounting needs {missing.name}: run `pip install 'secagg[dp]'`") from missing
    told.set_verbosity(told.ERROR)  # it warns of Rényi orders that it leaves out, which costs nothing but tightness
    return {"dp_event": dp_accounting, "pld": pld, "rdp": rdp}[part]
