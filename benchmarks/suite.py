"""Every other benchmark in turn, each in a process of its own, as rows of one table: ours against limits, goals and peers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from secagg.bench.record import Row


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`python -m benchmarks.NAME`, with its words for a quick and for a full run; None: it is in a full one only."""

    name: str
    quick: tuple[str, ...] | None = ()
    full: tuple[str, ...] = ()


SUITE = (
    Benchmark("encode", ("--values", "1e7", "--repeats", "5")),
    Benchmark("split", ("--values", "1e7", "--repeats", "5")),
    Benchmark("additive", ("--values", "1e7", "--repeats", "5")),
    Benchmark("pairwise", ("--part", "client", "--values", "1e7", "--repeats", "3")),
    Benchmark("pairwise", ("--part", "server", "--values", "1e7")),
    Benchmark("pairwise", ("--part", "complete")),
    Benchmark("pairwise", ("--part", "growth", "--cohorts", "100,300"), ("--part", "growth")),
    Benchmark(
        "flower_secagg", ("--clients", "21", "--values", "1e6", "--repeats", "3"), ("--clients", "21", "--values", "1e7", "--repeats", "3")
    ),
    Benchmark("flower_secagg", ("--clients", "100", "--neighbours", "20", "--repeats", "1")),
    Benchmark("ckks", ("--repeats", "3"), ("--repeats", "9")),
    Benchmark("ckks", ("--part", "processes", "--values", "1e7", "--repeats", "2")),
    Benchmark("threshold", ("--repeats", "3"), ("--repeats", "9")),
    Benchmark("tensors", ("--repeats", "9"), ("--repeats", "41")),
    Benchmark("noise", ("--repeats", "3")),
    Benchmark("private", ("--repeats", "3"), ("--repeats", "7")),
    Benchmark("text", ("--repeats", "3")),
    Benchmark("transport", ("--repeats", "9")),
    Benchmark("rounds", ("--repeats", "15"), ("--repeats", "30")),
    Benchmark("rounds", ("--clients", "10", "--repeats", "5"), ("--clients", "10", "--repeats", "15")),
    Benchmark("links", ("--repeats", "1"), ("--repeats", "3")),
    Benchmark("stacks", None, ("--peers",)),
    Benchmark("scale", None, ("--clients", "1000", "--values", "1000000")),
    Benchmark("scale", None, ("--stream", "1000000000")),
)

LONGEST = 1800.0


def rows(*, full: bool, tell: Callable[[str], None] = lambda _: None) -> tuple[list[Row], list[str]]:
    """All rows, and a note for each benchmark that did not run, with the reason."""
    found, notes = list[Row](), list[str]()
    for benchmark in SUITE:
        words = benchmark.full if full and benchmark.full else benchmark.quick
        if words is None:
            continue
        tell(" ".join((benchmark.name, *words)))
        try:
            found += _run(benchmark.name, words)
        except NotRun as reason:
            notes.append(f"`python -m benchmarks.{benchmark.name} {' '.join(words)}` did not run: {reason}")
    return found, notes


class NotRun(Exception):
    """A benchmark that ended without its JSON."""


def _run(name: str, words: tuple[str, ...]) -> list[Row]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *words, "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise NotRun(f"not done after {LONGEST:.0f} s") from None
    if done.returncode:
        raise NotRun((done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1])
    try:
        lines = json.loads(done.stdout)["lines"]
    except (ValueError, KeyError):
        raise NotRun("it printed no JSON") from None
    return [
        Row(
            benchmark=name,
            work=line["work"],
            milliseconds=line["milliseconds"],
            clock=line["clock"],
            against=line["against"],
            limit=line["limit"],
            goal=line["goal"],
        )
        for line in lines
    ]
