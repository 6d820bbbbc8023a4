"""The pool: all companies' data in one place, which is what the secure rounds are there to avoid. Only to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from secagg.demo.parties.desk import Command, Desk
from secagg.demo.record import POOLED
from secagg.demo.tasks import load_task


def commands(desk: Desk) -> Mapping[str, Command]:
    """What the demo can tell it to do."""
    torch.set_num_threads(1)
    return {"train": Pool(desk).train}


class Pool:
    """Trains the one model that no company could."""

    def __init__(self, desk: Desk) -> None:
        self._desk, facts = desk, desk.facts
        self._work, self._seed = Path(facts["work"]), int(facts["seed"])
        self._task = load_task(facts["task"], facts["data"], self._seed, sanitise=facts["sanitise"])
        self._steps = int(facts["steps"]) * len(self._task.companies)

    def train(self, variant: str, rounds: int, every: int) -> None:
        """Train as many steps as the companies do together; says when there is something to score."""
        state = self._task.initial_state()
        for number in range(1, rounds + 1):
            state, _ = self._task.train_pooled(variant, state, round=number - 1, steps=self._steps, seed=self._seed)
            scored = number % every == 0 or number == rounds
            if scored:
                save_file(state, self._work / f"model-{variant}-{number}-{POOLED}.safetensors")
            self._desk.tell("trained", model=POOLED, variant=variant, round=number, scored=scored)
