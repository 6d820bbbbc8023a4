"""The privacy terms of a round: whom the noise hides, how it is made, and what one attempt may cost. The hub states them in the signed
description; each party proves them again, holds them against its own floor, and takes part or not.

    dp-sgd               each client trains with noise (its own accountant says what that cost), and the sum adds noisy updates
    skellam              each client clips its update and adds a share of integer noise, sized for the honest shares that are certain to be
    discrete-gaussian    in any sum that is opened; one organisation's whole update is hidden
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, isfinite
from typing import TYPE_CHECKING, Literal, Self, get_args

from secagg.dp.accountant import Unit, check_delta_for
from secagg.dp.integer import IntegerNoise, check_scale, least_variance, tail
from secagg.encode.encoding import Encoding
from secagg.encode.quantise import grid_norm
from secagg.errors import ConfigError
from secagg.wire.v1 import common_pb2 as pb

if TYPE_CHECKING:
    from secagg.policy import Floors

Mechanism = Literal["dp-sgd", "skellam", "discrete-gaussian"]

MOST_NOISE = 1e6
"""Largest noise multiplier: more is no noise that anybody means, and its square could leave the range of a float."""

_HIDES = {"record": 0, "customer": 1, "organisation": 2}
_LARGEST_BLOCK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyTerms:
    """What a round promises about one unit.

    Args:
        unit: whose presence is hidden: one record, everything of one customer, or an organisation's whole update.
        mechanism: who adds the noise, and which.
        noise_multiplier: standard deviation of the noise over the clip. With `dp-sgd`, of each step, at least; otherwise of the honest
            shares together that are certain to be in the sum.
        epsilon, delta: what one attempt costs at most, for the server and the colluding clients together.
        clip: with `dp-sgd`, the L2 bound of one unit's gradient; otherwise the clip of the encoding bounds it, and this is None.

    Raises:
        ConfigError: a number out of its range, or a mechanism that does not hide this unit.
    """

    unit: Unit
    mechanism: Mechanism
    noise_multiplier: float
    epsilon: float
    delta: float
    clip: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("unit", get_args(Unit)), ("mechanism", get_args(Mechanism))):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"privacy {name}={getattr(self, name)!r}: one of {', '.join(allowed)}")
        for name in ("noise_multiplier", "epsilon", *(["clip"] if self.clip is not None else [])):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
                raise ConfigError(f"privacy {name}={value!r}: a positive number; without noise and a bound there is no guarantee")
            object.__setattr__(self, name, float(value))
        if self.noise_multiplier > MOST_NOISE:
            raise ConfigError(f"privacy noise_multiplier={self.noise_multiplier:g}: at most {MOST_NOISE:g}")
        check_delta_for(self.unit, self.delta)
        if self.distributed and (self.unit != "organisation" or self.clip is not None):
            raise ConfigError(
                f"{self.mechanism} hides an organisation's whole update, which the protocol's own clip bounds:"
                ' set unit = "organisation" and leave clip out, or use mechanism = "dp-sgd"'
            )
        if not self.distributed and (self.unit == "organisation" or self.clip is None):
            raise ConfigError('dp-sgd hides a record or a customer and needs their clip; for an organisation use mechanism = "skellam"')

    @property
    def distributed(self) -> bool:
        """Whether clients add shares of noise to what they encode."""
        return self.mechanism != "dp-sgd"

    def noise(self, encoding: Encoding, values: int, floors: Floors, *, honest: int | None = None) -> IntegerNoise:
        """The noise of a sum, as seen by the server and the colluders; one share has the variance that is drawn.

        Args:
            honest: shares that the reader of the sum does not know; None: those that are certain to be in any sum that is opened.

        Raises:
            ConfigError: there are no shares, or they are too small or too large for the grid of integers.
        """
        if self.mechanism == "dp-sgd":
            raise ConfigError("with dp-sgd the noise is in the updates, and no share is added to their encoding")
        norm = grid_norm(encoding, values)
        sure = certain(floors)
        variance = (self.noise_multiplier * norm) ** 2 / sure
        check_scale(variance)
        return IntegerNoise(self.mechanism, values, norm, ceil(variance), sure if honest is None else honest)

    def encoding(self, encoding: Encoding, floors: Floors) -> Encoding:
        """`encoding` with head-room for the shares of all parties, whatever the size of the update.

        Raises:
            ConfigError: a ring too narrow for it, or weights: their sum is exact, and would tell of a unit whatever the noise hides.
        """
        if encoding.max_weight != 1:
            raise ConfigError(
                f"max_weight={encoding.max_weight}: under differential privacy all weights are 1, because the sum of the weights has no"
                " noise in it: set max_weight = 1"
            )
        if not self.distributed:
            return encoding
        return replace(encoding, noise_tail=self.tail(encoding, floors))

    def tail(self, encoding: Encoding, floors: Floors) -> int:
        """How far the noise of all parties together reaches, in an update of any size."""
        norm = max(grid_norm(encoding, 1 << size) for size in range(_LARGEST_BLOCK + 1))
        return tail(encoding.max_parties * ceil((self.noise_multiplier * norm) ** 2 / certain(floors)))

    def prove(self, encoding: Encoding, values: int, floors: Floors) -> None:
        """Raise ConfigError unless the terms hold what they promise in a round of these numbers."""
        needed = self.encoding(encoding, floors).noise_tail
        if encoding.noise_tail < needed:
            raise ConfigError(f"the ring has room for noise up to {encoding.noise_tail}, and {needed} is needed")
        if not self.distributed:
            return
        noise = self.noise(encoding, values, floors)
        spent = noise.epsilon(self.delta)
        if spent > self.epsilon:
            raise ConfigError(
                f"noise_multiplier={self.noise_multiplier:g} costs ε = {spent:.4g} at δ = {self.delta:g} in one attempt, and"
                f" ε = {self.epsilon:g} is stated: a multiplier of {self._enough(noise):.4g} keeps it"
            )

    def _enough(self, noise: IntegerNoise) -> float:
        variance = least_variance(
            noise.kind, values=noise.values, norm=noise.norm, shares=noise.shares, epsilon=self.epsilon, delta=self.delta
        )
        return float((variance * noise.shares) ** 0.5 / noise.norm)

    def wire(self) -> pb.Privacy:
        return pb.Privacy(
            unit=self.unit,
            mechanism=self.mechanism,
            noise_multiplier=self.noise_multiplier,
            epsilon=self.epsilon,
            delta=self.delta,
            clip=self.clip or 0.0,
        )

    @classmethod
    def of_wire(cls, wire: pb.Privacy) -> Self:
        """Raises ConfigError."""
        return cls(
            unit=wire.unit,  # type: ignore[arg-type]  # it is checked
            mechanism=wire.mechanism,  # type: ignore[arg-type]  # it is checked
            noise_multiplier=wire.noise_multiplier,
            epsilon=wire.epsilon,
            delta=wire.delta,
            clip=wire.clip or None,
        )

    def __str__(self) -> str:
        return f"{self.mechanism}: ε ≤ {self.epsilon:g} at δ = {self.delta:g} for one {self.unit} and attempt"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyFloor:
    """What one party insists on: a round that hides less is refused.

    Args:
        unit: the smallest that has to be hidden.
        epsilon, delta: what one attempt may cost at most.
        mechanisms: those it takes part in; empty: any.

    Raises:
        ConfigError: a number out of its range.
    """

    unit: Unit
    epsilon: float
    delta: float
    mechanisms: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ConfigError(f"privacy unit={self.unit!r}: one of {', '.join(get_args(Unit))}")
        if not isfinite(self.epsilon) or self.epsilon <= 0:
            raise ConfigError(f"privacy epsilon={self.epsilon}: a positive number")
        check_delta_for(self.unit, self.delta)
        if strange := sorted(self.mechanisms - set(get_args(Mechanism))):
            raise ConfigError(f"privacy mechanisms: {strange[0]!r} is none of {', '.join(get_args(Mechanism))}")

    def refusal(self, terms: PrivacyTerms | None, noise: IntegerNoise | None) -> str | None:
        """In what a round falls short, in one sentence; None: in nothing. `noise` is that of distributed terms."""
        asked = f"this party's policy asks for ε ≤ {self.epsilon:g} at δ = {self.delta:g} for one {self.unit}"
        if terms is None:
            return f"the round adds no noise, and {asked}"
        if _HIDES[terms.unit] < _HIDES[self.unit]:
            return f"the round hides one {terms.unit}, and {asked}"
        if self.mechanisms and terms.mechanism not in self.mechanisms:
            return f"the round's mechanism is {terms.mechanism}, this party's policy takes {', '.join(sorted(self.mechanisms))}"
        if noise is not None:
            spent = noise.epsilon(self.delta)
            return None if spent <= self.epsilon else f"one attempt costs ε = {spent:.4g} at δ = {self.delta:g}, and {asked}"
        if terms.epsilon > self.epsilon or terms.delta > self.delta:
            return f"one attempt may cost ε = {terms.epsilon:g} at δ = {terms.delta:g}, and {asked}"
        return None


def certain(floors: Floors) -> int:
    """Honest shares in any sum that is ever opened (h): those of the smallest set without the clients that may collude.

    A threshold does not count: not every protocol has one, and a coordinator could state any.
    """
    return floors.floor - floors.colluders
