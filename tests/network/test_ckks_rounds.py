"""`ckks` over gRPC and mutual TLS on loopback: a key holder that dials in, keys over the wire, a key of its own for every attempt."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols import ckks
from secagg.endpoint import Endpoint
from secagg.errors import SessionAborted
from secagg.identity import Identity
from secagg.roles import whole
from secagg.runtime import attend, serve
from secagg.runtime.server import Server
from tests.network.conftest import CLIENTS, PLANS, VALUES, Clients, mean_of, model
from tests.network.test_killed import Process, ended

pytestmark = pytest.mark.network
PLAN = ckks.Plan(clients=4, clip=10.0, bits=20, max_weight=10)
BYTES = 15 * (VALUES + 2) // 2  # one word of 32 bits in 60


@contextmanager
def hub(folder: Path, tmp_path: Path, *, keyholder: bool = True, plan: ckks.Plan = PLAN, **options: Any) -> Iterator[Server]:
    chosen: dict[str, Any] = {"model": model(), "state": tmp_path / "hub", "finish": 5.0} | options
    with serve(plan, "127.0.0.1:0", identity=Identity.load(folder / "hub"), **chosen) as server:
        if not keyholder:
            yield server
            return
        with attend(server.address, identity=Identity.load(folder / "k0"), plans=PLANS, state=tmp_path / "k0"):
            yield server


def test_ckks_rounds_open_the_mean_with_the_key_holders_signature(held: Path, tmp_path: Path) -> None:
    clients = Clients(held, tmp_path)
    with hub(held, tmp_path) as server:
        clients.start(server.address, *CLIENTS)
        server.wait_for(4, 20)
        for number in (1, 2):
            result = server.aggregate(20)
            assert (result.included, result.weight, result.round, result.attempt) == (CLIENTS, 10, number, 1)
            np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
            result.receipt.verify()
            assert [name for name, _ in result.receipt.agreement] == ["k0"]
            assert all(BYTES < result.bytes_up[name] < BYTES + 3000 for name in result.included)
            server.publish(result.mean)
    for session in clients.wait().values():
        assert [receipt.round.ctx.round for receipt in session.receipts] == [1, 2]


def test_slots_of_seal_open_the_mean_over_the_wire(held: Path, tmp_path: Path) -> None:
    pytest.importorskip("tenseal")
    clients, plan = Clients(held, tmp_path), ckks.Plan(clients=4, clip=10.0, bits=20, max_weight=10, slots="n4096-q56")
    with hub(held, tmp_path, plan=plan) as server:
        clients.start(server.address, *CLIENTS)
        server.wait_for(4, 20)
        result = server.aggregate(20)
        np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
        result.receipt.verify()
        assert result.receipt.round.description.parameters == "n4096-q56"
        assert all(4096 * 7 + 64 < result.bytes_up[name] < 4096 * 7 + 3000 for name in result.included)
        server.publish(result.mean)
    clients.wait()


def test_a_client_that_is_late_is_left_out_exactly(held: Path, tmp_path: Path) -> None:
    clients, released = Clients(held, tmp_path), threading.Event()
    with hub(held, tmp_path) as server:
        clients.start(server.address, *CLIENTS[:3])
        clients.start(server.address, "c3", train=lambda number: released.wait(30) if number == 1 else None)  # type: ignore[arg-type]
        server.wait_for(4, 20)
        result = server.aggregate(2.0)
        assert (result.included, result.weight) == (CLIENTS[:3], 6)
        np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2), atol=1e-3)
        released.set()
        server.publish(result.mean)
        again = server.aggregate(20)
        assert again.included == CLIENTS
        np.testing.assert_allclose(again.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
    clients.wait()


@pytest.mark.check("TR-C7")
def test_a_sum_that_cannot_be_costs_the_attempt_and_not_the_task(held: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine, told = Endpoint.contribute, list[int]()

    def contribute(self: Endpoint, vector: Any, *, version: int) -> Any:
        words = whole(vector).copy()
        if self._me.party == "c3" and not told:
            told.append(1)
            words[0] = 1 << 29
        return genuine(self, words, version=version)

    monkeypatch.setattr(Endpoint, "contribute", contribute)
    clients = Clients(held, tmp_path)
    with hub(held, tmp_path) as server:
        clients.start(server.address, *CLIENTS)
        server.wait_for(4, 20)
        result = server.aggregate(20)
        assert (result.included, result.round, result.attempt) == (CLIENTS, 1, 2)
        np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
        server.publish(result.mean)
    clients.wait()
    assert told


def test_fewer_than_the_floor_open_nothing(held: Path, tmp_path: Path) -> None:
    clients, released = Clients(held, tmp_path), threading.Event()
    with hub(held, tmp_path, attempts=1) as server:
        clients.start(server.address, *CLIENTS[:2])
        clients.start(server.address, *CLIENTS[2:], train=lambda _: released.wait(30))  # type: ignore[arg-type]
        server.wait_for(4, 20)
        with pytest.raises(SessionAborted, match="needed"):
            server.aggregate(1.5)
        released.set()
    clients.wait()


@pytest.mark.slow
def test_a_key_holder_that_is_killed_costs_the_attempt_and_the_next_has_a_new_key(held: Path, tmp_path: Path) -> None:
    clients, released = Clients(held, tmp_path), threading.Event()
    with hub(held, tmp_path, keyholder=False, task="killed", finish=2.0, attempts=1) as server:
        clients.start(server.address, *CLIENTS, train=lambda number: released.wait(30))  # type: ignore[arg-type]
        victim = Process("keyholder", pki=held, state=tmp_path, address=server.address, name="k0")
        with ended(victim):
            victim.expect("attending")
            server.wait_for(4, 40)
            failed: list[BaseException] = []
            attempt = threading.Thread(target=lambda: failed.append(_error(server)))
            attempt.start()
            time.sleep(1.0)
            victim.kill()
            released.set()
            attempt.join(40)
        assert isinstance(failed[0], SessionAborted)
        with attend(server.address, identity=Identity.load(held / "k0"), plans=PLANS, state=tmp_path / "k0"):
            server.wait_for(4, 20)
            result = server.aggregate(20)
        assert (result.included, result.attempt) == (CLIENTS, 2)
        np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
    clients.wait()


def _error(server: Server) -> BaseException:
    try:
        server.aggregate(6.0)
    except SessionAborted as aborted:
        return aborted
    return AssertionError("a sum was opened without its key holder")
