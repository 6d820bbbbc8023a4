"""Follows the commands of a page in order, in one folder, as a reader with a few terminals would.

A `console` block holds commands after `$ ` and, below each, lines that it must print. In such a line `…` stands for anything, and a decimal
fraction for any other: it was measured, and is compared by the test.

    <!-- background: reason -->     runs in terminals of its own, beside the next block that is not in the background; then both must end
    <!-- fails: 2 -->               the commands of the block end with this exit status; also after `background:`
    <!-- …, until Ctrl-C -->        the reader ends them once everything else has ended

Other blocks are only shown. Questions are answered with yes. `secagg` and `python` commands run in processes forked from one that
has loaded torch and peft already, so that a page with forty commands does not load them forty times.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import runpy
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.docs.markdown import Block, blocks

_LOADED = [
    "torch",
    "transformers.models.bert.modeling_bert",
    "peft",
    "rich.table",
    "secagg.lora.state",
    "secagg.cli.app",
    "secagg.cli.show",
    "secagg.pki.folder",
]
_FAILS = re.compile(r"<!-- (?:background: )?fails: (\d+)(, until Ctrl-C)? -->")


@dataclass
class Shown:
    """One command as the page shows it."""

    line: int
    text: str
    output: list[str]
    status: int = 0
    until_interrupted: bool = False


@dataclass
class Running:
    shown: Shown
    process: BaseProcess
    log: Path


def commands(block: Block, page: list[str]) -> list[Shown]:
    """The commands of a `console` block."""
    found: list[Shown] = []
    for number, line in enumerate(block.code.replace("\\\n", "").splitlines(), block.line):
        if line.startswith("$ "):
            found.append(Shown(number, line[2:], []))
        elif found and line.strip():
            found[-1].output.append(line.strip())
    above = next((line for line in reversed(page[: block.line - 2]) if line.strip()), "")
    if marked := _FAILS.fullmatch(above.strip()):
        for shown in found:
            shown.status, shown.until_interrupted = int(marked[1]), bool(marked[2])
    return found


class Walk:
    """One reader in one folder."""

    def __init__(self, folder: Path, page: Path, environment: dict[str, str]) -> None:
        self.folder, self.page, self.environment = folder, page, environment
        self._lines = page.read_text(encoding="utf-8").splitlines()
        self._forks = multiprocessing.get_context("forkserver")
        self._forks.set_forkserver_preload(_LOADED)
        self._beside: list[Running] = []
        self.printed: dict[str, list[str]] = {}
        """What each command printed, in the order in which it was run."""

    def run(self, limit: float) -> None:
        """The whole page, in at most `limit` seconds for each command."""
        try:
            for block in blocks("\n".join(self._lines)):
                self._block(block, limit)
            self._await_background(limit)
        finally:
            for running in self._beside:
                running.process.terminate()

    def _block(self, block: Block, limit: float) -> None:
        if block.language != "console":
            return
        for shown in commands(block, self._lines):
            running = self._start(shown)
            if block.note == "background":
                self._beside.append(running)
            else:
                self._check(running, limit)
        if block.note != "background":
            self._await_background(limit)

    def _await_background(self, limit: float) -> None:
        for running in sorted(self._beside, key=lambda running: running.shown.until_interrupted):
            if running.shown.until_interrupted:
                running.process.terminate()
            self._check(running, limit)
        self._beside = []

    def _start(self, shown: Shown) -> Running:
        log = self.folder / f".{time.monotonic_ns()}.log"
        process = self._forks.Process(target=_play, args=(shown.text, self.folder, log, self.environment), daemon=True)
        process.start()
        return Running(shown, process, log)

    def _check(self, running: Running, limit: float) -> None:
        shown, process = running.shown, running.process
        process.join(limit)
        said = running.log.read_text(encoding="utf-8") if running.log.exists() else ""
        self.printed.setdefault(shown.text, []).append(said)
        where = f"{self.page.name}:{shown.line}: $ {shown.text}"
        if process.is_alive():
            process.terminate()
            beside = "\n".join(
                f"$ {other.shown.text}\n{other.log.read_text(encoding='utf-8')}" for other in self._beside if other.log.exists()
            )
            raise TimeoutError(f"{where}\nstill runs after {limit:.0f} s:\n{said}\nbeside it:\n{beside}")
        assert process.exitcode == shown.status, f"{where}\nended with {process.exitcode}, not {shown.status}:\n{said}"
        plain = " ".join(said.split())
        for line in shown.output:
            parts = (re.escape(" ".join(part.split())) for part in line.split("…"))
            pattern = re.sub(r"\d+\\\.\d+", r"\\d+\\.\\d+", ".*".join(parts))
            assert re.search(pattern, plain), f"{where}\ndid not print: {line}\nbut:\n{said}"


def _play(text: str, folder: Path, log: Path, environment: dict[str, str]) -> None:
    """One command, in a process of its own; what it prints goes to `log`, or where the command says."""
    os.chdir(folder)
    os.environ.update(environment)
    for number, place in ((1, log), (2, log)):
        os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    reader, writer = os.pipe()
    os.write(writer, b"y\n" * 8)
    os.close(writer)
    os.dup2(reader, 0)
    sys.stdin = os.fdopen(0)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    words = shlex.split(text, comments=True)
    if words[0] not in {"secagg", "python"} or any(mark in text for mark in "$&|;"):
        sys.exit(subprocess.run(["bash", "-ec", text], check=False).returncode)
    if ">>" in words:
        os.dup2(os.open(words[words.index(">>") + 1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 1)
        words = words[: words.index(">>")]
    sys.argv = [one for word in words for one in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
    if words[0] == "secagg":
        from secagg.cli import main

        main()
    else:
        sys.argv = sys.argv[1:]
        sys.path.insert(0, str(Path(sys.argv[0]).parent.absolute()))
        runpy.run_path(sys.argv[0], run_name="__main__")
