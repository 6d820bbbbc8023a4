"""The change that one party's training made, and putting a mean change back."""

from __future__ import annotations

import torch

from secagg.errors import ConfigError
from secagg.lora.state import State, Tensors


def _same_names(a: Tensors, b: Tensors) -> None:
    if odd := sorted(a.keys() ^ b.keys()):
        raise ConfigError(f"{odd[0]} is in one of the two states only ({len(odd)} such tensors): both must be of one adapter")


def _same_shape(name: str, a: torch.Tensor, b: torch.Tensor) -> None:
    if a.shape != b.shape:
        raise ConfigError(f"{name} has shape {tuple(a.shape)} in one state and {tuple(b.shape)} in the other: both must be of one adapter")


def wide(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float32, or float64 where it is that: bf16 and fp16 are upcast exactly."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def delta(new: Tensors, old: Tensors) -> State:
    """`new - old`, tensor by tensor, computed and returned in float32 (float64 for float64 input), sorted by name.

    Deltas are what is quantised, not parameters: they are smaller by orders of magnitude, so the same bits resolve them finer, and
    a clipping bound on them is the one that differential privacy speaks of.

    Raises:
        ConfigError: the two states have different names or shapes.
    """
    _same_names(new, old)
    change = {}
    for name in sorted(new):
        _same_shape(name, new[name], old[name])
        change[name] = wide(new[name].detach()) - wide(old[name].detach())
    return change


def apply_delta(old: Tensors, change: Tensors, learning_rate: float = 1.0) -> State:
    """`old + learning_rate · change`, computed in float32 and rounded once to the dtype of `old`; tensors that `change` lacks are copied.

    In bf16 that rounding is the second one: the party's training already rounded its own result to 8 bits. A mean change below
    about 2^-9 of a value is then lost. Who trains many rounds in bf16 keeps `old` in float32 and casts for the model only.

    Raises:
        ConfigError: `change` names a tensor that `old` lacks, or of another shape.
    """
    if odd := sorted(change.keys() - old.keys()):
        raise ConfigError(f"the change holds {odd[0]}, which this adapter does not have")
    state = {}
    for name in sorted(old):
        value = old[name].detach()
        if name not in change:
            state[name] = value.clone()
            continue
        step = torch.as_tensor(change[name]).to(value.device)
        _same_shape(name, step, value)
        state[name] = (wide(value) + learning_rate * wide(step)).to(value.dtype)
    return state
