"""The unit "customer" from end to end: records grouped by user id and capped, paid, summed with weight 1, stated in the receipt."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import secagg
from protocols import additive
from secagg.dp.accountant import Steps
from secagg.dp.budget import Budget, BudgetLedger, Purse
from secagg.dp.local import Privacy, train
from secagg.errors import ConfigError, InvalidMessage, SessionAborted
from secagg.lora import adapter_state
from secagg.policy import Policy
from secagg.privacy import PrivacyFloor, PrivacyTerms
from tests.unit.dp.local.data import entropy, model, records

TERMS = PrivacyTerms(unit="customer", mechanism="dp-sgd", noise_multiplier=1.5, epsilon=8.0, delta=1e-3, clip=0.05)


def trained(terms: PrivacyTerms) -> tuple[dict[str, Any], tuple[Steps, ...]]:
    """One company's change and steps: forty records of ten customers, of whom three records each are used."""
    given, examples = model(), records(40)
    before = {name: value.clone() for name, value in adapter_state(given).items()}
    privacy = Privacy(
        delta=terms.delta, noise_multiplier=terms.noise_multiplier, clip=terms.clip or 0.05, unit="customer", most_per_customer=3
    )
    done = train(given, examples, privacy, steps=2, payment=None, batch=5, customers=[n % 10 for n in range(40)], entropy=entropy())
    return {name: value - before[name] for name, value in adapter_state(given).items()}, (done.steps,)


def purse(unit: Any, units: int) -> Purse:
    ledger = BudgetLedger(":memory:")
    ledger.allow("captions", Budget(unit, units, 20.0, TERMS.delta))
    return Purse(ledger, "captions")


@pytest.mark.slow
def test_customers_are_trained_paid_summed_and_stated() -> None:
    update, spent = trained(TERMS)
    plan = additive.Plan(clients=3, max_weight=1, privacy=TERMS)
    policy = Policy(privacy=PrivacyFloor(unit="customer", epsilon=8.0, delta=TERMS.delta))
    budgets = [purse("customer", 10) for _ in range(3)]
    result = secagg.simulate(plan, [update] * 3, policy=policy, budgets=budgets, spent=[spent] * 3)
    assert (len(result.included), result.weight) == (3, 3)
    terms = result.receipt.round.description.privacy
    assert terms is not None
    assert (terms.unit, len(result.receipt.spent)) == ("customer", 3)
    for one in budgets:
        [entry] = one.ledger.balance("captions").entries
        assert entry.steps == spent
        assert one.ledger.balance("captions").spent.unit == "customer"
    assert spent[0].sampling == pytest.approx(0.5)  # of ten customers five a step, not of forty records
    with pytest.raises(ConfigError, match="max_weight"):
        additive.Plan(clients=3, max_weight=40, privacy=TERMS)
    for name, value in update.items():
        torch.testing.assert_close(result.mean[name], value, atol=1e-3, rtol=0)


def test_a_round_for_records_is_refused_where_customers_are_asked_for_and_a_budget_for_records_pays_for_no_customer() -> None:
    update = {"w": torch.zeros(4)}
    records_only = PrivacyTerms(unit="record", mechanism="dp-sgd", noise_multiplier=1.5, epsilon=8.0, delta=1e-3, clip=0.05)
    policy = Policy(privacy=PrivacyFloor(unit="customer", epsilon=8.0, delta=1e-3))
    with pytest.raises((SessionAborted, InvalidMessage), match="hides one record"):
        secagg.simulate(additive.Plan(clients=3, max_weight=1, privacy=records_only), [update] * 3, policy=policy)
    plan, budgets = additive.Plan(clients=3, max_weight=1, privacy=TERMS), [purse("record", 40) for _ in range(3)]
    with pytest.raises(SessionAborted, match="budget does not allow"):
        secagg.simulate(plan, [update] * 3, budgets=budgets, spent=[[Steps(2, 1.5, 0.5)]] * 3)
