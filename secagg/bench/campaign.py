"""Runs the cases: each in a process of its own, those of the same work in turn, again and again, into a file that stays whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from secagg.bench.case import Case
from secagg.bench.limits import limits, machine
from secagg.bench.record import Measured, Play, Results, load
from secagg.errors import ConfigError

LONGEST = 1800.0
"""Seconds after which a case is given up."""

_HELD = 14
"""Bytes a value and client that one process needs at most: the update, its copy on the way, and what the protocol keeps."""

_SHARE = 0.7
"""Part of the machine's memory that a case may need."""

Tell = Callable[[int, int, str], None]
"""`tell(done, in all, what comes next)`."""


@dataclass(slots=True)
class Campaign:
    """Cases to measure and the file that they go into.

    Args:
        cases: in any order; those of the same work are interleaved.
        repeats: timed rounds of each.
        path: results file; one that is there is gone on with.
        memory: trace memory in one more round of each case.
        command: what the user typed, for the file.

    Raises:
        ConfigError: the file there is of another machine or has other repeats.
    """

    cases: Sequence[Case]
    repeats: int
    path: Path
    command: str
    memory: bool = True
    results: Results = field(init=False)

    def __post_init__(self) -> None:
        here = machine()
        if not self.path.exists():
            created = datetime.now(UTC).isoformat(timespec="seconds")
            self.results = Results(created=created, command=self.command, machine=here, repeats=self.repeats, limits=(), cases=())
            return
        self.results = load(self.path)
        if self.results.machine != here or self.results.repeats != self.repeats:
            raise ConfigError(
                f"{self.path} is of another machine, other versions or {self.results.repeats} repeats:"
                " name another file with --out, or remove it"
            )

    def run(self, tell: Tell) -> Results:
        """Measure what the file does not have yet; the file is written after each group of the same work."""
        groups = [list(group) for _, group in groupby(self.cases, key=lambda case: case.work)]
        done = 0
        for group in groups:
            missing = [case for case in group if not self._has(case)]
            done += len(group) - len(missing)
            if missing:
                self._measure(missing, lambda what, done=done: tell(done, len(self.cases), what))  # type: ignore[misc]
            done += len(missing)
        tell(len(self.cases), len(self.cases), "")
        return self.results

    def _has(self, case: Case) -> bool:
        return any(one.case == case for one in self.results.cases)

    def _measure(self, group: Sequence[Case], say: Callable[[str], None]) -> None:
        plays: dict[Case, list[Play]] = {case: [] for case in group}
        weighed: dict[Case, Play] = {}
        failed = {case: reason for case in group if (reason := _too_large(case, self.results.machine.memory))}
        for repeat in range(self.repeats + self.memory):
            for case in group:
                if case in failed:
                    continue
                memory = repeat == self.repeats
                say(f"{case}{' (memory)' if memory else ''}")
                found = play_apart(case, memory=memory)
                if isinstance(found, str):
                    failed[case] = found
                elif memory:
                    weighed[case] = found
                else:
                    plays[case].append(found)
        measured = [
            Measured(
                **asdict(case), plays=() if case in failed else tuple(plays[case]), weighed=weighed.get(case), failed=failed.get(case, "")
            )
            for case in group
        ]
        update = {"cases": (*self.results.cases, *measured), "limits": (*self.results.limits, limits())}
        self.results = self.results.model_copy(update=update)
        self.results.save(self.path)


def play_apart(case: Case, *, memory: bool = False) -> Play | str:
    """Play a case in a fresh process; the reason where it could not be."""
    asked = json.dumps({**asdict(case), "memory": memory})
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "secagg.bench.play", asked]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        return f"not done after {LONGEST:.0f} s"
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return said[-1] if said else f"ended with status {done.returncode}"
    last = done.stdout.strip().splitlines()[-1]
    if (refused := json.loads(last).get("failed")) is not None:
        return str(refused)
    return Play.model_validate_json(last)


def _too_large(case: Case, memory: int) -> str:
    needed, room = _HELD * case.clients * case.values, _SHARE * memory
    return f"needs about {needed / 2**30:.0f} GiB in one process, {room / 2**30:.0f} GiB are free for it" if needed > room else ""
