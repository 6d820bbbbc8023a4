"""Work on the pieces of one long vector, spread over the cores of the machine.

Ciphers and NumPy release the interpreter's lock while they work on a piece, so threads of one process share the work. Which thread takes
which pieces changes no byte of the result.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock, local

from secagg.errors import ConfigError

VARIABLE = "SECAGG_THREADS"
"""Environment variable: most threads that share one vector. Without it, as many as there are cores, and at most four."""
_USUAL = 4

_lock = Lock()
_pool: ThreadPoolExecutor | None = None
_here = local()


def threads() -> int:
    """How many threads share one vector. Raises ConfigError if SECAGG_THREADS is no number of them."""
    given = os.environ.get(VARIABLE)
    if given is None:
        return min(_cores(), _USUAL)
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= 1024:
        raise ConfigError(f"{VARIABLE}={given!r}: a number of threads from 1 to 1024 expected")
    return int(given)


def spread(work: Callable[[range], object], count: int, *, least: int = 1) -> None:
    """Call `work` with ranges that make up range(count) together, each on a thread of its own, and return when all are done.

    Args:
        work: called at most once on a thread, for a range of neighbours, so that what it sets up serves the whole range. Calls for
            different ranges run at the same time: they write to different places.
        count: how many pieces there are.
        least: pieces below which a thread more is not worth its start.

    Raises:
        Whatever `work` raises; of several, what the first range raised. All ranges have ended by then.
    """
    shares = 1 if getattr(_here, "busy", False) else min(threads(), count // least)
    if shares < 2:
        if count:
            work(range(count))
        return
    edges = [count * share // shares for share in range(shares + 1)]
    ranges = [range(start, stop) for start, stop in itertools.pairwise(edges)]
    others: list[Future[object]] = [_threads().submit(_one_of_many, work, part) for part in ranges[1:]]
    try:
        _one_of_many(work, ranges[0])
    finally:
        failed = [future.exception() for future in others]
    for exception in failed:
        if exception is not None:
            raise exception


def _one_of_many(work: Callable[[range], object], part: range) -> None:
    """What `work` spreads in its turn stays on its own thread: the cores are busy, and a pool that waits for itself stands still."""
    _here.busy = True
    try:
        work(part)
    finally:
        _here.busy = False


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads() -> ThreadPoolExecutor:
    global _pool  # noqa: PLW0603  # one pool for the process: every role shares the same cores
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(_cores(), thread_name_prefix="secagg-vector")
        return _pool


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    global _lock, _pool
    _lock, _pool = Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
