"""One trial consortium on disk for all tests here; each test has its own ledgers and tasks, so none meets another's rounds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols import additive, ckks, pairwise
from protocols.ckks import threshold
from secagg.identity import Identity
from secagg.pki.trial import make_trial
from secagg.runtime import join
from secagg.testing.insecure_plaintext import Plan as Plaintext

CLIENTS = ("c0", "c1", "c2", "c3")
PLANS = (Plaintext, additive.Plan, pairwise.Plan, ckks.Plan, threshold.Plan)
VALUES = 2000


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clients and the aggregators a0 and a1."""
    return make_trial(tmp_path_factory.mktemp("trial") / "pki", clients=CLIENTS, aggregators=["a0", "a1"], classic=True).folder


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clients and no aggregator: for plaintext rounds."""
    return make_trial(tmp_path_factory.mktemp("plain") / "pki", clients=CLIENTS, classic=True).folder


@pytest.fixture(scope="session")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clients and the key holder k0."""
    return make_trial(tmp_path_factory.mktemp("held") / "pki", clients=CLIENTS, keyholders=["k0"], classic=True).folder


@pytest.fixture(scope="session")
def parted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clients and the key holders k0, k1 and k2."""
    return make_trial(tmp_path_factory.mktemp("parted") / "pki", clients=CLIENTS, keyholders=["k0", "k1", "k2"], classic=True).folder


def model(values: int = VALUES) -> dict[str, Any]:
    return {"w": np.zeros(values, np.float32)}


def update(index: int, values: int = VALUES) -> dict[str, Any]:
    return {"w": np.full(values, (index + 1) / 100, np.float32)}


class Clients:
    """Clients in threads; each submits its update in every round. `wait` gives the sessions once the task is over."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder, self.state = folder, state
        self.sessions: dict[str, Any] = {}
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def start(
        self, address: str, *names: str, values: int = VALUES, train: Callable[[int], None] = lambda number: None, **options: Any
    ) -> None:
        for name in names:
            thread = threading.Thread(target=self._run, args=(address, name, values, train, options), name=f"test-{name}")
            self._threads.append(thread)
            thread.start()

    def wait(self, timeout: float = 20.0) -> dict[str, Any]:
        for thread in self._threads:
            thread.join(timeout)
            assert not thread.is_alive(), f"{thread.name} did not end"
        if self.errors:
            raise self.errors[0]
        return self.sessions

    def _run(self, address: str, name: str, values: int, train: Callable[[int], None], options: dict[str, Any]) -> None:
        identity, index = Identity.load(self.folder / name), CLIENTS.index(name)
        try:
            with join(address, identity=identity, plans=PLANS, state=self.state / name, **options) as session:
                self.sessions[name] = session
                for _ in session.rounds(timeout=30):
                    train(session.round)
                    session.submit(update(index, values), weight=index + 1)
        except BaseException as error:
            self.errors.append(error)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.CRITICAL, "secagg"):
        yield


def mean_of(*indices: int) -> float:
    """The weighted mean of the updates of these clients."""
    weights = [index + 1 for index in indices]
    return sum(weight * weight / 100 for weight in weights) / sum(weights)
