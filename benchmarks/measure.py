"""Timing for the benchmarks: interleaved repetitions, so that a ratio compares the same minute of the same machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from secagg.threads import VARIABLE

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Line:
    """One measurement: milliseconds of its clock, the milliseconds it is compared with, and the largest ratio that is the goal."""

    work: str
    milliseconds: float
    against: str = ""
    limit: float | None = None
    goal: float | None = None
    clock: str = "cpu"

    @property
    def ratio(self) -> float | None:
        return None if self.limit is None else self.milliseconds / self.limit

    @property
    def met(self) -> bool | None:
        return None if self.goal is None or self.ratio is None else self.ratio <= self.goal


@dataclass(frozen=True, slots=True)
class Fastest:
    """The fastest runs of each work, in milliseconds: on the wall, and of all the process's processor time."""

    wall: dict[str, float]
    cpu: dict[str, float]


def best(works: dict[str, Work], repeats: int) -> Fastest:
    """The fastest of `repeats` runs of each work; rounds go over all works, so that load hits them alike.

    On a machine that others use, processor time says what a work on one thread takes, and wall time what their load leaves of it.
    """
    fastest = Fastest(dict.fromkeys(works, float("inf")), dict.fromkeys(works, float("inf")))
    for _ in range(repeats):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            fastest.cpu[name] = min(fastest.cpu[name], (time.process_time() - cpu) * 1000)
            fastest.wall[name] = min(fastest.wall[name], (time.perf_counter() - wall) * 1000)
    return fastest


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Let so many threads share one vector."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(count)
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def machine() -> dict[str, str | int | None]:
    """What the numbers were measured on."""
    return {
        "processor": next(iter(_processors()), platform.processor()),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _processors() -> Iterable[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123  # not a file that anybody chose
            return [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        return []


def show(title: str, lines: Sequence[Line], *, facts: dict[str, object], as_json: bool) -> None:
    """Print a table, or JSON for machines."""
    if as_json:
        rows = [asdict(line) | {"ratio": line.ratio, "met": line.met} for line in lines]
        print(json.dumps({"title": title, "machine": machine(), **facts, "lines": rows}, indent=1))
        return
    table = Table("work", "clock", "ms", "against", "ms", "ratio", "goal", title=title, box=box.SIMPLE, title_justify="left")
    for number in (2, 4, 5, 6):
        table.columns[number].justify = "right"
    for line in lines:
        colour = {True: "[green]", False: "[red]", None: ""}[line.met]
        table.add_row(
            line.work,
            line.clock,
            f"{line.milliseconds:.2f}",
            line.against,
            _number(line.limit, ".2f"),
            colour + _number(line.ratio, ".2f"),
            _number(line.goal, "≤ "),
        )
    console = Console(width=None if os.isatty(1) else 120)
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in {**facts, **machine()}.items()), style="dim", soft_wrap=True)


def _number(value: float | None, form: str) -> str:
    if value is None:
        return ""
    return f"{form}{value:g}" if form.startswith("≤") else format(value, form)


def arguments(description: str | None, values: float) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--values", type=lambda text: int(float(text)), default=int(values), help="coordinates of the update (default %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=7, help="runs of each work; the fastest counts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
