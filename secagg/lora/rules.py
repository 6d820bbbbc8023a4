"""What is summed and what the mean becomes: one small typed rule for each federated fine-tuning method that a secure sum allows.

A secure sum opens sums and nothing else, so a method fits when what the server does is linear in what the parties send.
`find_rule(name)` gives one of them; a name that does not fit is refused with the reason.

| name | sent | exact | source |
|---|---|---|---|
| `fedit` | both factors | no: mean(B)·mean(A) is not mean(B·A) | Zhang et al. 2023, arXiv:2305.05644 |
| `ffa` | B; A stays as it was drawn | yes, half the bytes; the one to take under DP | Sun et al. 2024, arXiv:2403.12313 |
| `rolora` | B in even rounds, A in odd ones | yes, each round | Chen et al. 2024, arXiv:2502.01755 |
| `fedsa` | A; each party keeps its own B | of A | Guo et al. 2024, arXiv:2410.01463 |
| `fedsb` | R of W + basis·R·A | yes, rank² values a matrix | Singhal et al. 2025, arXiv:2502.15436 |
| `product` | the change of B·A, dense or sketched | yes, then cut to the rank | Bai et al. 2024 (FlexLoRA), arXiv:2402.11505 |
| `padded` | factors padded to a common rank | as `fedit` | Cho et al. 2024 (HetLoRA), arXiv:2401.06432 |

A server optimiser (momentum, Adam, a server learning rate) acts on the opened mean and needs no rule of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

from torch import nn

from secagg.errors import ConfigError
from secagg.lora.average import FFA, FedIT, FedSA, RoLoRA
from secagg.lora.fedsb import FedSB
from secagg.lora.product import ExactProduct
from secagg.lora.ranks import PaddedRanks
from secagg.lora.rule import Rule
from secagg.lora.state import live_tensors, unwrap

_RULES: Mapping[str, Callable[..., Rule]] = {
    "fedit": FedIT,
    "ffa": FFA,
    "rolora": RoLoRA,
    "fedsa": FedSA,
    "fedsb": FedSB,
    "product": ExactProduct,
    "padded": PaddedRanks,
}

_STACKING = (
    "stacking gives every party its own slot of the vector and zeros elsewhere, so the opened sum is a list of every party's factors; "
    "use 'product', which opens only the mean of B·A"
)
_ROBUST = (
    "a robust rule compares single updates, and a secure sum shows none; bound what one party can do by clipping (the quantiser's clip), "
    "and check the opened mean with load_adapter(max_norm=…)"
)
_DIFFERENCE = (
    "two sums over sets that differ in one party show that party's update as their difference; "
    "evaluate the opened mean on each party's own data instead"
)
_REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("flora", "stack", "stacking"), _STACKING),
    **dict.fromkeys(("median", "krum", "multi_krum", "trimmed_mean", "bulyan", "geometric_median"), _ROBUST),
    **dict.fromkeys(("leave_one_out", "coalition", "shapley", "data_shapley"), _DIFFERENCE),
}


def find_rule(name: str, **options: object) -> Rule:
    """The rule called `name`, with its own options. Raises ConfigError for unknown names, and for refused ones with the reason."""
    wanted = name.lower().replace("-", "_")
    if wanted in _REFUSED:
        _refuse(name, _REFUSED[wanted])
    if wanted not in _RULES:
        _refuse(name, f"unknown; choose one of {', '.join(_RULES)}")
    try:
        return _RULES[wanted](**options)
    except TypeError as problem:
        raise ConfigError(f"rule {name!r}: {problem}") from problem


def _refuse(name: str, reason: str) -> NoReturn:
    raise ConfigError(f"rule {name!r}: {reason}")


def freeze(model: nn.Module, rule: Rule, round: int) -> None:
    """Let only the tensors train that `rule` sends in this round; call it before the optimiser is made. Base weights stay frozen."""
    inner = unwrap(model)
    owner = {parameter.data_ptr(): parameter for parameter in inner.parameters() if parameter.numel()}
    for name, tensor in live_tensors(inner).items():
        if (parameter := owner.get(tensor.data_ptr())) is not None and parameter.is_floating_point():
            parameter.requires_grad_(rule.trains(name, round))
            if not parameter.requires_grad:
                parameter.grad = None
