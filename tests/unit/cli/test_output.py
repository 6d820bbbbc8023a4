"""What every command has in common: exit statuses, one-line errors, JSON that parses, a quick start, a clean end."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from secagg.cli.output import Output, StandardError, exit_status
from secagg.errors import (
    BudgetExceeded,
    ConfigError,
    InvalidMessage,
    LocalProtocolError,
    MalformedMessage,
    SessionAborted,
    TransportError,
    UnexpectedMessage,
)
from secagg.types import PartyId
from tests.repository.source import ROOT
from tests.unit.cli.conftest import Secagg

MAIN = "import sys; from secagg.cli import main; main()"
HEAVY = ["torch", "grpc", "numpy", "pydantic", "cryptography", "google.protobuf", "transformers"]


def process(*words: str, code: str = MAIN) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SessionAborted("too few"), 1),
        (TransportError("no route"), 1),
        (BudgetExceeded("spent"), 1),
        (LocalProtocolError("twice"), 1),
        (ConfigError("wrong"), 2),
        (MalformedMessage("bytes"), 3),
        (UnexpectedMessage("early"), 3),
        (InvalidMessage("AD-A1", "no"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_status(error: BaseException, status: int) -> None:
    assert exit_status(error) == status


def test_an_error_is_one_line_and_for_machines_says_who(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).error(InvalidMessage("AD-A1", "first\nsecond", culprits=[PartyId("urban")]))
    out, err = capsys.readouterr()
    assert err == "secagg: AD-A1: first second\n"
    assert json.loads(out) == {
        "error": {"kind": "InvalidMessage", "message": "AD-A1: first\nsecond", "check": "AD-A1", "culprits": ["urban"]},
        "exit": 3,
    }


def test_an_aborted_session_says_who_answered(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).error(SessionAborted("too few", answered=[PartyId("urban")], needed=3))
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["answered"], error["needed"]) == (["urban"], 3)


def test_brackets_in_a_partners_name_are_just_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False)
    out.table("[bold]t", ["[red]c"], [["[link=x]y[/link]"]])
    out.say("[blink]z")
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("[bold]t", "[red]c", "[link=x]y[/link]", "[blink]z"))


def test_progress_leaves_one_line_in_a_log_and_none_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(as_json=False).progress("round 1"):
        pass
    with Output(as_json=True).progress("round 2"):
        pass
    assert capsys.readouterr() == ("", "round 1 …\n")


def test_help_loads_nothing_heavy() -> None:
    done = process(
        "--help", code=f"{MAIN.replace('main()', '')}\ntry:\n    main()\nfinally:\n    print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("[]")
    assert all(command in done.stdout for command in ("certs", "serve", "aggregate", "join", "receipt", "template"))


def test_the_version_is_the_librarys(secagg: Secagg) -> None:
    import secagg as library

    assert secagg("--version").out == f"secagg {library.__version__}\n"


def test_a_template_is_printed_and_an_unknown_one_refused(secagg: Secagg) -> None:
    assert secagg("template", "join").out.startswith("# A client")
    assert secagg("template", "jion").status == 2


def test_an_error_from_a_process_has_no_traceback_and_its_status(tmp_path: Path) -> None:
    done = process("certs", "show", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("secagg: there is no ")
    assert done.stderr.count("\n") == 1


def test_a_typo_in_the_file_ends_a_process_with_two_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text('[party]\nidentiti = "x"\n')
    done = process("serve", str(tmp_path / "hub.toml"), "--json")
    assert done.returncode == 2
    assert f"{tmp_path}/hub.toml:2: [party] identiti: unknown key: did you mean `identity`?" in done.stderr
    assert json.loads(done.stdout)["exit"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_a_command_ends_it_with_130_and_its_connections_closed(tmp_path: Path, number: int) -> None:
    code = """
import contextlib, sys, time, typer
from secagg.cli.app import app
from secagg.cli.signals import stoppable
@app.command()
def linger() -> None:
    with contextlib.closing(type("Connection", (), {"close": lambda self: print("closed", flush=True)})()), stoppable():
        print("ready", flush=True)
        time.sleep(60)
from secagg.cli import main
main()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code, "linger"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs this in the background has interrupts ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  # no thread runs
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        assert running.wait(timeout=30) == 130
        assert running.stdout.read() == "closed\n"
        assert running.stderr.read() == "secagg: interrupted\n"


def test_progress_says_anew_what_changes_while_it_is_shown() -> None:
    from rich.console import Console

    from secagg.cli.output import _Sentence

    there = iter(["(1 party)", "(2 parties)"])
    shown = io.StringIO()
    console = Console(width=80, file=shown)
    sentence = _Sentence("round [1]", lambda: next(there))
    console.print(sentence)
    console.print(sentence)
    assert shown.getvalue() == "round [1] (1 party)\nround [1] (2 parties)\n"


def test_log_lines_follow_standard_error_wherever_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    handler = StandardError()
    handler.handle(logging.makeLogRecord({"msg": "%s left", "args": ("urban",)}))
    assert capsys.readouterr().err == "secagg: urban left\n"
