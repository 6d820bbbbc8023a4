"""Long buffers that are used again."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from secagg import buffers
from secagg.buffers import borrow

LONG = 3 << 20


@pytest.fixture(autouse=True)
def _none_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_free", [])


def address(view: memoryview) -> int:
    return int(np.frombuffer(view, np.uint8).ctypes.data)


def test_a_buffer_is_lent_again_only_when_no_view_of_it_is_left() -> None:
    first = borrow(LONG)
    where, part = address(first), first[10:20].toreadonly()
    part_alone = part[2:4]
    del first, part
    gc.collect()
    held = borrow(LONG)
    assert address(held) != where, "a part of it is still read"
    del part_alone
    gc.collect()
    assert address(borrow(LONG)) == where


def test_a_buffer_serves_a_shorter_vector_but_not_one_of_less_than_half() -> None:
    first = borrow(2 * LONG)
    where = address(first)
    del first
    shorter = borrow(LONG)
    assert (address(shorter), len(shorter)) == (where, LONG)
    del shorter
    assert address(borrow(LONG - 1)) != where


def test_few_free_buffers_are_kept_and_short_ones_are_not() -> None:
    many = [borrow(LONG) for _ in range(10)]
    short = borrow(1000)
    del many, short
    assert len(buffers._free) == buffers._BUFFERS


def test_threads_never_share_a_buffer() -> None:
    seen: list[bool] = []

    def work(number: int) -> None:
        for _ in range(50):
            mine = borrow(1 << 20)
            mine[:100] = mine[-100:] = bytes([number]) * 100
            seen.append(set(mine[:100]) | set(mine[-100:]) == {number})
            del mine

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(seen) == 400
    assert all(seen)
