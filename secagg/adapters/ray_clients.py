"""The clients of a simulation on Ray's workers: thousands of parties, each taken up for its messages and put away again.

A client between two messages is the bytes that `Party.keep` gives, and its next step is a pure function of them, of its messages and of
the simulation's seed. So a step is a Ray task: if its worker is lost, Ray runs it again elsewhere, with the same result to the byte of
the sum. The servers stay in the process that simulates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from secagg.adapters.party import Party
from secagg.control import Describe
from secagg.envelope import Packet
from secagg.ledger import Ledger
from secagg.payload import Blob, Payload, join
from secagg.runtime.engine import Bring, World
from secagg.runtime.memory import Agent
from secagg.testing.world import Dice, made_up
from secagg.types import PartyId

_BATCH, _BATCH_BYTES = 32, 128 << 20

Bytes = NDArray[np.uint8]
Carried = tuple[bytes, int]
"""An envelope, and where its payload lies among those of the batch; −1 without one."""


@dataclass(frozen=True, slots=True)
class Item:
    """One message for one client, and what its step needs. None as message: its time has come."""

    party: PartyId
    step: int
    kept: bytes
    message: Carried | None
    brought: tuple[NDArray[np.float32], int] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client says, what is kept of it, and when it wants to be called."""

    sent: list[tuple[bytes, Bytes | None]]
    kept: bytes
    due: float | None


_parties = lru_cache(maxsize=2)(made_up)


def answer(world: World, items: Sequence[Item], payloads: Sequence[Bytes], now: float) -> list[Answer]:
    """The task: one step of each client."""
    identities = {one.party: one for one in _parties(world).clients}
    return [_step(world, identities[item.party], item, payloads, now) for item in items]


def _step(world: World, me: Any, item: Item, payloads: Sequence[Bytes], now: float) -> Answer:
    dice = Dice(world.seed, item.party, item.step)
    parts: dict[str, Any] = {"plans": [type(world.plan)], "policy": world.policy, "ledger": Ledger()}
    with Party(me, item.kept, entropy=dice, clock=lambda: now, **parts) as party:
        if item.message is None:
            sent = party.agent.tick(now)
        else:
            envelope, place = item.message
            payload = Blob(payloads[place].data) if place >= 0 else None
            brought = item.brought
            sent = party.take([Packet.parse(envelope, payload)], submit=lambda _: brought if brought is not None else None)
        return Answer([(packet.envelope, _array(packet.payload)) for packet in sent], party.keep(), party.agent.due())


def _array(payload: Payload | None) -> Bytes | None:
    return None if payload is None else np.frombuffer(join(payload), np.uint8)


@dataclass(slots=True)
class Away:
    """A client as this process knows it: it passes on what it receives."""

    party: PartyId
    crowd: RayCrowd
    kept: bytes = b""
    step: int = 0
    wanted: float | None = None
    under_way: bool = False
    waiting: deque[Packet | None] = field(default_factory=deque)

    def receive(self, packet: Packet, now: float) -> list[Packet]:
        if self.party not in self.crowd.gone:
            self.crowd.hand_over(self, packet, now)
        return []

    def due(self) -> float | None:
        return None if self.party in self.crowd.gone else self.wanted

    def tick(self, now: float) -> list[Packet]:
        self.crowd.hand_over(self, None, now)
        self.wanted = None
        return []


class RayCrowd:
    """See `secagg.runtime.engine.Crowd`. A client has one message under way at a time; answers come in the order asked."""

    def __init__(self, world: World, bring: Bring, silences: Mapping[PartyId, str], *, workers: int, task: Any) -> None:
        self._world, self._bring, self._silences, self._task = ray.put(world), bring, silences, task
        self._clients = {one.party: Away(one.party, self) for one in made_up(world).clients}
        self.gone = {party for party, kind in silences.items() if not kind}
        self._ready: deque[Away] = deque()
        self._flying: deque[tuple[list[Away], Any]] = deque()
        self._most, self._now = 2 * workers, world.now

    @property
    def agents(self) -> Mapping[PartyId, Agent]:
        return self._clients

    @property
    def busy(self) -> bool:
        return bool(self._ready or self._flying)

    def hand_over(self, client: Away, packet: Packet | None, now: float) -> None:
        """A message for a client, or its time."""
        self._now = max(self._now, now)
        client.waiting.append(packet)
        if not client.under_way and len(client.waiting) == 1:
            self._ready.append(client)

    def take(self) -> list[Packet]:
        while self._ready and len(self._flying) < self._most:
            self._send()
        clients, reference = self._flying.popleft()
        packets: list[Packet] = []
        for client, said in zip(clients, ray.get(reference), strict=True):
            client.kept, client.wanted, client.under_way = said.kept, said.due, False
            if client.waiting:
                self._ready.append(client)
            packets += self._heard(client.party, said)
        return packets

    def _send(self) -> None:
        """The next batch, on its way."""
        items: list[Item] = []
        clients: list[Away] = []
        payloads: dict[int, tuple[Payload, Bytes]] = {}
        places: dict[int, int] = {}
        size = 0
        while self._ready and len(items) < _BATCH and size < _BATCH_BYTES:
            client = self._ready.popleft()
            packet = client.waiting.popleft()
            client.under_way, client.step = True, client.step + 1
            message = None
            if packet is not None:
                place = -1
                if packet.payload is not None:  # the model is the same for all of them: it travels once
                    if id(packet.payload) not in places:
                        places[id(packet.payload)] = len(places)
                        payloads[id(packet.payload)] = packet.payload, np.frombuffer(join(packet.payload), np.uint8)
                        size += packet.payload.size
                    place = places[id(packet.payload)]
                message = packet.envelope, place
            brought = self._bring(client.party) if packet is not None and packet.header.kind == Describe.KIND else None
            size += len(client.kept) + (brought[0].nbytes if brought is not None else 0)
            items.append(Item(client.party, client.step, client.kept, message, brought))
            clients.append(client)
        arrays = [array for _, array in payloads.values()]
        self._flying.append((clients, self._task.remote(self._world, items, arrays, self._now)))

    def _heard(self, party: PartyId, said: Answer) -> list[Packet]:
        """As packets of this process, unless the client falls silent before them."""
        packets = [Packet.parse(envelope, None if payload is None else Blob(payload.tobytes())) for envelope, payload in said.sent]
        if any(packet.header.kind == self._silences.get(party) for packet in packets):
            self.gone.add(party)
        return [] if party in self.gone else packets
