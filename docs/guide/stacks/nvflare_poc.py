"""The jobs in a POC deployment, a process for each site: `PYTHONPATH=. python nvflare_poc.py PKI RESULTS [filters]`, both absolute."""

from __future__ import annotations

import sys

import nvflare_filters_job
import nvflare_job
import task
from nvflare.recipe.poc_env import PocEnv


def main(pki: str, results: str, kind: str = "controller") -> str | None:
    """Deploy, run the job, stop. NVFlare keeps the deployment where the variable NVFLARE_POC_WORKSPACE says."""
    sites = [f"client-{number}" for number in range(task.CLIENTS)] + ["auditor"] * (kind == "filters")
    made = nvflare_filters_job if kind == "filters" else nvflare_job
    there = PocEnv(clients=sites, num_clients=len(sites))
    try:
        number = there.deploy(made.make_job(pki, results))
        return there.get_job_result(number, timeout=150)
    finally:
        there.stop(clean_up=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
