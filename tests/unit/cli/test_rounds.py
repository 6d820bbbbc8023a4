"""`secagg serve`, `join` and `aggregate` around a runtime that is played: what they hand over, keep, resume, and how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import secagg.runtime as runtime
from secagg.cli import tensors
from secagg.encode.layout import Layout
from secagg.encode.note import KEY, written
from secagg.errors import InvalidMessage, SessionAborted
from secagg.runtime import Missed, Result
from secagg.types import PartyId
from tests.unit.cli.conftest import Secagg
from tests.unit.cli.test_receipt import CLIENTS, issue

FIRST = {"a": np.zeros((2, 2), np.float32), "b": np.ones(3, np.float32)}
HUB = """\
[party]
identity = "pki/hub"
[hub]
address = "127.0.0.1:0"
aggregators = ["pki/alpha"]
[task]
name = "t"
model = "first.safetensors"
base_model = "{base}"
[protocol]
name = "additive"
clip = 2.0
bits = 12
[rounds]
count = 3
deadline = 5
rate = 0.5
[results]
folder = "results"
"""
CLIENT = """\
[party]
identity = "pki/energy"
[hub]
address = "127.0.0.1:7070"
[training]
callable = "{module}:train"
[policy]
min_servers = 2
[results]
folder = "mine"
"""


@dataclass
class PlayedServer:
    """A hub whose rounds open a mean of ones; `fail` are the calls of `aggregate` that abort."""

    pki: Path
    round: int = 1
    fail: tuple[int, ...] = ()
    calls: int = 0
    address: str = "127.0.0.1:7070"
    connected: tuple[str, ...] = ()
    published: list[dict[str, Any]] = field(default_factory=list)
    model: dict[str, Any] = field(default_factory=lambda: FIRST)
    unpublished: None = None

    def aggregate(self, *, deadline: float, wait: float) -> Result:
        self.calls += 1
        if self.calls in self.fail:
            raise SessionAborted("two of three came", answered=CLIENTS[:2], needed=3)
        number, self.round = self.round, self.round + 1
        mean = {name: np.ones_like(values) for name, values in FIRST.items()}
        left, sizes = {PartyId("late"): "too slow"}, dict.fromkeys(CLIENTS, 10)
        return Result(mean, CLIENTS, 30, _receipt(self.pki, number), number, 1, left, sizes, sizes, 0.5, 0.25)

    def publish(self, state: dict[str, Any]) -> None:
        self.published.append(state)


def _receipt(pki: Path, number: int) -> Any:
    made = issue(pki)
    described = made.round.description
    from dataclasses import replace

    return replace(made, round=replace(made.round, description=replace(described, round=number)))


@pytest.fixture
def hub(pki: Path, tmp_path: Path) -> Path:
    tensors.write(tmp_path / "first.safetensors", FIRST, {})
    (tmp_path / "hub.toml").write_text(HUB.format(base="ab" * 32))
    return tmp_path / "hub.toml"


def play(monkeypatch: pytest.MonkeyPatch, server: PlayedServer) -> dict[str, Any]:
    given: dict[str, Any] = {}

    def serve(plan: Any, address: str, **keys: Any) -> Any:
        given.update(plan=plan, address=address, **keys)
        return nullcontext(server)

    monkeypatch.setattr(runtime, "serve", serve)
    return given


def test_the_file_reaches_the_hub_whole(secagg: Secagg, hub: Path, pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = play(monkeypatch, PlayedServer(pki))
    done = secagg("serve", hub)
    assert done.status == 0, done.err
    plan = given["plan"]
    assert (plan.clients, plan.aggregators, plan.clip, plan.bits) == (3, 2, 2.0, 12)
    assert given["identity"].party == "hub"
    assert [one.party for one in given["aggregators"]] == ["alpha"]
    assert (given["task"], given["base_model"], given["address"]) == ("t", b"\xab" * 32, "127.0.0.1:0")
    assert "community, energy, urban" in done.out
    assert "late (too slow)" in done.out


def test_the_layout_that_the_first_model_notes_is_what_the_hub_announces(
    secagg: Secagg, hub: Path, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = play(monkeypatch, PlayedServer(pki))
    assert secagg("serve", hub).status == 0
    assert given["layout"] == Layout.of(FIRST)
    bound = Layout.of(FIRST, binding={"adapter-config": b"rank 8"})
    tensors.write(hub.parent / "first.safetensors", FIRST, written(bound))
    (hub.parent / "results" / "model.safetensors").unlink()
    assert secagg("serve", hub).status == 0
    assert given["layout"] == bound
    tensors.write(hub.parent / "first.safetensors", FIRST, {KEY: "?"})
    done = secagg("serve", hub)
    assert (done.status, "first.safetensors: the metadata secagg.layout holds no layout" in done.err) == (2, True)


def test_models_means_and_receipts_are_kept_and_the_step_is_the_rate(
    secagg: Secagg, hub: Path, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = PlayedServer(pki)
    play(monkeypatch, server)
    lines = secagg("serve", hub, "--json").lines
    kept = hub.parent / "results"
    expected = ["model.safetensors", *(f"round-{n:04d}{end}" for n in (1, 2, 3) for end in ("-mean.safetensors", ".receipt"))]
    assert sorted(path.name for path in kept.iterdir()) == sorted(expected)
    assert tensors.read_notes(kept / "model.safetensors") == {"task": "t", "round": "3"}
    assert np.array_equal(tensors.read(kept / "model.safetensors")["b"], FIRST["b"] + np.float32(1.5))
    assert [float(state["b"][0]) for state in server.published] == [1.5, 2.0, 2.5]
    assert [line["round"] for line in lines[1:-1]] == [1, 2, 3]
    assert lines[-1] == {"done": "t", "rounds": 3, "results": str(kept)}


def test_a_hub_that_is_started_again_goes_on_from_the_model_it_kept(
    secagg: Secagg, hub: Path, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, PlayedServer(pki, fail=(3,)))
    assert secagg("serve", hub).status == 1
    again = PlayedServer(pki, round=3)
    given = play(monkeypatch, again)
    assert secagg("serve", hub).status == 0
    assert float(given["model"]["b"][0]) == 2.0
    assert [float(state["b"][0]) for state in again.published] == [2.0, 2.5]


def test_a_hub_whose_results_were_moved_away_goes_on_from_what_its_state_holds(
    secagg: Secagg, hub: Path, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = PlayedServer(pki, round=3, model=tensors.add(FIRST, FIRST, 9.0))
    play(monkeypatch, server)
    assert secagg("serve", hub).status == 0
    assert [float(state["b"][0]) for state in server.published] == [10.5]


def test_an_aborted_round_ends_with_one_and_who_answered(secagg: Secagg, hub: Path, pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, PlayedServer(pki, fail=(2,)))
    done = secagg("serve", hub, "--json")
    assert done.status == 1
    assert done.lines[-1]["error"]["kind"] == "SessionAborted"
    assert done.lines[-1]["error"]["answered"] == ["community", "energy"]
    assert done.err == "secagg: two of three came\n"


def test_rounds_in_a_row_may_fail_as_often_as_the_file_allows(
    secagg: Secagg, hub: Path, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.write_text(hub.read_text().replace("count = 3", "count = 3\ntolerate = 1"))
    play(monkeypatch, PlayedServer(pki, fail=(1, 3)))
    done = secagg("serve", hub)
    assert (done.status, done.err.count("failed (1 of 1 in a row)")) == (0, 2)
    play(monkeypatch, PlayedServer(pki, fail=(1, 2)))
    (hub.parent / "results" / "model.safetensors").unlink()
    assert secagg("serve", hub).status == 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "additive"', 'name = "aditive"', "hub.toml:11: [protocol]: no protocol 'aditive' is installed: did you mean `additive`?"),
        ("bits = 12", "bit = 12", "hub.toml:13: [protocol] bit: unknown key of additive: did you mean `bits`?"),
        ("bits = 12", "bits = 12\naggregators = 1", "hub.toml:14: [protocol]: aggregators=1"),
        ("bits = 12", 'bits = "x"', "hub.toml:13: [protocol]"),
        ("first.safetensors", "none.safetensors", "cannot read the model"),
        ("pki/hub", "pki/nobody", "there is no identity folder"),
    ],
)
def test_a_wrong_hub_file_is_refused_before_anything_listens(
    secagg: Secagg, hub: Path, pki: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, says: str
) -> None:
    given = play(monkeypatch, PlayedServer(pki))
    hub.write_text(hub.read_text().replace(old, new))
    done = secagg("serve", hub)
    assert done.status == 2
    assert says in done.err
    assert not given


@dataclass
class PlayedSession:
    """Two rounds over a model of ones; the second is opened without this client."""

    pki: Path
    round: int = 0
    submitted: list[tuple[dict[str, Any], int]] = field(default_factory=list)
    missed: tuple[Missed, ...] = (Missed(2, "too late"),)
    failure: BaseException | None = None
    privacy: None = None

    def rounds(self, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        for self.round in (1, 2):
            if self.failure is not None and self.round == 2:
                raise self.failure
            yield {name: np.ones_like(values) for name, values in FIRST.items()}

    def submit(self, update: dict[str, Any], *, weight: int, spent: tuple[()]) -> None:
        assert spent == ()
        self.submitted.append((update, weight))

    @property
    def receipts(self) -> tuple[Any, ...]:
        return tuple(_receipt(self.pki, number) for number in range(1, self.round + 1))

    @property
    def model(self) -> dict[str, Any]:
        return FIRST


@pytest.fixture
def client(pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import sys

    module = f"client_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{module}.py").write_text("def train(state, round):\n    return {n: v + round for n, v in state.items()}, 10 * round\n")
    (tmp_path / "energy.toml").write_text(CLIENT.format(module=module))
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path / "energy.toml"


def test_a_client_submits_what_changed_and_keeps_what_was_signed(
    secagg: Secagg, client: Path, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = PlayedSession(pki)
    given: dict[str, Any] = {}

    def join(address: str, **keys: Any) -> Any:
        given.update(address=address, **keys)
        return nullcontext(session)

    monkeypatch.setattr(runtime, "join", join)
    done = secagg("join", client, "--json")
    assert done.status == 0, done.err
    assert (given["identity"].party, given["address"], given["policy"].min_servers) == ("energy", "127.0.0.1:7070", 2)
    assert [(set(update["a"].flat), weight) for update, weight in session.submitted] == [({1.0}, 10), ({2.0}, 20)]
    names = sorted(path.name for path in (client.parent / "mine").iterdir())
    assert names == ["model.safetensors", "round-0001.receipt", "round-0002.receipt"]
    assert done.lines[-1]["missed"] == {"2": "too late"}
    table = secagg("join", client).out
    assert "in the sum" in table
    assert "too late" in table


def test_a_hub_that_misbehaves_ends_a_client_with_three(secagg: Secagg, client: Path, pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = PlayedSession(pki, failure=InvalidMessage("RD-C5", "n_min is 2", culprits=[CLIENTS[0]]))
    monkeypatch.setattr(runtime, "join", lambda *words, **keys: nullcontext(session))
    done = secagg("join", client, "--json")
    assert done.status == 3
    assert done.lines[-1]["error"]["check"] == "RD-C5"


def test_training_that_raises_shows_its_own_traceback_and_ends_with_one(
    secagg: Secagg, client: Path, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = next(client.parent.glob("client_*.py"))
    module.write_text("def train(state, round):\n    raise RuntimeError('out of memory')\n")
    monkeypatch.setattr(runtime, "join", lambda *words, **keys: nullcontext(PlayedSession(pki)))
    done = secagg("join", client, "--json")
    assert done.status == 1
    assert f'File "{module}", line 2, in train' in done.err
    assert done.lines[-1]["error"]["message"] == "training raised RuntimeError: out of memory"


def test_an_aggregator_reports_what_was_published(secagg: Secagg, pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "alpha.toml").write_text('[party]\nidentity = "pki/alpha"\n[hub]\naddress = "h:1"\n[results]\nfolder = "kept"\n')
    receipts = tuple(_receipt(pki, number) for number in (1, 2))
    attendance = SimpleNamespace(receipts=receipts, wait=lambda: None)
    monkeypatch.setattr(runtime, "attend", lambda *words, **keys: nullcontext(attendance))
    done = secagg("aggregate", tmp_path / "alpha.toml", "--json")
    assert done.status == 0, done.err
    assert [line.get("round") for line in done.lines] == [None, 1, 2, None]
    assert json.dumps(done.lines[-1]) == '{"done": "alpha", "rounds": 2}'
    assert len(list((tmp_path / "kept").iterdir())) == 2
