"""Long buffers that are used again: the system zeroes new pages, which takes longer than encrypting as many bytes.

For what may be read by whoever holds the process's memory next: ciphertext and masked vectors, never plaintext.
"""

from __future__ import annotations

import weakref
from threading import RLock

import numpy as np
from numpy.typing import NDArray

_LEAST = 1 << 20
"""Bytes below which a new buffer costs nothing worth the trouble."""
_BUFFERS, _BYTES = 4, 256 << 20
"""How many free buffers a process keeps, and how many bytes of them."""

# A buffer is freed by whichever thread lets go of it last, perhaps within a call here: hence reentrant.
_lock = RLock()
_free: list[NDArray[np.uint8]] = []


def borrow(size: int) -> memoryview:
    """`size` writable bytes with whatever was in them before; given back when the last view of them is gone."""
    pages = _take(size)
    # Every memoryview of `lent`, and every part of one, keeps it alive.
    lent = pages[:size]
    if size >= _LEAST:
        weakref.finalize(lent, _give_back, pages).atexit = False
    return memoryview(lent)  # type: ignore[arg-type]  # ndarray is a buffer; typed so from Python 3.12 on


def _take(size: int) -> NDArray[np.uint8]:
    """The free buffer that fits best and is at most twice as long, or a new one."""
    with _lock:
        fitting = [index for index, pages in enumerate(_free) if size <= len(pages) <= 2 * size]
        if fitting:
            return _free.pop(min(fitting, key=lambda index: len(_free[index])))
    return np.empty(size, np.uint8)


def _give_back(pages: NDArray[np.uint8]) -> None:
    with _lock:
        _free.append(pages)
        # The oldest go first: what was used last fits what comes next.
        while len(_free) > _BUFFERS or sum(map(len, _free)) > _BYTES:
            _free.pop(0)
