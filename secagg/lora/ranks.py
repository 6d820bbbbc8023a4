"""Parties of different ranks: factors padded with zeros to a common one, so the sum is one vector and no party's rank shows (HetLoRA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from typing_extensions import override

from secagg.errors import ConfigError
from secagg.lora.average import FedIT
from secagg.lora.names import Part, part
from secagg.lora.rule import Rule
from secagg.lora.state import State, Tensors

_AXIS = {Part.A: 0, Part.B: 1}


def _resize(name: str, tensor: torch.Tensor, rank: int) -> torch.Tensor:
    """The first `rank` rows of an A or columns of a B, with zeros where there are fewer."""
    axis = _AXIS.get(part(name))
    if axis is None:
        return tensor
    kept = tensor.narrow(axis, 0, min(rank, tensor.shape[axis]))
    if (short := rank - kept.shape[axis]) == 0:
        return kept
    missing = list(kept.shape)
    missing[axis] = short
    return torch.cat([kept, kept.new_zeros(missing)], dim=axis)


def truncate(state: Tensors, rank: int) -> State:
    """The adapter of the common rank cut to a party's own: the first `rank` rows of every A and columns of every B, as copies."""
    if rank < 1:
        raise ConfigError(f"rank {rank}: a party needs at least rank 1")
    for name, tensor in state.items():
        if (axis := _AXIS.get(part(name))) is not None and tensor.shape[axis] < rank:
            raise ConfigError(f"{name} has rank {tensor.shape[axis]}, so it cannot be cut to {rank}: the common rank is the largest of all")
    return {name: _resize(name, tensor.detach(), rank).clone() for name, tensor in state.items()}


@dataclass(frozen=True, slots=True)
class PaddedRanks(Rule):
    """Zero-padded ranks (Cho et al. 2024, HetLoRA): a party trains `truncate(common, own_rank)` and sends its change padded to `rank`.

    All parties need the same scaling alpha / r; `canonical_config(config, padded_rank=rank)` makes the layouts agree on it.
    The mean divides by all parties, so what only large ranks train moves less, as in the paper without its self-pruning.
    """

    rank: int
    """The common rank: the largest of all parties."""
    name: ClassVar[str] = "padded"

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"rank {self.rank}: the common rank is at least 1")

    @override
    def trains(self, tensor: str, round: int) -> bool:
        return FedIT().trains(tensor, round)

    @override
    def outgoing(self, old: Tensors, new: Tensors, round: int) -> State:
        change = FedIT().outgoing(old, new, round)
        for name, step in change.items():
            if (axis := _AXIS.get(part(name))) is not None and step.shape[axis] > self.rank:
                raise ConfigError(f"{name} has rank {step.shape[axis]}, above the common rank {self.rank}: cutting would lose training")
        return {name: _resize(name, step, self.rank) for name, step in change.items()}

    @override
    def incoming(self, old: Tensors, mean: Tensors, round: int, *, own: Tensors | None = None) -> State:
        """`old` and the result have the common rank; `truncate` gives the party's own."""
        return FedIT().incoming(old, mean, round)
