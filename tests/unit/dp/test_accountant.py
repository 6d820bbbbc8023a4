"""ε of noisy steps: reference rows, composition, calibration, and figures that are refused rather than stated."""

from __future__ import annotations

import json

import pytest

from secagg.dp import accountant
from secagg.dp.accountant import Guarantee, Steps, account, adaptive, check, check_delta, noise_for, spending_from, spending_to
from secagg.dp.integer import IntegerNoise
from secagg.errors import ConfigError

pytest.importorskip("dp_accounting")
MNIST = 256 / 60_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampling", "noise", "count", "epsilon", "rdp"),
    [
        (MNIST, 1.3, 3510, 0.8638, 0.9538),
        (MNIST, 1.1, 14040, 2.3796, 2.5944),
        (MNIST, 0.7, 10530, 5.6351, 6.3149),
        (0.01, 1.0, 1000, 1.8282, 2.1014),
        (1.0, 1.0, 1, 4.3772, 4.7285),
    ],
)
def test_known_mechanisms_cost_what_is_known(sampling, noise, count, epsilon, rdp):
    found = account([Steps(count, noise, sampling)], delta=1e-5, unit="record")
    assert found.epsilon == pytest.approx(epsilon, abs=6e-5)
    assert found.rdp_epsilon == pytest.approx(rdp, abs=6e-5)


def test_steps_cost_the_same_in_any_order_and_in_any_parts():
    whole = account([Steps(4, 2.0), Steps(2, 3.0)], delta=1e-6, unit="organisation")
    parts = account([Steps(1, 2.0), Steps(2, 3.0), Steps(3, 2.0)], delta=1e-6, unit="organisation")
    assert whole == parts


def test_no_steps_cost_nothing_and_more_steps_cost_more():
    assert account([], delta=1e-5, unit="record").epsilon == 0
    one, two = (account([Steps(count, 3.0)], delta=1e-5, unit="record").epsilon for count in (1, 2))
    assert 0 < one < two


@pytest.mark.slow
def test_the_reported_epsilon_is_never_above_the_check():
    for noise in (0.8, 2.0, 5.0):
        found = account([Steps(10, noise)], delta=1e-5, unit="record")
        assert found.epsilon <= found.rdp_epsilon


def test_a_bound_above_a_proved_one_is_not_stated(monkeypatch):
    check(5.0, 5.8)
    check(0.05, 0.13)
    with pytest.raises(ConfigError, match="contradict"):
        check(5.0, 4.9)
    monkeypatch.setattr(accountant, "_by_renyi", lambda steps, delta: 1.0)
    with pytest.raises(ConfigError, match="contradict"):
        account([Steps(10, 1.0)], delta=1e-5, unit="record")


@pytest.mark.slow
def test_more_steps_never_cost_less_wherever_the_check_is_loose():
    spent = [account([Steps(count, 0.8, 0.005)], delta=1e-5, unit="record").epsilon for count in (1, 10, 100, 150)]
    assert spent == sorted(spent)


def test_hopeless_noise_is_accounted_at_once():
    found = account([Steps(100, 0.2)], delta=1e-5, unit="record")
    assert found.epsilon == found.rdp_epsilon > 64


def test_the_same_noise_is_the_same_however_it_is_written():
    assert repr(Steps(1, 4, 1)) == repr(Steps(1, 4.0, 1.0))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [Steps(10_000, 0.8, 0.001), Steps(10, 0.5, 0.01), Steps(3, 0.8, 0.1), Steps(1000, 2.0, 0.001)])
def test_ordinary_training_is_accounted_where_the_check_is_loose(steps):
    found = account([steps], delta=1e-5, unit="record")
    assert 0 < found.epsilon <= found.rdp_epsilon


