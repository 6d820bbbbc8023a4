"""What a round costs depends on the number of values, not on how many tensors they lie in."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from protocols import ckks
from protocols.ckks import threshold
from secagg import simulate
from secagg.encode.layout import Layout
from secagg.roles import Plan

PLANS: dict[str, Plan] = {
    "packed": ckks.Plan(clients=3, max_weight=1),
    "threshold": threshold.Plan(clients=3, keyholders=2, max_weight=1),
}


@pytest.mark.sizes
@pytest.mark.parametrize("name", PLANS)
def test_a_state_of_64_tensors_costs_what_one_vector_of_its_length_costs(name: str) -> None:
    def sent(update: dict[str, np.ndarray]) -> int:
        result = simulate(PLANS[name], [update] * 3)
        assert np.allclose(next(iter(result.mean.values())), next(iter(update.values())), atol=1e-4)
        return result.bytes_up[result.included[0]]

    many = {f"layer.{index}.lora_A": np.full((8, 257), 1e-3, np.float32) for index in range(64)}
    one = {"all": np.full(64 * 8 * 257, 1e-3, np.float32)}
    assert Layout.of(many).size == Layout.of(one).size
    assert abs(sent(many) / sent(one) - 1) < 0.001


@pytest.mark.slow
def test_without_a_wheel_of_tenseal_the_library_works_and_slots_say_what_is_missing() -> None:
    """In a process that cannot import it: packing and threshold run, slots are refused with the command that helps."""
    script = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tenseal", "zstandard"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
import importlib.util
genuine = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {"tenseal", "zstandard"} else genuine(name, *rest)
import numpy as np
import secagg
from protocols import additive, ckks, pairwise
from protocols.ckks import threshold
from secagg.errors import ConfigError
updates = [{"w": np.ones(5, np.float32)}] * 3
for plan in (ckks.Plan(clients=3), threshold.Plan(clients=3, keyholders=2), additive.Plan(clients=3), pairwise.Plan(clients=3)):
    assert secagg.simulate(plan, updates).included == ("client-0", "client-1", "client-2"), plan
try:
    ckks.Plan(clients=3, slots="n4096-q56", max_weight=16)
except ConfigError as refused:
    print(refused)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "need tenseal" in done.stdout
    assert "pip install 'secagg[ckks]'" in done.stdout
