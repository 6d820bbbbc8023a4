"""Programs of a stack, as a test starts and ends them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(log: Path, *words: Any, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a group of its own, so that what it has started ends with it."""
    with log.open("wb") as out:
        process = subprocess.Popen([str(word) for word in words], cwd=log.parent, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        for sent in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sent)
                process.wait(8)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        process.wait(8)
