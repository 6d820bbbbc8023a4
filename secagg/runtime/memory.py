"""The network in process: deterministic, with virtual time and a fault function. Every packet crosses it as bytes.

```python
network = MemoryNetwork(now=time.time(), fault=fault)
network.attach(party, attendant)
network.send(packets)
network.run()
```
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from secagg.envelope import Packet
from secagg.errors import PeerError
from secagg.payload import Blob, Payload, join
from secagg.types import PartyId

log = logging.getLogger("secagg.runtime")

Fault = Callable[[PartyId, PartyId, Packet], Sequence[Packet]]
"""`fault(sender, recipient, packet)` gives the packets that arrive instead: none, one, several, or damaged ones."""


T = TypeVar("T")


class Observer(Protocol):
    """Watches who does what: a meter."""

    def act(self, party: PartyId, step: str, act: Callable[[], T]) -> T:
        """Call `act`, which is the work of `party` on `step`, and return what it returns."""

    def sent(self, packet: Packet) -> None:
        """A packet is on its way."""


class Unobserved:
    """Watches nothing."""

    def act(self, party: PartyId, step: str, act: Callable[[], T]) -> T:
        return act()

    def sent(self, packet: Packet) -> None: ...


class Agent(Protocol):
    """Whoever lives on a network: `Attendant`, `Client`, `Coordinator`."""

    def receive(self, packet: Packet, now: float) -> list[Packet]: ...

    def due(self) -> float | None: ...

    def tick(self, now: float) -> list[Packet]: ...


class Elsewhere(Protocol):
    """Agents whose work is done in other processes: what they were handed is answered later."""

    @property
    def busy(self) -> bool:
        """Whether answers are still to come."""

    def take(self) -> list[Packet]:
        """The next answers, in the order in which they were asked for."""


class Nowhere:
    """All agents are here."""

    busy = False

    def take(self) -> list[Packet]:
        return []


class MemoryNetwork:
    """Carries packets between agents, first in, first out; when nothing is on its way, time jumps to the next deadline.

    Attributes:
        now: virtual seconds since 1970.
        sent: bytes that each party handed over (envelopes and payloads).
        delivered: bytes handed to each party.
        refused: packets that arrived as no packet at all.
        observer: sees every step of every agent.
        elsewhere: the agents that only pass on what they receive; time stands still until they have answered.
    """

    def __init__(self, *, now: float, fault: Fault | None = None, observer: Observer | None = None) -> None:
        self.now = now
        self.observer: Observer = observer if observer is not None else Unobserved()
        self.sent: dict[PartyId, int] = {}
        self.delivered: dict[PartyId, int] = {}
        self.refused = 0
        self._fault = fault
        self._agents: dict[PartyId, Agent] = {}
        self._queue: deque[Packet] = deque()
        self.elsewhere: Elsewhere = Nowhere()

    def attach(self, party: PartyId, agent: Agent) -> None:
        """Let `agent` be `party`; one that was there before is gone, as after a restart."""
        self._agents[party] = agent

    def detach(self, party: PartyId) -> None:
        """The party is gone: what is sent to it is lost."""
        self._agents.pop(party, None)

    def send(self, packets: Iterable[Packet]) -> None:
        """Put packets on their way, through the fault function."""
        for packet in packets:
            sender, recipient = packet.header.sender, packet.header.recipient
            self.sent[sender] = self.sent.get(sender, 0) + packet_size(packet)
            self.observer.sent(packet)
            arriving = [packet] if self._fault is None else self._fault(sender, recipient, packet)
            self._queue.extend(arriving)

    @property
    def busy(self) -> bool:
        """Whether something is on its way, or somebody waits for a time."""
        return bool(self._queue) or self.elsewhere.busy or any(agent.due() is not None for agent in self._agents.values())

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Deliver until `until()`, or until nothing is on its way and nobody waits for a time."""
        while not until():
            if self._queue:
                self._deliver(self._queue.popleft())
            elif self.elsewhere.busy:
                self.send(self.elsewhere.take())
            elif not self._wait():
                return

    def _deliver(self, packet: Packet) -> None:
        agent = self._agents.get(packet.header.recipient)
        if agent is None:
            return
        payload, act, kind = packet.payload, self.observer.act, packet.header.kind
        if payload is not None:  # a payload may be made as it is read: that is its sender's work
            payload = act(packet.header.sender, f"send {kind}", partial(_made, payload))
        try:
            arrived = Packet.parse(bytes(packet.envelope), payload)
        except PeerError as refused:
            self.refused += 1
            log.warning("a packet for %s is no packet: %s", packet.header.recipient, refused)
            return
        self.delivered[arrived.header.recipient] = self.delivered.get(arrived.header.recipient, 0) + packet_size(arrived)
        self.send(act(arrived.header.recipient, kind, partial(agent.receive, arrived, self.now)))

    def _wait(self) -> bool:
        waiting = [(due, party) for party, agent in self._agents.items() if (due := agent.due()) is not None]
        if not waiting:
            return False
        due, party = min(waiting)
        self.now = max(self.now, due)
        self.send(self.observer.act(party, "deadline", partial(self._agents[party].tick, self.now)))
        return True


def _made(payload: Payload) -> Payload:
    """As bytes in memory, which nobody changes."""
    return payload if isinstance(payload, Blob) else Blob(join(payload))


def packet_size(packet: Packet) -> int:
    """Bytes of the envelope and the payload."""
    return len(packet.envelope) + (packet.payload.size if packet.payload is not None else 0)
