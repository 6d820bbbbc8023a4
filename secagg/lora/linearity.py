"""Whether averaging an adapter's tensors averages the model: measured on the party's own model, layer by layer.

The mean of two adapters acts as the mean of their two models exactly when each adapted layer is affine in what is trained.
LoRA with one factor, IA3, FourierFT, SHiRA and MiSS are; LoRA with both factors, DoRA, VeRA and LoHa are not.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from secagg.errors import ConfigError
from secagg.lora.public import public_matrix
from secagg.lora.state import unwrap

TOLERANCE = 1e-4
"""Some methods compute their weight in float32 whatever they are given; a product of two factors errs by about 1."""

_SEED = b"secagg linearity probe"


@dataclass(frozen=True, slots=True)
class Linearity:
    """What the probe found."""

    error: float
    """The worst layer's ‖f(mean) − mean f‖ / ‖f(first) − f(second)‖ over two random adapters: 0 for an affine layer."""
    layer: str
    """Which layer that was."""
    layers: int
    """How many layers were probed."""

    @property
    def exact(self) -> bool:
        """Whether averaging is exact for this adapter as it is set to train."""
        return self.error <= TOLERANCE


def averaging_error(model: nn.Module, inputs: Mapping[str, Any]) -> Linearity:
    """Probe every adapted layer of `model` on one batch of its own inputs; the model is not changed.

    What counts as trained is what `requires_grad` says now, so call `freeze(model, rule, round)` first: with A frozen LoRA passes.
    Each layer is copied alone, in float64, without dropout, and given the activations that reach it in the batch.

    Raises:
        ConfigError: no adapted layer with a trainable tensor (prompt methods change the input, which attention then mixes).
    """
    inner = unwrap(model)
    layers = _trained_layers(inner)
    if not layers:
        raise ConfigError("no adapted layer trains here: prompt methods cannot be probed, and a frozen adapter has nothing to average")
    reached = _capture(inner, layers, inputs)
    if not reached:
        raise ConfigError("the batch reaches no adapted layer: pass inputs that run the whole model")
    errors = {path: _layer_error(path, layers[path], *call) for path, call in reached.items()}
    worst = max(errors, key=lambda path: errors[path])
    return Linearity(errors[worst], worst, len(errors))


def _trained_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The outermost peft wrappers with something to train."""
    found: list[str] = []
    for path, module in model.named_modules():
        trains = any(parameter.requires_grad for parameter in module.parameters())
        wraps = isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper)
        if trains and wraps and not any(path.startswith(f"{outer}.") for outer in found):
            found.append(path)
    return {path: model.get_submodule(path) for path in found}


_Call = tuple[tuple[Any, ...], dict[str, Any]]


def _capture(model: nn.Module, layers: Mapping[str, nn.Module], inputs: Mapping[str, Any]) -> dict[str, _Call]:
    """The first call that each layer gets when the model runs on `inputs`."""
    calls: dict[str, _Call] = {}

    def remember(path: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls.setdefault(path, (args, kwargs))

        return hook

    handles = [layer.register_forward_pre_hook(remember(path), with_kwargs=True) for path, layer in layers.items()]
    training = model.training
    try:
        model.eval()
        with torch.no_grad():
            model(**inputs)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return calls


def _wide(value: object) -> object:
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


@torch.no_grad()
def _layer_error(path: str, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    probe = copy.deepcopy(layer).double().eval()
    trained = [(name, parameter) for name, parameter in probe.named_parameters() if parameter.requires_grad]
    start = [parameter.clone() for _, parameter in trained]
    moves = [[_direction(f"{path}/{name}/{side}", parameter) for name, parameter in trained] for side in ("first", "second")]
    args, kwargs = tuple(map(_wide, args)), {name: _wide(value) for name, value in kwargs.items()}

    def output(steps: list[torch.Tensor]) -> torch.Tensor:
        for (_, parameter), origin, step in zip(trained, start, steps, strict=True):
            parameter.copy_(origin + step)
        result = probe(*args, **kwargs)
        values: torch.Tensor = result[0] if isinstance(result, tuple) else result
        return values.double()

    first, second = output(moves[0]), output(moves[1])
    middle = output([(a + b) / 2 for a, b in zip(*moves, strict=True)])
    spread = float((first - second).norm())
    return float((middle - (first + second) / 2).norm()) / spread if spread else 0.0


def _direction(label: str, parameter: torch.Tensor) -> torch.Tensor:
    """A random step as large as the tensor is, or as a fresh one would be where it is zero."""
    fan_in = parameter[0].numel() if parameter.dim() > 1 else parameter.numel()
    size = float(parameter.square().mean().sqrt()) or fan_in**-0.5
    step = public_matrix(_SEED, label, 1, parameter.numel()) * (size * parameter.numel() ** 0.5)
    moved: torch.Tensor = step.reshape(parameter.shape).to(dtype=parameter.dtype, device=parameter.device)
    return moved
