"""Encrypting a long vector in several processes, because SEAL holds the interpreter's lock: `python -m secagg.crypto.ckks_workers` is one.

Workers are started once, wait for work on their standard input, and end when it closes, which it does when this process ends in any way.
The key of a round passes through that pipe, between two processes of one user, and is nowhere else.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO

import numpy as np

from secagg.crypto.ckks import KEY, SEED, Integers, Numbers, Residues, Seeds, encrypt
from secagg.errors import SecAggError
from secagg.types import Secret

BATCH = 64
"""Ciphertexts that a worker is handed at a time."""

_TASK = struct.Struct(f"<QQQQ{KEY}s")
_workers: list[_Worker] = []
_lock = Lock()


def encrypt_apart(values: Integers, numbers: Numbers, key: Secret, processes: int) -> tuple[Residues, Seeds]:
    """What `encrypt` does, by so many processes beside this one.

    Raises:
        SecAggError: one of them has ended.
    """
    c0, seeds = np.empty(values.shape, np.uint64), np.empty((len(values), SEED), np.uint8)
    batches = iter([slice(start, start + BATCH) for start in range(0, len(values), BATCH)])
    with _lock:  # one vector at a time: another would only make both slower
        chosen = _started(processes)
        try:
            share = _Share(values, numbers, key, batches, c0, seeds)
            with ThreadPoolExecutor(len(chosen)) as pool:
                for done in [pool.submit(worker.work, share) for worker in chosen]:
                    done.result()
        except BaseException:
            end_all()  # what is left in the pipes would be taken for the answer to something else
            raise
    return c0, seeds


def prepare(processes: int) -> None:
    """Start workers ahead of the work."""
    with _lock:
        _started(processes)


@atexit.register
def end_all() -> None:
    """Stop every worker; the next vector starts new ones."""
    while _workers:
        _workers.pop().end()


def _started(processes: int) -> list[_Worker]:
    while len(_workers) < processes:
        _workers.append(_Worker())
    return _workers[:processes]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Share:
    """The work that several workers share: each takes the next batch when it has room for one."""

    values: Integers
    numbers: Numbers
    key: Secret
    batches: Iterator[slice]
    c0: Residues
    seeds: Seeds


class _Worker:
    def __init__(self) -> None:
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )

    def work(self, share: _Share) -> None:
        """Hand over batch after batch, one ahead of the answers, and put the answers where they belong."""
        waiting: list[slice] = []
        try:
            for batch in share.batches:
                self._hand_over(share.values[batch], share.numbers, share.key)
                waiting.append(batch)
                if len(waiting) > 1:
                    self._take(share, waiting.pop(0))
            for batch in waiting:
                self._take(share, batch)
        except OSError as broken:
            raise SecAggError(f"a process that encrypts has ended with status {self._process.poll()}: {broken}") from broken

    def end(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what was not handed over yet
                    pipe.close()

    def _hand_over(self, rows: Integers, numbers: Numbers, key: Secret) -> None:
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101  # it was asked for
        pipe.write(_TASK.pack(numbers.degree, numbers.prime, numbers.scale_bits, len(rows), key.expose()))
        pipe.write(rows.data.cast("B"))
        pipe.flush()

    def _take(self, share: _Share, batch: slice) -> None:
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101  # it was asked for
        for room in (share.c0[batch], share.seeds[batch]):
            _fill(pipe, room.data.cast("B"))


def _fill(pipe: IO[bytes], room: memoryview) -> None:
    at = 0
    while at < len(room):
        got = pipe.readinto(room[at:])  # type: ignore[attr-defined]  # a buffered reader
        if not got:
            raise OSError("nothing more comes")
        at += got


def _serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """A worker's life: a task, its answer, the next. It reads one task ahead: who hands it over must not wait for an answer first."""
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(_read_task, source)
        while (task := ahead.result()) is not None:
            ahead = reader.submit(_read_task, source)
            for part in encrypt(*task):
                sink.write(part.data.cast("B"))
            sink.flush()


def _read_task(source: IO[bytes]) -> tuple[Integers, Numbers, Secret] | None:
    head = source.read(_TASK.size)
    if not head:
        return None
    degree, prime, scale_bits, count, key = _TASK.unpack(head)
    values = np.empty((count, degree), np.int32)
    _fill(source, values.data.cast("B"))
    return values, Numbers(degree, prime, scale_bits), Secret(key)


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
