"""What this party has done that it may not do twice, on disk before it is done: rounds entered, slots used, sums released.

SQLite in WAL mode, synchronous: after a crash the ledger knows at least what was sent. It holds hashes and names, no secret.

A disk takes milliseconds to say that it has written. `together` asks it once for all that one step of a role writes, while the step
goes on, and waits for the answer before anything can be sent.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError
from secagg.transaction import exclusive
from secagg.types import Context, PartyId

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rounds (
    task TEXT NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL, rd BLOB NOT NULL, PRIMARY KEY (task, round, attempt));
CREATE TABLE IF NOT EXISTS slots (rd BLOB NOT NULL, slot TEXT NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (rd, slot));
CREATE TABLE IF NOT EXISTS releases (
    task TEXT NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL, model BLOB NOT NULL, terms BLOB NOT NULL,
    members TEXT NOT NULL, roots BLOB NOT NULL, PRIMARY KEY (task, round, attempt));
CREATE INDEX IF NOT EXISTS released_models ON releases (model);
"""


class Ledger:
    """One party's durable record. Two processes may open the same file; each write is one exclusive transaction."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self._lock = threading.Lock()
        self._disk = _Disk(Path(f"{path}-wal")) if str(path) != ":memory:" else None
        self._step = threading.local()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA fullfsync=ON")  # macOS, see `_Disk`; nothing elsewhere
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as refused:
            raise ConfigError(f"cannot open the ledger {path}: {refused}. Give this party a folder it may write to") from refused

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread writes within is on disk when the context ends, whichever way it ends; until then a crash may lose it.

        For one step of a role: nothing of what it says is sent before the context ends.

        Raises:
            ConfigError: on leaving, if the disk did not take it.
        """
        if self._disk is None or getattr(self._step, "writes", None) is not None:
            yield
            return
        writes: list[Future[None]] = []
        self._step.writes = writes
        try:
            yield
        finally:
            self._step.writes = None
            for write in writes:
                _settle(write)

    def enter(self, ctx: Context) -> None:
        """Record that this party takes part in the round. The same description again changes nothing.

        Raises:
            InvalidMessage: RD-C8, a round or attempt earlier than one already entered; RD-C9, a second description for this one.
        """
        with self._transaction():
            latest = self._db.execute(
                "SELECT round, attempt FROM rounds WHERE task = ? ORDER BY round DESC, attempt DESC LIMIT 1", (ctx.task,)
            ).fetchone()
            same = self._db.execute(
                "SELECT rd FROM rounds WHERE task = ? AND round = ? AND attempt = ?", (ctx.task, ctx.round, ctx.attempt)
            ).fetchone()
            # > A party accepts one description for a task, round and attempt (RD-C9).
            if same is not None and same[0] != ctx.rd:
                raise InvalidMessage("RD-C9", f"a second description for round {ctx.round}, attempt {ctx.attempt} of task {ctx.task!r}")
            # > Rounds and attempts of a task only move forward (RD-C8).
            if latest is not None and (ctx.round, ctx.attempt) < tuple(latest):
                raise InvalidMessage(
                    "RD-C8", f"round {ctx.round}, attempt {ctx.attempt} comes after round {latest[0]}, attempt {latest[1]}"
                )
            self._db.execute("INSERT OR IGNORE INTO rounds VALUES (?, ?, ?, ?)", (ctx.task, ctx.round, ctx.attempt, ctx.rd))

    def latest(self, task: str) -> tuple[int, int] | None:
        """The last (round, attempt) entered for `task`, so that a restart goes on after it."""
        with self._lock:
            row = self._db.execute(
                "SELECT round, attempt FROM rounds WHERE task = ? ORDER BY round DESC, attempt DESC LIMIT 1", (task,)
            ).fetchone()
        return None if row is None else (row[0], row[1])

    def use(self, ctx: Context, slot: str, digest: bytes) -> None:
        """Record, before sending, what goes into `slot` of this round.

        Raises:
            LocalProtocolError: something else went into that slot before, perhaps before a restart.
        """
        with self._transaction():
            row = self._db.execute("SELECT digest FROM slots WHERE rd = ? AND slot = ?", (ctx.rd, slot)).fetchone()
            if row is not None and row[0] != digest:
                raise LocalProtocolError(f"slot {slot!r} of round {ctx.round}, attempt {ctx.attempt} was used before: it is not used twice")
            self._db.execute("INSERT OR IGNORE INTO slots VALUES (?, ?, ?)", (ctx.rd, slot, digest))

    def used(self, ctx: Context, slot: str) -> bytes | None:
        """What went into `slot` of this round, if anything did."""
        with self._lock:
            row = self._db.execute("SELECT digest FROM slots WHERE rd = ? AND slot = ?", (ctx.rd, slot)).fetchone()
        return None if row is None else bytes(row[0])

    def release(self, ctx: Context, members: Iterable[PartyId], roots: bytes, *, model: bytes, terms: bytes) -> None:
        """Record, before it is sent, that the sum over `members` leaves this party.

        Differencing: updates that start from one model are alike, however often they are sent. So from one newest input model only one
        set is ever summed, under one encoding, in whatever attempt, round or task: two sums never differ in a party, a clip or a weight.

        Args:
            model: digest of the newest input model.
            terms: `RoundDescription.substance`.

        Raises:
            InvalidMessage: RD-C10, another set or other terms than were released before from this model; RD-C11, another batch of this
                attempt.
        """
        wanted = json.dumps(sorted(members))
        with self._transaction():
            before = self._db.execute("SELECT task, round, attempt, members, terms FROM releases WHERE model = ?", (model,)).fetchone()
            # > From one input model only one set is summed, under one encoding (RD-C10).
            if before is not None and (before[3], before[4]) != (wanted, terms):
                away = sorted(set(json.loads(before[3])) ^ set(json.loads(wanted)))
                what = f"the set then differs in {', '.join(away)}" if away else "the encoding or the inputs then differ"
                raise InvalidMessage(
                    "RD-C10",
                    f"a sum over this input model was released in round {before[1]}, attempt {before[2]} of task {before[0]!r} and {what}:"
                    " two such sums would show single updates. Bring the same parties together again, or go on from another model",
                )
            slot = (ctx.task, ctx.round, ctx.attempt)
            self._db.execute("INSERT OR IGNORE INTO releases VALUES (?, ?, ?, ?, ?, ?, ?)", (*slot, model, terms, wanted, roots))
            kept = self._db.execute("SELECT roots FROM releases WHERE task = ? AND round = ? AND attempt = ?", slot).fetchone()
            # > A batch is collected once (RD-C11).
            if kept[0] != roots:
                raise InvalidMessage("RD-C11", f"another batch of round {ctx.round}, attempt {ctx.attempt} was released before")

    def close(self) -> None:
        """Write everything into the one file and let go of it. Safe to call twice."""
        with self._lock, suppress(sqlite3.ProgrammingError):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.close()
        if self._disk is not None:
            self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        # Every write is synced by now: who only drops a ledger loses nothing, and Python 3.13 warns of connections left open.
        if hasattr(self, "_db"):
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One exclusive transaction. Raises ConfigError if it cannot be written."""
        writes: list[Future[None]] | None = getattr(self._step, "writes", None)
        with self._lock:
            try:
                # A commit waits for the disk by itself, unless the step that it belongs to will.
                self._db.execute(f"PRAGMA synchronous={'FULL' if writes is None else 'NORMAL'}")
                with exclusive(self._db):
                    yield
            except sqlite3.Error as refused:
                raise _cannot_write(refused) from refused
        if writes is not None and self._disk is not None:
            writes.append(self._disk.write())


class _Disk:
    """Asks the system, on a thread of its own, to bring what was committed to the disk: what SQLite does after each commit otherwise."""

    def __init__(self, wal: Path) -> None:
        self._wal = wal
        self._thread: ThreadPoolExecutor | None = None

    def write(self) -> Future[None]:
        """Done when all that was committed before the call is on disk."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="secagg-ledger")
        return self._thread.submit(self._sync)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _sync(self) -> None:
        descriptor = os.open(self._wal, os.O_RDONLY)
        try:
            # On macOS fsync ends when the drive has the bytes in its cache, which a power cut empties.
            if (full := getattr(fcntl, "F_FULLFSYNC", None)) is not None:
                with suppress(OSError):  # not every file system there has it
                    fcntl.fcntl(descriptor, full)
                    return
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _settle(write: Future[None]) -> None:
    try:
        write.result()
    except OSError as refused:
        raise _cannot_write(refused) from refused


def _cannot_write(refused: Exception) -> ConfigError:
    return ConfigError(
        f"the ledger cannot be written, so nothing was sent: {refused}. Is the disk full, or the file held by another program?"
    )
