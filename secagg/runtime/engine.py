"""Engines: other processes and machines that work for one party, found by their entry points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ConfigError
from secagg.math.ring import Ring
from secagg.policy import Policy
from secagg.roles import Plan
from secagg.runtime.memory import Agent, Elsewhere
from secagg.tally import RunningSum
from secagg.types import PartyId

GROUP = "secagg.engines"

Bring = Callable[[PartyId], tuple[NDArray[np.float32], int]]
"""What a client brings: its values in layout order, and their weight."""


@dataclass(frozen=True, slots=True)
class World:
    """From what every process makes the same simulated parties: they exist for it alone, so one seed may give all keys."""

    plan: Plan
    policy: Policy
    clients: int
    aggregators: int
    keyholders: int
    now: float
    seed: str


class Crowd(Elsewhere, Protocol):
    """The clients of a simulation, in other processes."""

    @property
    def agents(self) -> Mapping[PartyId, Agent]:
        """By party; each only passes on what it receives."""


class Engine(Protocol):
    """What `simulate` and `serve` use."""

    def tallies(self, ring: Ring, length: int) -> RunningSum:
        """A server's sum, where the engine wants it."""

    def crowd(self, world: World, bring: Bring, silences: Mapping[PartyId, str]) -> Crowd:
        """The clients of a simulation; those in `silences` say nothing from their first message of that kind on."""


def engine_of(engine: str | Engine) -> Engine:
    """The engine itself, or the installed one of that name. Raises ConfigError."""
    if not isinstance(engine, str):
        return engine
    points = {point.name: point for point in entry_points(group=GROUP)}
    if engine not in points:
        raise ConfigError(f"no engine {engine!r}; installed: {', '.join(sorted(points)) or 'none'}")
    try:
        made: Engine = points[engine].load()()
    except ImportError as refused:
        raise ConfigError(f"the engine {engine!r} does not load: {refused}; install secagg[{engine}]") from refused
    return made
