"""Flower as its users start it: `flwr run` of the guide's app in a simulation, and a SuperLink with SuperNodes over TLS."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

pytest.importorskip("flwr")

from protocols import pairwise
from secagg.pki.trial import make_trial
from tests.adapters.deployed import make_app, make_certificates
from tests.adapters.plain import STACKS, bound, largest_difference, plain_loop, sums_in
from tests.repository.source import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]  # Flower starts a process for each message
BIN = Path(sys.executable).parent
ROUNDS = 3


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def surroundings(folder: Path) -> dict[str, str]:
    """Flower's own files lie in the test's folder, and its programs find this source."""
    paths = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "FLWR_HOME": str(folder / "home")}
    return {**os.environ, **paths, "FLWR_TELEMETRY_ENABLED": "0", "OMP_NUM_THREADS": "1", "RAY_memory_usage_threshold": "0.99"}


@contextmanager
def running(log: Path, *words: Any, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a group of its own, so that what it has started ends with it."""
    with log.open("wb") as out:
        process = subprocess.Popen([str(word) for word in words], cwd=log.parent, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        for sent in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sent)
                process.wait(8)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        process.wait(8)


def wait_for(port: int, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < until, f"nobody listens on {port}"
            time.sleep(0.2)


def flwr_run(folder: Path, app: Path, env: dict[str, str], settings: str, seconds: float, *more: str) -> str:
    """What the run's server said."""
    words = [BIN / "flwr", "run", app, "here", "--stream", "-c", settings, *more]
    done = subprocess.run([str(word) for word in words], cwd=folder, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    return done.stdout + done.stderr


def test_flwr_run_of_the_guide_ends_where_the_plain_loop_ends(tmp_path: Path) -> None:
    """Five companies fine-tune a peft LoRA; the adapter after three rounds is the plain loop's, to the quantisation bound."""
    port, env = free_port(), surroundings(tmp_path)
    make_trial(tmp_path / "pki", clients=[f"client-{number}" for number in range(5)])
    (tmp_path / "home").mkdir()
    config = f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    (tmp_path / "home" / "config.toml").write_text(config)
    app = shutil.copytree(STACKS, tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__", "nvflare*", "loop.py", "trainer.py"))
    link = (BIN / "flower-superlink", "--insecure", "--simulation", "--host", "127.0.0.1", "--port", port)
    with running(tmp_path / "link.log", *link, "--disable-runtime-dependency-installation", env=env):
        wait_for(port)
        settings = f'secagg-pki="{tmp_path}/pki" results="{tmp_path}"'
        said = flwr_run(tmp_path, app, env, settings, 420, "--federation-config", "num-supernodes=5 client-resources-num-cpus=1")
    sums = sums_in(said, "secure sum of round")
    assert len(sums) == ROUNDS, said[-5000:]
    assert sums[-1] == [0, 1, 2, 3, 4], said[-9000:]
    first, final = (load_file(tmp_path / f"{name}.safetensors") for name in ("first", "final"))
    expected = plain_loop(ROUNDS, lambda number: sums[number - 1])
    assert largest_difference(final, expected) <= bound(pairwise.Plan(clients=5, clip=8.0), first, 5, ROUNDS)


def test_nodes_over_tls_sum_though_one_drops_out(tmp_path: Path) -> None:
    """Four SuperNodes of companies, one of the auditor, a leader in the ServerApp; client-3 fails in the second round."""
    port, env = free_port(), surroundings(tmp_path)
    clients = [f"client-{number}" for number in range(4)]
    make_trial(tmp_path / "pki", clients=clients, aggregators=["auditor", "leader"])
    make_certificates(tmp_path)
    app = make_app(tmp_path, port)
    tls = ["--ssl-certfile", tmp_path / "server.pem", "--ssl-keyfile", tmp_path / "server.key", "--ssl-ca-certfile", tmp_path / "ca.pem"]
    link = (BIN / "flower-superlink", *tls, "--host", "127.0.0.1", "--port", port, "--disable-runtime-dependency-installation")
    with running(tmp_path / "link.log", *link, env=env):
        wait_for(port)
        nodes = []
        try:
            for number, name in enumerate([*clients, "auditor"]):
                config = f'partition-id={number} secagg-identity="{tmp_path}/pki/{name}"'
                place = ("--superlink", f"127.0.0.1:{port}", "--root-certificates", tmp_path / "ca.pem", "--port", free_port())
                node = running(tmp_path / f"{name}.log", BIN / "flower-supernode", *place, *tls, "--node-config", config, env=env)
                node.__enter__()
                nodes.append(node)
            said = flwr_run(tmp_path, app, env, f'secagg-pki="{tmp_path}/pki"', 420)
        finally:
            for node in nodes:
                node.__exit__(None, None, None)
    sums = [line for line in said.splitlines() if "in the sum:" in line]
    assert [line.count("client-") for line in sums] == [4, 3], said[-5000:]
    assert "close to FedAvg: True" in said
