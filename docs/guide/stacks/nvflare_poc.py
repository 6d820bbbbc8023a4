"""The jobs in a POC deployment, a process for each site: `PYTHONPATH=. python nvflare_poc.py PKI RESULTS [filters]`, both absolute."""

# ruff: noqa: T201  # a script prints
from __future__ import annotations

import sys
from pathlib import Path

import nvflare_filters_job
import nvflare_job
import task
from nvflare.recipe.poc_env import PocEnv


def main(pki: str, results: str, kind: str = "controller") -> None:
    """Deploy, run the job, print the server's log, stop. The variable NVFLARE_POC_WORKSPACE says where NVFlare keeps the deployment."""
    sites = [f"client-{number}" for number in range(task.CLIENTS)] + ["auditor"] * (kind == "filters")
    made = nvflare_filters_job if kind == "filters" else nvflare_job
    there = PocEnv(clients=sites, num_clients=len(sites))
    try:
        number = there.deploy(made.make_job(pki, results))
        if (done := there.get_job_result(number, timeout=300)) is not None:
            print(Path(done, "workspace", "log.txt").read_text(encoding="utf-8"))
    finally:
        there.stop(clean_up=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
