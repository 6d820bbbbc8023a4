"""Rounds over gRPC and mutual TLS on loopback."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols import additive
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, SessionAborted, TransportError
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Floors, Policy
from secagg.runtime import attend, driver, join, serve
from secagg.runtime.limits import Limits
from secagg.runtime.server import Server
from secagg.testing.insecure_plaintext import Plan as Plaintext
from secagg.types import Context
from tests.network.conftest import CLIENTS, PLANS, VALUES, Clients, mean_of, model, update

pytestmark = pytest.mark.network
LOCAL = "127.0.0.1:0"


def plaintext(**changes):
    return Plaintext(**{"clients": 4, "clip": 10.0, "bits": 20, "max_weight": 10} | changes)


def secure(**changes):
    return additive.Plan(**{"clients": 4, "aggregators": 2, "clip": 10.0, "bits": 20, "max_weight": 10} | changes)


def hub(folder: Path, plan, tmp_path: Path, **options):
    chosen: dict[str, Any] = {"model": model(), "state": tmp_path / "hub", "finish": 5.0} | options
    return serve(plan, LOCAL, identity=Identity.load(folder / "hub"), **chosen)


def test_rounds_open_the_mean_and_end_with_the_model_at_every_client(plain: Path, tmp_path: Path):
    clients = Clients(plain, tmp_path)
    with hub(plain, plaintext(), tmp_path) as server:
        clients.start(server.address, *CLIENTS, like=model())
        assert server.wait_for(4, 20) == CLIENTS
        for number in (1, 2):
            assert server.round == number
            result = server.aggregate(20)
            assert (result.included, result.weight, result.round, result.attempt) == (CLIENTS, 10, number, 1)
            np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
            assert 4 * VALUES < result.bytes_up["c0"] < 4 * VALUES + 1000
            assert result.bytes_down["c0"] > 4 * VALUES
            server.publish(result.mean)
    for session in clients.wait().values():
        np.testing.assert_array_equal(session.model["w"], result.mean["w"])
        assert [receipt.round.ctx.round for receipt in session.receipts] == [1, 2]
        assert session.missed == ()


def test_additive_runs_with_one_aggregator_in_the_hub_and_one_that_dials_in(trial: Path, tmp_path: Path):
    clients = Clients(trial, tmp_path)
    inside, outside = Identity.load(trial / "a0"), Identity.load(trial / "a1")
    with hub(trial, secure(), tmp_path, aggregators=[inside]) as server:
        attendance = attend(server.address, identity=outside, plans=PLANS, state=tmp_path / "a1")
        clients.start(server.address, *CLIENTS[:3])
        server.wait_for(3, 20)
        result = server.aggregate(20)
        assert result.included == CLIENTS[:3]
        np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2), atol=1e-3)
        result.receipt.verify()
    attendance.wait(10)
    assert [receipt.included for receipt in attendance.receipts] == [CLIENTS[:3]]
    attendance.close()
    clients.wait()


def test_a_client_whose_training_raises_does_not_keep_the_others_waiting(plain: Path, tmp_path: Path):
    clients = Clients(plain, tmp_path)

    def train() -> None:
        with join(server.address, identity=Identity.load(plain / "c3"), plans=PLANS, state=tmp_path / "c3") as session:
            next(session.rounds(20))
            raise ZeroDivisionError

    def fails() -> None:
        with pytest.raises(ZeroDivisionError):
            train()

    with hub(plain, plaintext(floors=Floors(n_min=4)), tmp_path, attempts=1) as server:
        clients.start(server.address, *CLIENTS[:3])
        failing = threading.Thread(target=fails)
        failing.start()
        server.wait_for(4, 20)
        began = time.monotonic()
        with pytest.raises(SessionAborted, match="c3 left: left: the party has left"):
            server.aggregate(60)
        assert time.monotonic() - began < 30
        failing.join(10)


def test_in_peer_mode_a_client_brings_its_aggregator(trial: Path, tmp_path: Path):
    clients = Clients(trial, tmp_path)
    with hub(trial, secure(), tmp_path, aggregators=[Identity.load(trial / "a0")]) as server:
        clients.start(server.address, "c0", aggregator=Identity.load(trial / "a1"))
        clients.start(server.address, "c1", "c2")
        server.wait_for(3, 20)
        assert server.aggregate(20).included == CLIENTS[:3]
    clients.wait()


def test_a_slow_client_is_told_and_the_round_of_the_others_goes_on(plain: Path, tmp_path: Path):
    clients, released = Clients(plain, tmp_path), threading.Event()

    def train(number: int) -> None:
        if number == 1:
            released.wait(20)

    with hub(plain, plaintext(), tmp_path) as server:
        clients.start(server.address, "c0", train=train)
        clients.start(server.address, *CLIENTS[1:])
        server.wait_for(4, 20)
        result = server.aggregate(1.0)
        assert result.included == CLIENTS[1:]
        assert result.left == {"c0": "no update had come when the batch was closed"}
        released.set()
        assert server.aggregate(20).included == CLIENTS
    missed = clients.wait()["c0"].missed
    assert [one.round for one in missed] == [1]
    assert "when the batch was closed" in missed[0].reason


def test_too_few_organisations_open_no_round_and_the_error_says_who_is_missing(plain: Path, tmp_path: Path):
    clients = Clients(plain, tmp_path)
    with hub(plain, plaintext(), tmp_path) as server:
        clients.start(server.address, "c0", "c1")
        server.wait_for(2, 20)
        with pytest.raises(SessionAborted, match="clients away: c2, c3") as caught:
            server.aggregate(5, wait=0.2)
        assert (caught.value.answered, caught.value.needed) == (("c0", "c1"), 3)
    clients.wait()


def test_too_few_updates_open_no_sum(plain: Path, tmp_path: Path):
    with hub(plain, plaintext(), tmp_path) as server:
        sessions = [join(server.address, identity=Identity.load(plain / name), plans=PLANS, state=tmp_path / name) for name in CLIENTS[:3]]
        server.wait_for(3, 20)
        with pytest.raises(SessionAborted, match="0 organisations have reported, 3 needed"):
            server.aggregate(0.5)
        assert server.round == 1
    for session in sessions:
        session.close()


def test_an_update_that_does_not_fit_is_refused_before_it_is_sent(plain: Path, tmp_path: Path):
    clients = Clients(plain, tmp_path)
    with (
        hub(plain, plaintext(), tmp_path) as server,
        join(server.address, identity=Identity.load(plain / "c0"), plans=PLANS, state=tmp_path / "c0") as session,
    ):
        with pytest.raises(LocalProtocolError, match="no round has begun"):
            session.submit(update(0))
        clients.start(server.address, *CLIENTS[1:])
        server.wait_for(4, 20)
        outcome = threading.Thread(target=server.aggregate, args=(20,))
        outcome.start()
        state = next(session.rounds(10))
        assert session.round == 1
        refusals: list[tuple[dict[str, Any], str]] = [
            ({}, "'w' is missing"),
            ({"w": np.zeros(3, np.float32)}, "'w' has shape"),
            ({"w": np.full(VALUES, np.nan, np.float32)}, "'w' holds NaN"),
            ({"w": np.zeros(VALUES, np.float64)}, "'w' has dtype"),
        ]
        for broken, message in refusals:
            with pytest.raises(ConfigError, match=message):
                session.submit(broken)
        with pytest.raises(ConfigError, match="weight 11"):
            session.submit(state, weight=11)
        session.submit(update(0))
        with pytest.raises(LocalProtocolError, match="has this client's update"):
            session.submit(update(0))
        outcome.join(20)
    clients.wait()


def test_a_round_that_the_policy_refuses_is_an_error_for_the_user(plain: Path, tmp_path: Path):
    clients, strict = Clients(plain, tmp_path), Policy(floors=Floors(n_min=4))
    with (
        hub(plain, plaintext(), tmp_path) as server,
        join(server.address, identity=Identity.load(plain / "c0"), plans=PLANS, policy=strict, state=tmp_path / "c0") as session,
    ):
        clients.start(server.address, *CLIENTS[1:])
        server.wait_for(4, 20)
        result = server.aggregate(3)
        assert result.included == CLIENTS[1:]
        assert result.left["c0"].startswith("RD-C5")
        with pytest.raises(InvalidMessage, match="RD-C5"):
            next(session.rounds(10))
    clients.wait()


def test_a_hub_that_comes_back_goes_on_with_its_round_and_model(plain: Path, tmp_path: Path):
    clients = Clients(plain, tmp_path)
    first = hub(plain, plaintext(), tmp_path)
    clients.start(first.address, *CLIENTS)
    first.wait_for(4, 20)
    result = first.aggregate(20)
    first.publish(result.mean)
    with pytest.raises(RuntimeError), first:
        raise RuntimeError("the hub's own trouble")
    with serve(plaintext(), first.address, identity=Identity.load(plain / "hub"), model=model(), state=tmp_path / "hub") as second:
        assert second.round == 2
        np.testing.assert_array_equal(second.model["w"], result.mean["w"])
        second.wait_for(4, 20)
        assert second.aggregate(20).round == 2
    for session in clients.wait().values():
        assert [receipt.round.ctx.round for receipt in session.receipts] == [1, 2]


def test_a_hub_that_stops_before_it_publishes_still_has_the_mean_that_it_opened(plain: Path, tmp_path: Path):
    clients = Clients(plain, tmp_path)
    first = hub(plain, plaintext(), tmp_path)
    clients.start(first.address, *CLIENTS)
    first.wait_for(4, 20)
    assert first.unpublished is None
    mean = first.aggregate(20).mean["w"]
    with pytest.raises(RuntimeError), first:
        raise RuntimeError("killed before it published")

    def again() -> Server:
        return serve(plaintext(), first.address, identity=Identity.load(plain / "hub"), model=model(), state=tmp_path / "hub")

    (kept,) = (tmp_path / "hub").glob("*.mean")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-4] + bytes(4))
    with pytest.raises(ConfigError, match=r"mean is damaged: move it away"):
        again()
    kept.write_bytes(whole)
    second = again()
    assert second.round == 2
    assert second.unpublished is not None
    np.testing.assert_array_equal(second.unpublished["w"], mean)
    second.publish(second.unpublished)
    assert second.unpublished is None
    with pytest.raises(RuntimeError), second:
        raise RuntimeError("killed after it published")
    assert not list((tmp_path / "hub").glob("*.mean"))
    with again() as third:
        assert (third.round, third.unpublished) == (2, None)
        np.testing.assert_array_equal(third.model["w"], mean)
        third.wait_for(4, 20)
    clients.wait()


def test_a_buffered_task_takes_a_late_update_into_the_next_batch(plain: Path, tmp_path: Path):
    clients, released = Clients(plain, tmp_path), threading.Event()

    def train(number: int) -> None:
        if number == 1:
            released.wait(20)

    with hub(plain, plaintext(quorum=3, staleness=(2, 1)), tmp_path) as server:
        several = Policy(max_inputs=2)
        clients.start(server.address, "c3", train=train, policy=several)
        clients.start(server.address, "c0", "c1", "c2", policy=several, train=lambda number: time.sleep(number - 1))
        server.wait_for(4, 20)
        server.publish(server.aggregate(20).mean)
        released.set()
        time.sleep(0.3)
        assert "c3" in server.aggregate(20).included
    clients.wait()


def test_without_a_hub_the_error_says_why(plain: Path, tmp_path: Path):
    with (
        join("127.0.0.1:9", identity=Identity.load(plain / "c0"), plans=PLANS, state=tmp_path / "c0") as session,
        pytest.raises(TransportError, match="no round within"),
    ):
        next(session.rounds(timeout=1.0))


def test_who_may_call_what(plain: Path, trial: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="needs the identity of the coordinator"):
        serve(plaintext(), LOCAL, identity=Identity.load(plain / "c0"), model=model())
    with pytest.raises(ConfigError, match="`attend` is for servers"):
        join(LOCAL, identity=Identity.load(plain / "hub"), plans=PLANS)
    with pytest.raises(ConfigError, match="`join` is for clients"):
        attend(LOCAL, identity=Identity.load(plain / "c0"), plans=PLANS)
    with pytest.raises(ConfigError, match="no aggregator"):
        hub(trial, secure(), tmp_path, aggregators=[Identity.load(trial / "c0")])
    with pytest.raises(TransportError, match="cannot listen"):
        serve(plaintext(), "203.0.113.1:7070", identity=Identity.load(plain / "hub"), model=model(), state=tmp_path / "x")


class FullDisk(Ledger):
    """A ledger on a disk that takes nothing from some point on."""

    full = False

    def enter(self, ctx: Context) -> None:
        self._refuse()
        super().enter(ctx)

    def use(self, ctx: Context, slot: str, digest: bytes) -> None:
        self._refuse()
        super().use(ctx, slot, digest)

    def _refuse(self) -> None:
        if self.full:
            raise ConfigError("the ledger cannot be written, so nothing was sent: database or disk is full")


@pytest.mark.parametrize("when", ["before the round", "before the update"])
def test_a_client_that_cannot_write_its_ledger_stops_and_the_round_of_the_others_goes_on(plain: Path, tmp_path: Path, when: str):
    clients, ledger = Clients(plain, tmp_path), FullDisk()
    stopped: list[str] = []
    ledger.full = when == "before the round"

    def fails() -> None:
        try:
            with join(server.address, identity=Identity.load(plain / "c3"), plans=PLANS, state=tmp_path / "c3", ledger=ledger) as session:
                for _ in session.rounds(20):
                    ledger.full = True
                    session.submit(update(3), weight=1)
        except ConfigError as error:
            stopped.append(str(error))

    with hub(plain, plaintext(), tmp_path) as server:
        failing = threading.Thread(target=fails)
        failing.start()
        clients.start(server.address, *CLIENTS[:3])
        server.wait_for(4, 20)
        result = server.aggregate(20)
        assert result.included == CLIENTS[:3]
        assert result.left["c3"] in (
            "ConfigError: this party's own set-up does not allow the round",
            "left: the party has left",
        )
        failing.join(10)
    clients.wait()
    assert stopped == ["the ledger cannot be written, so nothing was sent: database or disk is full"]


def test_an_aggregator_that_cannot_write_its_ledger_stops_and_says_why(trial: Path, tmp_path: Path):
    clients, ledger = Clients(trial, tmp_path), FullDisk()
    ledger.full = True
    with hub(trial, secure(), tmp_path, aggregators=[Identity.load(trial / "a0")], attempts=1) as server:
        attendance = attend(server.address, identity=Identity.load(trial / "a1"), plans=PLANS, state=tmp_path / "a1", ledger=ledger)
        clients.start(server.address, *CLIENTS[:3])
        server.wait_for(3, 20)
        with pytest.raises(SessionAborted, match="a1 left: ConfigError: this party's own set-up does not allow the round"):
            server.aggregate(20)
        with pytest.raises(ConfigError, match="disk is full"):
            attendance.wait(10)
        attendance.close()
    clients.wait()


def test_a_hub_whose_disk_is_full_for_a_while_loses_nothing(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clients, write, refusals = Clients(plain, tmp_path), os.pwrite, list(range(8))

    def full(descriptor: int, chunk: memoryview, at: int) -> int:
        if refusals and refusals.pop() % 2:
            return write(descriptor, chunk[:100], at)
        if refusals:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, chunk, at)

    monkeypatch.setattr(os, "pwrite", full)
    with hub(plain, plaintext(), tmp_path, limits=Limits(spool_from=1)) as server:
        clients.start(server.address, *CLIENTS)
        server.wait_for(4, 20)
        result = server.aggregate(20)
        assert result.included == CLIENTS
        np.testing.assert_allclose(result.mean["w"], mean_of(0, 1, 2, 3), atol=1e-3)
    clients.wait()
    assert not refusals


def test_a_hub_that_cannot_listen_leaves_nothing_running(trial: Path, tmp_path: Path):
    async def running() -> list[str]:
        return [repr(task) for task in asyncio.all_tasks() if "Runner._run" in repr(task)]

    before = driver.call(running())
    with pytest.raises(TransportError, match="cannot listen"):
        serve(
            secure(),
            "203.0.113.1:7070",
            identity=Identity.load(trial / "hub"),
            aggregators=[Identity.load(trial / "a0")],
            model=model(),
            state=tmp_path,
        )
    assert len(driver.call(running())) <= len(before)


def test_another_task_in_the_state_folder_is_refused(plain: Path, tmp_path: Path):
    hub(plain, plaintext(), tmp_path).publish(model())
    with pytest.raises(ConfigError, match="other tensors"):
        hub(plain, plaintext(), tmp_path, model={"v": np.zeros(VALUES, np.float32)})
