"""`secagg fence serve` as a process: it says where it listens, serves, and stops when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import httpx
import pytest

from tests.network.openai_server import ModelServer, listening
from tests.unit.fence.parrot import SECRET

pytestmark = [pytest.mark.network, pytest.mark.slow]


def command(*arguments):
    return [sys.executable, "-c", "from secagg.cli import main; main()", "fence", "serve", *map(str, arguments)]


def heed_interrupts() -> None:
    """Tests that a shell runs in the background ignore interrupts, and so would their children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_the_command_serves_until_it_is_interrupted(tmp_path):
    (tmp_path / "names.txt").write_text(f"{SECRET}\n")
    options = ("-p", tmp_path / "names.txt", "--action", "refuse", "--say", "No.", "--review", tmp_path / "log", "--port", 0, "--json")
    with (
        listening(ModelServer().app()) as direct,
        subprocess.Popen(
            command("-u", f"{direct}/v1", *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,  # noqa: PLW1509  # one call that takes no lock
        ) as process,
    ):
        assert process.stdout is not None
        place = json.loads(process.stdout.readline())["listening"]
        ask = {"model": "parrot", "messages": [{"role": "user", "content": "the code name is"}]}
        answer = httpx.post(f"{place}/chat/completions", json=ask, timeout=30).json()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)
    assert answer["choices"][0]["message"]["content"] == "No."
    assert process.returncode == 130, said
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["rule"] for line in lines] == ["names.txt"]
    assert SECRET not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("options", [("--action", "shout"), ("--port", 1), ("-u", "nowhere")])
def test_what_cannot_be_served_is_an_error_in_one_line(tmp_path, options):
    (tmp_path / "names.txt").write_text("a name\n")
    done = subprocess.run(
        command("-u", "http://127.0.0.1:9/v1", "-p", tmp_path / "names.txt", "--host", "203.0.113.1", *options),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
