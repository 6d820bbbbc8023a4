"""The one event loop of the process: a daemon thread that every hub and every session shares, so that the calls of users are plain."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from secagg.errors import TransportError

T = TypeVar("T")

_WALL, _STEADY = time.time(), time.monotonic()
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def clock() -> float:
    """Seconds since 1970 that never go back, whatever is done to the machine's clock meanwhile."""
    return _WALL + time.monotonic() - _STEADY


def loop() -> asyncio.AbstractEventLoop:
    """The loop; starts its thread on first use."""
    global _loop  # noqa: PLW0603  # gRPC wants one loop a process
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="secagg-driver", daemon=True).start()
        return _loop


def start(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run `work` on the loop."""
    return asyncio.run_coroutine_threadsafe(work, loop())


def call(work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
    """Run `work` on the loop and wait for it; Ctrl-C and a timeout cancel it. Raises TransportError after `timeout` seconds."""
    future = start(work)
    try:
        return future.result(timeout)
    except CancelledError as refused:
        raise TransportError("the connection was closed meanwhile") from refused
    except TimeoutError as refused:
        if not future.cancel():
            raise
        raise TransportError(f"nothing within {timeout:g} seconds") from refused
    except BaseException:
        future.cancel()
        raise


def soon(act: Callable[[], object]) -> None:
    """Run a plain function on the loop, without waiting."""
    loop().call_soon_threadsafe(act)
