"""The meter: wall, processor time, bytes and memory of every step of every party of a round in memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from secagg.envelope import Packet
from secagg.runtime.memory import packet_size
from secagg.types import PartyId

T = TypeVar("T")

ON_ITS_WAY = "send "
"""Steps in which a payload is read to travel: time of its sender, memory of the network."""


@dataclass(slots=True)
class Spent:
    """What one party spent on one step."""

    wall: float = 0.0
    cpu: float = 0.0


@dataclass(slots=True)
class Meter:
    """An observer of `secagg.simulate`.

    Args:
        memory: trace allocations instead of time; tracing slows Python down, so that a run measures one or the other.

    Attributes:
        spent: seconds by (party, step); a step is the kind of the message that is taken, or what the party does unasked.
        up, down: bytes of envelopes and payloads by (party, kind), and how many of each kind a party sent.
        peak: most bytes that a party held at once, payloads on their way not counted.
    """

    memory: bool = False
    spent: dict[tuple[PartyId, str], Spent] = field(default_factory=dict)
    up: dict[tuple[PartyId, str], int] = field(default_factory=dict)
    down: dict[tuple[PartyId, str], int] = field(default_factory=dict)
    peak: dict[PartyId, int] = field(default_factory=dict)
    _held: dict[PartyId, int] = field(default_factory=dict)

    def act(self, party: PartyId, step: str, act: Callable[[], T]) -> T:
        if not self.memory:
            return self._timed(party, step, act)
        return act() if step.startswith(ON_ITS_WAY) else self._weighed(party, act)

    def sent(self, packet: Packet) -> None:
        header, size = packet.header, packet_size(packet)
        self.up[header.sender, header.kind] = self.up.get((header.sender, header.kind), 0) + size
        self.down[header.recipient, header.kind] = self.down.get((header.recipient, header.kind), 0) + size

    def _timed(self, party: PartyId, step: str, act: Callable[[], T]) -> T:
        spent = self.spent.setdefault((party, step), Spent())
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return act()
        finally:
            spent.cpu += time.process_time() - cpu
            spent.wall += time.perf_counter() - wall

    def _weighed(self, party: PartyId, act: Callable[[], T]) -> T:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        try:
            return act()
        finally:
            after, peak = tracemalloc.get_traced_memory()
            held = self._held.get(party, 0)
            self.peak[party] = max(self.peak.get(party, 0), held + peak - before)
            self._held[party] = held + after - before
