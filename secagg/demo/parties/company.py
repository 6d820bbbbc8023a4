"""A company: trains on its own data, alone or in secure rounds. Its data exist in this process only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from secagg import Identity, join
from secagg.demo.compare import WEIGHT
from secagg.demo.parties.desk import Command, Desk
from secagg.demo.plans import bound_layout, plans
from secagg.demo.private import DATA, PRIVATE, PrivateFacts
from secagg.demo.record import Account
from secagg.demo.rehearsal import rehearse
from secagg.demo.task import State, Task
from secagg.demo.tasks import load_private, load_task
from secagg.dp.accountant import Steps
from secagg.dp.budget import Budget, BudgetLedger, Purse
from secagg.dp.local import Payment
from secagg.policy import Policy
from secagg.privacy import PrivacyFloor
from secagg.runtime.session import Session

PATIENCE = 300.0
"""Seconds without a round after which a company gives up."""


def commands(desk: Desk) -> Mapping[str, Command]:
    """What the demo can tell it to do."""
    torch.set_num_threads(1)
    company = Company(desk)
    return {"prepare": company.prepare, "join": company.join, "alone": company.alone, "rehearse": company.rehearse}


class Company:
    """One of the three."""

    def __init__(self, desk: Desk) -> None:
        self._desk, facts = desk, desk.facts
        self.name = desk.name
        self._work, self._seed, self._steps = Path(facts["work"]), int(facts["seed"]), int(facts["steps"])
        self._private = load_private(facts["private"], self._seed, sanitise=facts["sanitise"]) if facts["private"] else None
        self._task: Task = self._private or load_task(facts["task"], facts["data"], self._seed, sanitise=facts["sanitise"])
        self._terms = PrivateFacts(**facts["private"]) if facts["private"] else None
        self._identity = Identity.load(Path(facts["identities"]) / self.name)
        side = facts["side"]
        self._beside = Identity.load(Path(facts["identities"]) / f"{self.name}-{side}") if side else None

    def prepare(self, variant: str) -> dict[str, Any]:
        """One step that nobody sees, so that the first round does not wait for libraries to load, nor for captions to be sanitised."""
        self._task.train(self.name, variant, self._task.initial_state(), round=0, steps=1, seed=self._seed)
        cleaned = self._task.cleaned(self.name, variant)
        return {"cleaned": cleaned.model_dump(mode="json") if cleaned else None}

    def join(self, address: str, variant: str) -> dict[str, Any]:
        """Take part in every secure round of a variant."""
        like, state = self._task.initial_state(), self._work / f"state-{self.name}-{variant}"
        # In peer mode the company's aggregator lives here too, and keeps its share of one update for the report; or its key holder.
        spoken = plans(tap=(self._work, self._desk.facts["watch"]))
        purse = self._purse() if variant == PRIVATE else None
        session = join(
            address,
            identity=self._identity,
            aggregator=self._beside,
            plans=spoken,
            like=like,
            layout=bound_layout(like, self._task.adapter_config()),
            base_model=self._task.base_hash(),
            state=state,
            budget=purse,
            policy=self._policy() if purse else None,
        )
        with session:
            for model in session.rounds(PATIENCE):
                before: State = dict(model)
                after, examples, spent = self._round(session, variant, before, purse)
                update = {name: after[name] - value for name, value in before.items()}
                # Demo only: whoever runs this owns all parties, and checks the opened mean against the updates it was made of.
                # The weight goes with it: the round may be open before anything that is told from here is heard.
                path = self._work / f"update-{variant}-{session.round}-{self.name}.safetensors"
                save_file(update, path, metadata={WEIGHT: str(examples)})
                session.submit(update, weight=examples, spent=spent)
        missed = {str(missed.round): missed.reason for missed in session.missed}
        return {"missed": missed, "account": self._account(purse) if purse else None}

    def _round(self, session: Session, variant: str, before: State, purse: Purse | None) -> tuple[State, int, Sequence[Steps]]:
        """Train for one round: the new adapter, its weight, and the noisy steps where the round asks for some."""
        terms = session.privacy
        if purse is None or self._private is None or terms is None or terms.distributed:
            after, examples = self._task.train(self.name, variant, before, round=session.round - 1, steps=self._steps, seed=self._seed)
            return after, examples, ()
        payment = Payment(purse.ledger, purse.data, release=session.release, task=variant, round=session.round)
        after, steps = self._private.train_private(self.name, before, payment=payment)
        return after, 1, (steps,)

    def _purse(self) -> Purse:
        """A new budget for what the run is asked to keep to."""
        assert self._terms is not None  # noqa: S101  # only a private run pays
        ledger = BudgetLedger(Path(self._desk.facts["budgets"]) / f"budget-{self.name}.sqlite")
        ledger.allow(DATA, Budget(self._terms.unit, self._terms.units, self._terms.epsilon, self._terms.delta))
        return Purse(ledger, DATA)

    def _policy(self) -> Policy:
        """A hub that asked for less protection would be refused."""
        assert self._terms is not None  # noqa: S101  # only a private run pays
        terms = self._terms.terms
        return Policy(privacy=PrivacyFloor(unit=terms.unit, epsilon=terms.epsilon, delta=terms.delta))

    def _account(self, purse: Purse) -> dict[str, Any]:
        balance = purse.ledger.balance(purse.data)
        purse.ledger.close()
        spent = balance.spent
        numbers = {"epsilon": spent.epsilon, "rdp_epsilon": spent.rdp_epsilon, "limit": balance.budget.epsilon}
        return Account(company=self.name, entries=len(balance.entries), **numbers).model_dump()

    def alone(self, variant: str, rounds: int, every: int) -> None:
        """Train as many steps as in all rounds, with nobody else; says when there is something to score."""
        state = self._task.initial_state()
        for number in range(1, rounds + 1):
            state, _ = self._task.train(self.name, variant, state, round=number - 1, steps=self._steps, seed=self._seed, alone=True)
            scored = number % every == 0 or number == rounds
            if scored:
                save_file(state, self._work / f"model-{variant}-{number}-{self.name}.safetensors")
            self._desk.tell("trained", model=self.name, variant=variant, round=number, scored=scored)

    def rehearse(self, secure: str, plaintext: str, values: int) -> None:
        """Send updates of made-up numbers, secure and in plaintext, for as long as the hub asks."""
        generator = np.random.default_rng(self._seed)
        update = generator.normal(0.0, 0.5 / np.sqrt(values), values).astype(np.float32)
        rehearse(self._identity, self._beside, secure=secure, plaintext=plaintext, update={"update": update}, state=self._work)
