"""`simulate`: one whole round in this process, every message signed, encoded, carried as bytes, decoded and verified."""

from __future__ import annotations

import operator
import os
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from secagg.dp.accountant import Steps
from secagg.dp.budget import Purse
from secagg.encode.layout import Layout
from secagg.envelope import Packet
from secagg.errors import ConfigError, SessionAborted
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.receipt import result_digest
from secagg.roles import Plan
from secagg.runtime.attendant import Attendant
from secagg.runtime.client import Client, Offer
from secagg.runtime.coordinator import Coordinator
from secagg.runtime.engine import Bring, Engine, World, engine_of
from secagg.runtime.memory import Agent, Fault, MemoryNetwork, Observer
from secagg.runtime.model import float_bytes
from secagg.runtime.result import Result
from secagg.runtime.task import Task
from secagg.tally import Tally
from secagg.testing.consortium import Consortium
from secagg.testing.world import Dice, Stepping, made_up
from secagg.types import PartyId

_SUBMIT, _FINISH = 60.0, 30.0


def simulate(
    plan: Plan,
    updates: Sequence[Mapping[str, Any]],
    weights: Sequence[int] | None = None,
    *,
    drop: Mapping[int, str] | Sequence[int] = (),
    fault: Fault | None = None,
    policy: Policy | None = None,
    budgets: Sequence[Purse | None] = (),
    spent: Sequence[Sequence[Steps]] = (),
    aggregators: int | None = None,
    layout: Layout | None = None,
    observer: Observer | None = None,
    engine: str | Engine | None = None,
    seed: str | None = None,
) -> Result:
    """Sum `updates` with `plan` among parties made up for the purpose and return what the collector opens.

    Args:
        updates: one `{name: array or tensor}` per client, for example peft state dicts; update i is that of `client-i`. Each is read when
            its client needs it: a sequence that makes them one by one keeps thousands of them out of memory.
        weights: one integer per client; all 1 by default.
        drop: clients that say nothing, or `{client: kind}`: it falls silent just before its first message of that kind.
        fault: `(sender, recipient, packet) -> packets`: loses, repeats, reorders or corrupts what travels.
        policy: the clients' and servers' own limits.
        budgets: what each client pays rounds with privacy terms from. A client that cannot pay is not asked for its update, and stands
            among those that left.
        spent: the noisy steps of each client's training, where the terms ask for `dp-sgd`.
        aggregators: how many aggregators (or key holders); by default what the plan asks for.
        layout: by default that of the first update; one with bound facts or scale groups otherwise.
        observer: sees every step of every party, for example to time it (`secagg.bench` does).
        engine: where the work is done: None, in this process; `"ray"`, on the workers of Ray (install `secagg[ray]`).
        seed: from what the parties draw their keys and coins; the same seed gives the same sum to the bit, on every engine. By default
            the operating system's randomness.

    Returns:
        The result; `bytes_up` and `bytes_down` count real envelopes and payloads.

    Raises:
        ConfigError: an update does not fit the others or the plan, or noisy steps the privacy terms.
        BudgetExceeded: noisy steps cost more than the terms or a client's budget allow.
        SessionAborted: too few were left to finish safely.

    Guarantees: the same code as over the network, minus TLS; time is virtual, so a drop-out costs no waiting.
    """
    given = list(weights) if weights is not None else [1] * len(updates)
    if not updates or len(given) != len(updates):
        raise ConfigError(f"{len(updates)} updates and {len(given)} weights: one weight for each of at least one update")
    for name, each in (("budgets", budgets), ("spent", spent)):
        if each and (len(each) != len(updates) or engine is not None):
            raise ConfigError(f"{len(each)} {name} for {len(updates)} updates: one for each, and in this process (engine=None)")
    shape = layout if layout is not None else Layout.of(updates[0])
    now = time.time()
    seats = aggregators if aggregators is not None else getattr(plan, "aggregators", 0)
    chosen, away = policy or Policy(), engine_of(engine) if engine is not None else None
    drawn = seed if seed is not None else os.urandom(32).hex()
    world = World(plan, chosen, len(updates), seats, getattr(plan, "keyholders", 0), now if seed is None else _FIXED, drawn)
    parties = made_up(world)
    places = {one.party: index for index, one in enumerate(parties.clients)}

    def bring(party: PartyId) -> tuple[NDArray[np.float32], int]:
        index = places[party]
        return _flatten(shape, updates[index], index), _weighed(plan, given[index], index)

    network = MemoryNetwork(now=world.now, fault=fault, observer=observer)
    pays = {one.party: purse for one, purse in zip(parties.clients, budgets, strict=False)}
    steps = {one.party: tuple(taken) for one, taken in zip(parties.clients, spent, strict=False)}
    return _Round(world, parties, shape, network, bring, _silences(parties, drop, plan), away, pays, steps).run(updates[0])


