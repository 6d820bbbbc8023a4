"""A coordinator, clients and aggregators on a memory network, over as many rounds as a test wants."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from secagg.crypto.seal import X25519
from secagg.encode.layout import Layout
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.receipt import result_digest
from secagg.runtime.attendant import Attendant
from secagg.runtime.client import Client, Offer
from secagg.runtime.coordinator import Coordinator
from secagg.runtime.memory import MemoryNetwork
from secagg.runtime.model import Expectation, float_bytes
from secagg.runtime.task import Task
from secagg.testing.consortium import consortium
from secagg.testing.entropy import InsecureEntropy

NOW = 1_800_000_000.0
VALUES = 50
BUFFERED = Policy(max_inputs=64)


class World:
    """`events` are what each party was told; `ledgers` survive `restart`."""

    plan: Any
    parties: Any
    network: Any
    layout: Any
    task: Any
    coordinator: Any
    agents: dict[str, Any]
    events: dict[str, list[Any]]
    ledgers: dict[str, Any]

    def __init__(self, plan, *, clients=4, aggregators=0, network=None, seed=0, finish=10.0):
        self.plan, self.entropy = plan, InsecureEntropy(seed)
        self.parties = consortium(clients, aggregators, now=NOW, entropy=self.entropy, kem=X25519)
        self.network = network or MemoryNetwork(now=NOW)
        self.layout = Layout.of({"a": np.zeros((5, 8), np.float32), "b": np.zeros(10, np.float32)})
        self.events = {one.party: [] for one in (*self.parties.clients, *self.parties.aggregators)}
        self.ledgers = {one.party: Ledger() for one in (*self.parties.clients, *self.parties.aggregators, self.parties.coordinator)}
        hub = self.parties.coordinator
        zeros = np.zeros(VALUES, np.float32)
        self.task = Task(
            "world", plan, hub, layout=self.layout, values=zeros, base_model=bytes(32), finish_seconds=finish, entropy=self.entropy
        )
        self.coordinator = Coordinator(hub, plan, policy=BUFFERED, ledger=self.ledgers[hub.party], entropy=self.entropy)
        self.network.attach(hub.party, self.coordinator)
        self.agents = {}
        for one in (*self.parties.clients, *self.parties.aggregators):
            self.restart(one.party)

    def restart(self, name, **changes):
        """The party anew, with the ledger that it had."""
        me = self.parties.identity(name)
        arguments = {
            "plans": {self.plan.PROTOCOL: type(self.plan)},
            "policy": BUFFERED,
            "ledger": self.ledgers[name],
            "entropy": self.entropy,
            "notify": self.events[name].append,
        } | changes
        if me.member.role == "client":
            self.agents[name] = Client(me, expectation=arguments.pop("expectation", Expectation()), **arguments)
        else:
            self.agents[name] = Attendant(me, **arguments)
        self.network.attach(me.party, self.agents[name])

    @property
    def clients(self):
        return [one.party for one in self.parties.clients]

    def update(self, name):
        """What client i brings: i + 1 everywhere, hundredths."""
        return np.full(VALUES, (self.clients.index(name) + 1) / 100, np.float32)

    def begin(self, *, cohort=None, seconds=60.0):
        """Describe an attempt and deliver the descriptions."""
        described = self.task.describe(tuple(cohort or self.clients), seconds)
        self.network.send(self.coordinator.begin(described, self.task.payload, self.network.now))
        self.network.run(until=lambda: not self.network._queue)

    def offer(self, name):
        """The last model that the client was offered."""
        return [event for event in self.events[name] if isinstance(event, Offer)][-1]

    def submit(self, *names, weight=1, offer=None):
        for name in names:
            client = self.agents[name]
            self.network.send(client.submit(offer or self.offer(name), self.update(name), weight, self.network.now))

    def settle(self):
        """Run until the attempt has ended."""
        self.network.run(until=lambda: not self.coordinator.open)

    def publish(self):
        """Open the sum that the attempt gave; the mean."""
        opened = self.task.decode(self.coordinator.total, self.coordinator.opened)
        _, sent = self.coordinator.publish(result_digest(float_bytes(opened.mean)))
        self.network.send(sent)
        self.network.run(until=lambda: not self.network._queue)
        self.task.finish()
        return opened

    def told(self, name, kind):
        return [event for event in self.events[name] if isinstance(event, kind)]


def submitted_at_once(world):
    """Let every client submit as soon as it is offered a model."""
    for name in world.clients:

        def notice(event, name):
            world.events[name].append(event)
            if isinstance(event, Offer):
                world.submit(name)

        world.agents[name].notify = partial(notice, name=name)
