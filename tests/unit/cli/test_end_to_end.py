"""The commands as a user runs them: a hub, two aggregators and three clients as processes over mutual TLS, then once more from there."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from secagg.cli import tensors
from tests.repository.source import ROOT
from tests.unit.cli.conftest import Secagg

CLIENTS = {"energy": 1.0, "community": 2.0, "urban": 6.0}
FIRST = {"a.weight": np.zeros((20, 30), np.float32), "b": np.ones(7, np.float32)}
HUB = """\
[party]
identity = "pki/hub"
[hub]
address = "{address}"
[task]
name = "steps"
model = "first.safetensors"
[protocol]
name = "additive"
clip = 200.0
[rounds]
count = {count}
deadline = 120
wait = 120
[results]
folder = "results"
"""
PARTY = """\
[party]
identity = "pki/{name}"
[hub]
address = "{address}"
[results]
folder = "of-{name}"
"""
TRAINING = """\
[training]
callable = "training:train"
[training.options]
step = {step}
"""


def write_files(folder: Path, count: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "training.py").write_text("def train(state, round, *, step):\n    return {n: v + step for n, v in state.items()}, 10\n")
    (folder / "hub.toml").write_text(HUB.format(address=address, count=count))
    for name in ("alpha", "beta"):
        (folder / f"{name}.toml").write_text(PARTY.format(name=name, address=address))
    for name, step in CLIENTS.items():
        (folder / f"{name}.toml").write_text(PARTY.format(name=name, address=address) + TRAINING.format(step=step))


@contextlib.contextmanager
def running(folder: Path, command: str, name: str) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", "from secagg.cli import main; main()", command, str(folder / f"{name}.toml"), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run_all(folder: Path, count: int) -> list[dict[str, object]]:
    """Every party to its end; what the hub said."""
    write_files(folder, count)
    return play(folder)


def play(folder: Path) -> list[dict[str, object]]:
    parties = [("serve", "hub"), ("aggregate", "alpha"), ("aggregate", "beta"), *(("join", name) for name in CLIENTS)]
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(running(folder, *party)) for party in parties]
        said = [process.communicate(timeout=240) for process in processes]
        assert [process.returncode for process in processes] == [0] * len(processes), [err for _, err in said]
    return [json.loads(line) for line in said[0][0].splitlines()]


@pytest.mark.network
@pytest.mark.slow
def test_three_clients_train_over_the_network_and_go_on_after_a_restart(secagg: Secagg, pki: Path) -> None:
    folder = pki.parent
    tensors.write(folder / "first.safetensors", FIRST, {})
    lines = run_all(folder, 1)
    assert [line["included"] for line in lines if "included" in line] == [sorted(CLIENTS)]
    lines = run_all(folder, 2)
    assert [line["round"] for line in lines if "included" in line] == [2]
    # Two steps of the mean of 1, 2 and 6, to the precision of 16 bits of a clip of 200.
    model = tensors.read(folder / "results" / "model.safetensors")
    assert np.allclose(model["b"], 1 + 2 * 3, atol=0.02)
    assert np.array_equal(tensors.read(folder / "of-urban" / "model.safetensors")["b"], model["b"])
    for number in (1, 2):
        receipt, mean = (folder / "results" / f"round-{number:04d}{end}" for end in (".receipt", "-mean.safetensors"))
        assert (folder / "of-energy" / receipt.name).read_bytes() == receipt.read_bytes()
        assert (folder / "of-beta" / receipt.name).read_bytes() == receipt.read_bytes()
        done = secagg("receipt", "verify", folder / "of-energy" / receipt.name, "--identity", pki / "energy", "--mean", mean)
        assert done.status == 0, done.err


PRIVATE = """
[protocol.privacy]
unit = "{unit}"
mechanism = "{mechanism}"
noise_multiplier = 2.0
epsilon = {epsilon}
delta = 1e-6
{more}
"""
INSISTING = """
[policy.privacy]
unit = "{unit}"
epsilon = 3.0
delta = 1e-6
[budget]
file = "of-{name}.sqlite"
data = "captions"
"""
NOISY = """
from secagg.dp.accountant import Steps

