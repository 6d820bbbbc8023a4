"""From a target to the numbers of a round: they hold, a little less noise would not, and what cannot be had is refused with the fix."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from protocols import additive
from secagg.cli.app import app
from secagg.dp.accountant import Steps, account
from secagg.dp.planning import plan_sums, plan_training
from secagg.errors import ConfigError
from secagg.policy import Floors

ASKED: dict[str, Any] = {
    "epsilon": 8.0,
    "delta": 1e-6,
    "rounds": 10,
    "clients": 20,
    "floors": Floors(n_min=15, colluders=2),
    "values": 24576,
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"mechanism": "discrete-gaussian"},
        {"bits": 9},
        {"rotation": False},
        {"aggregators": 2, "aggregator_noise": 1.5},
        {"clip": 0.03},
    ],
    ids=lambda more: ",".join(more) or "plain",
)
def test_the_numbers_hold_in_a_round_and_a_little_less_noise_would_not(more: dict[str, Any]) -> None:
    asked = {**ASKED, **more}
    found = plan_sums(**asked)
    numbers = {"clip": asked.get("clip", 1.0), "rotation": asked.get("rotation", True), "floors": asked["floors"]}
    plan = additive.Plan(clients=20, aggregators=2, bits=found.bits, max_weight=1, privacy=found.terms, **numbers)
    found.terms.prove(plan.encoding, 24576, plan.floors, aggregators=2)
    assert plan.encoding.ring.bits == found.ring_bits
    assert found.bytes_up == plan.encoding.ring.packed_size(24578)

    def spent(multiplier: float) -> float:
        terms = replace(found.terms, noise_multiplier=multiplier)
        return terms.noise(plan.encoding, 24576, plan.floors).times(10).epsilon(1e-6)

    assert found.total == pytest.approx(spent(found.terms.noise_multiplier))
    assert spent(0.995 * found.terms.noise_multiplier) > 8.0 >= found.total
    assert [one.fewest for one in found.readers if one.name == "server and 2 clients"] == [pytest.approx(found.total)]
    assert all(one.all_stay <= one.fewest for one in found.readers)


def test_a_coarse_grid_is_chosen_only_where_it_costs_next_to_nothing() -> None:
    chosen, finer, coarser = (plan_sums(**ASKED, bits=bits) for bits in (None, 11, 5))
    assert chosen.bits < 11
    assert chosen.terms.noise_multiplier <= 1.02 * finer.terms.noise_multiplier
    assert coarser.terms.noise_multiplier > 1.02 * finer.terms.noise_multiplier


@pytest.mark.slow
def test_a_training_plan_holds_and_a_little_less_noise_would_not() -> None:
    found = plan_training(epsilon=1.0, delta=1e-5, rounds=2, steps=2, units=5000, batch=5000, clip=1.0, unit="customer")

    def spent(noise: float, count: int) -> float:
        return account([Steps(count, noise)], delta=1e-5, unit="customer").epsilon

    assert spent(found.terms.noise_multiplier, 4) == found.total <= 1.0 < spent(0.99 * found.terms.noise_multiplier, 4)
    assert spent(found.terms.noise_multiplier, 2) <= found.terms.epsilon


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"clients": 14}, "lower n_min"),
        ({"rounds": 0}, "at least one round"),
        ({"epsilon": 1e-4, "bits": 24}, "fewer bits, more survivors"),
        ({"aggregator_noise": 2.0}, "use `additive`"),
        ({"aggregator_noise": 2.0, "mechanism": "discrete-gaussian", "aggregators": 2}, "Skellam noise only"),
        ({"delta": 1e-3}, "at most 1e-05"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_fix(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_sums(**{**ASKED, **more})


def test_a_delta_of_one_in_the_units_is_refused() -> None:
    with pytest.raises(ConfigError, match="under 1/50"):
        plan_training(epsilon=4.0, delta=0.02, rounds=1, steps=10, units=50, batch=5, clip=1.0)
    with pytest.raises(ConfigError, match="batch=60"):
        plan_training(epsilon=4.0, delta=1e-5, rounds=1, steps=10, units=50, batch=60, clip=1.0)


@pytest.mark.slow
def test_the_command_says_the_same_to_people_and_to_programs() -> None:
    asked = ["budget", "plan", "--epsilon", "8", "--rounds", "10", "--clients", "20", "--survivors", "15", "--values", "24576"]
    told = CliRunner().invoke(app, asked)
    assert (told.exit_code, "noise multiplier" in told.output, "[protocol.privacy]" in told.output) == (0, True, True)
    found = json.loads(CliRunner().invoke(app, [*asked, "--json"]).output.splitlines()[-1])
    assert (found["terms"]["noise_multiplier"], found["bits"], found["ring_bits"], found["bytes_up"]) == (2.203, 7, 24, 73734)
    asked = ["budget", "plan", "--epsilon", "1", "--rounds", "2", "--unit", "record", "--units", "50", "--batch", "50", "--steps", "2"]
    assert CliRunner().invoke(app, [*asked, "--json"]).exit_code == 0
    assert CliRunner().invoke(app, ["budget", "plan", "--epsilon", "8", "--rounds", "10"]).exit_code != 0
