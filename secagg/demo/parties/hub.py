"""The hub: all parties dial it; it describes the rounds, carries sealed packets, and opens the sum. It never loads torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from secagg import Identity, serve
from secagg.demo.parties.desk import Command, Desk
from secagg.demo.plans import PlanFacts, bound_layout, plaintext_plan, secure_plan
from secagg.demo.private import PRIVATE
from secagg.demo.rehearsal import compare, network_bytes
from secagg.roles import Plan
from secagg.runtime import Result, Server

_LOOPBACK = "127.0.0.1:0"
DEADLINE = 300.0
"""Seconds that companies have for training in one round."""


def commands(desk: Desk) -> Mapping[str, Command]:
    """What the demo can tell it to do."""
    hub = Hub(desk)
    return {"open": hub.open, "federate": hub.federate, "open_rehearsal": hub.open_rehearsal, "rehearse": hub.rehearse}


class Hub:
    """Runs the rounds of each variant, one after the other."""

    def __init__(self, desk: Desk) -> None:
        self._desk, facts = desk, desk.facts
        self._work, folder = Path(facts["work"]), Path(facts["identities"])
        self._identity = Identity.load(folder / desk.name)
        self._beside: list[str] = facts["beside"]
        self._aggregators = [Identity.load(folder / name) for name in self._beside]
        self._plan = PlanFacts(**facts["plan"])
        self._private = PlanFacts(**facts["private_plan"]) if facts["private_plan"] else None
        self._rate = np.float32(facts["private"]["server_rate"] if facts["private"] else 1.0)
        self._watch: str = facts["watch"]
        self._servers: dict[str, Server] = {}

    def open(self, variant: str, base_model: str, adapter: str) -> dict[str, str]:
        """Listen for the parties of a variant. Gives the address."""
        facts = self._private if self._private and variant == PRIVATE else self._plan
        plan = secure_plan(facts, tap=(self._work, self._watch))
        model = load_file(self._work / "initial.safetensors")
        layout = bound_layout(model, json.loads(adapter))
        return {"address": self._serve(variant, plan, model, base_model=bytes.fromhex(base_model), layout=layout)}

    def federate(self, variant: str, rounds: int) -> None:
        """Run the rounds: the mean of the updates goes on top of the model, and that is the model of the next round."""
        model = load_file(self._work / "initial.safetensors")
        with self._servers.pop(variant) as server:
            server.wait_for(self._plan.clients, DEADLINE)
            for number in range(1, rounds + 1):
                result = server.aggregate(DEADLINE)
                model = {name: value + self._rate * result.mean[name] for name, value in model.items()}
                server.publish(model)
                self._keep(variant, number, model, result)

    def open_rehearsal(self, values: int) -> dict[str, str]:
        """Listen twice: for secure rounds and for plaintext ones. Gives both addresses."""
        model = {"update": np.zeros(values, np.float32)}
        return {
            "secure": self._serve("secure", secure_plan(self._plan), model, task=f"secure-{values}"),
            "plaintext": self._serve("plaintext", plaintext_plan(self._plan), model, task=f"plaintext-{values}"),
        }

    def rehearse(self, rounds: int) -> dict[str, Any]:
        """Run rounds of both kinds in turn. Gives their seconds and bytes."""
        with self._servers.pop("secure") as secure, self._servers.pop("plaintext") as plaintext:
            secure.wait_for(self._plan.clients, DEADLINE)
            plaintext.wait_for(self._plan.clients, DEADLINE)
            return compare(secure, plaintext, rounds=rounds, beside=self._beside)

    def _serve(self, name: str, plan: Plan, model: Mapping[str, Any], *, task: str = "", **options: Any) -> str:
        task = task or name
        state = self._work / f"state-hub-{task}"
        server = serve(
            plan, _LOOPBACK, identity=self._identity, model=model, task=task, aggregators=self._aggregators, state=state, **options
        )
        self._servers[name] = server
        return server.address

    def _keep(self, variant: str, number: int, model: Mapping[str, Any], result: Result) -> None:
        """Leave the model, the mean and the receipt for the demo, and tell it."""
        mean = {name: np.asarray(value) for name, value in result.mean.items()}
        save_file(dict(model), self._work / f"model-{variant}-{number}-federated.safetensors")
        save_file(mean, self._work / f"mean-{variant}-{number}.safetensors")
        (self._work / f"receipt-{variant}-{number}.bin").write_bytes(result.receipt.to_bytes())
        self._desk.tell(
            "opened",
            variant=variant,
            round=number,
            attempt=result.attempt,
            included=list(result.included),
            missing=dict(result.left),
            weight=result.weight,
            seconds=result.seconds,
            waited=result.waited,
            bytes_up=network_bytes(result.bytes_up, self._beside),
            bytes_down=network_bytes(result.bytes_down, self._beside),
        )
