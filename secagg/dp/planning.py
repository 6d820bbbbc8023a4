"""What a target ε asks for, before anything is set up: the noise, the ring, the bytes, and what each reader of the sums learns.

For a whole update of an organisation (noise in the sums) and for records and customers (noise in each party's training).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, floor, log10, sqrt

from secagg.dp.accountant import Steps as NoisySteps
from secagg.dp.accountant import Unit, account, check_delta, noise_for
from secagg.dp.integer import LEAST_SCALE, MOST_SCALE, IntegerNoise
from secagg.encode.encoding import Encoding
from secagg.encode.quantise import grid_norm
from secagg.errors import ConfigError
from secagg.policy import Floors
from secagg.privacy import Mechanism, PrivacyTerms, certain

_FINEST, _NEAR = 24, 1.01
"""Bits of the finest grid that is tried, and how much more noise a coarser one may need before it is too coarse."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who reads the sums: what they learn in all rounds, where all clients stay and where only the smallest set does."""

    name: str
    all_stay: float
    fewest: float


@dataclass(frozen=True, slots=True)
class SumPlan:
    """Noise in the sums.

    Attributes:
        terms: of each round; `epsilon` is what one attempt costs, rounded up.
        bits, ring_bits: of a value, and of a word of the sum.
        bytes_up: of one client in one round: its vector, without signatures and keys.
        total: ε of all rounds for the terms' reader: the smallest set, the colluding clients, and all aggregators but one.
        deviation: standard deviation of the noise in a coordinate of the mean where all clients stay, in units of the clip.
        noise_norm: the same for the whole vector: typical L2 norm of the noise, in units of the clip.
    """

    terms: PrivacyTerms
    bits: int
    ring_bits: int
    bytes_up: int
    total: float
    deviation: float
    noise_norm: float
    readers: tuple[Reader, ...]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Noise in each party's training: the terms of each round, and ε of all of them."""

    terms: PrivacyTerms
    total: float


def plan_sums(
    *,
    epsilon: float,
    delta: float,
    rounds: int,
    clients: int,
    floors: Floors,
    values: int,
    clip: float = 1.0,
    bits: int | None = None,
    rotation: bool = True,
    mechanism: Mechanism = "skellam",
    aggregators: int = 0,
    aggregator_noise: float = 0.0,
) -> SumPlan:
    """The least noise with which `rounds` sums hide an organisation's updates within `epsilon` at `delta`.

    Args:
        rounds: attempts in all: one that is repeated counts again.
        clients: the cohort; no sum has more.
        floors: `n_min` are the survivors that a sum always has, `colluders` those of them that add no noise for the others.
        values, clip: of an update. bits: of a value; None: as few as need at most 1 % more noise than the finest grid.
        aggregators, aggregator_noise: of `additive`, where they add noise of their own.

    Raises:
        ConfigError: numbers out of range, or no noise that can be drawn is enough, with what to change.
    """
    if clients < floors.floor:
        raise ConfigError(f"{clients} clients, and a sum is opened over {floors.floor} at least: lower n_min, or bring more clients")
    if rounds < 1 or epsilon <= 0:
        raise ConfigError(f"rounds={rounds}, epsilon={epsilon:g}: at least one round, and a positive ε")
    first = PrivacyTerms(
        unit="organisation", mechanism=mechanism, noise_multiplier=1.0, epsilon=epsilon, delta=delta, aggregator_noise=aggregator_noise
    )
    exact = Encoding(max_parties=clients, clip=clip, bits=bits or _FINEST, rotation=rotation)

    def least(chosen: int) -> float:
        return _least(first, replace(exact, bits=chosen), values, floors, rounds=rounds, epsilon=epsilon)

    chosen = bits if bits is not None else _coarsest(least)
    terms, encoding = replace(first, noise_multiplier=_up(least(chosen))), replace(exact, bits=chosen)
    one = terms.noise(encoding, values, floors)
    terms = replace(terms, epsilon=_up(one.epsilon(delta)))
    encoding = terms.encoding(encoding, floors, aggregators=aggregators)
    terms.prove(encoding, values, floors, aggregators=aggregators)
    spread = sqrt(clients * one.variance + aggregators * one.more) / clients
    step = clip / grid_norm(encoding, values)
    return SumPlan(
        terms=terms,
        bits=chosen,
        ring_bits=encoding.ring.bits,
        bytes_up=encoding.ring.packed_size(values + encoding.extra),
        total=one.times(rounds).epsilon(delta),
        deviation=spread * step / clip,
        noise_norm=spread * step / clip * sqrt(values),
        readers=_readers(one.times(rounds), clients, floors, aggregators, delta),
    )


