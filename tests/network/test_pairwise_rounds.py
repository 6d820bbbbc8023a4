"""`pairwise` over gRPC and mutual TLS on loopback: nothing in the runtime knows it, and drop-outs cost nobody else a round."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols import pairwise
from secagg.errors import SessionAborted
from secagg.identity import Identity
from secagg.runtime import serve
from secagg.runtime.server import Server
from tests.network.conftest import CLIENTS, VALUES, Clients, mean_of, model
from tests.network.test_killed import Process, ended, slots, wait_until

pytestmark = pytest.mark.network
PLAN = pairwise.Plan(clients=4, clip=10.0, bits=20, max_weight=10)


def hub(folder: Path, tmp_path: Path, **options: Any) -> Server:
    chosen: dict[str, Any] = {"model": model(), "state": tmp_path / "hub", "finish": 5.0} | options
    return serve(PLAN, "127.0.0.1:0", identity=Identity.load(folder / "hub"), **chosen)


def test_pairwise_rounds_open_the_mean_with_signed_receipts(plain: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clients = Clients(plain, tmp_path)
    with hub(plain, tmp_path) as server:
        clients.start(server.address, *CLIENTS)
        server.wait_for(4, 20)
        for number in (1, 2):
            result = server.aggregate(20)
            assert (result.included, result.weight, result.round, result.attempt) == (CLIENTS, 10, number, 1)
            np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
            result.receipt.verify()
            assert len(result.receipt.agreement) >= 3
            assert all(4 * VALUES < result.bytes_up[name] < 4 * VALUES + 3000 for name in result.included)
            server.publish(result.mean)
    for session in clients.wait().values():
        assert [receipt.round.ctx.round for receipt in session.receipts] == [1, 2]
    # A round ends as soon as every seed is rebuilt: shares that come after its end are no reason for a warning.
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_client_that_is_late_after_sharing_its_keys_is_left_out_exactly(plain: Path, tmp_path: Path) -> None:
    clients, released = Clients(plain, tmp_path), threading.Event()
    with hub(plain, tmp_path) as server:
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
    sessions = clients.wait()
    assert [missed.round for missed in sessions["c3"].missed] == [1]


def test_fewer_than_the_threshold_open_nothing(plain: Path, tmp_path: Path) -> None:
    clients, released = Clients(plain, tmp_path), threading.Event()
    with hub(plain, tmp_path, attempts=1) as server:
        clients.start(server.address, *CLIENTS[:2])
        clients.start(server.address, *CLIENTS[2:], train=lambda _: released.wait(30))  # type: ignore[arg-type]
        server.wait_for(4, 20)
        with pytest.raises(SessionAborted, match="needed"):
            server.aggregate(1.5)
        released.set()
    clients.wait()


@pytest.mark.slow
def test_a_client_killed_before_it_sends_costs_nobody_else_the_round(plain: Path, tmp_path: Path) -> None:
    with hub(plain, tmp_path, task="killed") as server:
        others = Clients(plain, tmp_path)
        others.start(server.address, *CLIENTS[:3])
        victim = Process("client", pki=plain, state=tmp_path, address=server.address, name="c3", seconds=60)
        with ended(victim):
            server.wait_for(4, 40)
            outcome: list[Any] = []
            attempt = threading.Thread(target=lambda: outcome.append(server.aggregate(6.0)))
            attempt.start()
            victim.expect("training")
            wait_until(lambda: slots(tmp_path, "c3") > 0)
            time.sleep(0.3)
            victim.kill()
            attempt.join(40)
        assert outcome[0].included == CLIENTS[:3]
        np.testing.assert_allclose(outcome[0].mean["w"], mean_of(0, 1, 2), atol=1e-3)
    others.wait()
