"""NVFlare's homomorphic encryption beside ours: the same rounds in a POC deployment, which has the keys that its simulator has not.

A server and a process for each site, with NVFlare's TLS. Its encryption is that of its own recipe: `HEModelEncryptor` behind the executor,
`HEModelDecryptor` before it, and TenSEAL contexts as `HEBuilder` provisions them: every site holds the key that opens every other's update.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from nvflare.apis.dxo import DataKind
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather
from nvflare.app_opt.he.intime_accumulate_model_aggregator import HEInTimeAccumulateWeightedAggregator
from nvflare.app_opt.he.model_decryptor import HEModelDecryptor
from nvflare.app_opt.he.model_encryptor import HEModelEncryptor
from nvflare.app_opt.he.model_shareable_generator import HEModelShareableGenerator
from nvflare.job_config.api import FedJob
from nvflare.job_config.defs import FilterType
from nvflare.recipe.poc_env import PocEnv

from benchmarks.stacks_nvflare import CLEAR, CONTROLLER, FILTERS, Adds, Zeros, job, seconds_between
from secagg.pki.trial import make_trial

ENCRYPTED = "NVFlare's homomorphic encryption"


def encrypted(sites: list[str], values: int, rounds: int) -> FedJob:
    """As `nvflare.app_opt.pt.recipes.fedavg_he` puts it together."""
    made = FedJob("measured", min_clients=len(sites))
    made.to_server(Zeros(values), id="persistor")
    made.to_server(HEModelShareableGenerator(), id="shareable_generator")
    made.to_server(ScatterAndGather(len(sites), num_rounds=rounds, persistor_id="persistor"))
    made.to_server(HEInTimeAccumulateWeightedAggregator(expected_data_kind=DataKind.WEIGHTS, weigh_by_local_iter=False), id="aggregator")
    for site in sites:
        made.to(Adds(), site, tasks=["train"])
        made.to(HEModelDecryptor(), site, tasks=["train"], filter_type=FilterType.TASK_DATA)
        made.to(HEModelEncryptor(weigh_by_local_iter=True), site, tasks=["train"], filter_type=FilterType.TASK_RESULT)
    return made


def poc(clients: int, values: int, rounds: int) -> dict[str, tuple[float, int]]:
    """Seconds of `rounds` rounds after the first, in deployments one after the other; bytes are not told by NVFlare."""
    return {kind: (_seconds(kind, clients, values, rounds), 0) for kind in (CLEAR, FILTERS, CONTROLLER, ENCRYPTED)}


def _seconds(kind: str, clients: int, values: int, rounds: int) -> float:
    folder = Path(tempfile.mkdtemp())
    words = [sys.executable, "-c", "import sys; from benchmarks.stacks_poc import deploy; deploy(*sys.argv[1:])"]
    here = {"NVFLARE_POC_WORKSPACE": f"{folder}/poc", "HOME": str(folder), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [*words, kind, str(folder), str(clients), str(values), str(rounds + 1)],
        env={**os.environ, **here, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = "".join(log.read_text() for log in sorted(folder.glob("poc/**/transfer/**/workspace/log.txt")))
    return seconds_between(kind, said or done.stdout + done.stderr, rounds)


def deploy(kind: str, folder: str, clients: str, values: str, rounds: str) -> None:
    """One deployment, which stays on disk for its log."""
    sites = [f"client-{index}" for index in range(int(clients))]
    make_trial(Path(folder) / "pki", clients=sites, aggregators=["auditor", "leader"])
    work: tuple[Any, ...] = (sites, int(values), int(rounds))
    there = [*sites, "auditor"] if kind == FILTERS else sites
    deployment = PocEnv(clients=there, num_clients=len(there), use_he=kind == ENCRYPTED, extra={"login_timeout": 60})
    try:
        number = deployment.deploy(encrypted(*work) if kind == ENCRYPTED else job(kind, Path(folder), *work))
        deployment.get_job_result(number, timeout=300)
    finally:
        deployment.stop()
