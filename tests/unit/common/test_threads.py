"""Threads that share one vector."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import Connection

import numpy as np
import pytest

from protocols.additive.split import opening_of, seal_masked
from secagg.crypto.expand import Stream
from secagg.crypto.seal import CannotOpen
from secagg.crypto.stream import PLAIN
from secagg.encode import Encoding, Quantiser
from secagg.errors import ConfigError
from secagg.math.ring import Ring
from secagg.payload import Blob
from secagg.payload import join as joined
from secagg.tally import Tally
from secagg.testing.entropy import InsecureEntropy
from secagg.threads import VARIABLE, spread, threads
from secagg.types import Secret


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 100])
@pytest.mark.parametrize("given", ["1", "2", "3", "8"])
def test_every_piece_is_done_once_whatever_the_number_of_threads(count: int, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, given)
    done: list[int] = []
    spread(done.extend, count)
    assert sorted(done) == list(range(count))


def test_two_threads_work_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    both = threading.Barrier(2, timeout=10)
    spread(lambda part: both.wait(), 2)


def test_too_little_work_stays_on_the_callers_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "4")
    seen: list[tuple[range, int]] = []
    spread(lambda part: seen.append((part, threading.get_ident())), 15, least=8)
    assert seen == [(range(15), threading.get_ident())]


def test_work_that_spreads_in_its_turn_does_not_wait_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "8")
    done: list[int] = []
    spread(lambda outer: spread(done.extend, 3), 64)
    assert len(done) == 8 * 3


def test_what_a_thread_raises_reaches_the_caller_when_all_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "3")
    ended: list[int] = []

    def work(part: range) -> None:
        if part.start == 0:
            raise ConfigError("the first")
        ended.append(part.start)
        raise ConfigError("another")

    with pytest.raises(ConfigError, match="the first"):
        spread(work, 3)
    assert sorted(ended) == [1, 2]
    with pytest.raises(ConfigError, match="another"):
        spread(lambda part: work(part) if part.start else None, 3)


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", "", "9999", "²"])
def test_a_bad_number_of_threads_is_refused_with_its_name(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(ConfigError, match=VARIABLE):
        threads()


def test_without_a_number_there_are_as_many_as_cores_up_to_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert 1 <= threads() <= min(4, os.cpu_count() or 1)


def _in_child(answer: Connection) -> None:
    done: list[int] = []
    spread(done.extend, 4)
    answer.send(sorted(done))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_child_makes_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    spread(lambda part: None, 2)
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(there,))
    child.start()
    assert here.poll(20)
    assert here.recv() == [0, 1, 2, 3]
    child.join(20)


@pytest.mark.parametrize("bits", [16, 24, 32, 48])
def test_a_report_sealed_by_threads_has_the_bytes_of_one_sealed_alone(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ring, entropy = Ring(bits), InsecureEntropy(bits)
    vector = np.arange(1_200_000, dtype=np.uint64).astype(ring.dtype)
    ring.reduce_into(vector)
    masks, key = [(Stream(Secret(entropy(32))), -1) for _ in range(2)], Secret(entropy(32))
    monkeypatch.setenv(VARIABLE, "1")
    alone, committed = seal_masked(vector, masks, ring, key, b"here")
    monkeypatch.setenv(VARIABLE, "3")
    shared, again = seal_masked(vector, masks, ring, key, b"here")
    assert joined(alone) == joined(shared)
    assert committed == again
    tally = Tally.zero(ring, len(vector))
    tally.add(opening_of(key, b"here"), shared)
    for stream, _ in masks:
        tally.apply([(stream, 1)])
    assert np.array_equal(tally.words, vector)


def test_a_report_that_does_not_open_leaves_the_tally_as_it_was_with_threads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    ring, key, vector = Ring(32), Secret(bytes(32)), np.arange(1_500_000, dtype=np.uint32)
    sealed, _ = seal_masked(vector, [], ring, key, b"here")
    for place in (5, 3 * PLAIN, sealed.size - 1):
        broken = bytearray(joined(sealed))
        broken[place] ^= 1
        tally = Tally.of(ring, vector.copy())
        with pytest.raises(CannotOpen):
            tally.add(opening_of(key, b"here"), Blob(broken))
        assert np.array_equal(tally.words, vector)


@pytest.mark.parametrize("rotation", [False, True])
def test_an_update_encoded_and_decoded_by_threads_is_that_of_one(rotation: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    quantiser = Quantiser(Encoding(max_parties=3, rotation=rotation), 2_000_000, bytes(32))
    vector = np.random.default_rng(0).standard_normal(2_000_000).astype(np.float32)
    monkeypatch.setenv(VARIABLE, "1")
    alone = quantiser.encode(vector, entropy=InsecureEntropy("coins"))
    mean = quantiser.decode(alone).mean
    monkeypatch.setenv(VARIABLE, "3")
    assert np.array_equal(quantiser.encode(vector, entropy=InsecureEntropy("coins")), alone)
    assert np.array_equal(quantiser.decode(alone).mean, mean)
