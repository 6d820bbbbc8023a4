"""What README and docs show is run: the Python of every page, and every command against the command line that exists."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.docs.commands import CONSOLE, objection, shown
from tests.docs.markdown import Block, blocks
from tests.repository.source import ROOT

PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path.is_file())
WITH_PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks(page.read_text(encoding="utf-8")))]
COMMANDS = [
    (page, block.line, words)
    for page in PAGES
    for block in blocks(page.read_text(encoding="utf-8"))
    if block.language in CONSOLE
    for words in shown(block)
]


def run_page(page: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with one thread of torch: a page may start servers, and must not find what another page left."""
    command = [sys.executable, "-W", "error", "-m", "tests.docs.markdown", str(page)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs(page: Path) -> None:
    done = run_page(page)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_that_a_page_shows_exists() -> None:
    wrong = [f"{page.relative_to(ROOT)}:{line}: {' '.join(words)}: {reason}" for page, line, words in COMMANDS if (reason := reject(words))]
    assert not wrong, "\n".join(wrong)


def reject(words: list[str]) -> str:
    """Why a shown command would not start. Programs that are not ours are not judged."""
    if words[0] == "secagg":
        import typer.main

        from secagg.cli.app import app

        return objection(typer.main.get_command(app), words[1:])
    if words[0].startswith("python") and words[1:2] == ["dev.py"]:
        import dev

        if words[2:3] == ["demo"]:
            return reject(["secagg", *words[2:]])
        return "" if words[2:3] and words[2] in (*dev.COMMANDS, "help") else "dev.py has no such command"
    return ""


def test_blocks_share_a_namespace_and_run_in_order(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- setup\nseen = []\n-->\n```python\nseen.append(1)\n```\n<!-- skip: needs a cluster -->\n```python\nseen.append(2)\n```\n"
        "<!-- background: waits for what follows -->\n```python\nimport time\n"
        "while 3 not in seen:\n    time.sleep(0.01)\nseen.append(4)\n```\n"
        "```text\nno python\n```\n```python\nassert seen == [1], seen\nseen.append(3)\n```\n"
    )
    assert run_page(page).returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n```python\n1 / 0\n```\n", 'page.md", line 3'),
        ("<!-- skip: only compiled -->\n```python\nthis is no python\n```\n", "SyntaxError"),
        ("<!-- background: fails -->\n```python\nraise KeyError('aside')\n```\n", "KeyError: 'aside'"),
        ("```python\nimport warnings\nwarnings.warn('old', DeprecationWarning)\n```\n", "DeprecationWarning: old"),
        ("```python\nx = 1\n", "line 1: the block that opens here has no end"),
    ],
)
def test_a_page_that_does_not_work_fails_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    done = run_page(page)
    assert done.returncode != 0
    assert said in done.stderr


def test_commands_are_found_in_shell_blocks() -> None:
    console = Block(
        "console", 1, "$ A=1 secagg serve \\\n    --config hub.toml && cd x\nserving on 7070\n$ secagg receipt verify r.bin  # why\n"
    )
    assert list(shown(console)) == [["secagg", "serve", "--config", "hub.toml"], ["cd", "x"], ["secagg", "receipt", "verify", "r.bin"]]
    assert list(shown(Block("sh", 1, "secagg demo\n# a comment\n"))) == [["secagg", "demo"]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("serve hub.toml --port 1 --json", ""),
        ("serve --port=1 -v", ""),
        ("serve --help", ""),
        ("receipt verify --serve", "`verify` has no option --serve"),
        ("serve --prot 1", "`serve` has no option --prot"),
        ("server", "`secagg` has no command server"),
    ],
)
def test_a_command_is_held_to_the_command_line_that_exists(line: str, reason: str) -> None:
    serve = click.Command(
        "serve",
        params=[
            click.Option(["--port"]),
            click.Option(["--json"], is_flag=True),
            click.Option(["-v"], count=True),
            click.Argument(["config"]),
        ],
    )
    receipt = click.Group("receipt", commands=[click.Command("verify")])
    assert objection(click.Group("secagg", commands=[serve, receipt]), line.split()) == reason
