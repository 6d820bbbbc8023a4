"""What a training promises, and what it costs: unit, clip, noise, δ, and from them the noisy steps that an accountant counts."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from secagg.dp.accountant import Guarantee, Steps, account, check_delta, noise_for
from secagg.dp.budget import BudgetLedger
from secagg.errors import ConfigError

LEAST_UNITS = 4
"""Fewer are refused: their sum hides nobody, and the start-up probe has too few to compare."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """What one unit of the training data is promised.

    Args:
        target_epsilon: ε of all `rounds` trainings together; the noise follows. Or:
        noise_multiplier: standard deviation of the noise in units of the clip (σ); ε follows.
        delta: probability with which more may be lost: under one in the number of units.
        clip: L2 bound of what one unit adds to a step, in the units of the gradient (C).
        unit: `record` (one example) or `customer` (all examples with one user id).
        most_per_customer: examples of one customer that a step uses; of more, so many are drawn anew each time.
        rounds: how often a training like this is run on the same data in all: once for each round of a federation.

    Raises:
        ConfigError: a number out of its range; both or neither of `target_epsilon` and `noise_multiplier`.
    """

    delta: float
    target_epsilon: float | None = None
    noise_multiplier: float | None = None
    clip: float = 1.0
    unit: Literal["record", "customer"] = "record"
    most_per_customer: int = 8
    rounds: int = 1

    def __post_init__(self) -> None:
        if self.unit not in ("record", "customer"):
            raise ConfigError(
                f"unit={self.unit!r}: a training of one party hides a record or a customer; a whole organisation is hidden by noise that is"
                " added before the sum (secagg.dp.distributed)"
            )
        if (self.target_epsilon is None) == (self.noise_multiplier is None):
            raise ConfigError("give target_epsilon, and the noise follows, or noise_multiplier, and ε follows: one of them, not both")
        for name in ("target_epsilon", "noise_multiplier", "clip", "delta"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0):
                raise ConfigError(f"{name}={value!r}: a positive number expected; without noise or a clip nothing is promised")
        if self.delta >= 1:
            raise ConfigError(f"delta={self.delta}: under one in the number of units")
        for name in ("most_per_customer", "rounds"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)!r}: a whole number of at least 1")

    def steps(self, units: int, *, batch: float, steps: int) -> Steps:
        """The noisy steps of one training on `units` units that takes `steps` steps of `batch` units each, on average.

        Raises:
            ConfigError: a batch of more units than there are, too few units, a δ too large for them, or a target that no noise reaches.
        """
        if units < LEAST_UNITS:
            raise ConfigError(
                f"{units} {self.unit}s: at least {LEAST_UNITS} are needed, and hundreds before the noise leaves anything to learn"
            )
        if not 1 <= batch <= units:
            raise ConfigError(
                f"batch={batch}: from 1 to the {units} {self.unit}s that there are; it is the average size of a Poisson sample"
            )
        check_delta(self.delta, units)
        sampling = batch / units
        if type(steps) is not int or steps < 1:
            raise ConfigError(f"steps={steps!r}: a whole number of at least 1")
        noise = self.noise_multiplier
        if noise is None:
            assert self.target_epsilon is not None  # noqa: S101  # one of the two is given
            noise = noise_for(self.target_epsilon, delta=self.delta, count=steps * self.rounds, sampling=sampling, unit=self.unit)
        return Steps(steps, noise, sampling)

    def guarantee(self, steps: Steps) -> Guarantee:
        """What all `rounds` trainings of `steps` leave to one unit."""
        return account([Steps(steps.count * self.rounds, steps.noise_multiplier, steps.sampling)], delta=self.delta, unit=self.unit)


@dataclass(frozen=True, slots=True)
class Payment:
    """From which budget a training is paid, and under what name it stands there.

    Args:
        ledger, data: the party's ledger, and the name of the data set in it.
        release: what no other release is called: `rd` of the round in hexadecimal, or a fresh random name.
        task, round, attempt: what it was for, to be read later.
    """

    ledger: BudgetLedger
    data: str
    release: str
    task: str = "training"
    round: int = 0
    attempt: int = 1

    def spend(self, steps: Steps, privacy: Privacy, units: int) -> Guarantee:
        """Record what a training spends, before its first step. Returns the total of the data set.

        Raises:
            BudgetExceeded: the total would pass the limit: nothing was recorded and nothing may be trained.
            ConfigError: the budget is for another unit, or for fewer units than the training has.
            LocalProtocolError: a release of this name was paid for before: a training that is run again is another release.
        """
        budget = self.ledger.budget(self.data)
        if budget.unit != privacy.unit:
            raise ConfigError(f"the budget of {self.data!r} is for one {budget.unit}, this training hides one {privacy.unit}")
        if units > budget.units:
            raise ConfigError(
                f"{units} {privacy.unit}s are trained on and the budget of {self.data!r} was set for {budget.units}: set it for as many"
            )
        return self.ledger.spend(
            self.data, release=self.release, task=self.task, round=self.round, attempt=self.attempt, steps=[steps], anew=True
        )
