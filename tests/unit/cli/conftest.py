"""The command line in this process, over a trial consortium that is made once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from secagg.cli.app import app
from secagg.pki.trial import make_trial


@dataclass
class Ran:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines; fails if a line is none."""
        return [json.loads(line) for line in self.out.splitlines()]


Secagg = Callable[..., Ran]


@pytest.fixture
def secagg() -> Secagg:
    def run(*words: object, answer: str | None = None) -> Ran:
        done = CliRunner().invoke(app, [str(word) for word in words], input=answer, prog_name="secagg")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session", autouse=True)
def _no_sync() -> Iterator[None]:
    """A test's keys need not survive a power cut: syncing them took most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "pki"
    make_trial(folder, clients=["energy", "community", "urban"], aggregators=["alpha", "beta"], classic=True)
    return folder


@pytest.fixture
def pki(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "pki"))
