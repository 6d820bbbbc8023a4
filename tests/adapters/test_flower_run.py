"""Flower as its users start it: `flwr run` of the guide's app in a simulation, and a SuperLink with SuperNodes over TLS."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from safetensors.numpy import load_file

pytest.importorskip("flwr")

from protocols import pairwise
from secagg.pki.trial import make_trial
from tests.adapters.deployed import make_app, make_certificates
from tests.adapters.plain import STACKS, bound, largest_difference, plain_loop, sums_in
from tests.adapters.programs import free_port, running
from tests.repository.source import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]  # Flower starts a process for each message
BIN = Path(sys.executable).parent
ROUNDS = 3


def surroundings(folder: Path) -> dict[str, str]:
    """Flower's own files lie in the test's folder, and its programs find this source."""
    paths = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "FLWR_HOME": str(folder / "home")}
    return {**os.environ, **paths, "FLWR_TELEMETRY_ENABLED": "0", "OMP_NUM_THREADS": "1", "RAY_memory_usage_threshold": "0.99"}


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


def fails(app: Path, number: int, round_: int) -> None:
    """The app of the guide, but for one client that goes down in one round before it has trained."""
    client = app / "flower_client.py"
    source, first = client.read_text(), '    """Fine-tune the adapter that came on this client\'s data."""\n'
    assert first in source
    gone = f'(context.node_config["partition-id"], message.content["config"]["server-round"]) == ({number}, {round_})'
    client.write_text(source.replace(first, f'{first}    if {gone}:\n        raise ConnectionError("this node is down")\n'))


def test_flwr_run_of_the_guide_ends_where_the_plain_loop_ends_though_one_drops_out(tmp_path: Path) -> None:
    """Five companies fine-tune a peft LoRA; the adapter after three rounds is the plain loop's, to the quantisation bound."""
    port, env = free_port(), surroundings(tmp_path)
    make_trial(tmp_path / "pki", clients=[f"client-{number}" for number in range(5)])
    (tmp_path / "home").mkdir()
    config = f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    (tmp_path / "home" / "config.toml").write_text(config)
    app = shutil.copytree(STACKS, tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__", "nvflare*", "loop.py", "trainer.py"))
    fails(app, number=3, round_=2)
    link = (BIN / "flower-superlink", "--insecure", "--simulation", "--host", "127.0.0.1", "--port", port)
    with running(tmp_path / "link.log", *link, "--disable-runtime-dependency-installation", env=env):
        wait_for(port)
        settings = f'secagg-pki="{tmp_path}/pki" results="{tmp_path}"'
        said = flwr_run(tmp_path, app, env, settings, 420, "--federation-config", "num-supernodes=5 client-resources-num-cpus=1")
    sums = sums_in(said, "secure sum of round")
    assert sums == [[0, 1, 2, 3, 4], [0, 1, 2, 4], [0, 1, 2, 3, 4]], said[-9000:]
    assert "round 2 went on without client-3: " in said
    first, final = (load_file(tmp_path / f"{name}.safetensors") for name in ("first", "final"))
    expected = plain_loop(ROUNDS, lambda number: sums[number - 1])
    assert largest_difference(final, expected) <= bound(pairwise.Plan(clients=5, clip=8.0), first, 5, ROUNDS)


def test_nodes_over_tls_sum_though_the_process_of_one_is_killed(tmp_path: Path) -> None:
    """Five nodes of companies, one of the auditor, a leader in the ServerApp; that of client-3 is killed as it trains in round 2."""
    port, env = free_port(), surroundings(tmp_path)
    clients = [f"client-{number}" for number in range(5)]
    make_trial(tmp_path / "pki", clients=clients, aggregators=["auditor", "leader"])
    make_certificates(tmp_path)
    app = make_app(tmp_path, port)
    tls = ["--ssl-certfile", tmp_path / "server.pem", "--ssl-keyfile", tmp_path / "server.key", "--ssl-ca-certfile", tmp_path / "ca.pem"]
    link = (BIN / "flower-superlink", *tls, "--host", "127.0.0.1", "--port", port, "--disable-runtime-dependency-installation")
    with ExitStack() as processes:
        processes.enter_context(running(tmp_path / "link.log", *link, env=env))
        wait_for(port)
        nodes = {}
        for number, name in enumerate([*clients, "auditor"]):
            config = f'partition-id={number} secagg-identity="{tmp_path}/pki/{name}"'
            place = ("--superlink", f"127.0.0.1:{port}", "--root-certificates", tmp_path / "ca.pem", "--port", free_port())
            node = running(tmp_path / f"{name}.log", BIN / "flower-supernode", *place, *tls, "--node-config", config, env=env)
            nodes[name] = processes.enter_context(node)
        said = flwr_run(tmp_path, app, env, f'secagg-pki="{tmp_path}/pki"', 420)
        assert [name for name, node in nodes.items() if node.poll() == -signal.SIGKILL] == ["client-3"]
    assert sums_in(said, "in the sum:") == [[0, 1, 2, 3, 4], [0, 1, 2, 4], [0, 1, 2, 4]], said[-5000:]
    assert "close to FedAvg: True" in said
