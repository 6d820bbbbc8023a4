"""The privacy terms of a round: whom the noise hides, how it is made, and what one attempt may cost. The hub states them in the signed
description; each party proves them again, holds them against its own floor, and takes part or not.

    dp-sgd               each client trains with noise (its own accountant says what that cost), and the sum adds noisy updates
    skellam              each client clips its update and adds a share of integer noise, sized for the honest shares that are certain to be
    discrete-gaussian    in any sum that is opened; one organisation's whole update is hidden
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

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
        aggregator_noise: standard deviation over the clip of the noise that each aggregator adds to its share of the sum, so that ε does
            not rest on the clients alone; 0: none. With `skellam` in `additive` only.

    Raises:
        ConfigError: a number out of its range, or a mechanism that does not hide this unit.
    """

    unit: Unit
    mechanism: Mechanism
    noise_multiplier: float
    epsilon: float
    delta: float
    clip: float | None = None
    aggregator_noise: float = 0.0

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
        self._check_aggregators()
        check_delta_for(self.unit, self.delta)
        if self.distributed and (self.unit != "organisation" or self.clip is not None):
            raise ConfigError(
                f"{self.mechanism} hides an organisation's whole update, which the protocol's own clip bounds:"
                ' set unit = "organisation" and leave clip out, or use mechanism = "dp-sgd"'
            )
        if not self.distributed and (self.unit == "organisation" or self.clip is None):
            raise ConfigError('dp-sgd hides a record or a customer and needs their clip; for an organisation use mechanism = "skellam"')

    def _check_aggregators(self) -> None:
        value: Any = self.aggregator_noise
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_NOISE:
            raise ConfigError(f"privacy aggregator_noise={value!r}: a number from 0 to {MOST_NOISE:g}")
        object.__setattr__(self, "aggregator_noise", float(value))
        if value and self.mechanism != "skellam":
            raise ConfigError(
                f"aggregator_noise={value:g} beside {self.mechanism}: the sum of clients' shares and aggregators' noise of another size is"
                ' accounted for Skellam noise only: set mechanism = "skellam", or leave aggregator_noise out'
            )

    @property
    def distributed(self) -> bool:
        """Whether clients add shares of noise to what they encode."""
        return self.mechanism != "dp-sgd"

    def noise(self, encoding: Encoding, values: int, floors: Floors, *, honest: int | None = None, aggregators: int = 1) -> IntegerNoise:
        """The noise of a sum, as seen by the server and the colluders; one share has the variance that is drawn.

        Args:
            honest: shares that the reader of the sum does not know; None: those that are certain to be in any sum that is opened.
            aggregators: those whose noise the reader does not know. One is honest, or the protocol hides nothing anyhow.

        Raises:
            ConfigError: there are no shares, or they are too small or too large for the grid of integers.
        """
        if self.mechanism == "dp-sgd":
            raise ConfigError("with dp-sgd the noise is in the updates, and no share is added to their encoding")
        norm = grid_norm(encoding, values)
        sure = certain(floors)
        variance = (self.noise_multiplier * norm) ** 2 / sure
        check_scale(variance)
        more = float(aggregators * self.aggregator_variance(encoding, values))
        return IntegerNoise(self.mechanism, values, norm, ceil(variance), sure if honest is None else honest, more=more)

    def aggregator_variance(self, encoding: Encoding, values: int) -> int:
        """Variance of what one aggregator adds, in squared grid steps; 0: nothing. Raises ConfigError for noise that the grid loses."""
        if not self.aggregator_noise:
            return 0
        variance = ceil((self.aggregator_noise * grid_norm(encoding, values)) ** 2)
        check_scale(variance)
        return variance

    def encoding(self, encoding: Encoding, floors: Floors, *, aggregators: int = 0) -> Encoding:
        """`encoding` with head-room for the noise of all parties, whatever the size of the update.

        Args:
            aggregators: those of the protocol that add noise if the terms ask for it; 0: it has none.

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
        if self.aggregator_noise and not aggregators:
            raise ConfigError("aggregator_noise: this protocol has no aggregators that add noise: use `additive`, or leave it out")
        return replace(encoding, noise_tail=self.tail(encoding, floors, aggregators=aggregators))

    def tail(self, encoding: Encoding, floors: Floors, *, aggregators: int = 0) -> int:
        """How far the noise of all parties together reaches, in an update of any size."""
        norm = max(grid_norm(encoding, 1 << size) for size in range(_LARGEST_BLOCK + 1))
        shares = encoding.max_parties * ceil((self.noise_multiplier * norm) ** 2 / certain(floors))
        return tail(shares + aggregators * ceil((self.aggregator_noise * norm) ** 2))

    def prove(self, encoding: Encoding, values: int, floors: Floors, *, aggregators: int = 0) -> None:
        """Raise ConfigError unless the terms hold what they promise in a round of these numbers."""
        needed = self.encoding(encoding, floors, aggregators=aggregators).noise_tail
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
            aggregator_noise=self.aggregator_noise,
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
            aggregator_noise=wire.aggregator_noise,
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
        epsilon_alone: what one attempt may cost at most where no other client has added its noise; None: it is not asked. The update then
            has its own share over it, and what an honest aggregator adds.
        trust_aggregators: whether the noise of one honest aggregator counts; False: ε has to hold by the clients' shares.

    Raises:
        ConfigError: a number out of its range.
    """

    unit: Unit
    epsilon: float
    delta: float
    mechanisms: frozenset[str] = frozenset()
    epsilon_alone: float | None = None
    trust_aggregators: bool = True

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ConfigError(f"privacy unit={self.unit!r}: one of {', '.join(get_args(Unit))}")
        if not isfinite(self.epsilon) or self.epsilon <= 0:
            raise ConfigError(f"privacy epsilon={self.epsilon}: a positive number")
        if self.epsilon_alone is not None and (self.unit != "organisation" or not isfinite(self.epsilon_alone) or self.epsilon_alone <= 0):
            raise ConfigError(f"privacy epsilon_alone={self.epsilon_alone}: a positive number, and for an organisation only")
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
            return self._short(noise, asked)
        if terms.epsilon > self.epsilon or terms.delta > self.delta:
            return f"one attempt may cost ε = {terms.epsilon:g} at δ = {terms.delta:g}, and {asked}"
        return None

    def counted(self, noise: IntegerNoise) -> IntegerNoise:
        """What of `noise` this party counts on: when it is held against this floor, and when it is paid for."""
        return noise if self.trust_aggregators else replace(noise, more=0.0)

    def _short(self, noise: IntegerNoise, asked: str) -> str | None:
        counted = self.counted(noise)
        spent, alone = counted.epsilon(self.delta), counted.against(1).epsilon(self.delta)
        if spent > self.epsilon:
            without = "" if self.trust_aggregators or not noise.more else " without the aggregators' noise"
            return f"one attempt costs ε = {spent:.4g} at δ = {self.delta:g}{without}, and {asked}"
        if self.epsilon_alone is not None and alone > self.epsilon_alone:
            return (
                f"if no other client adds its noise, one attempt costs ε = {alone:.4g} at δ = {self.delta:g}, and this party's policy asks"
                f" for {self.epsilon_alone:g}: a larger aggregator_noise gives it"
            )
        return None


def certain(floors: Floors) -> int:
    """Honest shares in any sum that is ever opened (h): those of the smallest set without the clients that may collude.

    A threshold does not count: not every protocol has one, and a coordinator could state any.
    """
    return floors.floor - floors.colluders
