"""The judge: scores every model on the joint validation set. It belongs to no company."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from secagg.demo.parties.desk import Command, Desk
from secagg.demo.task import Sample, Task
from secagg.demo.tasks import load_private, load_task


def commands(desk: Desk) -> Mapping[str, Command]:
    """What the demo can tell it to do."""
    torch.set_num_threads(1)
    judge = Judge(desk)
    return {"begin": judge.begin, "score": judge.score, "show": judge.show, "fence": judge.fence, "meter": judge.meter}


class Judge:
    """A comparison needs somebody who holds the joint validation set."""

    def __init__(self, desk: Desk) -> None:
        facts = desk.facts
        self._work = Path(facts["work"])
        self._private = load_private(facts["private"], int(facts["seed"]), sanitise=facts["sanitise"]) if facts["private"] else None
        self._task: Task = self._private or load_task(facts["task"], facts["data"], int(facts["seed"]), sanitise=facts["sanitise"])

    def begin(self) -> dict[str, Any]:
        """Write the adapter that all start from. Gives what the demo must know of the task."""
        state = self._task.initial_state()
        save_file(state, self._work / "initial.safetensors")
        return {
            "companies": list(self._task.companies),
            "metrics": list(self._task.metrics),
            "cannot_claim": list(self._task.cannot_claim),
            "adapter": json.dumps(self._task.adapter_config(), sort_keys=True),
            "base_hash": self._task.base_hash().hex(),
            "values": sum(value.numel() for value in state.values()),
        }

    def score(self, file: str) -> dict[str, Any]:
        """Score the model in a file of the work folder."""
        scores = self._task.evaluate(load_file(self._work / file))
        return {"scores": dict(scores.values), "by_company": dict(scores.by_company)}

    def show(self, files: Mapping[str, str], count: int) -> dict[str, Any]:
        """What each model says to the first examples. `files`: model name to a file of the work folder."""
        states = {name: load_file(self._work / file) for name, file in files.items()}
        return {"examples": [_example(sample) for sample in self._task.samples(states, count)]}

    def meter(self, files: Mapping[str, str]) -> dict[str, Any]:
        """What the models of a private run tell of the canaries. `files`: run to a file of the work folder."""
        assert self._private is not None  # noqa: S101  # only a private run asks
        return self._private.meter({run: load_file(self._work / file) for run, file in files.items()}).model_dump()

    def fence(self, file: str) -> dict[str, Any]:
        """What the model in a file of the work folder says that is biased to say a secret, without the fence and with it."""
        fenced = self._task.fenced(load_file(self._work / file))
        return {"fenced": None if fenced is None else fenced.model_dump()}


def _example(sample: Sample) -> dict[str, Any]:
    return {
        "picture": base64.b64encode(sample.picture).decode() if sample.picture else "",
        "text": sample.text,
        "answers": [
            {"company": one.company, "language": one.language, "reference": one.reference, "said": dict(one.said), "right": dict(one.right)}
            for one in sample.lines
        ],
    }
