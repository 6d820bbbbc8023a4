"""How much a party counts in the mean: an integer that travels inside the encoded vector, so nobody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from secagg.errors import ConfigError


class WeightPolicy(Protocol):
    """Turns a number of examples into an integer weight."""

    @property
    def max_weight(self) -> int:
        """The largest weight it ever gives: what the head-room must be proved for."""

    def weight(self, examples: int) -> int:
        """The weight of a party that trained on this many examples. Raises ConfigError outside the policy."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every party counts the same."""

    @property
    def max_weight(self) -> int:
        return 1

    def weight(self, examples: int) -> int:
        _check_examples(examples)
        return 1


@dataclass(frozen=True, slots=True)
class Examples:
    """A party counts by its examples, in units: with `unit=1000`, 20,000 examples weigh 20.

    Rounds to the nearest unit, half a unit up, and never below 1. A coarser unit keeps the ring narrow and says less about a party
    even to those who could see its weight.

    Raises:
        ConfigError: `max_weight` or `unit` below 1.
    """

    max_weight: int
    unit: int = 1

    def __post_init__(self) -> None:
        if self.max_weight < 1 or self.unit < 1:
            raise ConfigError(f"max_weight={self.max_weight} and unit={self.unit} must be at least 1")

    def weight(self, examples: int) -> int:
        _check_examples(examples)
        weight = max(1, (2 * examples + self.unit) // (2 * self.unit))
        if weight > self.max_weight:
            fitting = 2 * examples // (2 * self.max_weight + 1) + 1
            raise ConfigError(
                f"{examples} examples in units of {self.unit} weigh {weight}, more than max_weight={self.max_weight}: "
                f"all parties must agree on unit={fitting} or more, or on a larger max_weight"
            )
        return weight


def _check_examples(examples: int) -> None:
    if examples < 1:
        raise ConfigError(f"{examples} examples: a party that has trained on nothing stays out of the round")
