"""NVFlare's part of `benchmarks.stacks`: its ScatterAndGather in the clear, and secured, as jobs of its simulator."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.executor import Executor
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.model import ModelLearnable, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.aggregators.intime_accumulate_model_aggregator import InTimeAccumulateWeightedAggregator
from nvflare.app_common.shareablegenerators.full_model_shareable_generator import FullModelShareableGenerator
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather
from nvflare.job_config.api import FedJob
from safetensors.numpy import save_file

from secagg.adapters.nvflare import SecureExecutor, SecureFedAvg
from secagg.adapters.nvflare_filters import SecureAggregator, SecureFilter, SecureHelper
from secagg.pki.trial import make_trial

CLEAR, FILTERS, CONTROLLER = "ScatterAndGather in the clear", "additive, filters, leader beside", "pairwise, controller"


class Adds(Executor):  # type: ignore[misc]  # nvflare is not typed
    """Training that is nothing."""

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        moved = {name: value + np.float32(1e-3) for name, value in from_shareable(shareable).data.items()}
        return DXO(DataKind.WEIGHTS, data=moved, meta={MetaKey.NUM_STEPS_CURRENT_ROUND: 10}).to_shareable()


class Zeros(ModelPersistor):  # type: ignore[misc]
    """A first model of zeros; nothing is written."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.values = values

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        return make_model_learnable({"w": np.zeros(self.values, np.float32)}, {})

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None: ...


def job(kind: str, folder: Path, sites: list[str], values: int, rounds: int) -> FedJob:
    """Rounds as ScatterAndGather or our controller runs them."""
    made, pki = FedJob("measured", min_clients=len(sites)), f"{folder}/pki"
    if kind == CONTROLLER:
        save_file({"w": np.zeros(values, np.float32)}, folder / "first.safetensors")
        settings = {"clients": len(sites), "clip": 8.0}
        made.to_server(SecureFedAvg("pairwise", settings, f"{pki}/hub", f"{folder}/first.safetensors", rounds=rounds))
        for site in sites:
            made.to(SecureExecutor(Adds(), pki + "/{site}"), site, tasks=["*"])
        return made
    made.to_server(Zeros(values), id="persistor")
    made.to_server(FullModelShareableGenerator(), id="shareable_generator")
    made.to_server(ScatterAndGather(len(sites), num_rounds=rounds, persistor_id="persistor"))
    for site in sites:
        made.to(Adds(), site, tasks=["train"])
    if kind == CLEAR:
        made.to_server(InTimeAccumulateWeightedAggregator(expected_data_kind=DataKind.WEIGHTS), id="aggregator")
        return made
    settings = {"clients": len(sites), "clip": 8.0}
    made.to_server(SecureAggregator("additive", settings, f"{pki}/hub", [f"{pki}/leader"]), id="aggregator")
    for site in sites:
        made.to(SecureFilter(pki + "/{site}"), site)
    made.to(SecureHelper(pki + "/{site}"), "auditor", tasks=["train"])
    return made


def nvflare(clients: int, values: int, rounds: int) -> dict[str, tuple[float, int]]:
    """Seconds of `rounds` rounds after the first, which starts the processes; bytes are not told by NVFlare."""
    return {kind: (_seconds(kind, clients, values, rounds), 0) for kind in (CLEAR, FILTERS, CONTROLLER)}


def _seconds(kind: str, clients: int, values: int, rounds: int) -> float:
    words: list[Any] = [sys.executable, "-m", "benchmarks.stacks_nvflare", kind, clients, values, rounds + 1]
    done = subprocess.run(
        [str(word) for word in words], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    return seconds_between(kind, done.stdout + done.stderr, rounds)


def seconds_between(kind: str, said: str, rounds: int) -> float:
    """From the end of the first round to that of the last, by the server's log."""
    # ScatterAndGather says when a round is finished, the controller whose updates are in its sum.
    ends = re.findall(r"^(\S+ \S+) - .*(?:Round \d+ finished|round \d+: )", said, re.MULTILINE)
    if len(ends) != rounds + 1:
        raise SystemExit(f"{kind}: {len(ends)} rounds of {rounds + 1}\n{said[-3000:]}")
    first, last = (datetime.strptime(ends[place], "%Y-%m-%d %H:%M:%S,%f") for place in (0, -1))  # noqa: DTZ007  # a difference
    return (last - first).total_seconds()


def main(kind: str, clients: str, values: str, rounds: str) -> None:
    """One job in this process."""
    folder = Path(tempfile.mkdtemp())
    sites = [f"client-{index}" for index in range(int(clients))]
    make_trial(folder / "pki", clients=sites, aggregators=["auditor", "leader"])
    there = [*sites, "auditor"] if kind == FILTERS else sites
    job(kind, folder, sites, int(values), int(rounds)).simulator_run(f"{folder}/simulator", clients=there, threads=len(there))


if __name__ == "__main__":
    main(*sys.argv[1:])
