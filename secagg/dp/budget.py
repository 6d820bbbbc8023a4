"""The privacy budget of one party's data: what was spent on what, on disk before it is spent, and a hard stop at the limit.

Everything that is released about the same data composes, whatever task it was for: a budget therefore belongs to a data set, and tasks,
rounds and attempts are entries in it. An attempt that could have reached release counts, whether it did or not.

Whether a payment is a new one is told by the name of the release alone: the hash of the signed round description, or a fresh random name
for a training of one's own. Task and round are told by others, and two consortia may call theirs the same.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Self, get_args

from secagg.dp.accountant import Guarantee, Spending, Unit, account, adaptive, check_delta, check_delta_for, spending_from, spending_to
from secagg.errors import BudgetExceeded, ConfigError, LocalProtocolError
from secagg.transaction import exclusive

_SCHEMA = """
CREATE TABLE IF NOT EXISTS budgets (
    data TEXT PRIMARY KEY, unit TEXT NOT NULL, units INTEGER NOT NULL, epsilon REAL NOT NULL, delta REAL NOT NULL);
CREATE TABLE IF NOT EXISTS spent (
    number INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT NOT NULL, release TEXT NOT NULL, task TEXT NOT NULL, round INTEGER NOT NULL,
    attempt INTEGER NOT NULL, steps TEXT NOT NULL, UNIQUE (data, release));
