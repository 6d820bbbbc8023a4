"""The curve of utility against ε: a stopped run goes on, and only trainings of one recipe are compared."""

from __future__ import annotations

import json
import math
import sys

import pytest

from secagg.errors import ConfigError

pytest.importorskip("opacus")
utility = pytest.importorskip("benchmarks.utility")
pytestmark = pytest.mark.slow

FACTS = {2.0: 0.2, 8.0: 0.4, math.inf: 0.5}


@pytest.fixture
def trainings(monkeypatch):
    """The trainings that were begun, in place of trainings; the one of `stop` is interrupted."""
    begun = []

    def trained(epsilon, seed, facts, console):
        begun.append(epsilon)
        if epsilon == begun_and.get("stop"):
            raise KeyboardInterrupt
        noise = None if math.isinf(epsilon) else facts.noise_multiplier
        return {
            "epsilon": None if math.isinf(epsilon) else epsilon,
            "seed": seed,
            "recipe": utility.recipe(facts),
            "noise_multiplier": noise,
            "facts": FACTS[epsilon] + seed / 10,
            "bits": {"1": 0.5, "64": 3.0},
            "audited": 0.0,
            "processor_seconds": 60,
        }

    begun_and: dict[str, float] = {}
    monkeypatch.setattr(utility, "trained", trained)
    return begun, begun_and


def run(monkeypatch, path, *more):
    monkeypatch.setattr(sys, "argv", ["utility", "--quick", "--markdown", "--epsilons", "inf", "8", "2", "--out", str(path), *more])
    utility.main()


def test_a_stopped_run_goes_on_where_it_was_and_trains_nothing_twice(tmp_path, monkeypatch, trainings, capsys):
    begun, and_then = trainings
    and_then["stop"] = 8.0
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, tmp_path / "out.jsonl")
    and_then.clear()
    begun.clear()
    run(monkeypatch, tmp_path / "out.jsonl")
    assert begun == [8.0, 2.0]
    begun.clear()
    capsys.readouterr()
    run(monkeypatch, tmp_path / "out.jsonl")
    assert begun == []
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == ["2", "8", "∞"]
    assert [row.split(" | ")[3] for row in rows] == ["40 %", "80 %", "100 %"]


def test_what_is_left_is_measured_against_the_same_seed(tmp_path, monkeypatch, trainings):
    run(monkeypatch, tmp_path / "out.jsonl", "--seeds", "0", "1")
    rows = utility.finished(tmp_path / "out.jsonl", json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])["recipe"])
    by_epsilon = {line["epsilon"]: line for line in utility.curve(rows)}
    assert by_epsilon["8"]["kept"] == pytest.approx((0.4 / 0.5 + 0.5 / 0.6) / 2)
    assert by_epsilon["8"]["seeds"] == 2


def test_trainings_of_another_recipe_are_not_in_the_curve(tmp_path, monkeypatch, trainings):
    path = tmp_path / "out.jsonl"
    run(monkeypatch, path)
    row = json.loads(path.read_text().splitlines()[0])
    other = row | {"recipe": row["recipe"] | {"clip": 7.0}}
    path.write_text(json.dumps(other) + "\n")
    assert utility.finished(path, row["recipe"]) == []


@pytest.mark.parametrize("line", ["{", "[]", '{"facts": 1}'])
def test_a_line_that_is_no_training_is_refused_with_its_number(tmp_path, line):
    (tmp_path / "out.jsonl").write_text(line + "\n")
    with pytest.raises(ConfigError, match="line 1"):
        utility.finished(tmp_path / "out.jsonl", {})
