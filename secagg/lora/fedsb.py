"""Fed-SB: only a small square core R trains in W + s·basis·R·A, with A and the basis fixed from the SVD of W.

```
x ──> A (r × in, fixed) ──> R (r × r, trained, starts at 0) ──> basis (out × r, fixed) ──> + W·x
```
The mean of the R is exactly the mean of the products, and a matrix costs r² values whatever its width.
Singhal et al. 2025, arXiv:2502.15436.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer
from torch import nn
from typing_extensions import override

from secagg.errors import ConfigError
from secagg.lora.average import _NEVER, _Average
from secagg.lora.names import Part
from secagg.lora.state import adapter_name, unwrap


class Core(nn.Module):
    """Stands where peft keeps `lora_B`: out of rank into width, through the trained core.

    Two plain linear layers rather than a parametrization, so Opacus's hooks see the core.
    """

    def __init__(self, basis: torch.Tensor) -> None:
        super().__init__()
        width, rank = basis.shape
        self.core = nn.Linear(rank, rank, bias=False, dtype=basis.dtype, device=basis.device)
        self.basis = nn.Linear(rank, width, bias=False, dtype=basis.dtype, device=basis.device)
        self.basis.weight = nn.Parameter(basis.contiguous(), requires_grad=False)
        nn.init.zeros_(self.core.weight)

    @property
    def weight(self) -> torch.Tensor:
        """The B that peft merges: basis·R, out × rank."""
        return self.basis.weight @ self.core.weight

    bias = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.basis(self.core(x))
        return out


def attach_cores(model: nn.Module) -> None:
    """Replace each B of a fresh LoRA adapter by basis·R, and take A and the basis from the SVD of the weight that it adapts.

    Afterwards only the cores train (and what `modules_to_save` holds). One party or the coordinator calls it and broadcasts
    `adapter_state(model)`; the others call it and load that state: signs and degenerate directions of an SVD differ between
    libraries, which `check_same_start` would refuse.

    Raises:
        ConfigError: a layer that is not a linear one, DoRA, a bias on B, or an adapter that has trained.
    """
    inner = unwrap(model)
    name = adapter_name(inner)
    layers = [(path, module) for path, module in inner.named_modules() if isinstance(module, LoraLayer) and name in module.r]
    if not layers:
        raise ConfigError("Fed-SB needs a LoRA adapter: wrap the model with peft.LoraConfig first")
    for layer in [_checked(path, module, name) for path, module in layers]:
        _attach(layer, name)


def _checked(path: str, layer: LoraLayer, name: str) -> LoraLinear:
    if not isinstance(layer, LoraLinear):
        raise ConfigError(f"{path} is a {type(layer).__name__}: Fed-SB adapts linear layers; take it out of target_modules")
    if name in layer.lora_variant or layer.lora_bias[name]:
        raise ConfigError(f"{path} uses DoRA, another LoRA variant or lora_bias: Fed-SB trains the core alone; switch them off")
    b = cast("nn.Linear | Core", layer.lora_B[name])
    if isinstance(b, Core) or bool(b.weight.any()):
        raise ConfigError(f"{path} has a core already, or its B has trained: attach cores to a fresh adapter, before the first step")
    width, fan_in = _matrix(layer).shape
    if layer.r[name] > min(width, fan_in):
        raise ConfigError(f"{path} is {width} × {fan_in}: rank {layer.r[name]} is more than its SVD has")
    return layer


def _matrix(layer: LoraLinear) -> torch.Tensor:
    """The adapted weight as out × in, in float32: GPT-2's Conv1D keeps it transposed."""
    weight = cast("nn.Linear", layer.get_base_layer()).weight.detach()
    return (weight.T if layer.fan_in_fan_out else weight).float()


def _attach(layer: LoraLinear, name: str) -> None:
    u, _, vh = torch.linalg.svd(_matrix(layer), full_matrices=False)
    a = cast("nn.Linear", layer.lora_A[name]).weight
    rank = layer.r[name]
    with torch.no_grad():
        a.copy_(vh[:rank])
    a.requires_grad_(False)
    layer.lora_B[name] = Core(u[:, :rank].to(a.dtype).clone())


@dataclass(frozen=True, slots=True)
class FedSB(_Average):
    """Averages the cores. Only for a model with `attach_cores`; exact, as everything but R is fixed and equal at all parties."""

    name: ClassVar[str] = "fedsb"

    @override
    def fixed(self, round: int) -> frozenset[Part]:
        return _NEVER | {Part.A, Part.B}
