"""The probe before the first step: is each record's gradient its own?

Two experiments on a few records, on weights moved a little from where they start (a fresh LoRA has gradients of zero):

    alone    the gradient of each record in a batch against its gradient in a batch of itself, by plain autograd
    swapped  one record of the batch is replaced by another: the gradients of all others must stay

Whatever couples records fails one of them, by whatever code: a mean over all tokens, a contrastive loss, batch statistics, a router with a
capacity. What the probe cannot see is a coupling that these records do not stir.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from secagg.dp.local.hooks import grad_sample, per_sample_gradients
from secagg.dp.local.losses import Loss
from secagg.dp.local.refusals import trained
from secagg.dp.local.sampling import Batch
from secagg.errors import ConfigError

RECORDS = 4
"""Records of the probe: three in the batch, and one to swap in."""

_STIR = 0.02
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
_COARSE = 0.1
"""Tolerance for bfloat16 adapters."""

_SEED = 20210610

_COUPLED = (
    " A loss over the whole batch does this (the mean over all tokens that `labels=` gives, an in-batch contrastive loss), and so do layers"
    " that look at the batch. Use secagg.dp.local.caption_loss, or return one value for each record, computed from that record alone"
)


def check_independence(model: nn.Module, loss: Loss, batch: Batch) -> None:
    """Raise ConfigError unless the gradient of each record of `batch` is its own. The model is left as it was.

    Args:
        model: the peft model, its modules in any mode.
        loss: gives one value for each record.
        batch: `RECORDS` records, not all alike.

    Raises:
        ConfigError: what is coupled and by how much; trainable parameters without a part in the loss; running statistics that moved.
    """
    parameters = trained(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    with _undisturbed(model), _stirred(parameters):
        alone = [_alone(model, loss, _rows(batch, [row]), parameters) for row in range(RECORDS)]
        together = _together(model, loss, batch, parameters, training=False)
        if unused := [names[id(one)] for one, found in zip(parameters, together, strict=True) if found is None]:
            raise ConfigError(
                f"{len(unused)} trainable parameters have no part in the loss ({', '.join(unused[:3])}): they would be moved by noise"
                " alone; freeze them with requires_grad_(False), or leave their modules out of target_modules"
            )
        _compare_alone(alone, together, parameters)
        _compare_swapped(model, loss, batch, parameters)


def values(model: nn.Module, loss: Loss, batch: Batch) -> torch.Tensor:
    """The loss of each record. Raises ConfigError unless it is one value for each."""
    count = len(next(iter(batch.values())))
    found = loss(model, batch)
    shape = tuple(found.shape) if hasattr(found, "shape") else type(found).__name__
    if shape != (count,):
        raise ConfigError(
            f"the loss of {count} records has shape {shape}, ({count},) expected: one value for each record, because a sum or mean over the"
            " batch cannot be clipped record by record." + _COUPLED
        )
    if not found.requires_grad:
        raise ConfigError("the loss needs no gradient: it was detached, or computed under torch.no_grad()")
    return found


def _alone(model: nn.Module, loss: Loss, row: Batch, parameters: Sequence[nn.Parameter]) -> list[torch.Tensor | None]:
    model.eval()
    found = values(model, loss, row)
    if not bool(torch.isfinite(found).all()):
        raise ConfigError("the loss of a record is not finite before the first step: labels outside of the vocabulary, or broken weights")
    return list(torch.autograd.grad(found.sum(), parameters, allow_unused=True))


def _together(
    model: nn.Module, loss: Loss, batch: Batch, parameters: Sequence[nn.Parameter], *, training: bool
) -> list[torch.Tensor | None]:
    """Per-sample gradients of a batch; the same coins for dropout in every call."""
    with per_sample_gradients(model), torch.random.fork_rng():
        torch.manual_seed(_SEED)
        model.train(training)
        if not training:  # dropout off, and hooks on, which look at the mode of their own module
            for module in model.modules():
                if any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
                    module.training = True
        values(model, loss, batch).sum().backward()  # type: ignore[no-untyped-call]
        return [grad_sample(parameter) for parameter in parameters]


def _compare_alone(
    alone: Sequence[Sequence[torch.Tensor | None]], together: Sequence[torch.Tensor | None], parameters: Sequence[nn.Parameter]
) -> None:
    tolerance = _tolerance(parameters)
    for row, own in enumerate(alone):
        mine = [grad if grad is not None else torch.zeros_like(parameter) for grad, parameter in zip(own, parameters, strict=True)]
        found = [each[row] for each in together if each is not None and len(each) > row]
        if len(found) != len(mine):
            raise ConfigError(
                "per-sample gradients have fewer rows than the batch has records: the model folds records together before a trained layer."
                " Give each record its own row from the first layer on"
            )
        moved, size = _distance(mine, found), _norm(mine)
        if moved > tolerance * max(size, _norm(found)):
            raise ConfigError(
                f"a record's gradient in a batch differs from its gradient alone by {moved:.3g}, and is {size:.3g} long: records are"
                " coupled, or a layer is one whose per-sample gradients Opacus gets wrong." + _COUPLED
            )


def _compare_swapped(model: nn.Module, loss: Loss, batch: Batch, parameters: Sequence[nn.Parameter]) -> None:
    kept = list(range(1, RECORDS - 1))
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    first = _together(model, loss, _rows(batch, [0, *kept]), parameters, training=True)
    if moved := [name for name, buffer in model.named_buffers() if not torch.equal(buffer, buffers[name])]:
        raise ConfigError(
            f"a forward pass moves {', '.join(moved[:3])}: running statistics leave without noise; freeze them or replace the layer"
        )
    second = _together(model, loss, _rows(batch, [RECORDS - 1, *kept]), parameters, training=True)
    before, after = ([each[1:] for each in found if each is not None] for found in (first, second))
    moved_by, size = _distance(before, after), _norm(before)
    if moved_by > _tolerance(parameters) * max(size, _norm(after)):
        raise ConfigError(
            f"replacing one record moves the gradients of the others by {moved_by:.3g}, and they are {size:.3g} long: records are coupled."
            + _COUPLED
        )


def _rows(batch: Batch, rows: list[int]) -> Batch:
    return {name: value[rows] for name, value in batch.items()}


def _distance(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> float:
    return _norm([one.double() - other.double() for one, other in zip(left, right, strict=True)])


def _norm(tensors: Sequence[torch.Tensor]) -> float:
    return float(sum((tensor.double().square().sum() for tensor in tensors), torch.zeros((), dtype=torch.float64)).sqrt())


def _tolerance(parameters: Sequence[nn.Parameter]) -> float:
    return max(_TOLERANCE.get(parameter.dtype, _COARSE) for parameter in parameters)


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Modes, buffers and gradients are afterwards as they were."""
    modes = {module: module.training for module in model.modules()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    grads = {parameter: parameter.grad for parameter in model.parameters()}
    for parameter in grads:
        parameter.grad = None
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
        for parameter, grad in grads.items():
            parameter.grad = grad


@contextmanager
def _stirred(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    before = [parameter.detach().clone() for parameter in parameters]
    coins = torch.Generator().manual_seed(_SEED)  # a probe needs no secret, and should find the same thing twice
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_((_STIR * torch.randn(parameter.shape, generator=coins)).to(parameter))
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)
