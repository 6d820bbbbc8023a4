"""What a party in a stack insists on and pays: before it trains, once for each attempt, and whatever a job of the server's says."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols import additive
from secagg.adapters.own import own_terms
from secagg.adapters.party import Party
from secagg.adapters.relay import Relay
from secagg.dp.accountant import Steps
from secagg.dp.budget import Budget, BudgetLedger, Purse
from secagg.errors import BudgetExceeded, ConfigError, SessionAborted
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.privacy import PrivacyFloor, PrivacyTerms
from secagg.testing.consortium import consortium

SHARES = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=4.0, epsilon=1.5, delta=1e-6)
TRAINED = PrivacyTerms(unit="record", mechanism="dp-sgd", noise_multiplier=1.0, epsilon=2.0, delta=1e-5, clip=1.0)
STEPS = Steps(20, 1.2, 0.01)
NAMES = tuple(f"client-{index}" for index in range(4))
MODEL = {"w": np.zeros(64, np.float32)}


def purse(terms: PrivacyTerms, limit: float = 10.0) -> Purse:
    ledger = BudgetLedger(":memory:")
    ledger.allow("captions", Budget(terms.unit, 4 if terms.distributed else 5000, limit, terms.delta))
    return Purse(ledger, "captions")


class World:
    """Four clients with a budget each, called by a stack that makes a new `Party` for each message."""

    def __init__(self, terms: PrivacyTerms, limits: dict[str, float] | None = None) -> None:
        plan = additive.Plan(clients=4, bits=10, max_weight=1, rotation=True, privacy=terms)
        self.parties, self.terms = consortium(4, 2, now=time.time(), entropy=os.urandom), terms
        self.relay = Relay(plan, self.parties.coordinator, beside=self.parties.aggregators, ledger=Ledger())
        self.purses = {name: purse(terms, (limits or {}).get(name, 10.0)) for name in NAMES}
        self.disks = {name: Ledger() for name in NAMES}
        self.policy = Policy(privacy=PrivacyFloor(unit=terms.unit, epsilon=terms.epsilon, delta=terms.delta))
        self.trained: list[str] = []
        self.crashes = set[str]()

    def party(self, name: str, **changes: Any) -> Party:
        given: dict[str, Any] = {"policy": self.policy, "budget": self.purses[name], "ledger": self.disks[name]}
        return Party(self.parties.identity(name), **{**given, **changes})

    def answer(self, name: str, bag: bytes) -> bytes:
        with self.party(name) as party:

            def train(model: Any) -> Any:
                assert party.privacy == self.terms
                self.trained.append(name)
                update = {"w": np.full(64, 0.01, np.float32)}
                return (update, 40) if self.terms.distributed else (update, 40, [STEPS])

            back = party.answer(bag, train)
        if name in self.crashes:
            self.crashes.remove(name)
            raise ConnectionError(name)
        return back

    def exchange(self, bags: Any, seconds: float) -> Iterator[bytes]:
        for name, bag in bags.items():
            try:
                yield self.answer(name, bag)
            except ConnectionError:  # the stack sends the same once more
                yield self.answer(name, bag)

    def run(self) -> Any:
        return self.relay.aggregate(MODEL, NAMES, self.exchange, seconds=10)

    def entries(self, name: str) -> int:
        return len(self.purses[name].ledger.balance("captions").entries)


@pytest.mark.parametrize("terms", [SHARES, TRAINED], ids=["shares", "dp-sgd"])
def test_each_round_is_paid_by_everybody_in_it_and_counts_every_update_once(terms: PrivacyTerms) -> None:
    world = World(terms)
    for number in (1, 2):
        result = world.run()
        assert (result.included, result.weight) == (NAMES, 4)
        assert [one.party for one in result.receipt.spent] == list(NAMES)
        assert {world.entries(name) for name in NAMES} == {number}


def test_who_cannot_pay_is_not_trained_and_nothing_is_spent() -> None:
    world = World(SHARES, {"client-2": 0.5})
    result = world.run()
    assert "client-2" not in (*world.trained, *result.included)
    assert result.left["client-2"].endswith("this party's privacy budget does not allow the round")
    assert world.entries("client-2") == 0


@pytest.mark.parametrize("terms", [SHARES, TRAINED], ids=["shares", "dp-sgd"])
def test_a_message_that_the_stack_repeats_is_paid_once_and_says_nothing_new(terms: PrivacyTerms) -> None:
    """The answer to the first was lost after it was paid: whatever the second says, no other update leaves under that payment."""
    world = World(terms)
    world.crashes = {"client-1"}
    result = world.run()
    assert world.entries("client-1") == 1
    assert "client-1" not in result.included
    assert world.trained.count("client-1") == (2 if terms.distributed else 1)


def test_without_a_record_of_what_was_said_a_repeated_message_would_show_two_updates_for_one_price() -> None:
    """The weakened copy keeps no ledger: the second answer goes out, with fresh noise and the same name in the budget."""
    world = World(SHARES)
    world.crashes = {"client-1"}
    world.party = lambda name, **_: Party(  # type: ignore[method-assign]
        world.parties.identity(name), policy=world.policy, budget=world.purses[name], ledger=Ledger()
    )
    assert "client-1" in world.run().included
    assert world.entries("client-1") == 1


def test_a_hub_that_promises_less_than_a_party_asks_for_trains_nobody() -> None:
    world = World(SHARES)
    world.policy = Policy(privacy=PrivacyFloor(unit="organisation", epsilon=0.5, delta=1e-6))
    with pytest.raises(SessionAborted, match=r"ε ≤ 0\.5"):
        world.run()
    assert world.trained == []


def _given(answer: Any, _: Any) -> Any:
    return answer


def test_steps_that_the_terms_do_not_allow_are_neither_paid_nor_sent() -> None:
    world = World(TRAINED)
    [bag, *_] = world.relay.begin(MODEL, NAMES).values()
    update = {"w": np.zeros(64, np.float32)}
    answers: list[tuple[Any, type[Exception]]] = [
        ((update, 1), ConfigError),
        ((update, 1, [Steps(20, 0.5, 0.01)]), ConfigError),
        ((update, 1, [Steps(3000, 1.2, 0.05)]), BudgetExceeded),
    ]
    for answer, refused in answers:
        with world.party("client-0", ledger=Ledger()) as party, pytest.raises(refused):
            party.answer(bag, partial(_given, answer))
    assert world.entries("client-0") == 0


def test_a_policy_that_asks_for_privacy_needs_a_budget() -> None:
    with pytest.raises(ConfigError, match="give the budget"):
        World(SHARES).party("client-0", budget=None)


def test_the_file_in_a_partys_folder_goes_before_what_a_job_says(tmp_path: Path) -> None:
    given = Policy(min_bits=9)
    with own_terms(tmp_path, given) as terms:
        assert terms == (given, None)
    (tmp_path / "policy.toml").write_text(
        '[policy]\nn_min = 5\n[policy.privacy]\nunit = "organisation"\nepsilon = 1.0\ndelta = 1e-6\n'
        '[budget]\nfile = "budget.sqlite"\ndata = "captions"\n'
    )
    with pytest.raises(ConfigError, match="secagg budget set"), own_terms(tmp_path, given):
        pass
    with BudgetLedger(tmp_path / "budget.sqlite") as ledger:
        ledger.allow("captions", Budget("organisation", 4, 2.0, 1e-6))
    with own_terms(tmp_path, given) as (policy, budget):
        assert policy is not None
        assert budget is not None
        assert (policy.floors.n_min, policy.privacy, budget.data) == (
            5,
            PrivacyFloor(unit="organisation", epsilon=1.0, delta=1e-6),
            "captions",
        )
    (tmp_path / "policy.toml").write_text("[policy]\nn_mni = 5\n")
    with pytest.raises(ConfigError, match=r"policy\.toml:2"), own_terms(tmp_path):
        pass
