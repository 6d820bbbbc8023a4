"""NVFlare's own simulator: three secure rounds over five sites, one of which fails once, end where FedAvg ends in the clear."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

pytest.importorskip("nvflare")

from protocols import pairwise
from secagg.adapters.nvflare import SecureExecutor
from secagg.pki.trial import make_trial
from tests.adapters.plain import STACKS, bound, largest_difference, plain_loop
from tests.repository.source import ROOT

ROUNDS = 3


@pytest.mark.slow
@pytest.mark.network
def test_three_secure_rounds_in_the_simulator_end_where_fedavg_ends(tmp_path: Path) -> None:
    make_trial(tmp_path / "pki", clients=[f"client-{number}" for number in range(5)])
    command = [sys.executable, str(STACKS / "nvflare_job.py"), str(tmp_path / "pki"), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{STACKS}:{ROOT}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False)
    said = done.stdout + done.stderr
    assert (tmp_path / "final.safetensors").exists(), said[-6000:]
    sums = [line for line in said.splitlines() if "in the sum, weight" in line]
    assert [line.count("client-") for line in sums] == [5, 4, 5], said[-6000:]
    expected = plain_loop(ROUNDS, lambda number: [0, 1, 2, 3] if number == 2 else [0, 1, 2, 3, 4])
    first, final = (load_file(tmp_path / f"{name}.safetensors") for name in ("first", "final"))
    assert largest_difference(final, expected) <= bound(pairwise.Plan(clients=5, clip=8.0), first, 5, ROUNDS)


def test_a_server_that_asks_for_training_in_the_clear_is_refused() -> None:
    from nvflare.apis.executor import Executor
    from nvflare.apis.fl_constant import ReturnCode
    from nvflare.apis.fl_context import FLContext
    from nvflare.apis.shareable import Shareable, make_reply
    from nvflare.apis.signal import Signal

    class Inner(Executor):  # type: ignore[misc]
        def execute(self, task_name, shareable, fl_ctx, abort_signal):
            return make_reply(ReturnCode.OK)

    assert Inner().execute("train", Shareable(), FLContext(), Signal()).get_return_code() == ReturnCode.OK
    answer = SecureExecutor(Inner(), "/nowhere").execute("train", Shareable(), FLContext(), Signal())
    assert answer.get_return_code() == ReturnCode.TASK_UNSUPPORTED
