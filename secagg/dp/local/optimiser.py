"""The step of DP-SGD: clip each unit's gradient, add, add noise, divide by the expected number of units.

Opacus' `DPOptimizer`, so that its BatchMemoryManager can split a sample over several passes, with three things done otherwise: norms and
sums in float64, so that one unit moves a sum by its clip and not by what float32 rounds; units that own several records; and noise from
`secagg.dp.local.noise`. [Abadi et al. 2016, algorithm 1]
"""

from __future__ import annotations

import torch
from opacus.optimizers import DPOptimizer
from torch import nn
from torch.optim import Optimizer

from secagg.dp.local.hooks import grad_sample
from secagg.dp.local.noise import GaussianNoise
from secagg.errors import ConfigError, LocalProtocolError


class PrivateOptimiser(DPOptimizer):  # type: ignore[misc]  # Opacus has no types
    """Steps on clipped, noisy gradients.

    Args:
        optimiser: takes the step: any first-order optimiser of torch.
        noise: fits the clip and the number of values.
        clip: L2 bound of one unit's gradient.
        expected: units in a step on average; the sum is divided by it, whoever is in the step.

    `train` sees to what an own loop has to: where anything is computed below float32, a pass holds one unit, because the padding that a
    long record brings moves the gradients of all others in its pass; in float32 up to `noise.PASS` units may share one.
    """

    def __init__(self, optimiser: Optimizer, noise: GaussianNoise, *, clip: float, expected: float) -> None:
        if isinstance(optimiser, torch.optim.LBFGS | torch.optim.SparseAdam):
            raise ConfigError(f"{type(optimiser).__name__} looks at a gradient more than once or sparsely: use SGD, Adam or AdamW")
        super().__init__(
            optimiser, noise_multiplier=noise.deviation / clip, max_grad_norm=clip, expected_batch_size=expected, loss_reduction="mean"
        )
        self._noise, self._owners = noise, torch.empty(0)

    def owned_by(self, owners: torch.Tensor) -> None:
        """For each record of the pass that follows, its unit in the pass, counted from 0."""
        self._owners = owners

    def owned_by_nobody(self) -> None:
        """The sample is empty: there is no pass, and the step is noise alone."""
        self._owners = torch.empty(0)
        for parameter in self.params:
            parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))

    def clip_and_accumulate(self) -> None:
        for parameter, clipped in zip(self.params, self._clipped(), strict=True):
            before = parameter.summed_grad
            parameter.summed_grad = clipped if before is None else before + clipped
            parameter.grad_sample = None

    def add_noise(self) -> None:
        for parameter in self.params:
            noisy = torch.from_numpy(self._noise.add(parameter.summed_grad.cpu().numpy()))
            parameter.grad = (noisy / self.expected_batch_size).to(parameter)

    def forget(self) -> None:
        """Take off the parameters what belongs to steps: gradients and sums without noise."""
        for parameter in self.params:
            parameter.grad = None
            for name in ("grad_sample", "summed_grad"):
                if hasattr(parameter, name):
                    delattr(parameter, name)

    def scale_grad(self) -> None:
        """Done where the noise is added, in float64."""

    def _clipped(self) -> list[torch.Tensor]:
        """The sum of this pass's clipped gradients, in float64, for each parameter."""
        return clipped_sums([self._of_units(parameter) for parameter in self.params], self.max_grad_norm)

    def _of_units(self, parameter: nn.Parameter) -> torch.Tensor:
        found = grad_sample(parameter)
        if found is None or len(found) != len(self._owners):
            rows = None if found is None else len(found)
            raise LocalProtocolError(
                f"{rows} gradients for {len(self._owners)} records in a pass: name the owners of each pass before its step"
            )
        units = int(self._owners[-1]) + 1 if len(self._owners) else 0
        if units == len(found):
            return found
        return torch.zeros((units, *found.shape[1:]), dtype=found.dtype, device=found.device).index_add_(
            0, self._owners.to(found.device), found
        )


def clipped_sums(gradients: list[torch.Tensor], clip: float) -> list[torch.Tensor]:
    """Scale each unit's gradient, over all tensors together, to L2 norm `clip` or less, and sum over units, in float64.

    Args:
        gradients: for each parameter (units, *shape).

    Guarantees:
        One unit moves the sums by at most clip · (1 + (units² + values) · 2^-52) together.
        A unit whose gradient is not finite adds nothing.
    """
    squares = torch.stack([torch.linalg.vector_norm(each.flatten(1), dim=1, dtype=torch.float64).square() for each in gradients])
    norms = squares.sum(0).sqrt()
    finite = torch.isfinite(norms)
    factors = torch.where(finite, clip / norms.clamp(min=clip), 0.0)
    sums = []
    for each in gradients:
        whole = each if bool(finite.all()) else torch.where(finite.view(-1, *[1] * (each.dim() - 1)), each, 0.0)
        sums.append((factors @ whole.flatten(1).double()).view(each.shape[1:]))
    return sums
