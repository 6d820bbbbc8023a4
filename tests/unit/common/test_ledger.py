"""What a step writes is on disk before the step ends."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from secagg.errors import ConfigError, LocalProtocolError
from secagg.ledger import Ledger
from secagg.types import Context

CTX = Context(bytes(32), "task", 1, 1)


def synchronous(ledger: Ledger) -> int:
    """1 is NORMAL, a commit that does not wait for the disk; 2 is FULL, one that does."""
    return int(ledger._db.execute("PRAGMA synchronous").fetchone()[0])


def test_a_write_outside_of_a_step_waits_for_the_disk_itself(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.use(CTX, "one", b"1")
        assert synchronous(ledger) == 2
        with ledger.together():
            ledger.use(CTX, "two", b"2")
            assert synchronous(ledger) == 1
        ledger.use(CTX, "three", b"3")
        assert synchronous(ledger) == 2


def test_a_step_ends_when_the_disk_has_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, asked = threading.Event(), threading.Event()

    def slow(_: int) -> None:
        asked.set()
        written.wait(10)

    monkeypatch.setattr(os, "fsync", slow)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ended: list[float] = []

        def step() -> None:
            with ledger.together():
                ledger.use(CTX, "one", b"1")
                assert ledger.used(CTX, "one") == b"1", "the step goes on while the disk works"
            ended.append(time.monotonic())

        thread = threading.Thread(target=step)
        thread.start()
        assert asked.wait(10)
        time.sleep(0.05)
        assert not ended, "nothing may be sent yet"
        written.set()
        thread.join(10)
        assert ended


def test_another_thread_waits_for_the_disk_while_a_step_runs(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger, ledger.together():
        ledger.use(CTX, "step", b"1")
        seen: list[int] = []

        def other() -> None:
            ledger.use(CTX, "other", b"2")
            seen.append(synchronous(ledger))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)
        assert seen == [2]


def test_a_disk_that_takes_nothing_ends_the_step_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        Ledger(tmp_path / "l.sqlite") as ledger,
        pytest.raises(ConfigError, match=r"cannot be written, so nothing was sent.*No space"),
        ledger.together(),
    ):
        ledger.use(CTX, "one", b"1")


@pytest.mark.parametrize("drive", ["obeys", "cannot"])
def test_where_a_drive_keeps_a_cache_it_is_told_to_empty_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drive: str) -> None:
    asked: list[int] = []
    synced: list[int] = []

    def command(_: int, what: int) -> int:
        asked.append(what)
        if drive == "cannot":
            raise OSError(errno.ENOTSUP, "Operation not supported")
        return 0

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", command)
    monkeypatch.setattr(os, "fsync", synced.append)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        with ledger.together():
            ledger.use(CTX, "one", b"1")
        assert asked == [51]
        assert len(synced) == (drive == "cannot")
        assert ledger._db.execute("PRAGMA fullfsync").fetchone() == (1,)


def test_what_a_step_wrote_before_it_failed_is_on_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with Ledger(tmp_path / "l.sqlite") as ledger:

        def step() -> None:
            with ledger.together():
                ledger.use(CTX, "one", b"1")
                ledger.use(CTX, "one", b"2")

        with pytest.raises(LocalProtocolError):
            step()
        assert len(synced) == 1
        assert ledger.used(CTX, "one") == b"1"


def test_a_step_within_a_step_is_one_and_a_ledger_in_memory_has_no_disk_to_wait_for(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger, ledger.together(), ledger.together():
        ledger.use(CTX, "one", b"1")
    assert Ledger(tmp_path / "l.sqlite").used(CTX, "one") == b"1"
    ledger = Ledger()
    with ledger.together():
        ledger.use(CTX, "one", b"1")
        assert ledger.used(CTX, "one") == b"1"


def test_a_commit_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    class Failing:
        def __init__(self, db: sqlite3.Connection) -> None:
            self._db, self.fail = db, True

        def execute(self, text: str, *given: object) -> sqlite3.Cursor:
            if text == "COMMIT" and self.fail:
                self.fail = False
                raise sqlite3.OperationalError("disk I/O error")
            return self._db.execute(text, *given)  # type: ignore[arg-type]

        def close(self) -> None:
            self._db.close()

    ledger = Ledger(tmp_path / "l.sqlite")
    ledger._db = Failing(ledger._db)  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="disk I/O"):
        ledger.use(CTX, "one", b"1")
    assert ledger.used(CTX, "one") is None
    ledger.use(CTX, "one", b"2")
    assert ledger.used(CTX, "one") == b"2"
    ledger.close()


def test_the_file_that_is_brought_to_disk_is_the_one_that_commits_go_to(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger:
        before = (tmp_path / "l.sqlite-wal").stat().st_size
        with ledger.together():
            ledger.use(CTX, "one", os.urandom(32))
        assert (tmp_path / "l.sqlite-wal").stat().st_size > before
