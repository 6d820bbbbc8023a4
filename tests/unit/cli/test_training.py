"""The user's training callable: found, given a copy, and its answer taken apart with care."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.cli.training import Trainer, TrainingFailed
from secagg.config import Training
from secagg.encode.layout import Layout
from secagg.errors import ConfigError

MODEL = {"a": np.zeros((2, 2), np.float32), "b": np.ones(3, np.float32)}
MODULE = """
import numpy as np
from secagg.encode.layout import Layout

def train(state, round, step=1.0):
    for values in state.values():
        values += step * round
    return state, 7

def change(state, round):
    return {name: np.full_like(values, 0.5) for name, values in state.items()}, np.int64(3)

class Trainer:
    base_model = bytes(range(32))
    layout = Layout.of({"a": np.zeros((2, 2), np.float16)}, binding={"adapter-config": b"rank 8"})

    def __init__(self, step):
        self.step, self.calls = step, 0

    def __call__(self, state, round):
        self.calls += 1
        return {name: values + self.step * self.calls for name, values in state.items()}, 1

def torch_train(state, round):
    import torch
    assert all(isinstance(values, torch.Tensor) for values in state.values())
    return {name: (values + 0.25).to(torch.bfloat16) for name, values in state.items()}, 2

def bare(state, round): return state
def no_examples(state, round): return state, 0
def half_an_example(state, round): return state, 0.5
def truth(state, round): return state, True
def missing(state, round): return {"a": state["a"]}, 1
def unknown(state, round): return state | {"c": state["a"]}, 1
def reshaped(state, round): return state | {"b": state["b"][:2]}, 1
def lists(state, round): return {name: values.tolist() for name, values in state.items()}, 1
def breaks(state, round): raise ValueError("out of memory")
number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    import sys

    name = f"user_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


def trainer(tmp_path: Path, module: str, name: str, **keys: Any) -> Trainer:
    return Trainer(Training(callable=f"{module}:{name}", path=tmp_path, **keys))


def test_what_is_submitted_is_the_change_and_the_model_stays_as_it_was(tmp_path: Path, module: str) -> None:
    change, examples = trainer(tmp_path, module, "train", options={"step": 2.0}).train(MODEL, 3)
    assert examples == 7
    assert {name: set(values.flat) for name, values in change.items()} == {"a": {6.0}, "b": {6.0}}
    assert MODEL["a"].sum() == 0


def test_a_callable_may_return_the_change_itself(tmp_path: Path, module: str) -> None:
    change, examples = trainer(tmp_path, module, "change", returns="change").train(MODEL, 1)
    assert examples == 3
    assert {name: set(values.flat) for name, values in change.items()} == {"a": {0.5}, "b": {0.5}}


def test_a_class_is_made_once_and_called_each_round(tmp_path: Path, module: str) -> None:
    made = trainer(tmp_path, module, "Trainer", options={"step": 1.0})
    assert made.base_model == bytes(range(32))
    assert [made.train(MODEL, number)[0]["a"][0, 0] for number in (1, 2)] == [1.0, 2.0]


def test_the_file_knows_the_base_model_better(tmp_path: Path, module: str) -> None:
    assert trainer(tmp_path, module, "Trainer", options={"step": 1.0}, base_model="ab" * 32).base_model == b"\xab" * 32
    assert trainer(tmp_path, module, "train").base_model is None


def test_the_layout_that_the_callable_states_is_compared_as_it_is_summed(tmp_path: Path, module: str) -> None:
    known = trainer(tmp_path, module, "Trainer", options={"step": 1.0}).layout
    assert known == Layout.of({"a": np.zeros((2, 2), np.float32)}, binding={"adapter-config": b"rank 8"})
    plain = trainer(tmp_path, module, "train")
    assert plain.layout is None
    plain._call.layout = "rank 8"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="must be a Layout"):
        _ = plain.layout


def test_torch_tensors_go_in_and_bfloat16_comes_back(tmp_path: Path, module: str) -> None:
    pytest.importorskip("torch")
    change, _ = trainer(tmp_path, module, "torch_train", tensors="torch").train(MODEL, 1)
    assert {name: set(values.flat) for name, values in change.items()} == {"a": {0.25}, "b": {0.25}}
    assert change["b"].dtype == np.float32


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("bare", "must return \\(state, examples\\); it returned dict"),
        ("no_examples", "at least 1; it returned int 0"),
        ("half_an_example", "whole number of examples"),
        ("truth", "whole number of examples"),
        ("missing", "'b' is missing"),
        ("unknown", "'c' is unknown"),
        ("reshaped", "'b' has shape \\(2,\\), not \\(3,\\)"),
        ("lists", "'a' is a list"),
    ],
)
def test_an_answer_of_another_form_is_refused_by_name(tmp_path: Path, module: str, name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        trainer(tmp_path, module, name).train(MODEL, 1)


@pytest.mark.parametrize(("name", "says"), [("nobody", "nobody"), ("number", "is a int")])
def test_a_name_that_is_no_callable_is_refused(tmp_path: Path, module: str, name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        trainer(tmp_path, module, name)


def test_a_module_that_is_not_there_is_looked_for_and_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither installed nor in"):
        Trainer(Training(callable="no_such_module:train", path=tmp_path))
    (tmp_path / "needs_more.py").write_text("import no_such_library")
    with pytest.raises(ConfigError, match="it needs no_such_library"):
        Trainer(Training(callable="needs_more:train", path=tmp_path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("class Train(:", "SyntaxError: invalid syntax"),
        ("from json import nothing", "ImportError: cannot import name 'nothing'"),
        ("import json\njson.nothing", "AttributeError: module 'json' has no attribute 'nothing'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_does_not_load_keeps_its_traceback_without_ours(tmp_path: Path, text: str, says: str) -> None:
    name = f"broken_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(TrainingFailed, match=f"loading {name}:train raised {says}") as failed:
        Trainer(Training(callable=f"{name}:train", path=tmp_path))
    (note,) = failed.value.__notes__
    assert f"{name}.py" in note
    assert "importlib" not in note
    assert "cli/training.py" not in note


def test_what_training_raises_keeps_its_traceback_without_ours(tmp_path: Path, module: str) -> None:
    with pytest.raises(TrainingFailed, match="training raised ValueError: out of memory") as failed:
        trainer(tmp_path, module, "breaks").train(MODEL, 1)
    (note,) = failed.value.__notes__
    assert "in breaks" in note
    assert "cli/training.py" not in note