_FIXED = 1.8e9
"""When a simulation with a seed takes place: the day stands in the roster, and the roster in everything that is derived from a round."""


class _Silent:
    """An agent that is gone from its first message of one kind on: before anything, if the kind is empty."""

    def __init__(self, agent: Agent, kind: str) -> None:
        self._agent, self._kind, self._gone = agent, kind, not kind

    def receive(self, packet: Packet, now: float) -> list[Packet]:
        return [] if self._gone else self.kept(self._agent.receive(packet, now))

    def due(self) -> float | None:
        return None if self._gone else self._agent.due()

    def tick(self, now: float) -> list[Packet]:
        return [] if self._gone else self.kept(self._agent.tick(now))

    def kept(self, packets: Sequence[Packet]) -> list[Packet]:
        """What it still says of `packets`."""
        self._gone = self._gone or any(packet.header.kind == self._kind for packet in packets)
        return [] if self._gone else list(packets)


class _Round:
    """The parties, the network between them, and what they bring."""

    def __init__(  # noqa: PLR0917  # made in one place, a few lines up
        self,
        world: World,
        parties: Consortium,
        layout: Layout,
        network: MemoryNetwork,
        bring: Bring,
        silences: Mapping[PartyId, str],
        engine: Engine | None,
        purses: Mapping[PartyId, Purse | None],
        steps: Mapping[PartyId, Sequence[Steps]],
    ) -> None:
        self.steps = steps
        self.network, self.bring = network, bring
        self.offers: dict[PartyId, Offer] = {}
        self.clients: dict[PartyId, Client] = {}
        self.silent: dict[PartyId, _Silent] = {}
        self.cohort = tuple(one.party for one in parties.clients)
        plan, policy, tallies = world.plan, world.policy, engine.tallies if engine is not None else Tally.zero
        me, plans, dice = parties.coordinator, {plan.PROTOCOL: type(plan)}, Dice(world.seed, "servers")
        start = np.zeros(layout.size, np.float32)
        self.task = Task("simulation", plan, me, layout=layout, values=start, base_model=bytes(32), finish_seconds=_FINISH, entropy=dice)
        self.coordinator = Coordinator(me, plan, policy=policy, ledger=Ledger(), entropy=dice, tallies=tallies)
        network.attach(me.party, self.coordinator)
        if engine is not None:
            network.elsewhere = crowd = engine.crowd(world, bring, silences)
            for party, agent in crowd.agents.items():
                network.attach(party, agent)
        for one in parties.clients if engine is None else ():
            own = Dice(world.seed, one.party)
            notify, purse = partial(self._notice, one.party), purses.get(one.party)
            client = Client(one, plans=plans, policy=policy, ledger=Ledger(), entropy=own, notify=notify, purse=purse)
            self.clients[one.party] = client
            if one.party in silences:
                self.silent[one.party] = _Silent(client, silences[one.party])
            network.attach(one.party, Stepping(self.silent.get(one.party, client), own))
        for one in (*parties.aggregators, *parties.keyholders):
            own = Dice(world.seed, one.party)
            network.attach(one.party, Attendant(one, plans=plans, policy=policy, ledger=Ledger(), entropy=own, tallies=tallies))

    def run(self, like: Mapping[str, Any]) -> Result:
        network, coordinator, began = self.network, self.coordinator, time.perf_counter()
        described, hub, act = self.task.describe(self.cohort, _SUBMIT), self.task.me.party, network.observer.act
        network.send(act(hub, "begin", partial(coordinator.begin, described, self.task.payload, network.now)))
        while coordinator.open:
            network.run(until=lambda: bool(self.offers) or not coordinator.open)
            if not self._submit() and self._stuck():
                raise SessionAborted("every party waits for another: the protocol named no deadline", needed=1)
        if coordinator.total is None or coordinator.opened is None:
            raise self._explained(coordinator.failure)
        opened = act(hub, "decode", partial(self.task.decode, coordinator.total, coordinator.opened))
        receipt, sent = coordinator.publish(result_digest(float_bytes(opened.mean)))
        network.send(sent)
        network.run()
        seconds = time.perf_counter() - began
        return Result(
            mean=self.task.layout.restore(opened.mean, like),
            included=coordinator.total.included,
            weight=opened.weight,
            receipt=receipt,
            round=1,
            attempt=1,
            left=dict(coordinator.left),
            bytes_up=dict(network.sent),
            bytes_down=dict(network.delivered),
            seconds=seconds,
            waited=0.0,
        )

    def _stuck(self) -> bool:
        return self.coordinator.open and not self.network.busy

    def _notice(self, party: PartyId, event: object) -> None:
        if isinstance(event, Offer):
            self.offers[party] = event

    def _submit(self) -> bool:
        offers, self.offers = self.offers, {}
        for party, offer in offers.items():
            vector, weight = self.bring(party)
            submit = partial(self.clients[party].submit, offer, vector, weight, self.network.now, self.steps.get(party, ()))
            sent = self.network.observer.act(party, "submit", submit)
            self.network.send(self.silent[party].kept(sent) if party in self.silent else sent)
        return bool(offers)

    def _explained(self, failure: SessionAborted | None) -> SessionAborted:
        """The failure, with the reasons of those that left."""
        first = failure if failure is not None else SessionAborted("the round was not opened")
        reasons = "; ".join(f"{party}: {reason}" for party, reason in sorted(self.coordinator.left.items()))
        return SessionAborted(f"{first}{' — ' if reasons else ''}{reasons}", answered=first.answered, needed=first.needed)


