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
