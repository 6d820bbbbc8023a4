"""Five sites in NVFlare's simulator: `PYTHONPATH=. python nvflare_job.py PKI-FOLDER RESULTS-FOLDER`, both absolute."""

from __future__ import annotations

import sys

import task
from nvflare.job_config.api import FedJob
from nvflare_site import TaskExecutor
from safetensors.torch import save_file

from secagg.adapters.nvflare import SecureExecutor, SecureFedAvg
from secagg.lora import adapter_state


def make_job(pki: str, results: str) -> FedJob:
    """Three rounds; client-4 fails in the second."""
    first, final = f"{results}/first.safetensors", f"{results}/final.safetensors"
    save_file(adapter_state(task.make_model()), first)
    sites = [f"client-{number}" for number in range(task.CLIENTS)]
    job = FedJob("secure-lora", min_clients=len(sites))
    job.to_server(SecureFedAvg("pairwise", {"clients": len(sites), "clip": 8.0}, f"{pki}/hub", first, rounds=3, save=final))
    for site in sites:
        job.to(SecureExecutor(TaskExecutor(2 if site == "client-4" else 0), pki + "/{site}"), site, tasks=["*"])
    return job


if __name__ == "__main__":
    sites = [f"client-{number}" for number in range(task.CLIENTS)]
    make_job(sys.argv[1], sys.argv[2]).simulator_run(f"{sys.argv[2]}/simulator", clients=sites, threads=len(sites))
