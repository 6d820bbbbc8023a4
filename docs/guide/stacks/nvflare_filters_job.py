"""NVFlare's own ScatterAndGather over `additive`: `PYTHONPATH=. python nvflare_filters_job.py PKI-FOLDER RESULTS-FOLDER`, both absolute."""

from __future__ import annotations

import sys

import task
from nvflare.app_common.shareablegenerators.full_model_shareable_generator import FullModelShareableGenerator
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather
from nvflare.job_config.api import FedJob
from nvflare_model import AdapterFile
from nvflare_site import TaskExecutor
from safetensors.torch import save_file

from secagg.adapters.nvflare_filters import SecureAggregator, SecureFilter, SecureHelper
from secagg.lora import adapter_state


def make_job(pki: str, results: str) -> FedJob:
    """Three rounds; client-4 fails in the second. `auditor` is a site of another organisation; `leader` runs in the server."""
    first = f"{results}/first.safetensors"
    save_file(adapter_state(task.make_model()), first)
    sites = [f"client-{number}" for number in range(task.CLIENTS)]
    job = FedJob("secure-lora", min_clients=len(sites))
    job.to_server(AdapterFile(first, f"{results}/final.safetensors"), id="persistor")
    job.to_server(FullModelShareableGenerator(), id="shareable_generator")
    # A round ends when six sites have answered, the auditor among them, or ten seconds after the fifth.
    flow = ScatterAndGather(len(sites), num_rounds=3, persistor_id="persistor", ignore_result_error=True)
    job.to_server(flow)
    job.to_server(SecureAggregator("additive", {"clients": len(sites), "clip": 8.0}, f"{pki}/hub", [f"{pki}/leader"]), id="aggregator")
    for site in sites:
        job.to(TaskExecutor(1 if site == "client-4" else -1), site, tasks=["train"])  # ScatterAndGather counts from 0
        job.to(SecureFilter(pki + "/{site}"), site)
    job.to(SecureHelper(pki + "/{site}"), "auditor", tasks=["train"])
    return job


if __name__ == "__main__":
    sites = [f"client-{number}" for number in range(task.CLIENTS)] + ["auditor"]
    make_job(sys.argv[1], sys.argv[2]).simulator_run(f"{sys.argv[2]}/simulator", clients=sites, threads=len(sites))
