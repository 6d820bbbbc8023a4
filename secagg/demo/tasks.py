"""The learning tasks by the names that `secagg demo --task` takes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secagg.demo.private import PrivateFacts
from secagg.demo.task import Task
from secagg.demo.text_data import read_reports
from secagg.errors import ConfigError

if TYPE_CHECKING:
    from secagg.demo.private_task import PrivateScenes

STREET: tuple[str, ...] = ("energy", "community", "urban")
"""The companies that photograph the street."""

NAMES: tuple[str, ...] = ("scenes", "text")


def check_task(name: str, data: str | None) -> None:
    """Raises ConfigError for a task that there is none of, or data that do not fit it."""
    if name not in NAMES:
        raise ConfigError(f"--task {name!r}: choose {' or '.join(NAMES)}")
    if name == "scenes" and data is not None:
        raise ConfigError("--data: scenes are drawn from the seed; data of your own go with `--task text`")
    if name == "text":
        if data is None:
            raise ConfigError("--task text needs --data FOLDER, a folder of CSV files with incident descriptions")
        if not Path(data).is_dir():
            raise ConfigError(f"--data {data}: no such folder")


def companies_of(name: str, data: str | None, seed: int) -> tuple[str, ...]:
    """The companies of a task, in table order, without loading torch. Raises ConfigError."""
    check_task(name, data)
    if name == "text":
        return read_reports(Path(str(data)), seed).companies
    return STREET


def load_task(name: str, data: str | None, seed: int, *, sanitise: bool) -> Task:
    """Build a task, whose captions pass the sanitiser before training if `sanitise`. Raises ConfigError; loads torch."""
    check_task(name, data)
    if name == "text":
        text: Task = import_module("secagg.demo.text_task").TextTask(Path(str(data)), seed, sanitise=sanitise)
        return text
    scenes: Task = import_module("secagg.demo.scene_task").SceneTask(seed, sanitise=sanitise)
    return scenes


def load_private(facts: Mapping[str, Any], seed: int, *, sanitise: bool) -> PrivateScenes:
    """Build the task of a private run; `facts` are `PrivateFacts` as JSON. Loads torch."""
    scenes: PrivateScenes = import_module("secagg.demo.private_task").PrivateScenes(seed, PrivateFacts(**facts), sanitise=sanitise)
    return scenes
