"""What the benchmark command measures, and what it makes of it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from secagg.bench import campaign, findings, page
from secagg.bench.campaign import Campaign
from secagg.bench.case import PLAINTEXT, SLOTS, Case, grid, offered
from secagg.bench.findings import Growth
from secagg.bench.limits import machine
from secagg.bench.meter import Meter
from secagg.bench.play import plan_of, play
from secagg.bench.record import Kind, Limits, Measured, Play, Results, Step, load, schema
from secagg.cli.app import app
from secagg.errors import ConfigError

SMALL = Case("additive", 3, 2000)
LIMITS = Limits(keystream=5e9, copy_rate=8e9, tls=1e9, agreements=3e4, verifications=1e4)


def played(cpu: float, *, wall: float | None = None, up: int = 4000) -> Play:
    """A round in which each client spends `cpu` seconds and the hub as many."""
    took = cpu if wall is None else wall
    steps = tuple(
        Step(role=role, step=step, parties=count, wall=took, wall_max=took, cpu=cpu, cpu_sum=cpu * count)
        for role, step, count in (("client", "submit", 3), ("coordinator", "Report", 1))
    )
    kinds = (Kind(kind="x/Report", role="client", sent=3 * up, sent_most=up, received_most=3 * up),)
    return Play(steps=steps, kinds=kinds, peak={}, included=3, difference=1e-6, bound=1e-5)


def measured(case: Case, *cpus: float, up: int = 4000) -> Measured:
    return Measured(**asdict(case), plays=tuple(played(cpu, up=up) for cpu in cpus))


def results(*cases: Measured) -> Results:
    return Results(created="2026-01-01T00:00:00+00:00", command="secagg bench", machine=machine(), repeats=1, limits=(LIMITS,), cases=cases)


def test_a_grid_has_plaintext_beside_each_protocol_and_no_drop_out_of_nobody() -> None:
    found = grid(["additive"], [3, 10], [1000], [0, 10], [])
    assert [str(case) for case in found if case.clients == 3] == [
        "insecure-plaintext, 3 clients, 1e+03 values, 0 % gone",
        "additive, 3 clients, 1e+03 values, 0 % gone",
    ]
    assert {case.drop for case in found if case.clients == 10} == {0, 10}


@pytest.mark.parametrize("protocol", [PLAINTEXT, "additive", "pairwise", "ckks", SLOTS])
@pytest.mark.parametrize("drop", [0, 20])
def test_a_play_is_a_whole_round_and_its_mean_is_right(protocol: str, drop: int) -> None:
    found = play(Case(protocol, 5, 2000, drop))
    assert found.included == 5 - 5 * drop // 100
    assert found.difference <= found.bound
    assert found.cpu("client") > 0
    assert found.cpu("coordinator") > 0
    assert 4.0 <= found.up() / 2000 < {"ckks": 9.0, SLOTS: 16.0}.get(protocol, 8.0)  # of a ciphertext of slots 2,000 values fill half
    assert {step.parties for step in found.steps if step.role == "client"} == {found.included}


def test_a_traced_play_weighs_parties_instead_of_timing_them() -> None:
    found = play(SMALL, memory=True)
    assert found.peak["client"] > 4 * 2000
    assert not found.steps


def test_memory_on_its_way_belongs_to_nobody() -> None:
    import tracemalloc

    tracemalloc.start()
    try:
        meter = Meter(memory=True)
        meter.act("a", "send x/Report", lambda: bytes(100_000))  # type: ignore[arg-type]
        kept = meter.act("b", "x/Report", lambda: bytes(100_000))  # type: ignore[arg-type]
    finally:
        tracemalloc.stop()
    assert len(kept) == 100_000
    assert "a" not in meter.peak
    assert meter.peak["b"] >= 100_000  # type: ignore[index]


def test_a_campaign_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Case] = []

    def fake(case: Case, *, memory: bool = False) -> Play | str:
        asked.append(case)
        if case.clients == 10 and len(asked) < 4:
            raise KeyboardInterrupt
        return played(0.01)

    monkeypatch.setattr(campaign, "play_apart", fake)
    cases = grid(["additive"], [3, 10], [1000], [0], [])
    first = Campaign(cases, 1, tmp_path / "r.json", "x", memory=False)
    with pytest.raises(KeyboardInterrupt):
        first.run(lambda *_: None)
    assert len(load(tmp_path / "r.json").cases) == 2
    again = Campaign(cases, 1, tmp_path / "r.json", "x", memory=False).run(lambda *_: None)
    assert [one.case for one in again.cases] == cases
    assert [case.clients for case in asked] == [3, 3, 10, 10, 10]


def test_repeats_of_one_work_are_interleaved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fake(case: Case, *, memory: bool = False) -> Play | str:
        asked.append(case.protocol)
        return played(0.01)

    monkeypatch.setattr(campaign, "play_apart", fake)
    Campaign(grid(["additive"], [3], [1000], [0], []), 2, tmp_path / "r.json", "x", memory=False).run(lambda *_: None)
    assert asked == [PLAINTEXT, "additive"] * 2


def test_a_file_of_other_repeats_is_not_gone_on_with(tmp_path: Path) -> None:
    results(measured(SMALL, 0.1)).save(tmp_path / "r.json")
    with pytest.raises(ConfigError, match="1 repeats"):
        Campaign([SMALL], 2, tmp_path / "r.json", "x")


def test_a_case_that_memory_does_not_hold_says_so_and_the_others_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "play_apart", lambda case, *, memory=False: played(0.01))
    huge = Case("additive", 3, 10**12)
    found = Campaign([SMALL, huge], 1, tmp_path / "r.json", "x", memory=False).run(lambda *_: None)
    assert [bool(one.failed) for one in found.cases] == [False, True]
    assert "GiB" in found.cases[1].failed


def test_a_protocol_that_refuses_a_case_gives_its_reason() -> None:
    found = campaign.play_apart(Case("pairwise", 2, 100))
    assert isinstance(found, str)
    assert "floor" in found


def test_ratios_are_those_of_medians_against_plaintext_on_the_same_work() -> None:
    plain, ours = Case(PLAINTEXT, 3, 1000), Case("additive", 3, 1000)
    (_, cost) = findings.costs(results(measured(plain, 0.1, 0.2, 9.0), measured(ours, 0.4, 0.5, 0.6)))
    assert cost.client_ratio == pytest.approx(0.5 / 0.2)
    assert cost.up_per_value == 4.0
    assert cost.spread == pytest.approx((1.2 - 0.8) / 1.0)


def test_an_exponent_is_the_slope_on_logarithms() -> None:
    assert Growth("x", "t", "n", "", tuple((n, 3.0 * n**2) for n in (1.0, 2.0, 8.0))).exponent == pytest.approx(2.0)
    assert Growth("x", "t", "n", "", ((1.0, 5.0), (100.0, 5.0))).exponent == pytest.approx(0.0)


def test_a_link_adds_half_a_round_trip_and_the_longest_transfer_of_each_leg() -> None:
    found = played(0.0, up=1_000_000)
    assert findings.over_link(found, 8e6, latency=0.1) == pytest.approx(0.05 + 3.0)


def test_results_follow_their_schema_and_a_broken_file_is_refused(tmp_path: Path) -> None:
    written = tmp_path / "r.json"
    results(measured(SMALL, 0.1)).save(written)
    jsonschema.validate(json.loads(written.read_text()), json.loads(schema()))
    assert load(written).cases[0].case == SMALL
    written.write_text(written.read_text().replace('"repeats": 1', '"repeats": "many"'))
    with pytest.raises(ConfigError, match="repeats"):
        load(written)
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.json")


def test_the_page_carries_everything_and_the_same_results_give_the_same_page() -> None:
    cases = [measured(Case(name, n, 1000), 0.1 * n) for n in (3, 10) for name in (PLAINTEXT, "additive")]
    html = page.render(results(*cases))
    assert html == page.render(results(*cases))
    assert not re.findall(r'(?:src|href)="(?!#)[^"]+"', html)
    assert html.count("<svg") >= 3
    text = page.markdown(results(*cases))
    assert "| 10 | 1e3 |" in text


def test_compare_fails_on_a_grown_size_or_a_grown_ratio(tmp_path: Path) -> None:
    plain, ours = Case(PLAINTEXT, 3, 1000), Case("additive", 3, 1000)
    results(measured(plain, 0.1), measured(ours, 0.2)).save(tmp_path / "a.json")
    results(measured(plain, 0.1), measured(ours, 0.2, up=4001)).save(tmp_path / "b.json")
    results(measured(plain, 0.1), measured(ours, 0.5)).save(tmp_path / "c.json")
    run = CliRunner().invoke

    def status(one: str, other: str) -> int:
        return run(app, ["bench", "compare", str(tmp_path / one), str(tmp_path / other), "--worst", "2"]).exit_code

    assert status("a.json", "a.json") == 0
    assert status("a.json", "b.json") == 1
    assert status("a.json", "c.json") == 1


def test_the_command_measures_and_shows(tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    words = ["bench", "--protocols", "additive", "--clients", "3", "--values", "1000", "--drops", "0", "--repeats", "1", "-o", str(out)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "additive" in done.output
    assert out.with_suffix(".html").exists()
    assert len(load(out).cases) == 2
    shown = CliRunner().invoke(app, ["bench", "show", str(out), "--markdown", str(tmp_path / "r.md")])
    assert shown.exit_code == 0, shown.output
    assert "| 3 | 1e3 |" in (tmp_path / "r.md").read_text()
    wrong = CliRunner().invoke(app, ["bench", "--clients", "three"])
    assert wrong.exit_code == 2


@pytest.mark.parametrize("protocol", [PLAINTEXT, "additive", "pairwise"])
def test_a_case_with_noise_sums_under_noise(protocol):
    exact, noisy = play(Case(protocol, 5, 2000)), play(Case(protocol, 5, 2000, dp=True))
    assert exact.difference <= exact.bound < noisy.difference <= noisy.bound


def test_slots_are_measured_beside_packing_where_seal_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from secagg.crypto import ckks

    assert offered(["additive", "ckks", "pairwise"]) == ["additive", "ckks", SLOTS, "pairwise"]
    monkeypatch.setattr(ckks, "find_spec", lambda name: None)
    assert offered(["additive", "ckks"]) == ["additive", "ckks"]
    with pytest.raises(ConfigError, match="pairwise has no slots"):
        plan_of(Case("pairwise:n4096-q56", 3, 1000))
