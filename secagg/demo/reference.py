"""The demo's comparison in the clear and in one process: what the secure rounds must reproduce, and how the recipe was chosen.

`python -m secagg.demo.reference --seeds 0 1 2` prints the table for every seed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

import torch
from rich.console import Console
from rich.table import Table

from secagg.demo.scene_task import SceneTask
from secagg.demo.task import VARIANTS, Scores, State, Task, add, mean_delta

ROUNDS, STEPS = 12, 20


def federate(task: Task, variant: str, *, rounds: int = ROUNDS, steps: int = STEPS, seed: int = 0) -> State:
    """Plain FedAvg: every company trains `steps` steps from the common state, the weighted mean of the deltas is added."""
    state = task.initial_state()
    for number in range(rounds):
        after = [task.train(company, variant, state, round=number, steps=steps, seed=seed) for company in task.companies]
        state = add(state, mean_delta(state, after))
    return state


def train_alone(task: Task, company: str, variant: str, *, rounds: int = ROUNDS, steps: int = STEPS, seed: int = 0) -> State:
    """One company without the others: the same rounds and steps, nothing averaged."""
    state = task.initial_state()
    for number in range(rounds):
        state, _ = task.train(company, variant, state, round=number, steps=steps, seed=seed, alone=True)
    return state


def train_in_one_place(task: Task, variant: str, *, rounds: int = ROUNDS, steps: int = STEPS, seed: int = 0) -> State:
    """All data in one place, with as many steps in total as the companies have together."""
    state = task.initial_state()
    for number in range(rounds):
        state, _ = task.train_pooled(variant, state, round=number, steps=steps * len(task.companies), seed=seed)
    return state


def compare(task: Task, variant: str, *, rounds: int = ROUNDS, steps: int = STEPS, seed: int = 0) -> dict[str, Scores]:
    """The rows of the table, by name."""
    rows = {company: train_alone(task, company, variant, rounds=rounds, steps=steps, seed=seed) for company in task.companies}
    rows["federated"] = federate(task, variant, rounds=rounds, steps=steps, seed=seed)
    rows["one place"] = train_in_one_place(task, variant, rounds=rounds, steps=steps, seed=seed)
    return {"base": task.evaluate(task.initial_state())} | {name: task.evaluate(state) for name, state in rows.items()}


def main() -> None:
    """The command."""
    arguments = argparse.ArgumentParser(description="Compare the ways to train, in the clear and in one process.")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--steps", type=int, default=STEPS)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    console = Console()
    for seed in given.seeds:
        task = SceneTask(seed)
        for variant in given.variants:
            start = time.perf_counter()
            rows = compare(task, variant, rounds=given.rounds, steps=given.steps, seed=seed)
            console.print(_table(f"seed {seed}, {variant}, {time.perf_counter() - start:.0f} s", rows))


def _table(title: str, rows: Mapping[str, Scores]) -> Table:
    first = next(iter(rows.values()))
    table = Table("model", *first.values, *first.by_company, title=title)
    for name, scores in rows.items():
        numbers = [*scores.values.values(), *scores.by_company.values()]
        table.add_row(name, *(f"{number:.3f}" for number in numbers))
    return table


if __name__ == "__main__":
    main()