def plan_training(
    *, epsilon: float, delta: float, rounds: int, steps: int, units: int, batch: int, clip: float, unit: Unit = "record"
) -> TrainingPlan:
    """The least noise with which `rounds` trainings of `steps` steps each stay within `epsilon` at `delta`.

    Args:
        units: records, or customers, that the party has. batch: how many of them a step takes on average.

    Raises:
        ConfigError: numbers out of range, a δ of one in `units` or more, or no noise is enough.
    """
    check_delta(delta, units)
    if not 1 <= batch <= units or min(rounds, steps) < 1:
        raise ConfigError(f"batch={batch}, units={units}, rounds={rounds}, steps={steps}: a batch of 1 to all units, at least one step")
    noise = _up(noise_for(epsilon, delta=delta, count=rounds * steps, sampling=batch / units, unit=unit))
    each = account([NoisySteps(steps, noise, batch / units)], delta=delta, unit=unit)
    total = account([NoisySteps(rounds * steps, noise, batch / units)], delta=delta, unit=unit)
    return TrainingPlan(
        PrivacyTerms(unit=unit, mechanism="dp-sgd", noise_multiplier=noise, epsilon=_up(each.epsilon), delta=delta, clip=clip),
        total.epsilon,
    )


def _least(terms: PrivacyTerms, encoding: Encoding, values: int, floors: Floors, *, rounds: int, epsilon: float) -> float:
    """The smallest noise multiplier, to 0.1 %. Raises ConfigError."""
    root = sqrt(certain(floors)) / grid_norm(encoding, values)
    low, high = 1.000001 * LEAST_SCALE * root, 0.999999 * MOST_SCALE * root

    def enough(noise: float) -> bool:
        return replace(terms, noise_multiplier=noise).noise(encoding, values, floors).times(rounds).epsilon(terms.delta) <= epsilon

    if not enough(high):
        raise ConfigError(
            f"no noise that can be drawn on a grid of {encoding.bits} bits keeps {rounds} sums within ε = {epsilon:g}: fewer rounds, fewer"
            " bits, more survivors (n_min) or a larger ε"
        )
    if enough(low):
        return low
    while high > low * 1.001:
        middle = sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _coarsest(least: Callable[[int], float]) -> int:
    """The fewest bits that need hardly more noise than the finest grid on which noise can be drawn."""
    found: dict[int, float] = {}
    refused: ConfigError | None = None
    for bits in range(4, _FINEST + 1):
        try:
            found[bits] = least(bits)
        except ConfigError as error:
            refused = error
    if not found:
        raise refused or ConfigError("no grid holds this noise")
    best = min(found.values())
    return next(bits for bits, noise in sorted(found.items()) if noise <= _NEAR * best)


def _readers(noise: IntegerNoise, clients: int, floors: Floors, aggregators: int, delta: float) -> tuple[Reader, ...]:
    def reader(name: str, known: int | None, helpers: int) -> Reader:
        """Who knows the shares of `known` clients (None: of all others), and what `helpers` aggregators added."""
        more = noise.more * max(aggregators - helpers, 0)

        def epsilon(stay: int) -> float:
            return replace(noise, shares=1 if known is None else stay - known, more=more).epsilon(delta)

        return Reader(name, epsilon(clients), epsilon(floors.floor))

    shown = [reader("server alone", 0, 0)]
    if noise.more:
        shown.append(reader("server and one aggregator", 0, 1))
    shown.append(reader(f"server and {floors.colluders} clients", floors.colluders, max(aggregators - 1, 0)))
    shown.append(reader("server and all other clients", None, max(aggregators - 1, 0)))
    return tuple(shown)


def _up(value: float) -> float:
    """Rounded up to four digits, so that what is written down is enough."""
    digit = 10.0 ** (floor(log10(value)) - 3)
    return float(f"{ceil(value / digit - 1e-9) * digit:.4g}")