def train(state, round, *, step, privacy=None):
    trained = {n: v + step for n, v in state.items()}
    return (trained, 10) if privacy is None else (trained, 10, Steps(5, privacy.noise_multiplier, 0.1))
"""


def write_private(secagg: Secagg, folder: Path, unit: str, mechanism: str, *, epsilon: float = 3.0, more: str = "") -> None:
    write_files(folder, 1)
    hub = folder / "hub.toml"
    terms = PRIVATE.format(unit=unit, mechanism=mechanism, epsilon=epsilon, more=more)
    hub.write_text(hub.read_text().replace("clip = 200.0\n", "clip = 200.0\nmax_weight = 1\nbits = 10\nrotation = true\n" + terms))
    hub.write_text(hub.read_text().replace('folder = "results"', f'folder = "results-{mechanism}"').replace('"steps"', f'"{mechanism}"'))
    (folder / "training.py").write_text(NOISY)
    for name in CLIENTS:
        file = folder / f"{name}.toml"
        file.write_text(file.read_text() + INSISTING.format(unit=unit, name=name))
        (folder / f"of-{name}.sqlite").unlink(missing_ok=True)
        units = 3 if unit == "organisation" else 5000
        done = secagg("budget", "set", folder / f"of-{name}.sqlite", "--data", "captions", "--epsilon", 5, "--units", units, "--unit", unit)
        assert done.status == 0, done.err


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "mechanism", "more", "noise"), [("organisation", "skellam", "", "skellam"), ("record", "dp-sgd", "clip = 1.0", "gaussian")]
)
def test_private_rounds_are_paid_by_each_client_and_told_by_the_receipt(
    secagg: Secagg, pki: Path, unit: str, mechanism: str, more: str, noise: str
) -> None:
    folder = pki.parent
    tensors.write(folder / "first.safetensors", FIRST, {})
    write_private(secagg, folder, unit, mechanism, more=more)
    lines = play(folder)
    assert [(line["included"], line["weight"]) for line in lines if "included" in line] == [(sorted(CLIENTS), 3)]
    receipt = folder / f"results-{mechanism}" / "round-0001.receipt"
    told = secagg("receipt", "verify", receipt, "--identity", pki / "energy", "--json").lines[-1]["privacy"]
    assert (told["unit"], told["mechanism"], told["booked_by"]) == (unit, mechanism, sorted(CLIENTS))
    if unit == "organisation":
        assert told["costs"]["server"] < told["costs"]["colluding"] <= 3.0
        assert "ε for the server alone" in secagg("receipt", "verify", receipt, "--identity", pki / "energy").out
    spent = secagg("budget", "show", folder / "of-urban.sqlite")
    assert noise in spent.out
    assert mechanism in spent.out
    shown = secagg("budget", "show", folder / "of-urban.sqlite", "--json").lines[-1]
    assert 0 < shown["spent"] <= 3.0


@pytest.mark.network
@pytest.mark.slow
def test_a_hub_that_promises_less_than_the_clients_ask_for_is_refused_with_the_reason(secagg: Secagg, pki: Path) -> None:
    folder = pki.parent
    tensors.write(folder / "first.safetensors", FIRST, {})
    write_private(secagg, folder, "organisation", "skellam", epsilon=9.0)
    hub = folder / "hub.toml"
    hub.write_text(hub.read_text().replace("noise_multiplier = 2.0", "noise_multiplier = 1.0"))
    with contextlib.ExitStack() as stack:
        for command, name in (("serve", "hub"), ("aggregate", "alpha"), ("aggregate", "beta")):
            stack.enter_context(running(folder, command, name))
        clients = [stack.enter_context(running(folder, "join", name)) for name in CLIENTS]
        said = [client.communicate(timeout=120) for client in clients]
    assert [client.returncode for client in clients] == [3, 3, 3], said
    for _, error in said:
        assert "RD-C14" in error
        assert "ε ≤ 3" in error
    assert secagg("budget", "show", folder / "of-urban.sqlite", "--json").lines[-1]["entries"] == []
