"""The budget ledger: it stops before the limit, in any process, after any crash; and its command."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from secagg.cli.app import app
from secagg.dp.accountant import Steps, account, adaptive
from secagg.dp.budget import Budget, BudgetLedger
from secagg.errors import BudgetExceeded, ConfigError, LocalProtocolError

pytest.importorskip("dp_accounting")
ROUND = [Steps(1, 4.0)]
LIMIT = Budget("record", 1000, 2.0, 1e-5)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def ledger(tmp_path):
    with BudgetLedger(tmp_path / "budget.sqlite") as made:
        made.allow("captions", LIMIT)
        yield made


def spend(ledger, number, attempt=1, steps=ROUND):
    return ledger.spend("captions", release=f"{number}-{attempt}", task="t", round=number, attempt=attempt, steps=steps)


def until_refused(ledger, first=1):
    """Rounds that were paid for before one was refused."""
    for number in range(first, first + 50):
        try:
            spend(ledger, number)
        except BudgetExceeded:
            return number - first
    raise AssertionError("the budget never ended")


@pytest.mark.slow
def test_the_total_never_passes_the_limit_and_the_refused_round_leaves_no_trace(ledger):
    paid = until_refused(ledger)
    found = ledger.balance("captions")
    assert len(found.entries) == paid > 1
    assert found.spent.epsilon <= LIMIT.epsilon < account(ROUND * (paid + 1), delta=1e-5, unit="record").epsilon
    with pytest.raises(BudgetExceeded, match="nothing was spent"):
        spend(ledger, 99)


def test_the_same_attempt_is_paid_once_and_never_for_something_else(ledger):
    first = spend(ledger, 1)
    assert spend(ledger, 1) == first
    with pytest.raises(LocalProtocolError, match="something else"):
        spend(ledger, 1, steps=[Steps(1, 5.0)])
    assert len(ledger.balance("captions").entries) == 1


def test_an_aborted_attempt_and_its_successor_are_two(ledger):
    one, two = spend(ledger, 1, attempt=1), spend(ledger, 1, attempt=2)
    assert two.epsilon > one.epsilon


def test_another_consortium_that_calls_its_round_the_same_pays_again_and_other_data_have_their_own_budget(ledger):
    spend(ledger, 1)
    both = ledger.spend("captions", release="x", task="t", round=1, attempt=1, steps=ROUND)
    assert both.epsilon == account(ROUND * 2, delta=1e-5, unit="record").epsilon
    ledger.allow("meters", LIMIT)
    assert ledger.balance("meters").spent.epsilon == 0


def test_a_limit_moves_but_never_below_what_is_spent_and_never_to_another_unit(ledger):
    spent = spend(ledger, 1).epsilon
    ledger.allow("captions", Budget("record", 1000, 9.0, 1e-5))
    with pytest.raises(BudgetExceeded, match="too late"):
        ledger.allow("captions", Budget("record", 1000, spent / 2, 1e-5))
    with pytest.raises(ConfigError, match="for one record"):
        ledger.allow("captions", Budget("customer", 1000, 9.0, 1e-5))
    assert ledger.balance("captions").budget.epsilon == 9.0


def test_a_limit_that_was_moved_leaves_the_one_before(ledger):
    ledger.allow("captions", LIMIT)
    spend(ledger, 1)
    ledger.allow("captions", Budget("record", 1000, 9.0, 1e-5))
    found = ledger.balance("captions").limits
    assert [(limit.epsilon, limit.after) for limit in found] == [(2.0, 0), (9.0, 1)]
    assert all(len(limit.at) == len("2026-01-01 00:00:00") for limit in found)


@pytest.mark.parametrize("statement", ["DELETE FROM limits", "UPDATE limits SET epsilon = 9.0", "REPLACE INTO limits SELECT * FROM limits"])
def test_the_record_of_limits_is_only_added_to(ledger, tmp_path, statement):
    with sqlite3.connect(tmp_path / "budget.sqlite") as database, pytest.raises(sqlite3.IntegrityError, match="only added"):
        database.execute(statement)
    assert [limit.epsilon for limit in ledger.balance("captions").limits] == [2.0]


def test_noise_of_several_kinds_stops_by_a_filter_that_never_states_less(ledger):
    """Who sees that the first rounds went well and then takes less noise is not covered by composition of fixed steps."""
    spend(ledger, 1)
    assert ledger.balance("captions").adaptive is None
    total = spend(ledger, 2, steps=[Steps(1, 3.0)])
    found = ledger.balance("captions")
    assert found.spent == total
    assert (
        found.adaptive == adaptive([Steps(1, 4.0), Steps(1, 3.0)], limit=2.0, delta=1e-5) >= found.spent.rdp_epsilon > found.spent.epsilon
    )
    assert found.left == 2.0 - found.adaptive
    with pytest.raises(BudgetExceeded, match="chosen along the way"):
        spend(ledger, 3)
    with BudgetLedger(":memory:") as plain:  # the steps that were refused fit where as much noise is of one kind
        plain.allow("captions", LIMIT)
        assert spend(plain, 1, steps=[Steps(3, 3.57)]).epsilon < 2.0


def test_a_commit_that_fails_is_rolled_back(ledger, monkeypatch):
    class Full:
        """A database whose disk is full when it matters."""

        def __init__(self, real):
            self._real, self.full = real, True

        def execute(self, statement, *values):
            if statement == "COMMIT" and self.full:
                raise sqlite3.OperationalError("disk I/O error")
            return self._real.execute(statement, *values)

    database = Full(ledger._db)
    monkeypatch.setattr(ledger, "_db", database)
    with pytest.raises(ConfigError, match="nothing was spent"):
        spend(ledger, 1)
    database.full = False
    assert ledger.balance("captions").entries == ()
    spend(ledger, 1)
    monkeypatch.undo()
    assert len(ledger.balance("captions").entries) == 1


@pytest.mark.parametrize("existing", [True, False])
def test_a_database_of_something_else_stays_as_it_is(tmp_path, existing):
    foreign = tmp_path / "photos.sqlite"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE photos (name TEXT)")
    database.close()
    before = foreign.read_bytes()
    with pytest.raises(ConfigError, match="no budget ledger"):
        BudgetLedger(foreign, existing=existing)
    assert CliRunner().invoke(app, ["budget", "show", str(foreign)]).exit_code == 2
    assert foreign.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["photos.sqlite"]


def test_to_look_makes_no_ledger_of_an_empty_file(tmp_path):
    (tmp_path / "empty.sqlite").touch()
    assert CliRunner().invoke(app, ["budget", "show", str(tmp_path / "empty.sqlite")]).exit_code == 2
    assert (tmp_path / "empty.sqlite").read_bytes() == b""


def test_a_ledger_of_an_earlier_version_is_read(tmp_path):
    with BudgetLedger(tmp_path / "old.sqlite") as made:
        made.allow("captions", LIMIT)
        spend(made, 1)
        made._db.execute("DROP TABLE limits")
    with BudgetLedger(tmp_path / "old.sqlite", existing=True) as again:
        assert len(again.balance("captions").entries) == 1
        assert again.balance("captions").limits == ()


def test_without_a_budget_nothing_is_spent(ledger):
    with pytest.raises(ConfigError, match="no budget for 'pictures'"):
        ledger.spend("pictures", release="1", task="t", round=1, attempt=1, steps=ROUND)


@pytest.mark.parametrize(
    "wrong",
    [
        ("person", 10, 1.0, 1e-5),
        ("record", 0, 1.0, 1e-5),
        ("record", 10, 0.0, 1e-5),
        ("record", 10, 1.0, 0.5),
        ("record", 10, 1.0, 0),
        ("organisation", 8, 1.0, 0.01),
    ],
)
def test_a_budget_that_promises_nothing_is_refused(wrong):
    with pytest.raises(ConfigError):
        Budget(*wrong)


SPENDER = """
import sys
from secagg.dp.accountant import Steps
from secagg.dp.budget import BudgetLedger
from secagg.errors import BudgetExceeded
ledger, paid = BudgetLedger(sys.argv[1]), 0
try:
    for number in range(50):
        ledger.spend("captions", release=f"{sys.argv[2]}-{number}", task=sys.argv[2], round=number, attempt=1, steps=[Steps(1, 4.0)])
        paid += 1
        print(paid, flush=True)
