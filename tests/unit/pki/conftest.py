"""A trial consortium, made once, and a copy of it for each test that changes files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from secagg.pki.trial import make_trial

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="session", autouse=True)
def _no_sync() -> Iterator[None]:
    """A test's keys need not survive a power cut: syncing them took most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "pki"
    make_trial(folder, clients=["energy", "community", "urban"], aggregators=["alpha"], peer=True, classic=True, now=NOW)
    return folder


@pytest.fixture
def pki(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "pki"))


@pytest.fixture
def now() -> datetime:
    return NOW