@pytest.mark.slow
def test_calibrated_noise_spends_the_target_and_not_more():
    noise = noise_for(3.0, delta=1e-5, count=20)
    assert account([Steps(20, noise)], delta=1e-5, unit="record").epsilon <= 3.0
    assert account([Steps(20, noise * 0.995)], delta=1e-5, unit="record").epsilon > 3.0
    after = noise_for(3.0, delta=1e-5, count=20, spent=[Steps(5, 4.0)])
    assert after > noise
    assert account([Steps(5, 4.0), Steps(20, after)], delta=1e-5, unit="record").epsilon <= 3.0


def test_a_budget_that_is_used_up_is_not_stretched():
    with pytest.raises(ConfigError, match="spent already"):
        noise_for(1.0, delta=1e-5, count=1, spent=[Steps(10, 1.0)])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Steps(0, 1.0),
        lambda: Steps(True, 1.0),
        lambda: Steps(1, 0.0),
        lambda: Steps(1, "4"),  # type: ignore[arg-type]
        lambda: Steps(1, None),  # type: ignore[arg-type]
        lambda: Steps(1, True),
        lambda: Steps(1, float("inf")),
        lambda: Steps(1, 1.0, 0.0),
        lambda: Steps(1, 1.0, 1.1),
        lambda: account([Steps(1, 1.0)], delta=0.0, unit="record"),
        lambda: account([Steps(1, 1.0)], delta=1.0, unit="record"),
        lambda: noise_for(0.0, delta=1e-5, count=1),
        lambda: check_delta(0.001, 1000),
    ],
)
def test_numbers_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()


def test_a_guarantee_says_for_whom():
    assert str(Guarantee("customer", 2.5, 1e-6, 2.7)) == "ε = 2.5 at δ = 1e-06 for one customer"
    check_delta(1e-5, 1000)


def summed(count: int = 1) -> IntegerNoise:
    """Integer noise that is nearly Gaussian, of multiplier 4."""
    return IntegerNoise("skellam", 100, 10_000.0, 800_000_000, 2, count)


def test_integer_noise_costs_what_gaussian_noise_of_its_multiplier_does():
    guarantee = account([summed(), summed(), summed(8)], delta=1e-6, unit="organisation")
    assert guarantee.epsilon == pytest.approx(account([Steps(10, 4.0)], delta=1e-6, unit="organisation").rdp_epsilon, rel=0.02)
    assert guarantee.epsilon > account([summed(9)], delta=1e-6, unit="organisation").epsilon


def test_steps_that_cost_next_to_nothing_do_not_make_a_filter_forget_what_was_spent():
    """dp-accounting states ε = 0 for a divergence under δ²; taken for a part of a sum that would be a negative one."""
    alone = adaptive([summed()], limit=3.0, delta=1e-6)
    for noise in (1e4, 1e6, 1e9):
        assert alone <= adaptive([summed(), Steps(1, noise)], limit=3.0, delta=1e-6) == pytest.approx(alone, abs=1e-6)


def test_both_kinds_of_noise_together_cost_more_than_each_and_at_most_the_sum():
    mixed = account([summed(), Steps(5, 4.0)], delta=1e-6, unit="organisation").epsilon
    halves = [account([one], delta=5e-7, unit="organisation").epsilon for one in (summed(), Steps(5, 4.0))]
    assert mixed == pytest.approx(sum(halves))
    chosen = adaptive([summed(), Steps(5, 4.0)], limit=3.0, delta=1e-6)
    assert max(halves) < chosen < sum(halves) + 1
    assert adaptive([summed(), summed(5)], limit=3.0, delta=1e-6) >= account([summed(6)], delta=1e-6, unit="organisation").epsilon - 1e-9


def test_what_was_spent_is_written_down_and_read_again():
    for one in (Steps(3, 1.5, 0.1), summed(3)):
        assert spending_from(json.loads(json.dumps(spending_to(one)))) == one


@pytest.mark.parametrize("epsilon", [1.23411, 7.99996, 0.5, 0.00012341, 12342.6, 0.0])
def test_an_epsilon_is_never_written_smaller_than_it_is(epsilon):
    written = float(str(Guarantee("record", epsilon, 1e-5, epsilon)).split()[2])
    assert epsilon <= written <= 1.001 * epsilon
