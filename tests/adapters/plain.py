"""FedAvg of the guide's task in the clear, in this process: what every stack has to end with, and how far from it it may be."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from secagg.encode.layout import Layout
from secagg.encode.quantise import Quantiser
from secagg.lora import adapter_state, load_adapter
from secagg.roles import Plan
from tests.repository.source import ROOT

STACKS = ROOT / "docs" / "guide" / "stacks"


def example(name: str) -> Any:
    """A module of docs/guide/stacks, as its scripts import it."""
    if str(STACKS) not in sys.path:
        sys.path.insert(0, str(STACKS))
    return importlib.import_module(name)


def task() -> Any:
    """What all examples train."""
    return example("task")


def plain_loop(rounds: int, there: Callable[[int], list[int]]) -> dict[str, np.ndarray]:
    """The adapter after `rounds` rounds of FedAvg over the clients `there(round)`, in float64 between the rounds."""
    made = task()
    model = made.make_model()
    start = adapter_state(model)
    current = {name: tensor.double().numpy() for name, tensor in start.items()}
    for number in range(1, rounds + 1):
        total, weight = {name: np.zeros_like(value) for name, value in current.items()}, 0
        given = {name: start[name].new_tensor(value) for name, value in current.items()}
        for client in there(number):
            x, y = made.make_data(client)
            load_adapter(model, given)
            made.fit(model, x, y)
            for name, tensor in adapter_state(model).items():
                total[name] += (tensor.double().numpy() - given[name].double().numpy()) * len(y)
            weight += len(y)
        current = {name: current[name] + total[name] / weight for name in current}
    return current


def sums_in(said: str, mark: str) -> list[list[int]]:
    """Whose updates are in each round's sum, by what a stack's server said in lines with `mark`."""
    return [[int(name) for name in re.findall(r"client-(\d)", line)] for line in said.splitlines() if mark in line]


def largest_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Over all tensors."""
    assert one.keys() == other.keys()
    return max(float(np.abs(np.asarray(one[name], np.float64) - np.asarray(other[name], np.float64)).max()) for name in one)


def bound(plan: Plan, state: Mapping[str, Any], clients: int, rounds: int) -> float:
    """What quantisation may add up to: one round's bound, for each round, carried on by training.

    Training is taken to double a difference in a round at most.
    """
    quantiser = Quantiser(plan.encoding, Layout.of(state), bytes(32))
    return quantiser.error_bound(clients, clients * 40) * (2**rounds - 1) + rounds * 1e-6
