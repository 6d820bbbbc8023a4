"""The demo as a person runs it: `secagg demo` with its processes, over mutual TLS on the loopback interface."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from secagg.demo.private import EXACT, PRIVATE
from secagg.demo.record import Results

pytest.importorskip("peft")
pytest.importorskip("matplotlib")
pytestmark = [pytest.mark.slow, pytest.mark.network]

DEMO = [sys.executable, "-c", "from secagg.cli import main; main()", "demo", "--quick"]
ROOT = Path(__file__).parents[2]


def start(tmp_path, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    return subprocess.Popen(
        [*DEMO, "--out", str(tmp_path / "out"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        # A shell that runs this in the background has interrupts ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  # before any thread starts
    )


def children(parent):
    """Process ids of the parties that a demo has started, by name."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_text().split("\0")
            is_child = f"PPid:\t{parent}\n" in (entry / "status").read_text()
        except OSError:
            continue
        if entry.name.isdigit() and is_child and "secagg.demo.parties" in words:
            found[words[words.index("secagg.demo.parties") + 2]] = int(entry.name)
    return found


def wait_for_children(demo, count):
    deadline = time.monotonic() + 30
    while len(children(demo.pid)) < count and time.monotonic() < deadline:
        time.sleep(0.1)
    return children(demo.pid)


def ended(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    "mode",
    [[], ["--peer"], ["--protocol", "pairwise"], ["--protocol", "ckks"], ["--protocol", "ckks", "--threshold"]],
    ids=["two aggregators", "peer", "pairwise", "ckks", "threshold"],
)
def test_a_quick_run_opens_every_mean_within_the_bound(tmp_path, mode):
    demo = start(tmp_path, "--json", *mode)
    output, errors = demo.communicate(timeout=240)
    assert demo.returncode == 0, errors
    results = Results.model_validate(json.loads(output))
    assert results == Results.model_validate_json((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert (tmp_path / "out" / "report.html").exists()
    assert len(results.rounds) == results.setting.rounds
    for one in results.rounds:
        assert one.holds
        assert set(one.included) == set(results.companies)
        assert set(one.signed_by) == set(results.setting.aggregators or results.companies)
    split = results.setting.protocol == "additive"
    assert [view.adds_up for view in results.views] == [True if split else None]
    assert {share.aggregator for share in results.views[0].shares} == set(results.setting.aggregators if split else ["hub"])
    assert all(share.chi_square > 1e-6 for share in results.views[0].shares)
    assert results.criteria == ()


@pytest.mark.parametrize("noise", ["local", "distributed"])
def test_a_quick_private_run_pays_for_every_noisy_round_and_keeps_within_its_epsilon(tmp_path, noise):
    pytest.importorskip("opacus")
    demo = start(tmp_path, "--json", "--dp", "8", "--dp-noise", noise)
    output, errors = demo.communicate(timeout=420)
    assert demo.returncode == 0, errors
    results = Results.model_validate(json.loads(output))
    privacy = results.privacy
    assert privacy is not None
    assert (privacy.noise, privacy.epsilon) == (noise, 8.0)
    assert results.variants == (PRIVATE, EXACT)
    for one in results.rounds:
        assert bool(one.terms) == (one.variant == PRIVATE), "the receipt of a noisy round carries its terms, that of an exact one has none"
        assert set(one.booked) == (set(results.companies) if one.terms else set())
        assert one.holds or (one.terms and noise == "distributed"), "noise in the sum moves the opened mean; nothing else does"
    assert {one.company for one in privacy.accounts} == set(results.companies)
    for account in privacy.accounts:
        assert account.entries == results.setting.rounds
        assert 7.0 < account.epsilon <= account.limit == 8.0
        assert account.epsilon <= account.rdp_epsilon
        ledger = tmp_path / "out" / f"budget-{account.company}.sqlite"
        shown = subprocess.run([*DEMO[:3], "budget", "show", str(ledger), "--json"], capture_output=True, text=True, check=True)
        assert json.loads(shown.stdout)["spent"] == account.epsilon, "the ledger outlives the run"
    audits = {audit.run: audit for audit in privacy.meter.audits}
    assert audits[PRIVATE].epsilon <= 8.0
    assert {(one.run, one.times) for one in privacy.meter.canaries} == {(run, times) for run in (PRIVATE, EXACT) for times in (1, 64)}
    assert 'id="privacy"' in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert results.criteria == ()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the party's process in /proc")
def test_a_party_that_dies_ends_the_demo_with_its_name(tmp_path):
    demo = start(tmp_path)
    parties = wait_for_children(demo, 7)
    os.kill(parties["urban"], signal.SIGKILL)
    output, errors = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "urban was killed by SIGKILL" in errors
    assert "urban.log" in output
    assert all(ended(pid) for pid in parties.values())


@pytest.mark.skipif(sys.platform != "linux", reason="finds the party's processes in /proc")
def test_an_interrupt_ends_every_process_and_leaves_no_key(tmp_path):
    demo = start(tmp_path)
    parties = wait_for_children(demo, 7)
    assert set(parties) == {"judge", "pool", "hub", "energy", "community", "urban", "auditor"}
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert all(ended(pid) for pid in parties.values())
    assert not list(tmp_path.glob("secagg-demo-*"))
