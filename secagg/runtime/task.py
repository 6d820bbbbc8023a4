"""What the coordinator keeps from round to round: the numbers, the model versions, and how a sum becomes a mean."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secagg.encode.layout import Layout
from secagg.encode.quantise import Quantiser
from secagg.errors import ConfigError, SessionAborted
from secagg.identity import Identity
from secagg.payload import Blob
from secagg.roles import Plan, Sum
from secagg.round import NONCE, Input, Round, RoundDescription, Terms
from secagg.runtime.model import Model
from secagg.types import Entropy, PartyId


@dataclass(frozen=True, slots=True)
class Opened:
    """A decoded sum: the mean in layout order, and the sum of the weights."""

    mean: NDArray[np.float32]
    weight: int


class Task:
    """Rounds count from 1, attempts of a round from 1, model versions from 1; all of them only grow."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        me: Identity,
        *,
        layout: Layout,
        values: NDArray[np.float32],
        base_model: bytes,
        finish_seconds: float,
        entropy: Entropy,
        beside: tuple[PartyId, ...] = (),
    ) -> None:
        self.beside = beside
        self.name, self.plan, self.me, self.layout = name, plan, me, layout
        self.base_model, self.finish_seconds, self.entropy = base_model, finish_seconds, entropy
        self.round, self.attempt, self.version = 1, 0, 0
        self._versions: deque[tuple[int, bytes]] = deque()
        self.publish(values)
        # A description for the first client shows now whether the plan and the roster fit, and what a round needs.
        first = me.roster.with_role("client")[:1]
        trial = plan.describe(self._terms(tuple(member.party for member in first), 1.0), me.roster)
        self.floor, self.servers = trial.floors.floor, trial.servers
        if trial.privacy is not None:
            trial.privacy.prove(trial.encoding, trial.values, trial.floors, aggregators=len(trial.servers))

    @property
    def versions(self) -> tuple[tuple[int, bytes], ...]:
        """The model versions that updates may start from, newest first, with their digests."""
        return tuple(self._versions)

    def go_on(self, number: int, attempt: int, model: Model, versions: tuple[tuple[int, bytes], ...]) -> None:
        """Take up the task where it was left: the next attempt is `attempt` + 1 of round `number`."""
        self.round, self.attempt = number, attempt
        self.version, self._versions = versions[0][0], deque(versions)
        self.model, self.payload = model, Blob(model.to_bytes())

    def publish(self, values: NDArray[np.float32]) -> None:
        """Make `values` the newest model version."""
        model = Model(self.layout, values)
        self.version += 1
        self.model, self.payload = model, Blob(model.to_bytes())
        self._versions.appendleft((self.version, model.digest))
        while self.plan.staleness_factor(self.version - self._versions[-1][0]) is None:
            self._versions.pop()

    def describe(self, cohort: tuple[PartyId, ...], submit_seconds: float) -> RoundDescription:
        """The next attempt of the current round."""
        self.attempt += 1
        return self.plan.describe(self._terms(cohort, submit_seconds), self.me.roster)

    def _terms(self, cohort: tuple[PartyId, ...], submit_seconds: float) -> Terms:
        inputs = [Input(version, digest, self.plan.staleness_factor(self.version - version) or 1) for version, digest in self._versions]
        return Terms(
            task=self.name,
            round=self.round,
            attempt=self.attempt,
            layout=self.layout.digest,
            values=self.layout.size,
            base_model=self.base_model,
            inputs=tuple(inputs),
            nonce=self.entropy(NONCE),
            submit_seconds=submit_seconds,
            finish_seconds=self.finish_seconds,
            cohort=cohort,
            beside=self.beside,
        )

    def finish(self) -> None:
        """The round is over: go on to the next."""
        self.round, self.attempt = self.round + 1, 0

    def decode(self, total: Sum, opened: Round) -> Opened:
        """The mean of a sum. Raises SessionAborted if it is not one that as many updates as were agreed on add up to."""
        # > The sum counts as many updates as the set has parties, and no coordinate is beyond what updates of its weight add up to (TR-C7).
        try:
            decoded = Quantiser(opened.description.encoding, self.layout, opened.ctx.rd).decode(total.vector)
            if decoded.count != len(total.included):
                raise ConfigError(f"the sum counts {decoded.count} updates, the set has {len(total.included)}: it is not released")
        except ConfigError as refused:
            raise SessionAborted(f"TR-C7: {refused}", answered=total.included, needed=len(total.included)) from refused
        return Opened(decoded.mean, decoded.weight)
