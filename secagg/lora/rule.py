"""What a rule is: between two adapters of one party and the vector that is summed."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from secagg.lora.state import State, Tensors


@runtime_checkable
class Rule(Protocol):
    """Between two adapters of one party and the vector that is summed."""

    @property
    def name(self) -> str:
        """What `find_rule` calls it."""

    def trains(self, tensor: str, round: int) -> bool:
        """Whether the tensor of this name may change in this round; `freeze` tells the model so."""

    def outgoing(self, old: Tensors, new: Tensors, round: int) -> State:
        """What this party sends after training from `old` to `new`: float32, its names and shapes a function of `old` and `round` alone.

        Raises ConfigError where a tensor changed that the rule holds fixed: that change would be lost in silence.
        """

    def incoming(self, old: Tensors, mean: Tensors, round: int, *, own: Tensors | None = None) -> State:
        """The next adapter from the one the round started with and the opened mean, in the dtypes of `old`.

        `own` is what this party trained in the round; rules that keep a part of it need it, the others ignore it.
        """
