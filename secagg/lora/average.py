"""Rules that average the factors as they are: both, one, or one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from secagg.errors import ConfigError
from secagg.lora.change import apply_delta, delta
from secagg.lora.names import Part, part
from secagg.lora.rule import Rule
from secagg.lora.state import State, Tensors

_NEVER = frozenset({Part.PROJECTION, Part.BASIS})


@dataclass(frozen=True, slots=True)
class _Average(Rule):
    """Sends the change of every tensor that it trains in a round, and adds the mean change."""

    def fixed(self, round: int) -> frozenset[Part]:
        """The parts that do not change in this round."""
        return _NEVER

    @override
    def trains(self, tensor: str, round: int) -> bool:
        return part(tensor) not in self.fixed(round)

    @override
    def outgoing(self, old: Tensors, new: Tensors, round: int) -> State:
        change = delta(new, old)
        for name, step in change.items():
            if not self.trains(name, round) and bool(step.any()):
                raise ConfigError(f"{name} changed in round {round}, which holds it fixed: call freeze(model, rule, round) before training")
        return _something({name: step for name, step in change.items() if self.trains(name, round)})

    @override
    def incoming(self, old: Tensors, mean: Tensors, round: int, *, own: Tensors | None = None) -> State:
        _check_mean({name for name in old if self.trains(name, round)}, mean)
        return apply_delta(old, mean)


def _something(change: State) -> State:
    if not change:
        raise ConfigError("this rule sends no tensor of this adapter: it is made for LoRA's factors; use 'fedit' for other peft methods")
    return change


def _check_mean(due: set[str], mean: Tensors) -> None:
    if odd := sorted(due ^ mean.keys()):
        raise ConfigError(f"the mean and this round's rule differ in {odd[0]} ({len(odd)} such tensors): another rule, round or adapter")


@dataclass(frozen=True, slots=True)
class FedIT(_Average):
    """Average everything, A and B alike (Zhang et al. 2023): the common default.

    For LoRA with both factors trained it is inexact: mean(B)·mean(A) differs from mean(B·A) by the parties' covariance of the two.
    For methods that are linear in what they train it is exact; `averaging_error` decides by measuring on the party's own model.
    """

    name: ClassVar[str] = "fedit"


@dataclass(frozen=True, slots=True)
class FFA(_Average):
    """A stays as it was drawn and every party has the same; only B is trained and averaged (Sun et al. 2024).

    Exact, half the bytes. The one to take under differential privacy: noise on both factors multiplies.
    """

    name: ClassVar[str] = "ffa"

    @override
    def fixed(self, round: int) -> frozenset[Part]:
        return _NEVER | {Part.A}


@dataclass(frozen=True, slots=True)
class RoLoRA(_Average):
    """One factor a round: B in even rounds, A in odd ones (Chen et al. 2024). Exact each round, and A learns too.

    B goes first because it is zero at the start: with B = 0 no gradient reaches A.
    """

    name: ClassVar[str] = "rolora"

    @override
    def fixed(self, round: int) -> frozenset[Part]:
        return _NEVER | {Part.A if round % 2 == 0 else Part.B}


@dataclass(frozen=True, slots=True)
class FedSA(_Average):
    """Both factors train, A is averaged, each party keeps its own B (Guo et al. 2024): a personal model, half the bytes."""

    name: ClassVar[str] = "fedsa"

    @override
    def outgoing(self, old: Tensors, new: Tensors, round: int) -> State:
        return _something({name: step for name, step in _Average.outgoing(self, old, new, round).items() if part(name) is not Part.B})

    @override
    def incoming(self, old: Tensors, mean: Tensors, round: int, *, own: Tensors | None = None) -> State:
        kept = [name for name in old if part(name) is Part.B]
        if own is None:
            raise ConfigError("fedsa keeps each party's own B: pass own=the state that this party trained in the round")
        if lost := [name for name in kept if name not in own]:
            raise ConfigError(f"own lacks {lost[0]}: pass the whole adapter that this party trained")
        _check_mean({name for name in old if self.trains(name, round) and part(name) is not Part.B}, mean)
        return {**apply_delta(old, mean), **{name: own[name].detach().clone() for name in kept}}
