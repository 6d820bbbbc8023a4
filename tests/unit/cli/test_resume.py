"""Where a hub of the command line goes on after it was killed: in the middle of a round's end, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from secagg.cli.output import Output
from secagg.cli.results import ResultFolder
from secagg.cli.serve import _resume
from secagg.config import CoordinatorSettings
from secagg.runtime.server import Server

SETTINGS = cast(CoordinatorSettings, SimpleNamespace(task=SimpleNamespace(name="task"), rounds=SimpleNamespace(rate=0.5)))


def state(value: float) -> dict[str, Any]:
    return {"w": np.full(3, value, np.float32)}


@dataclass
class Hub:
    """What the command asks of a server that has come back."""

    round: int
    model: dict[str, Any]
    unpublished: dict[str, Any] | None
    published: list[dict[str, Any]] = field(default_factory=list)

    def publish(self, model: dict[str, Any]) -> None:
        self.published.append(model)


def resumed(folder: Path, hub: Hub, *, done: int, kept: float) -> float:
    model = _resume(Output(as_json=False), cast(Server, hub), SETTINGS, ResultFolder(folder), done, state(kept))
    assert all(np.array_equal(model["w"], said["w"]) for said in hub.published[-1:])
    return float(model["w"][0])


def test_a_mean_that_was_opened_and_not_kept_goes_into_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub = Hub(round=3, model=state(1), unpublished=state(4))
    assert resumed(tmp_path, hub, done=1, kept=1) == 1 + 0.5 * 4
    assert len(hub.published) == 1
    assert "Going on after round 2" in capsys.readouterr().out
    folder = ResultFolder(tmp_path)
    done, model = folder.newest("task", state(0))
    assert (done, float(model["w"][0])) == (2, 3.0), "a second death finds the model that has it"


def test_a_mean_that_is_in_the_kept_model_already_is_not_added_twice(tmp_path: Path) -> None:
    hub = Hub(round=3, model=state(1), unpublished=state(4))
    assert resumed(tmp_path, hub, done=2, kept=3) == 3
    assert len(hub.published) == 1


def test_without_a_mean_the_later_of_the_two_models_is_the_one(tmp_path: Path) -> None:
    assert resumed(tmp_path, Hub(round=4, model=state(7), unpublished=None), done=1, kept=1) == 7
    assert resumed(tmp_path, Hub(round=1, model=state(0), unpublished=None), done=0, kept=0) == 0
