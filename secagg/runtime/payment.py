"""What a client pays for a round, and when: a look before it trains, and the price on disk before anything leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from secagg.dp.accountant import Steps, account
from secagg.dp.budget import Purse
from secagg.dp.integer import IntegerNoise
from secagg.errors import BudgetExceeded, ConfigError
from secagg.privacy import PrivacyFloor, PrivacyTerms
from secagg.round import RoundDescription
from secagg.types import Context


def counted(described: RoundDescription, floor: PrivacyFloor | None) -> IntegerNoise | None:
    """The noise of shares that a party with this floor pays by; None: clients add none."""
    noise = described.noise()
    return noise if noise is None or floor is None else floor.counted(noise)


def look(described: RoundDescription, purse: Purse | None, floor: PrivacyFloor | None) -> None:
    """Raise BudgetExceeded unless what the round would spend is left; a training's own steps are not known yet."""
    if described.privacy is None or purse is None:
        return
    noise = counted(described, floor)
    with _no_money():
        purse.check(described.privacy.unit, [] if noise is None else [noise])


def pay_attempt(noise: IntegerNoise, terms: PrivacyTerms, ctx: Context, purse: Purse | None) -> None:
    """Pay for shares of noise in one attempt: a release of its own, named by `rd`. Raises BudgetExceeded."""
    if purse is not None:
        with _no_money():
            purse.spend(terms.unit, release=ctx.rd.hex(), task=ctx.task, round=ctx.round, attempt=ctx.attempt, steps=[noise])


def pay_training(terms: PrivacyTerms | None, spent: Sequence[Steps], purse: Purse | None, *, release: str, task: str, round: int) -> None:
    """Hold a training's noisy steps against the terms of its round, and pay for them.

    Raises:
        ConfigError: steps that the terms ask for are missing, or not asked for, or have less noise.
        BudgetExceeded: they cost more than the terms or the budget allow.
    """
    if terms is None or terms.distributed:
        if spent:
            raise ConfigError("noisy steps were given, and the round's terms ask for none: submit without `spent`")
        return
    if not spent:
        raise ConfigError(f"the round asks for a training with noise ({terms}): submit with the noisy steps that it took, as `spent`")
    if quiet := [one for one in spent if one.noise_multiplier < terms.noise_multiplier]:
        raise ConfigError(f"noise_multiplier={quiet[0].noise_multiplier:g} in the training, the round asks for {terms.noise_multiplier:g}")
    cost = account(spent, delta=terms.delta, unit=terms.unit)
    if cost.epsilon > terms.epsilon:
        raise BudgetExceeded(f"the training cost {cost}, and the round's terms allow {terms}: nothing was sent; take fewer steps")
    if purse is not None:
        with _no_money():
            purse.spend(terms.unit, release=release, task=task, round=round, attempt=1, steps=spent)


@contextmanager
def _no_money() -> Iterator[None]:
    """A budget that is missing, for another unit, or out of reach pays nothing either."""
    try:
        yield
    except ConfigError as refused:
        raise BudgetExceeded(f"the budget cannot pay for this round: {refused}") from refused
