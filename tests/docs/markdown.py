"""Finds the fenced blocks of a Markdown page and runs its Python ones in order: `python -m tests.docs.markdown PAGE`.

The blocks of a page share one namespace and one temporary working folder. An HTML comment on the lines above a block says what
is special about it:

    <!-- skip: reason -->           compiled, not run
    <!-- background: reason -->     run in a thread beside the blocks that follow; all are awaited at the end of the page
    <!-- setup                      Python that readers do not see, run at this place of the page
    plan = …
    -->
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"(?P<indent> *)(?P<ticks>```+)(?P<language>[\w-]*).*")
_NOTE = re.compile(r" *<!-- (skip|background): (.*\S) -->")
_WAIT = 120.0
"""Seconds that the blocks in the background get once the page has ended."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block, or one hidden set-up."""

    language: str
    line: int
    """The first line of the code, from 1."""
    code: str
    note: str = ""
    """`skip`, `background`, or nothing."""


def blocks(text: str) -> list[Block]:
    """Every block of a page, in order. An unclosed one is refused, for it would hide all that follows."""
    lines, found, note, at = text.splitlines(), [], "", 0
    while at < len(lines):
        line = lines[at]
        if (fence := _FENCE.fullmatch(line)) is not None:
            end = _end(lines, at, re.compile(rf" *{fence['ticks']}`* *"))
            code = [inner[len(fence["indent"]) :] if inner.startswith(fence["indent"]) else inner for inner in lines[at + 1 : end]]
            found.append(Block(fence["language"], at + 2, "\n".join(code) + "\n", note))
            at, note = end, ""
        elif line.strip() == "<!-- setup":
            end = _end(lines, at, re.compile(r"-->"))
            found.append(Block("python", at + 2, "\n".join(lines[at + 1 : end]) + "\n"))
            at = end
        elif (said := _NOTE.fullmatch(line)) is not None:
            note = said[1]
        elif line.strip():
            note = ""
        at += 1
    return found


def _end(lines: list[str], start: int, closing: re.Pattern[str]) -> int:
    for at in range(start + 1, len(lines)):
        if closing.fullmatch(lines[at]):
            return at
    raise ValueError(f"line {start + 1}: the block that opens here has no end")


def run(page: Path) -> None:
    """Runs the Python blocks of `page` in the current folder; an error keeps the page's own file name and line."""
    namespace: dict[str, object] = {"__name__": "__snippet__"}
    background: list[threading.Thread] = []
    failures: list[BaseException] = []

    def aside(code: object) -> None:
        try:
            exec(code, namespace)  # type: ignore[arg-type]
        except BaseException as failure:
            failures.append(failure)

    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language != "python":
            continue
        code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
        if block.note == "background":
            background.append(threading.Thread(target=aside, args=(code,), daemon=True))
            background[-1].start()
        elif block.note != "skip":
            exec(code, namespace)
    for thread in background:
        thread.join(_WAIT)
        if thread.is_alive():
            raise TimeoutError(f"a background block of {page.name} has not ended {_WAIT:.0f} s after the page")
    if failures:
        raise failures[0]


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        run(target)
