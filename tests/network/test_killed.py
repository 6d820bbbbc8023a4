"""Processes that are killed with SIGKILL and started again: a sum is exact or is not opened, and no slot is used twice."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.identity import Identity
from secagg.runtime import attend, serve
from tests.network.conftest import CLIENTS, PLANS, Clients, mean_of, model
from tests.network.party import PLAN

pytestmark = [pytest.mark.network, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


class Process:
    """A party in a process of its own."""

    def __init__(self, role: str, **settings: Any) -> None:
        arguments = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.network.party", role, json.dumps(arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def expect(self, name: str, timeout: float = 40.0) -> dict[str, Any]:
        """The next line that has this fact."""
        until = time.monotonic() + timeout
        while True:
            line = self._lines.get(timeout=max(until - time.monotonic(), 0.01))
            if name in line:
                return line

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self.end()

    def end(self, timeout: float = 20.0) -> None:
        self._process.wait(timeout)
        self._reader.join(timeout)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))


@contextlib.contextmanager
def ended(*processes: Process):
    """Whatever happens, none of them outlives the test."""
    try:
        yield
    finally:
        for process in processes:
            if process._process.poll() is None:
                process.kill()


def slots(state: Path, name: str) -> int:
    """Slots that a party has used, each with one digest."""
    path = state / name / "ledger.sqlite"
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'slots'").fetchone():
            return 0
        return int(database.execute("SELECT count(*) FROM slots").fetchone()[0])


def hub(trial: Path, state: Path, **options: Any):
    options |= {"state": state / "hub", "aggregators": [Identity.load(trial / "a0")], "task": "killed"}
    return serve(PLAN, "127.0.0.1:0", identity=Identity.load(trial / "hub"), model=model(), **options)


def test_a_client_killed_before_it_reports_takes_part_again_and_one_killed_after_counts_once(trial: Path, tmp_path: Path):
    released = threading.Event()
    with hub(trial, tmp_path) as server:
        attendance = attend(server.address, identity=Identity.load(trial / "a1"), plans=PLANS, state=tmp_path / "a1")
        others = Clients(trial, tmp_path)
        others.start(server.address, "c0", "c1")
        others.start(server.address, "c2", train=lambda _: released.wait(40))  # type: ignore[arg-type]
        settings = {"pki": trial, "state": tmp_path, "address": server.address, "name": "c3"}
        first = Process("client", **settings, seconds=60)
        with ended(first):
            server.wait_for(4, 40)
            outcome: list[Any] = []
            attempt = threading.Thread(target=lambda: outcome.append(server.aggregate(40)))
            attempt.start()
            first.expect("training")
            first.kill()
        second = Process("client", **settings, seconds=0)
        with ended(second):
            assert second.expect("submitted") == {"submitted": 1}
            wait_until(lambda: slots(tmp_path, "c3") == 1)
            time.sleep(0.3)
            second.kill()
        third = Process("client", **settings, seconds=0)
        with ended(third):
            third.expect("submitted")
            released.set()
            attempt.join(40)
            result = outcome[0]
            assert (result.included, result.weight, result.attempt) == (CLIENTS, 10, 1)
            np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
            assert slots(tmp_path, "c3") == 1
            server.close()
            attendance.close()
            others.wait()
            third.end()


def test_an_aggregator_killed_within_an_attempt_costs_that_attempt_and_no_sum_is_partial(trial: Path, tmp_path: Path):
    released = threading.Event()
    with hub(trial, tmp_path) as server:
        settings = {"pki": trial, "state": tmp_path, "address": server.address, "name": "a1"}
        first = Process("aggregator", **settings)
        clients = Clients(trial, tmp_path)
        clients.start(server.address, *CLIENTS[:3])
        clients.start(server.address, "c3", train=lambda _: released.wait(40))  # type: ignore[arg-type]
        with ended(first):
            server.wait_for(4, 40)
            outcome: list[Any] = []
            attempt = threading.Thread(target=lambda: outcome.append(server.aggregate(40)))
            attempt.start()
            wait_until(lambda: all(slots(tmp_path, name) == 1 for name in CLIENTS[:3]))
            first.kill()
        second = Process("aggregator", **settings)
        with ended(second):
            second.expect("attending")
            wait_until(lambda: all(slots(tmp_path, name) == 2 for name in CLIENTS[:3]))
            released.set()
            attempt.join(40)
            result = outcome[0]
            assert (result.included, result.weight, result.attempt) == (CLIENTS, 10, 2)
            np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
            server.close()
            clients.wait()
            second.end()


def test_a_hub_killed_within_a_round_goes_on_with_a_new_attempt(trial: Path, tmp_path: Path):
    released = threading.Event()
    settings = {"pki": trial, "state": tmp_path, "rounds": 2}
    first = Process("hub", **settings, address="127.0.0.1:0")
    with ended(first):
        address = first.expect("address")["address"]
        attendance = attend(address, identity=Identity.load(trial / "a1"), plans=PLANS, state=tmp_path / "a1")
        clients = Clients(trial, tmp_path)
        clients.start(address, *CLIENTS[:3])
        clients.start(address, "c3", train=lambda _: released.wait(40))  # type: ignore[arg-type]
        wait_until(lambda: all(slots(tmp_path, name) == 1 for name in CLIENTS[:3]))
        first.kill()
    released.set()
    second = Process("hub", **settings, address=address)
    with ended(second):
        assert second.expect("address")["round"] == 1
        results = [second.expect("included") for _ in range(2)]
        assert [(result["round"], result["attempt"]) for result in results] == [(1, 2), (2, 1)]
        for result in results:
            assert (tuple(result["included"]), result["weight"]) == (CLIENTS, 10)
            assert result["mean"] == pytest.approx(mean_of(0, 1, 2, 3), abs=1e-3)
        for session in clients.wait().values():
            assert [receipt.round.ctx.round for receipt in session.receipts] == [1, 2]
        assert all(slots(tmp_path, name) == 3 for name in CLIENTS[:3])
        attendance.wait(10)
        attendance.close()
        second.end()


def wait_until(condition: Any, seconds: float = 40.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def test_the_processes_above_are_really_killed():
    process = Process("client", pki="/nowhere", state="/nowhere", address="127.0.0.1:9", name="c0", seconds=0)
    os.kill(process._process.pid, signal.SIGKILL)
    process.end()
    assert process._process.returncode == -signal.SIGKILL