except BudgetExceeded:
    print("end", flush=True)
"""


def spender(path, task):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", SPENDER, str(path), task], stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
def test_two_processes_cannot_spend_the_same_budget_twice(tmp_path, ledger):
    both = [spender(tmp_path / "budget.sqlite", task) for task in ("a", "b")]
    said = [process.communicate(timeout=120)[0].split() for process in both]
    assert [lines[-1] for lines in said] == ["end", "end"]
    found = ledger.balance("captions")
    assert len(found.entries) == sum(len(lines) - 1 for lines in said)
    assert found.spent.epsilon <= LIMIT.epsilon


@pytest.mark.slow
def test_what_was_spent_survives_a_kill(tmp_path, ledger):
    process = spender(tmp_path / "budget.sqlite", "a")
    told = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert told == ["1\n", "2\n"]
    assert len(ledger.balance("captions").entries) >= 2


@pytest.mark.slow
def test_the_test_of_two_processes_can_fail(tmp_path, ledger, monkeypatch):
    """The attack without the defence: who accounts first and writes later spends what another has spent meanwhile."""
    monkeypatch.setattr(BudgetLedger, "_transaction", BudgetLedger._refusals)
    accounted = threading.Barrier(2)
    plain = BudgetLedger._account

    def slow(self, budget, entries):
        found = plain(self, budget, entries)
        accounted.wait(60)
        return found

    paid = until_refused(ledger)
    with sqlite3.connect(tmp_path / "budget.sqlite") as database:
        database.execute("DELETE FROM spent WHERE round >= ?", (paid,))
    monkeypatch.setattr(BudgetLedger, "_account", slow)
    monkeypatch.setattr(BudgetLedger, "_entries", lambda self, data, plain=BudgetLedger._entries: plain(self, data)[:paid])
    outcomes = []

    def run(number):
        with BudgetLedger(tmp_path / "budget.sqlite") as own:
            outcomes.append(spend(own, number))

    threads = [threading.Thread(target=run, args=(number,)) for number in (100, 101)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    monkeypatch.undo()
    assert len(outcomes) == 2
    assert ledger.balance("captions").spent.epsilon > LIMIT.epsilon


def test_only_its_owner_reads_the_ledger(ledger, tmp_path):
    assert (tmp_path / "budget.sqlite").stat().st_mode & 0o077 == 0


def test_a_release_has_a_name_and_steps(ledger):
    for release, steps in (("", ROUND), ("x", [])):
        with pytest.raises(ConfigError, match="expected"):
            ledger.spend("captions", release=release, task="t", round=1, attempt=1, steps=steps)


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    (tmp_path / "no.sqlite").write_text("not a database, and long enough to be told from an empty one" * 20)
    with pytest.raises(ConfigError, match="cannot be used"):
        BudgetLedger(tmp_path / "no.sqlite")


def test_the_command_sets_and_shows(tmp_path):
    file, run = str(tmp_path / "b.sqlite"), CliRunner().invoke
    made = run(app, ["budget", "set", file, "--data", "captions", "--epsilon", "3", "--units", "1000"])
    assert made.exit_code == 0, made.output
    with BudgetLedger(file) as ledger:
        spend(ledger, 1)
    shown = run(app, ["budget", "show", file])
    assert "captions" in shown.stdout
    assert "limit 3" in " ".join(shown.stdout.split())
    (line,) = (json.loads(text) for text in run(app, ["budget", "show", file, "--json"]).stdout.splitlines())
    assert line["delta"] == 1e-4
    assert line["entries"] == [
        {"release": "1-1", "task": "t", "round": 1, "attempt": 1, "steps": [{"count": 1, "noise_multiplier": 4.0, "sampling": 1.0}]}
    ]
    assert "the limit was moved" not in shown.stdout
    assert run(app, ["budget", "set", file, "--data", "captions", "--epsilon", "5", "--units", "1000"]).exit_code == 0
    moved = " ".join(run(app, ["budget", "show", file]).stdout.split())
    assert "the limit was moved" in moved
    assert "ε = 3 after 0 releases" in moved
    assert "ε = 5 after 1 releases" in moved
    (line,) = (json.loads(text) for text in run(app, ["budget", "show", file, "--json"]).stdout.splitlines())
    assert [(one["epsilon"], one["after"]) for one in line["limits"]] == [(3.0, 0), (5.0, 1)]
    assert run(app, ["budget", "show", str(tmp_path / "none.sqlite")]).exit_code == 2
    assert run(app, ["budget", "set", file, "--data", "captions", "--epsilon", "0.001", "--units", "1000"]).exit_code == 1
