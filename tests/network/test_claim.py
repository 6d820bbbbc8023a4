"""Laws of the claim: a party runs once, and nothing of a process that is gone stands in the way of the next."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from secagg.errors import ConfigError
from secagg.identity import Identity
from secagg.runtime import join
from secagg.runtime.claim import Claim
from tests.network.conftest import PLANS

pytestmark = pytest.mark.network
HOLD = """
import os, sys, time
from pathlib import Path
from secagg.runtime.claim import Claim
claim = Claim(Path(sys.argv[1]))
if len(sys.argv) > 2 and os.fork() == 0:
    time.sleep(60)
print("held", flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process with a claim."""

    def __init__(self, folder: Path, *more: str) -> None:
        command = [sys.executable, "-c", HOLD, str(folder), *more]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Holder:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)  # its child, where it has one


def test_a_party_that_runs_already_is_not_started_a_second_time(plain: Path, tmp_path: Path):
    with Holder(tmp_path) as first, pytest.raises(ConfigError, match=f"is in use by process {first.process.pid}: a party runs once"):
        join("127.0.0.1:1", identity=Identity.load(plain / "c0"), plans=PLANS, state=tmp_path)


def test_a_killed_process_holds_nothing_and_neither_does_a_child_that_outlives_it(tmp_path: Path):
    with Holder(tmp_path, "fork") as first:
        first.kill()
        Claim(tmp_path).release()


def test_a_claim_ends_with_its_last_holder_in_the_process(plain: Path, tmp_path: Path):
    session = join("127.0.0.1:1", identity=Identity.load(plain / "c0"), plans=PLANS, state=tmp_path)
    second = Claim(tmp_path)
    session.close()
    tried = subprocess.run(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert f"is in use by process {os.getpid()}" in tried.stderr
    second.release()
    second.release()
    with Holder(tmp_path):
        pass


def test_where_files_cannot_be_locked_a_party_runs_and_is_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def without(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.lockf", without)
    with caplog.at_level(logging.WARNING, "secagg"):
        Claim(tmp_path).release()
    assert "see to it that this party runs once" in caplog.text


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "in-use").mkdir()
    with pytest.raises(ConfigError, match=r"in-use: Is a directory\. Give this party a state folder it may write to"):
        Claim(tmp_path)