def _flatten(layout: Layout, update: Mapping[str, Any], index: int) -> NDArray[np.float32]:
    try:
        return layout.flatten(update)
    except ConfigError as refused:
        raise ConfigError(f"update {index}: {refused}") from refused


def _weighed(plan: Plan, weight: SupportsIndex, index: int) -> int:
    # Over the network a client keeps such a reason to itself, as it names the weight; here one caller has them all.
    most = plan.encoding.max_weight // (plan.staleness_factor(0) or 1)
    try:
        number = 0 if isinstance(weight, bool) else operator.index(weight)
    except TypeError:  # a float, say
        number = 0
    if not 1 <= number <= most:
        expected = f"an integer from 1 to max_weight={most} expected: raise max_weight, or count examples in larger units"
        raise ConfigError(f"update {index}: weight {weight!r}; {expected}")
    return number


def _silences(parties: Consortium, drop: Mapping[int, str] | Sequence[int], plan: Plan) -> dict[PartyId, str]:
    """Who falls silent, and before which kind of message."""
    chosen: dict[Any, str] = dict(drop) if isinstance(drop, Mapping) else dict.fromkeys(drop, "")
    count = len(parties.clients)
    if strange := [index for index in chosen if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count]:
        raise ConfigError(f"drop={strange[0]!r}: there are {count} clients, counted from 0: the number of each that falls silent expected")
    if unknown := sorted(set(chosen.values()) - {"", *plan.CODEC.kinds}):
        raise ConfigError(f"drop: {plan.PROTOCOL} has no messages {', '.join(map(repr, unknown))}; it has {', '.join(plan.CODEC.kinds)}")
    return {parties.clients[index].party: kind for index, kind in chosen.items()}


class _Callable(ModuleType):
    """`secagg.simulate` is this module once it is imported, and has to remain the function that users call."""

    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        return simulate(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