CREATE TABLE IF NOT EXISTS limits (
    number INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT NOT NULL, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, units INTEGER NOT NULL,
    epsilon REAL NOT NULL, delta REAL NOT NULL, after INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS limits_stay BEFORE UPDATE ON limits BEGIN SELECT RAISE(ABORT, 'limits are only added'); END;
CREATE TRIGGER IF NOT EXISTS limits_are_kept BEFORE DELETE ON limits BEGIN SELECT RAISE(ABORT, 'limits are only added'); END;
CREATE TRIGGER IF NOT EXISTS limits_are_new BEFORE INSERT ON limits WHEN EXISTS (SELECT 1 FROM limits WHERE number = NEW.number)
    BEGIN SELECT RAISE(ABORT, 'limits are only added'); END;
"""
_TABLES = {"budgets", "spent"}
_WAIT = 120
"""Seconds to wait for another process that is spending: it accounts while it holds the file."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent on one data set.

    Args:
        unit: whose presence the guarantee hides.
        units: how many there are in the data: δ must be under one in so many.
        epsilon, delta: the limit for everything that is ever released about the data.

    Raises:
        ConfigError: a number out of its range, or a δ that is too large for so many units.
    """

    unit: Unit
    units: int
    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ConfigError(f"unit={self.unit!r}: one of {', '.join(get_args(Unit))}")
        if type(self.units) is not int or self.units < 1:
            raise ConfigError(f"units={self.units!r}: a whole number of at least 1")
        if not isfinite(self.epsilon) or self.epsilon <= 0 or not 0 < self.delta < 1:
            raise ConfigError(f"epsilon={self.epsilon}, delta={self.delta}: a positive number, and one between 0 and 1")
        check_delta(self.delta, self.units)
        check_delta_for(self.unit, self.delta)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one attempt spent."""

    release: str
    task: str
    round: int
    attempt: int
    steps: tuple[Spending, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that was set: when (UTC, by this machine's clock), and after how many releases about the data."""

    at: str
    units: int
    epsilon: float
    delta: float
    after: int


@dataclass(frozen=True, slots=True)
class Balance:
    """A budget and everything that was spent of it.

    Attributes:
        spent: of steps that were fixed beforehand.
        adaptive: ε where noise of several kinds was chosen along the way: what the stop at the limit goes by then; None for one kind.
        limits: every limit there was, the present one last.
    """

    data: str
    budget: Budget
    spent: Guarantee
    adaptive: float | None
    entries: tuple[Entry, ...]
    limits: tuple[Limit, ...]

    @property
    def left(self) -> float:
        """ε that is left, as a difference; what it buys depends on what it is spent on."""
        return max(self.budget.epsilon - max(self.spent.epsilon, self.adaptive or 0.0), 0.0)


class BudgetLedger:
    """One party's budgets, in one SQLite file (WAL, synchronous).

    Guarantees:
        What `spend` returned for is on disk, also after kill -9 or a power cut; the total never passes the limit, also where several
        processes spend at the same time, because each accounts and writes within one exclusive transaction. A limit that was moved leaves
        the one before in the file.
        The noise of a release may be chosen by looking at earlier ones: once it is of several kinds, the stop goes by a privacy filter, and
        (ε, 2δ) holds, δ for what is spent before the kind changes and δ for the rest. A limit raised by looking at results costs one δ
        more: docs/decisions/0051 derives it.

    Args:
        path: the SQLite file.
        existing: it must be a ledger already; nothing is made.

    Raises:
        ConfigError: the file cannot be opened or written, is a database of something else, or is missing where it must exist.
    """

    def __init__(self, path: Path | str, *, existing: bool = False) -> None:
        self._path, self._lock = path, threading.Lock()
        if existing and not Path(path).is_file():
            raise ConfigError(f"{path}: no such budget ledger: `secagg budget set` makes one")
        if str(path) != ":memory:":
            with suppress(FileExistsError):  # what a party trained, and when, is its own business
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with self._refusals():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_WAIT)
            self._refuse_foreign(existing)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA fullfsync=ON")  # on macOS, to empty the cache of the drive too
            self._db.executescript(_SCHEMA)

    def allow(self, data: str, budget: Budget) -> None:
        """Set the limit of a data set, or move it; what was spent stays spent.

        Raises:
            ConfigError: another unit than before: what was spent for records says nothing about customers.
            BudgetExceeded: a limit below what is spent already.
        """
        with self._transaction():
            before = self._budget(data)
            if before is not None and before.unit != budget.unit:
                raise ConfigError(
                    f"the budget of {data!r} is for one {before.unit}, not for one {budget.unit}: give the new unit a data name of its own"
                )
            entries = self._entries(data)
            spent = self._account(budget, entries)
            if max(spent.epsilon, self._adaptive(budget, entries) or 0.0) > budget.epsilon:
                raise BudgetExceeded(f"{data!r} has spent {spent} already: a limit of {budget.epsilon:g} comes too late")
            row = (data, budget.unit, budget.units, budget.epsilon, budget.delta)
            self._db.execute("INSERT OR REPLACE INTO budgets VALUES (?, ?, ?, ?, ?)", row)
            if before != budget:
                trace = (data, budget.units, budget.epsilon, budget.delta, data)
                self._db.execute(
                    "INSERT INTO limits (data, units, epsilon, delta, after)"
                    " VALUES (?, ?, ?, ?, (SELECT COUNT(*) FROM spent WHERE data = ?))",
                    trace,
                )

    def spend(
        self, data: str, *, release: str, task: str, round: int, attempt: int, steps: Sequence[Spending], anew: bool = False
    ) -> Guarantee:
        """Record that a release spends `steps`, before anything noisy leaves.

        Args:
            release: what no other release is called: `rd` of the round in hexadecimal, or a fresh random name. The same name again with
                the same steps is the same release and costs nothing more; whoever passes it again must send the same bytes again.
            task, round, attempt: what it was for, to be read later.
            anew: what is paid for draws fresh noise, as a training does: a name that was paid for already is refused.

        Returns:
            What is spent of the data in all, this release included.

        Raises:
            BudgetExceeded: the total would pass the limit; nothing was recorded, and nothing may be sent.
            LocalProtocolError: other steps were recorded for this release before, or with `anew` any.
            ConfigError: no budget was set for this data.
        """
        if not release or not steps:
            raise ConfigError(f"release={release!r} of {len(steps)} steps: a name of its own, and at least one noisy step, expected")
        told = json.dumps([spending_to(one) for one in steps])
        with self._transaction():
            budget = self._needed(data)
            before = self._db.execute("SELECT steps FROM spent WHERE data = ? AND release = ?", (data, release)).fetchone()
            if before is not None and before[0] != told:
                raise LocalProtocolError(f"release {release!r} has spent something else of {data!r} before: name each release anew")
            if before is not None and anew:
                raise LocalProtocolError(
                    f"release {release!r} of {data!r} is paid for already, and what is made again has other noise and is another release:"
                    " give it a name of its own; nothing was spent"
                )
            row = (data, release, task, round, attempt, told)
            self._db.execute("INSERT OR IGNORE INTO spent (data, release, task, round, attempt, steps) VALUES (?, ?, ?, ?, ?, ?)", row)
            return self._within(data, budget, f"round {round}, attempt {attempt} of task {task!r}", self._entries(data))

    def check(self, data: str, *, unit: Unit, steps: Sequence[Spending] = ()) -> Guarantee:
        """What the data would have spent after `steps`, of which nothing is recorded: before work that would be for nothing.

        Raises:
            BudgetExceeded: the total would pass the limit.
            ConfigError: no budget was set for this data, or one for another unit.
        """
        with self._transaction():
            budget = self._needed(data)
            if budget.unit != unit:
                raise ConfigError(
                    f"the budget of {data!r} is for one {budget.unit}, and this is about one {unit}: give {unit}s a data name"
                )
            wanted = [Entry("", "", 0, 0, tuple(steps))] if steps else []
            return self._within(data, budget, "this", [*self._entries(data), *wanted])

    def _within(self, data: str, budget: Budget, what: str, entries: Sequence[Entry]) -> Guarantee:
        total, adaptive = self._account(budget, entries), self._adaptive(budget, entries)
        if max(total.epsilon, adaptive or 0.0) > budget.epsilon:
            chosen = f" (ε = {adaptive:.4g} as noise of several kinds was chosen along the way)" if adaptive else ""
            raise BudgetExceeded(
                f"{what} would bring {data!r} to {total}{chosen},"
                f" and the limit is ε = {budget.epsilon:g}: nothing was spent and nothing may be sent. Raise the limit"
                " (`secagg budget set`) only if whoever the data are about agrees"
            )
        return total

    def balance(self, data: str) -> Balance:
        """Limit, total and entries of one data set. Raises ConfigError if there is no budget for it."""
        with self._transaction():
            budget, entries = self._needed(data), self._entries(data)
            rows = self._db.execute(
                "SELECT at, units, epsilon, delta, after FROM limits WHERE data = ? ORDER BY number", (data,)
            ).fetchall()
        limits = tuple(Limit(*row) for row in rows)
        return Balance(data, budget, self._account(budget, entries), self._adaptive(budget, entries), entries, limits)

    def budget(self, data: str) -> Budget:
        """The limit of one data set, without accounting. Raises ConfigError if there is no budget for it."""
        with self._lock, self._refusals():
            return self._needed(data)

    def paid(self, data: str, release: str) -> bool:
        """Whether a release of this name stands in the ledger."""
        with self._lock, self._refusals():
            return self._db.execute("SELECT 1 FROM spent WHERE data = ? AND release = ?", (data, release)).fetchone() is not None

    def data(self) -> list[str]:
        """The data sets that have a budget, sorted."""
        with self._lock, self._refusals():
            return [row[0] for row in self._db.execute("SELECT data FROM budgets ORDER BY data")]

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _account(self, budget: Budget, entries: Sequence[Entry]) -> Guarantee:
        return account([one for entry in entries for one in entry.steps], delta=budget.delta, unit=budget.unit)

    def _adaptive(self, budget: Budget, entries: Sequence[Entry]) -> float | None:
        steps = [one for entry in entries for one in entry.steps]
        if len({replace(one, count=1) for one in steps}) <= 1:
            return None  # the number of steps alone was chosen: never more than as many as fit, which are fixed
        return adaptive(steps, limit=budget.epsilon, delta=budget.delta)

    def _refuse_foreign(self, existing: bool) -> None:
        """Before anything is written: a database of something else stays as it is."""
        found = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if (found or existing) and not found >= _TABLES:
            self._db.close()
            what = f"tables {', '.join(sorted(found))}" if found else "no tables"
            raise ConfigError(f"{self._path} is no budget ledger (it has {what}): nothing was written; name another file")

    def _needed(self, data: str) -> Budget:
        budget = self._budget(data)
        if budget is None:
            raise ConfigError(f"{self._path} has no budget for {data!r}: set one with `secagg budget set`")
        return budget

    def _budget(self, data: str) -> Budget | None:
        row = self._db.execute("SELECT unit, units, epsilon, delta FROM budgets WHERE data = ?", (data,)).fetchone()
        return None if row is None else Budget(*row)

    def _entries(self, data: str) -> tuple[Entry, ...]:
        rows = self._db.execute("SELECT release, task, round, attempt, steps FROM spent WHERE data = ? ORDER BY number", (data,)).fetchall()
        return tuple(
            Entry(release, task, number, attempt, tuple(spending_from(one) for one in json.loads(steps)))
            for release, task, number, attempt, steps in rows
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._refusals(), exclusive(self._db):
            yield

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as refused:
            raise ConfigError(
                f"the budget ledger {self._path} cannot be used: {refused}: nothing was spent and nothing may be sent."
                " Is it a file that this party may write to, and the disk not full?"
            ) from refused


@dataclass(frozen=True, slots=True)
class Purse:
    """One data set's budget in a ledger: what a party pays a round's releases from."""

    ledger: BudgetLedger
    data: str

    def paid(self, release: str) -> bool:
        """Whether a release of this name stands in the ledger."""
        return self.ledger.paid(self.data, release)

    def check(self, unit: Unit, steps: Sequence[Spending] = ()) -> Guarantee:
        """See `BudgetLedger.check`."""
        return self.ledger.check(self.data, unit=unit, steps=steps)

    def spend(self, unit: Unit, *, release: str, task: str, round: int, attempt: int, steps: Sequence[Spending]) -> Guarantee:
        """Record a release before it leaves, from a budget for this unit. See `BudgetLedger.spend`."""
        self.ledger.check(self.data, unit=unit)
        return self.ledger.spend(self.data, release=release, task=task, round=round, attempt=attempt, steps=steps)
