"""The processes of the demo: told what to do, heard, and ended, whatever happens to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from secagg.demo.crew import Crew, PartyFailed

PARTY = """
import sys, time, logging
from secagg.demo.parties.desk import Desk

logging.basicConfig(level=logging.INFO)
desk = Desk.open(sys.argv[2])
def add(a, b):
    desk.tell("adding", a=a, name=desk.name)
    return {"sum": a + b + desk.facts["more"]}
def fail():
    raise ValueError("the reason")
def steps(count):
    for number in range(count):
        desk.tell("step", number=number)
        time.sleep(0.05)
def hang():
    time.sleep(60)
desk.run({"add": add, "fail": fail, "steps": steps, "hang": hang})
"""


@pytest.fixture
def crew(tmp_path, monkeypatch, heard):
    script = tmp_path / "party.py"
    script.write_text(PARTY)
    start = subprocess.Popen

    def popen(command, **options):
        return start([command[0], str(script), *command[3:]], **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with Crew(tmp_path / "logs", lambda party, event, facts: heard.append((party, event, facts))) as crew:
        yield crew


@pytest.fixture
def heard():
    return []


def test_a_command_gives_what_came_of_it_and_its_events_come_first(crew, heard):
    crew.hire("energy", "company", {"more": 100})
    assert crew.ask("energy", "add", a=1, b=2) == {"sum": 103}
    assert heard == [("energy", "adding", {"a": 1, "name": "energy"})]


def test_commands_are_carried_out_one_after_the_other(crew, heard):
    crew.hire("energy", "company", {"more": 0})
    long, short = crew.tell("energy", "steps", count=3), crew.tell("energy", "add", a=1, b=1)
    crew.wait(short)
    assert long.done
    assert [event for _, event, _ in heard] == ["step", "step", "step", "adding"]


def test_settling_waits_for_commands_that_answers_give_rise_to(crew):
    crew.hire("energy", "company", {"more": 0})
    found: list[dict[str, int]] = []
    crew.tell("energy", "add", a=1, b=1, then=lambda gives: crew.tell("energy", "add", a=gives["sum"], b=5, then=found.append))
    crew.settle()
    assert found == [{"sum": 7}]


def test_a_command_that_fails_is_told_with_party_reason_and_log(crew):
    crew.hire("urban", "company", {"more": 0})
    with pytest.raises(PartyFailed, match="urban could not fail: ValueError: the reason") as failed:
        crew.ask("urban", "fail")
    assert failed.value.party == "urban"
    assert any("the reason" in line for line in failed.value.last_lines)


def test_a_party_that_is_killed_is_named_while_others_are_waited_for(crew):
    crew.hire("energy", "company", {"more": 0})
    pid = crew.hire("urban", "company", {"more": 0})
    waiting = crew.tell("energy", "hang")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(PartyFailed, match="urban was killed by SIGKILL"):
        crew.wait(waiting)


def test_leaving_ends_every_process_also_one_that_is_busy(crew):
    pids = [crew.hire(name, "company", {"more": 0}) for name in ("energy", "urban")]
    crew.tell("energy", "hang")
    crew.close()
    crew.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_party_ends_when_the_demo_is_gone(crew):
    pid = crew.hire("energy", "company", {"more": 0})
    crew.ask("energy", "add", a=1, b=1)
    crew.tell("energy", "hang")
    party = crew._parties["energy"].process
    party.stdin.close()
    assert party.wait(5) == 0
    assert pid == party.pid


def test_a_crew_of_nobody_has_settled(crew):
    started = time.monotonic()
    crew.settle()
    assert time.monotonic() - started < 1
