"""The plain loop and a `transformers.Trainer` in one task, over TLS: the same mean as FedAvg in the clear, with one party dropping out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import secagg
from protocols import additive
from secagg.lora import adapter_state, delta, load_adapter
from secagg.pki.trial import make_trial
from tests.adapters.plain import bound, example, largest_difference, plain_loop, task

ROUNDS = 3


def leave_in_the_second_round(folder: Path, number: int, hub: str) -> None:
    made = task()
    model, (x, y) = made.make_model(), made.make_data(number)
    with (
        suppress(ConnectionError),
        secagg.join(hub, identity=secagg.Identity.load(folder / f"client-{number}"), like=adapter_state(model)) as session,
    ):
        for adapter in session.rounds(60):
            if session.round == 2:
                raise ConnectionError("down")
            load_adapter(model, adapter)
            made.fit(model, x, y)
            session.submit(delta(adapter_state(model), adapter), weight=len(y))


class Background(threading.Thread):
    """A daemon: where the test fails, nobody waits for it."""

    def __init__(self, act: Callable[..., Any], *given: Any) -> None:
        super().__init__(daemon=True)
        self._act, self._given, self._done = act, given, Future[Any]()
        self.start()

    def run(self) -> None:
        try:
            self._done.set_result(self._act(*self._given))
        except BaseException as failed:
            self._done.set_exception(failed)

    def result(self) -> Any:
        return self._done.result()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.filterwarnings("ignore")  # transformers' own
def test_a_plain_loop_and_a_trainer_end_with_the_mean_of_fedavg_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, loop, trainer = task(), example("loop"), example("trainer")
    lock, make = threading.Lock(), made.make_model

    def make_alone() -> Any:
        with lock:  # it seeds torch for all threads
            return make()

    monkeypatch.setattr(made, "make_model", make_alone)
    folder = tmp_path / "pki"
    make_trial(folder, clients=[f"client-{index}" for index in range(5)], aggregators=["leader", "auditor"])
    plan = additive.Plan(clients=5, aggregators=2, clip=8.0)
    state = {name: tensor.numpy() for name, tensor in adapter_state(make()).items()}
    expected = plain_loop(ROUNDS, lambda number: [0, 1, 2, 3, 4] if number == 1 else [0, 1, 2, 3])
    one = secagg.Identity.load(folder / "leader")
    with (
        secagg.serve(plan, "127.0.0.1:0", identity=secagg.Identity.load(folder / "hub"), model=state, aggregators=[one]) as server,
        secagg.attend(server.address, identity=secagg.Identity.load(folder / "auditor")),
    ):
        running = [Background(loop.main, folder, number, server.address) for number in (0, 1, 2)]
        trained = Background(trainer.main, folder, 3, server.address)
        gone = Background(leave_in_the_second_round, folder, 4, server.address)
        server.wait_for(5, 60)
        sizes = []
        for _ in range(ROUNDS):
            result = server.aggregate(deadline=6)
            sizes.append(len(result.included))
            state = {name: state[name] + result.mean[name] for name in state}
            server.publish(state)
        gone.result()
        server.close()
        for done in running:
            done.result()
        model = trained.result()
    assert sizes == [5, 4, 4]
    assert largest_difference(state, expected) <= bound(plan, state, 4, ROUNDS)
    assert largest_difference(adapter_state(model), state) == 0.0
    assert largest_difference(state, plain_loop(ROUNDS, lambda _: [0, 1, 2])) > 100 * bound(plan, state, 4, ROUNDS)
