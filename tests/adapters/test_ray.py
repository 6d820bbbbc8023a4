"""Ray itself, on this machine: results of one process to the bit, whichever workers are lost on the way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secagg
from protocols import additive, pairwise
from secagg.crypto.expand import Stream
from secagg.crypto.seal import CannotOpen
from secagg.crypto.stream import PLAIN, seal_stream
from secagg.errors import ConfigError, SessionAborted
from secagg.math.ring import Ring
from secagg.payload import Blob
from secagg.pki.trial import make_trial
from secagg.roles import Plan
from secagg.tally import Opening, Tally
from secagg.types import Secret

ray: Any = pytest.importorskip("ray")

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.filterwarnings("ignore")]  # Ray's own

KEYS = [Secret(bytes([index]) * 32) for index in range(1, 9)]
LENGTH = 3 * PLAIN // 4 + 1000
"""Four chunks of 32-bit words, the last of them short."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    from secagg.adapters.ray import RayEngine

    yield RayEngine(3, least=1, num_cpus=2, object_store_memory=100_000_000)
    ray.shutdown()


def vector(seed: int, bits: int = 32) -> np.ndarray:
    words = np.empty(LENGTH, Ring(bits).dtype)
    Stream(Secret(bytes([seed]) * 32)).fill(words)
    Ring(bits).reduce_into(words)
    return words


def sealed(words: np.ndarray, key: Secret, ring: Ring) -> tuple[Opening, Blob]:
    packed = bytes(ring.pack(words))

    def fill(offset: int, buffer: memoryview) -> None:
        buffer[:] = packed[offset : offset + len(buffer)]

    return Opening(key, "test", b"here"), Blob(seal_stream(key, fill, len(packed), purpose="test", context=b"here"))


@pytest.mark.parametrize("bits", [24, 32, 48])
def test_a_sum_over_workers_has_the_words_of_one_in_this_process(engine: Any, bits: int) -> None:
    ring = Ring(bits)
    sums = [Tally.zero(ring, LENGTH), engine.tallies(ring, LENGTH)]
    assert len(sums[1].ranges) == 3
    for one in sums:
        assert not one.words.any()
        for index, key in enumerate(KEYS[:3]):
            opening, payload = sealed(vector(index, bits), key, ring)
            one.add(opening, payload, -1 if index == 1 else 1)
        one.apply([(Stream(KEYS[6]), 1), (Stream(KEYS[7]), -1)])
    assert np.array_equal(sums[0].words, sums[1].words)
    assert "words" in repr(sums[1])


def kill(worker: Any) -> None:
    """As the system does when memory runs out: the process is gone at once."""
    pid = ray.get(worker.__ray_call__.remote(lambda _: os.getpid()))
    os.kill(pid, signal.SIGKILL)


def test_a_worker_that_is_killed_is_made_anew_where_it_was(engine: Any) -> None:
    ring = Ring(32)
    here, there = Tally.zero(ring, LENGTH), engine.tallies(ring, LENGTH)
    for index, key in enumerate(KEYS[:5]):
        opening, payload = sealed(vector(index), key, ring)
        for one in (here, there):
            one.add(opening, payload)
            one.apply([(Stream(KEYS[5 + index % 3]), 1)])
        kill(there.ranges[index % 3].worker)
        if index == 2:  # also after a reading, from which on less is done again
            assert np.array_equal(here.words, there.words)
    assert np.array_equal(here.words, there.words)
    assert sum(one.lost for one in there.ranges) >= 4


def test_a_range_that_nobody_can_hold_ends_the_round(engine: Any) -> None:
    there = engine.tallies(Ring(32), LENGTH)
    made = there.ranges[0].make

    def doomed(*given: Any) -> Any:
        worker = made(*given)
        ray.kill(worker)
        return worker

    there.ranges[0].make = doomed
    with pytest.raises(SessionAborted, match="lost 4 times in a row"):
        there.apply([(Stream(KEYS[0]), 1)])


def test_a_vector_that_does_not_open_on_one_worker_is_taken_back_from_all(engine: Any) -> None:
    ring = Ring(32)
    there = engine.tallies(ring, LENGTH)
    opening, payload = sealed(vector(1), KEYS[0], ring)
    there.add(opening, payload)
    other, whole = sealed(vector(2), KEYS[1], ring)
    broken = bytearray(b"".join(bytes(whole.chunk(index)) for index in range(4)))
    broken[-20] ^= 1  # the last range refuses; the first two have added
    with pytest.raises(CannotOpen):
        there.add(other, Blob(broken))
    assert np.array_equal(there.words, vector(1))


