"""`simulate` with budgets: as over the network, who cannot pay is not asked for its update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import secagg
from protocols import additive
from secagg.dp.accountant import Steps
from secagg.dp.budget import Budget, BudgetLedger, Purse
from secagg.errors import BudgetExceeded, ConfigError
from secagg.policy import Policy
from secagg.privacy import PrivacyFloor, PrivacyTerms
from secagg.types import PartyId

SHARES = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=4.0, epsilon=1.5, delta=1e-6)
TRAINED = PrivacyTerms(unit="customer", mechanism="dp-sgd", noise_multiplier=1.0, epsilon=2.0, delta=1e-5, clip=1.0)
STEPS = Steps(20, 1.2, 0.01)


class Read(Sequence[Any]):
    """Updates that tell which of them were looked at."""

    def __init__(self) -> None:
        self.seen = set[int]()

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: Any) -> Any:
        self.seen.add(index)
        return {"w": np.full(64, 0.01 * index, np.float32)}


def purses(terms: PrivacyTerms, *limits: float) -> list[Purse]:
    made = []
    for limit in limits:
        ledger = BudgetLedger(":memory:")
        ledger.allow("captions", Budget(terms.unit, 4 if terms.distributed else 5000, limit, terms.delta))
        made.append(Purse(ledger, "captions"))
    return made


def plan(terms: PrivacyTerms) -> additive.Plan:
    return additive.Plan(clients=4, bits=10, max_weight=1, rotation=True, privacy=terms)


def test_rounds_are_paid_until_the_budget_stops_them() -> None:
    updates, budgets = Read(), purses(SHARES, 10.0, 10.0, 10.0, 2.0)
    included = [len(secagg.simulate(plan(SHARES), updates, budgets=budgets).included) for _ in range(3)]
    assert included == [4, 4, 3]
    assert [len(one.ledger.balance("captions").entries) for one in budgets] == [3, 3, 3, 2]
    poor = purses(SHARES, 10.0, 10.0, 10.0, 0.1)
    updates.seen.clear()
    result = secagg.simulate(plan(SHARES), updates, budgets=poor)
    assert (len(result.included), 3 in updates.seen) == (3, False)
    assert "budget does not allow" in result.left[PartyId("client-3")]


def test_a_party_that_does_not_count_on_aggregators_pays_as_if_they_added_nothing() -> None:
    terms = replace(SHARES, epsilon=1.4, aggregator_noise=4.0)
    spent = {}
    for trusts in (True, False):
        floor = PrivacyFloor(unit="organisation", epsilon=1.5, delta=1e-6, trust_aggregators=trusts)
        budgets = purses(terms, 10.0, 10.0, 10.0, 10.0)
        assert len(secagg.simulate(plan(terms), Read(), policy=Policy(privacy=floor), budgets=budgets).included) == 4
        spent[trusts] = budgets[0].ledger.balance("captions").spent.epsilon
    plain = purses(SHARES, 10.0, 10.0, 10.0, 10.0)
    secagg.simulate(plan(SHARES), Read(), budgets=plain)
    assert spent[True] < 0.9 * spent[False]
    assert spent[False] == plain[0].ledger.balance("captions").spent.epsilon


def test_noisy_steps_are_paid_and_held_against_the_terms() -> None:
    budgets = purses(TRAINED, 10.0, 10.0, 10.0, 10.0)
    assert len(secagg.simulate(plan(TRAINED), Read(), budgets=budgets, spent=[[STEPS]] * 4).included) == 4
    assert [one.ledger.balance("captions").entries[0].steps for one in budgets] == [(STEPS,)] * 4
    with pytest.raises(ConfigError, match="the round asks for"):
        secagg.simulate(plan(TRAINED), Read(), budgets=budgets, spent=[[Steps(20, 0.5, 0.01)]] * 4)
    with pytest.raises(BudgetExceeded):
        secagg.simulate(plan(TRAINED), Read(), budgets=budgets, spent=[[Steps(3000, 1.2, 0.05)]] * 4)


def test_there_is_a_budget_for_each_update_or_none() -> None:
    with pytest.raises(ConfigError, match="3 budgets for 4 updates"):
        secagg.simulate(plan(SHARES), Read(), budgets=purses(SHARES, 1.0, 1.0, 1.0))
    with pytest.raises(ConfigError, match="in this process"):
        secagg.simulate(plan(SHARES), Read(), budgets=purses(SHARES, 1.0, 1.0, 1.0, 1.0), engine="ray")
