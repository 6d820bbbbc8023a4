"""Rounds with privacy terms, on the memory network: what is paid, when, and what is said of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols import additive, pairwise
from secagg.control import Booked
from secagg.dp.accountant import Steps
from secagg.dp.budget import Budget, BudgetLedger, Purse
from secagg.dp.integer import IntegerNoise
from secagg.envelope import pack
from secagg.errors import BudgetExceeded, ConfigError, InvalidMessage, SessionAborted
from secagg.policy import Policy
from secagg.privacy import PrivacyFloor, PrivacyTerms
from secagg.runtime.attendant import Published, Refused
from secagg.runtime.client import Missed
from secagg.runtime.memory import MemoryNetwork
from secagg.spent import Spent
from tests.simulation.world import NOW, VALUES, World

SHARES = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=4.0, epsilon=1.5, delta=1e-6)
TRAINED = PrivacyTerms(unit="record", mechanism="dp-sgd", noise_multiplier=1.0, epsilon=2.0, delta=1e-5, clip=1.0)
STEPS = Steps(20, 1.2, 0.01)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "secagg")


def plan(terms, kind=additive.Plan, **changes):
    return kind(clients=4, bits=10, max_weight=1, rotation=True, privacy=terms, **changes)


def world(terms: PrivacyTerms, *, limit: float = 10.0, kind: Any = additive.Plan, network: MemoryNetwork | None = None) -> Any:
    """Four clients, each with a budget and a policy that asks for what the terms promise."""
    made: Any = World(plan(terms, kind), aggregators=2 if kind is additive.Plan else 0, network=network)
    unit, units = terms.unit, 4 if terms.unit == "organisation" else 5000
    floor = PrivacyFloor(unit=unit, epsilon=terms.epsilon, delta=terms.delta)
    made.purses = {}
    for name in made.clients:
        ledger = BudgetLedger(":memory:")
        ledger.allow("captions", Budget(unit, units, limit, terms.delta))
        made.purses[name] = Purse(ledger, "captions")
        made.restart(name, policy=Policy(privacy=floor), purse=made.purses[name])
    return made


def entries(of: Any, name: str) -> Any:
    return of.purses[name].ledger.balance("captions").entries


@pytest.mark.parametrize("kind", [additive.Plan, pairwise.Plan])
def test_a_sum_with_shares_is_paid_stated_and_noisy(kind):
    here = world(SHARES, kind=kind)
    here.begin()
    here.submit(*here.clients)
    here.settle()
    opened = here.publish()
    exact = np.mean([here.update(name) for name in here.clients], axis=0)
    assert np.std(opened.mean - exact) == pytest.approx(4.0 * (4 / 2) ** 0.5 / 4, rel=0.4)
    for name in here.clients:
        [published] = here.told(name, Published)
        assert [one.party for one in published.receipt.spent] == here.clients
        [entry] = entries(here, name)
        assert isinstance(entry.steps[0], IntegerNoise)
        assert entry.release == published.receipt.round.ctx.rd.hex()
        assert here.purses[name].ledger.balance("captions").spent.epsilon <= SHARES.epsilon


def test_each_attempt_is_paid_and_has_noise_of_its_own():
    """A server could have opened an attempt that it calls aborted: the next one costs as much again, and shows another sum."""
    here = world(SHARES)
    here.begin()
    here.submit(*here.clients)
    here.network.send(here.coordinator.stop(SessionAborted("on purpose", needed=4)))
    here.network.run(until=lambda: not here.network._queue)
    here.begin()
    here.settle()
    here.publish()
    for name in here.clients:
        assert [(entry.round, entry.attempt) for entry in entries(here, name)] == [(1, 1), (1, 2)]
        once, both = entries(here, name)[0].steps[0].epsilon(1e-6), here.purses[name].ledger.balance("captions").spent.epsilon
        assert once < both < 2 * once


def test_what_is_left_is_looked_at_before_training():
    """A client whose budget is too small for the round is offered no model, and the hub learns no figure of it."""
    here = world(SHARES)
    poor = here.clients[0]
    here.purses[poor].ledger.allow("captions", Budget("organisation", 4, 0.5, 1e-6))
    here.begin()
    [refused] = here.told(poor, Refused)
    assert isinstance(refused.error, BudgetExceeded)
    assert here.coordinator.left == {poor: "BudgetExceeded: this party's privacy budget does not allow the round"}
    here.submit(*here.clients[1:])
    here.settle()
    here.publish()
    assert entries(here, poor) == ()
    assert here.coordinator.total.included == tuple(here.clients[1:])


def test_a_budget_that_another_task_used_up_stops_the_update_before_it_leaves():
    here = world(SHARES)
    late = here.clients[0]
    here.begin()
    here.purses[late].ledger.spend("captions", release="other", task="other", round=1, attempt=1, steps=[Steps(1, 0.55)])
    here.submit(*here.clients)
    assert isinstance(here.told(late, Refused)[0].error, BudgetExceeded)
    here.settle()
    assert late not in here.coordinator.total.included
    assert [entry.task for entry in entries(here, late)] == ["other"]


@pytest.mark.parametrize(("unit", "units", "delta"), [("record", 5000, 1e-6), (None, 0, 0)])
def test_a_budget_for_another_unit_or_none_pays_for_nothing(unit, units, delta):
    here = world(SHARES)
    name, ledger = here.clients[0], BudgetLedger(":memory:")
    if unit is not None:
        ledger.allow("captions", Budget(unit, units, 10.0, delta))
    here.restart(name, purse=Purse(ledger, "captions"))
    here.begin()
    assert "cannot pay" in str(here.told(name, Refused)[0].error)


def test_an_attempt_that_was_paid_is_not_paid_again_after_a_crash_and_not_sent_again():
    here = world(SHARES)
    name = here.clients[0]
    here.begin()
    here.submit(name)
    here.network.run(until=lambda: not here.network._queue)
    here.restart(name, purse=here.purses[name], policy=Policy())
    here.network.send(here.coordinator.describe(name))
    here.network.run(until=lambda: not here.network._queue)
    assert here.agents[name].submit(here.offer(name), here.update(name), 1, here.network.now)[-1].header.kind == "round/Abort"
    assert len(entries(here, name)) == 1


def test_a_training_with_noise_is_held_against_the_terms_and_paid_once():
    """The update may be sent in a second attempt without new cost: it is the same release."""
    here = world(TRAINED)
    here.begin()
    first, offer = here.clients[0], here.offer(here.clients[0])
    client, values, now = here.agents[first], here.update(first), here.network.now
    for spent, error in (
        ([], ConfigError),
        ([Steps(20, 0.9, 0.01)], ConfigError),
        ([Steps(3000, 1.2, 0.05)], BudgetExceeded),
    ):
        with pytest.raises(error):
            client.submit(offer, values, 1, now, spent)
    assert entries(here, first) == ()
    for name in here.clients:
        here.network.send(here.agents[name].submit(here.offer(name), here.update(name), 1, now, [STEPS]))
    here.network.send(here.coordinator.stop(SessionAborted("on purpose", needed=4)))
    here.network.run(until=lambda: not here.network._queue)
    here.begin()
    here.settle()
    opened = here.publish()
    np.testing.assert_allclose(opened.mean, np.full(VALUES, 0.025), atol=1e-2)
    [published] = here.told(first, Published)
    assert published.receipt.costs() is None
    assert {one.epsilon for one in published.receipt.spent} == {TRAINED.epsilon}
    [entry] = entries(here, first)
    assert (entry.release, entry.steps) == (offer.release, (STEPS,))


@pytest.mark.parametrize("before", [replace(TRAINED, noise_multiplier=0.7, epsilon=9.0), None])
def test_an_update_that_was_trained_under_other_terms_is_not_summed_under_these(before):
    """A hub opens a round with little noise or none, then a second attempt with much: the receipt would state what nobody trained with."""
    here = world(TRAINED)
    for name in here.clients:
        here.restart(name, policy=Policy(), purse=here.purses[name])
    here.task.plan = plan(before)
    here.begin()
    here.network.send(here.coordinator.stop(SessionAborted("on purpose", needed=4)))
    here.network.run(until=lambda: not here.network._queue)
    here.task.plan = plan(TRAINED)
    here.begin()
    name = here.clients[0]
    client = here.agents[name]
    assert client.submit(here.offer(name), here.update(name), 1, here.network.now, [Steps(20, 0.8, 0.01)] if before else []) == []
    assert not client.seat.contributed
    assert "no longer those" in here.told(name, Missed)[0].reason


def test_noisy_steps_are_given_only_where_they_are_asked_for():
    here = world(SHARES)
    here.begin()
    name = here.clients[0]
    with pytest.raises(ConfigError, match="without `spent`"):
        here.agents[name].submit(here.offer(name), here.update(name), 1, here.network.now, [STEPS])


def test_a_hub_that_asks_for_less_is_refused_by_every_client_with_the_reason():
    strict = world(SHARES)
    for name in strict.clients:
        strict.restart(name, policy=Policy(privacy=PrivacyFloor(unit="organisation", epsilon=0.5, delta=1e-6)), purse=strict.purses[name])
    strict.begin()
    for name in strict.clients:
        error = strict.told(name, Refused)[0].error
        assert isinstance(error, InvalidMessage)
        assert (error.check, "ε ≤ 0.5" in error.reason) == ("RD-C14", True)
    assert not strict.coordinator.open


def test_a_hub_whose_terms_do_not_hold_is_told_before_the_first_round():
    with pytest.raises(ConfigError, match="a multiplier of"):
        World(plan(replace(SHARES, epsilon=0.5)), aggregators=2)


@pytest.mark.check("DP-C2")
def test_a_client_books_for_itself_alone():
    here = world(SHARES)
    here.begin()
    one, other = here.parties.clients[0], here.parties.clients[1]
    opened = here.coordinator.opened
    honest = Spent.sign(one, opened.ctx.rd, SHARES).to_bytes()
    hub = here.parties.coordinator.party
    here.coordinator.receive(pack(other, opened.ctx, hub, Booked(honest)), NOW)
    assert "DP-C2" in here.coordinator.left.pop(other.party)
    here.coordinator.receive(pack(one, opened.ctx, hub, Booked(Spent.sign(one, bytes(32), SHARES).to_bytes())), NOW)
    assert "DP-C1" in here.coordinator.left.pop(one.party)
    here.coordinator.receive(pack(one, opened.ctx, hub, Booked(honest)), NOW)
    assert here.coordinator.left == {}