def test_no_key_crosses_ray_in_clear(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    from secagg.adapters import ray_shards

    ring, crossed = Ring(32), list[Any]()
    ask = ray_shards.Range.ask

    def tap(self: Any, method: str, *given: Any) -> Any:
        crossed.append(pickle.dumps(given))
        return ask(self, method, *given)

    monkeypatch.setattr(ray_shards.Range, "ask", tap)
    there = engine.tallies(ring, LENGTH)
    opening, payload = sealed(vector(1), KEYS[0], ring)
    there.add(opening, payload)
    there.apply([(Stream(KEYS[1]), 1)])
    assert len(crossed) > 6
    assert not any(key.expose() in said for key in KEYS[:2] for said in crossed)


class Updates(Sequence[Any]):
    """Made when they are asked for, as for thousands of clients."""

    def __init__(self, clients: int, values: int) -> None:
        self._clients, self._values = clients, values

    def __len__(self) -> int:
        return self._clients

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._clients:
            raise IndexError(index)
        return {"w": np.sin(np.arange(self._values) * (index + 1)).astype(np.float32)}


PLANS: list[Plan] = [
    additive.Plan(clients=9, aggregators=3, clip=400.0, rotation=True),
    pairwise.Plan(clients=9, clip=400.0),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.PROTOCOL)
def test_a_simulation_on_ray_gives_the_bits_of_one_in_this_process(engine: Any, plan: Plan) -> None:
    updates, weights = Updates(9, 300_000), [7, 1, 2, 3, 4, 5, 6, 7, 8]
    asked: dict[str, Any] = {"weights": weights, "drop": [4], "seed": "the same"}
    here = secagg.simulate(plan, updates, **asked)
    there = secagg.simulate(plan, updates, engine=engine, **asked)
    assert here.included == there.included
    assert len(there.included) == 8
    assert here.weight == there.weight == sum(weights) - weights[4]
    assert here.mean["w"].tobytes() == there.mean["w"].tobytes()
    other = secagg.simulate(plan, updates, weights=weights, drop=[4], seed="another")
    assert here.mean["w"].tobytes() != other.mean["w"].tobytes()  # so that equal bits say something


def test_a_simulation_survives_its_workers(engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from secagg.adapters.ray_clients import answer

    def dying(world: Any, items: Any, payloads: Any, now: float) -> Any:
        """Every step of the clients is lost once."""
        mark = tmp_path / f"{items[0].party}-{items[0].step}"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return answer(world, items, payloads, now)

    here = secagg.simulate(PLANS[1], Updates(9, 3000), seed="killed")
    monkeypatch.setattr(engine, "_answer", ray.remote(num_cpus=1, max_retries=3)(dying))
    there = secagg.simulate(PLANS[1], Updates(9, 3000), seed="killed", engine=engine)
    assert len(list(tmp_path.iterdir())) >= 4
    assert here.included == there.included
    assert here.mean["w"].tobytes() == there.mean["w"].tobytes()


def test_a_hub_whose_sum_lies_on_ray_opens_it_though_a_worker_is_killed(engine: Any, tmp_path: Path) -> None:
    pki, values, lost = tmp_path / "pki", 200_000, list[int]()
    make_trial(pki, clients=["a", "b", "c"], hub="hub", classic=True)

    class Watched:
        def tallies(self, ring: Ring, length: int) -> Any:
            made.append(engine.tallies(ring, length))
            return made[-1]

    made: list[Any] = []

    def client(name: str, number: int) -> None:
        with secagg.join(server.address, identity=secagg.Identity.load(pki / name)) as session:
            for _ in session.rounds():
                if number == 2:  # the others have been added, and are lost
                    time.sleep(1.5)
                    for one in made[-1].ranges:
                        kill(one.worker)
                session.submit({"w": np.full(values, number, np.float32)}, weight=number)

    options: dict[str, Any] = {"identity": secagg.Identity.load(pki / "hub"), "model": {"w": np.zeros(values, np.float32)}}
    with secagg.serve(pairwise.Plan(clients=3, clip=2000.0, max_weight=8), "127.0.0.1:0", engine=Watched(), **options) as server:  # type: ignore[arg-type]
        threads = [threading.Thread(target=client, args=(name, number)) for number, name in enumerate("abc", 1)]
        for thread in threads:
            thread.start()
        server.wait_for(3, timeout=60)
        for _ in range(2):
            result = server.aggregate(deadline=60)
            assert result.included == ("a", "b", "c")
            assert np.abs(result.mean["w"] - 14 / 6).max() <= 2000 / 2**14
            lost.append(sum(one.lost for one in made[-1].ranges))
    for thread in threads:
        thread.join(20)
    assert min(lost) >= 1


def test_an_engine_goes_by_its_name(engine: Any) -> None:
    updates = [{"w": np.ones(100, np.float32)}] * 3
    result = secagg.simulate(pairwise.Plan(clients=3, clip=20.0), updates, engine="ray")
    assert np.abs(result.mean["w"] - 1).max() < 20 / 2**14
    with pytest.raises(ConfigError, match="no engine 'spark'; installed: ray"):
        secagg.simulate(pairwise.Plan(clients=3, clip=20.0), updates, engine="spark")
