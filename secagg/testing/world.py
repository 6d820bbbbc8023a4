"""The made-up parties of a simulation: the same in every process that knows its seed."""

from __future__ import annotations

from secagg.envelope import Packet
from secagg.runtime.engine import World
from secagg.runtime.memory import Agent
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy


def made_up(world: World) -> Consortium:
    """Everybody's keys follow from the seed."""
    dice = InsecureEntropy(f"{world.seed}/parties")
    return consortium(world.clients, world.aggregators, keyholders=world.keyholders, now=world.now, entropy=dice)


class Dice:
    """One party's randomness, anew in each of its steps: a step that is done again, in another process, draws the same."""

    def __init__(self, seed: str, party: str, step: int = 0) -> None:
        self._of, self._step = f"{seed}/{party}", step
        self._dice = InsecureEntropy(f"{self._of}/{step}")

    def __call__(self, count: int) -> bytes:
        return self._dice(count)

    def turn(self) -> None:
        """The next step begins."""
        self._step += 1
        self._dice = InsecureEntropy(f"{self._of}/{self._step}")


class Stepping:
    """An agent whose dice are turned for each message that it takes."""

    def __init__(self, agent: Agent, dice: Dice) -> None:
        self._agent, self._dice = agent, dice

    def receive(self, packet: Packet, now: float) -> list[Packet]:
        self._dice.turn()
        return self._agent.receive(packet, now)

    def due(self) -> float | None:
        return self._agent.due()

    def tick(self, now: float) -> list[Packet]:
        self._dice.turn()
        return self._agent.tick(now)
