"""The coordinator inside a stack's server: a round as a few exchanges of bags with parties that answer when they are asked.

Time is the stack's: an exchange ends when everybody has answered or the stack waits no longer. Whoever has not answered by then has
dropped out, so the protocol's deadlines are not waited for; they pass at once when nothing is left to carry.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from secagg.adapters.bag import open_bag, pack_bag
from secagg.control import Describe
from secagg.encode.layout import Layout
from secagg.envelope import Packet
from secagg.errors import ConfigError, LocalProtocolError, PeerError, SessionAborted
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.receipt import result_digest
from secagg.roles import Plan
from secagg.runtime.attendant import Attendant, log
from secagg.runtime.coordinator import Coordinator
from secagg.runtime.home import Home
from secagg.runtime.memory import Agent, packet_size
from secagg.runtime.model import float_bytes
from secagg.runtime.plans import spoken
from secagg.runtime.result import Result
from secagg.runtime.task import Task
from secagg.types import Entropy, PartyId

Bags = Mapping[PartyId, bytes]
Exchange = Callable[[Bags, float], Iterable[bytes | memoryview]]
"""`exchange(bags, seconds)` carries each bag to its party and returns the bags that came back within so many seconds."""

_SILENT = "it did not answer in time"


class Relay:
    """The coordinator of the roster, and those servers that run beside it.

    Args:
        plan: the protocol and its numbers.
        me: the coordinator's keys.
        beside: servers of the plan that run in this process. Where all of them do, whoever runs it can read every update: one at least
            belongs on a node of another organisation.
        task: name of the task; a new one for each run of the stack.
        carry_model: put the round's model into the clients' bags. False where the stack brings it anyway.
        state: folder for the ledger; by default `me.folder / "state"`.

    Guarantees: those of the plan; what passes through here is signed, and sealed for whom it is for.
    """

    def __init__(
        self,
        plan: Plan,
        me: Identity,
        *,
        beside: Sequence[Identity] = (),
        task: str = "task",
        carry_model: bool = True,
        base_model: bytes = bytes(32),
        policy: Policy | None = None,
        state: Path | None = None,
        ledger: Ledger | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        if me.member.role != "coordinator":
            raise ConfigError(f"{me.party} is {me.member.role} in the roster: the stack's server takes the coordinator's keys")
        self.me, self.plan, self.name = me, plan, task
        self._carry_model, self._base_model, self._entropy = carry_model, base_model, entropy
        chosen, self._task = policy or Policy(), None
        self._ledger = Home.of(me, state).ledger(ledger)
        self._coordinator = Coordinator(me, plan, policy=chosen, ledger=self._ledger, entropy=entropy)
        self._here: dict[PartyId, Agent] = {me.party: self._coordinator}
        plans = spoken([type(plan)], chosen)
        for one in beside:
            kept = Home.of(one, None).ledger(None)
            self._here[one.party] = Attendant(one, plans=plans, policy=chosen, ledger=kept, entropy=entropy)
        self._queue: deque[Packet] = deque()
        self._out: dict[PartyId, list[Packet]] = {}
        self._sent: dict[PartyId, int] = {}
        self._delivered: dict[PartyId, int] = {}
        self._now = self._began = 0.0
        self._begun = False

    _task: Task | None

    def aggregate(self, model: Mapping[str, Any], cohort: Sequence[str], exchange: Exchange, *, seconds: float | None = None) -> Result:
        """One round over the clients in `cohort`: `begin`, the first exchange, `finish`."""
        bags = self.begin(model, cohort)
        return self.finish(exchange(bags, self._patience("submit_seconds") if seconds is None else seconds), exchange)

    def begin(self, model: Mapping[str, Any], cohort: Sequence[str]) -> dict[PartyId, bytes]:
        """Describe a round that starts from `model`; gives the bag of each client and of each server that is not beside.

        Raises:
            ConfigError: the cohort or the model does not fit the plan.
            InvalidMessage: a key of the roster is not valid now.
            SessionAborted: fewer organisations than the floor: such a round would open nothing.
        """
        self._begun = False
        task = self._publish(model)
        self._now = self._began = time.time()
        self._sent, self._delivered = {}, {}
        clients = tuple(PartyId(name) for name in sorted(cohort))
        found = len({self.me.roster.member(name).organisation for name in clients})
        if found < task.floor:
            raise SessionAborted(f"clients of {found} organisations are there, {task.floor} needed", answered=clients, needed=task.floor)
        description = task.describe(clients, self._patience("submit_seconds"))
        self._queue.extend(self._coordinator.begin(description, task.payload, self._now))
        self._deliver()
        self._begun = True
        return self._bags()

    def finish(self, bags: Iterable[bytes | memoryview], exchange: Exchange) -> Result:
        """Take what came back for the bags of `begin`, and carry on until the sum is open. The receipts travel with the next round.

        Raises:
            SessionAborted: too few were left to finish safely: who left and why; or what came out is not the sum of as many updates as were
                agreed on (TR-C7).
        """
        task, coordinator = self._task, self._coordinator
        if task is None or coordinator.opened is None or not self._begun:
            raise LocalProtocolError("no round has begun: call `begin` first")
        self._begun = False  # the sum of one round is never taken for that of the next
        self._take(bags)
        while coordinator.open:
            if self._out:
                self._take(exchange(self._bags(), task.finish_seconds))
            elif not self._pass_time():
                stuck = SessionAborted("every party waits for another: the protocol named no deadline", needed=1)
                self._queue.extend(coordinator.stop(stuck))
                self._deliver()
        if coordinator.total is None:
            raise self._explained()
        opened, cohort = task.decode(coordinator.total, coordinator.opened), coordinator.opened.description.cohort
        receipt, sent = coordinator.publish(result_digest(float_bytes(opened.mean)))
        self._queue.extend(sent)
        self._deliver()
        number, attempt, mean = task.round, task.attempt, task.layout.restore(opened.mean, self._like)
        task.finish()
        return Result(
            mean=mean,
            included=coordinator.total.included,
            weight=opened.weight,
            receipt=receipt,
            round=number,
            attempt=attempt,
            left={name: coordinator.left.get(name, _SILENT) for name in cohort if name not in coordinator.total.included},
            bytes_up=dict(self._sent),
            bytes_down=dict(self._delivered),
            seconds=time.time() - self._began,
            waited=0.0,
        )

    def close(self, exchange: Exchange | None = None) -> None:
        """Carry the last receipts to everybody, and let go of the ledger. Safe to call twice."""
        if exchange is not None and self._out:
            self._take(exchange(self._bags(), 60.0))
        self._ledger.close()

    def _publish(self, model: Mapping[str, Any]) -> Task:
        self._like = model
        layout = Layout.of(model)
        values = layout.flatten(model)
        if self._task is None:
            parts: dict[str, Any] = {"base_model": self._base_model, "finish_seconds": self._patience("finish_seconds")}
            self._task = Task(self.name, self.plan, self.me, layout=layout, values=values, entropy=self._entropy, **parts)
            if (before := self._ledger.latest(self.name)) is not None:
                self._task.go_on(before[0] + 1, 0, self._task.model, self._task.versions)
        elif layout.digest != self._task.layout.digest:
            raise ConfigError("the model has other tensors than in the rounds before: begin another task with a Relay of its own")
        elif not np.array_equal(values, self._task.model.values):
            self._task.publish(values)
        return self._task

    def _patience(self, name: str) -> float:
        seconds: float = getattr(self.plan, name, 60.0)
        return seconds

    def _bags(self) -> dict[PartyId, bytes]:
        out, self._out = self._out, {}
        return {party: pack_bag(packets) for party, packets in out.items()}

    def _take(self, bags: Iterable[bytes | memoryview]) -> None:
        """Deliver what came back. A bag that is none is its sender's loss, not the round's."""
        for bag in bags:
            try:
                packets = open_bag(bag)
            except PeerError as refused:
                log.warning("a party answered with bytes that are no bag: %s", refused)
                continue
            for packet in packets:
                self._count(self._sent, packet.header.sender, packet)
            self._queue.extend(packets)
        self._now = max(self._now, time.time())
        self._deliver()

    def _deliver(self) -> None:
        """Until nothing is on its way in this process."""
        while self._queue:
            packet = self._queue.popleft()
            if (agent := self._here.get(packet.header.recipient)) is not None:
                self._queue.extend(agent.receive(packet, self._now))
                continue
            if packet.header.kind == Describe.KIND and not self._carry_model:
                packet = Packet(packet.header, packet.envelope)
            self._count(self._delivered, packet.header.recipient, packet)
            self._out.setdefault(packet.header.recipient, []).append(packet)

    def _pass_time(self) -> bool:
        """Nothing is on its way: the next deadline is now."""
        waiting = [(due, party) for party, agent in self._here.items() if (due := agent.due()) is not None]
        if not waiting:
            return False
        due, party = min(waiting)
        self._now = max(self._now, due)
        self._queue.extend(self._here[party].tick(self._now))
        self._deliver()
        return True

    def _count(self, counts: dict[PartyId, int], party: PartyId, packet: Packet) -> None:
        counts[party] = counts.get(party, 0) + packet_size(packet)

    def _explained(self) -> SessionAborted:
        failure = self._coordinator.failure or SessionAborted("the round was not opened")
        reasons = "; ".join(f"{party}: {reason}" for party, reason in sorted(self._coordinator.left.items()))
        return SessionAborted(f"{failure}{' — ' if reasons else ''}{reasons}", answered=failure.answered, needed=failure.needed)
