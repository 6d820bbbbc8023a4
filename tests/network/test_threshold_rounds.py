"""`ckks-threshold` over gRPC and mutual TLS on loopback: three key holders that dial in, and what the loss of one costs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols.ckks import threshold
from secagg.errors import SessionAborted
from secagg.identity import Identity
from secagg.runtime import attend, serve
from secagg.runtime.server import Server
from tests.network.conftest import CLIENTS, PLANS, VALUES, Clients, mean_of, model
from tests.network.test_killed import Process, ended

pytestmark = pytest.mark.network
PLAN = threshold.Plan(clients=4, keyholders=3, clip=10.0, bits=20, max_weight=10)
HOLDERS = ("k0", "k1", "k2")
REPORT = 3 * 61440 + 15 * (VALUES + 2) // 2  # one word of 32 bits in 60; two polynomials for each key holder
SHARE = 4096 * 8


@contextmanager
def hub(folder: Path, tmp_path: Path, *, beside: tuple[str, ...] = (), away: tuple[str, ...] = (), **options: Any) -> Iterator[Server]:
    """A hub with the key holders `beside` it in its process, and the others dialled in."""
    inside = [Identity.load(folder / name) for name in beside]
    chosen: dict[str, Any] = {"model": model(), "state": tmp_path / "hub", "finish": 5.0, "aggregators": inside} | options
    with ExitStack() as stack:
        server = stack.enter_context(serve(PLAN, "127.0.0.1:0", identity=Identity.load(folder / "hub"), **chosen))
        for name in HOLDERS:
            if name not in (*beside, *away):
                stack.enter_context(attend(server.address, identity=Identity.load(folder / name), plans=PLANS, state=tmp_path / name))
        yield server


@pytest.mark.parametrize("beside", [(), ("k0",)])
def test_threshold_rounds_open_the_mean_with_all_key_holders_signatures(parted: Path, tmp_path: Path, beside: tuple[str, ...]) -> None:
    clients = Clients(parted, tmp_path)
    with hub(parted, tmp_path, beside=beside) as server:
        clients.start(server.address, *CLIENTS)
        server.wait_for(4, 20)
        for number in (1, 2):
            result = server.aggregate(20)
            assert (result.included, result.weight, result.round, result.attempt) == (CLIENTS, 10, number, 1)
            np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
            result.receipt.verify()
            assert [name for name, _ in result.receipt.agreement] == list(HOLDERS)
            assert all(REPORT < result.bytes_up[name] < REPORT + 3000 for name in result.included)
            assert all(result.bytes_up[name] < SHARE + 5000 for name in result.receipt.round.description.servers if name not in beside)
            server.publish(result.mean)
    for session in clients.wait().values():
        assert [receipt.round.ctx.round for receipt in session.receipts] == [1, 2]


def test_a_client_that_is_late_is_left_out_exactly(parted: Path, tmp_path: Path) -> None:
    clients, released = Clients(parted, tmp_path), threading.Event()
    with hub(parted, tmp_path) as server:
        clients.start(server.address, *CLIENTS[:3])
        clients.start(server.address, "c3", train=lambda _: released.wait(30))  # type: ignore[arg-type]
        server.wait_for(4, 20)
        result = server.aggregate(2.0)
        assert (result.included, result.weight) == (CLIENTS[:3], 6)
        np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2), atol=1e-3)
        released.set()
    clients.wait()


@pytest.mark.slow
def test_a_key_holder_that_is_killed_costs_the_attempt_and_the_next_has_new_keys(parted: Path, tmp_path: Path) -> None:
    clients, released = Clients(parted, tmp_path), threading.Event()
    with hub(parted, tmp_path, away=("k2",), finish=2.0, attempts=1) as server:
        clients.start(server.address, *CLIENTS, train=lambda _: released.wait(30))  # type: ignore[arg-type]
        victim = Process("keyholder", pki=parted, state=tmp_path, address=server.address, name="k2")
        with ended(victim):
            victim.expect("attending")
            server.wait_for(4, 40)
            failed: list[BaseException | None] = []
            attempt = threading.Thread(target=lambda: failed.append(_error(server)))
            attempt.start()
            threading.Event().wait(1.0)
            victim.kill()
            released.set()
            attempt.join(40)
        assert isinstance(failed[0], SessionAborted)
        with attend(server.address, identity=Identity.load(parted / "k2"), plans=PLANS, state=tmp_path / "k2"):
            server.wait_for(4, 20)
            result = server.aggregate(20)
        assert (result.included, result.attempt) == (CLIENTS, 2)
        np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
    clients.wait()


def _error(server: Server) -> BaseException | None:
    try:
        server.aggregate(6.0)
    except SessionAborted as aborted:
        return aborted
    return None
