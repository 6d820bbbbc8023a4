"""Train the adapter of a peft model with DP-SGD: one call, which refuses first, pays second, and then trains.

check_model ─▶ check_independence ─▶ noise for ε ─▶ pay ─▶ T × ( Poisson sample ─▶ passes ─▶ clip ─▶ sum ─▶ noise ─▶ step ) ─▶ adapter
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from os import urandom
from typing import Any

import torch
from opacus.utils.batch_memory_manager import BatchMemoryManager
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader
from transformers import default_data_collator

from secagg.dp.accountant import Guarantee, Steps
from secagg.dp.local.hooks import per_sample_gradients
from secagg.dp.local.losses import Loss, caption_loss
from secagg.dp.local.noise import PASS, GaussianNoise
from secagg.dp.local.optimiser import PrivateOptimiser
from secagg.dp.local.privacy import Payment, Privacy
from secagg.dp.local.probe import RECORDS, check_independence, values
from secagg.dp.local.refusals import check_model
from secagg.dp.local.sampling import Batch, Collate, Owned, PoissonBatches, Units, batch_of, join
from secagg.errors import ConfigError
from secagg.lora.state import State, adapter_state
from secagg.types import Entropy

MakeOptimiser = Callable[[list[nn.Parameter]], Optimizer]

_LOOKED_AT = 64
"""Examples among which the probe looks for some that differ."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a private training gives. Nothing in it was computed from the data without noise: no loss, no norm, no batch size.

    Attributes:
        adapter: the adapter's tensors, copies on the CPU; the model has them too.
        steps: the noisy steps of this training.
        guarantee: what all `privacy.rounds` trainings like this one leave to one unit.
        total: what is spent of the data set in all, as its ledger says; None without a payment.
        units: records or customers in the data.
    """

    adapter: State
    steps: Steps
    guarantee: Guarantee
    total: Guarantee | None
    units: int


def train(
    model: nn.Module,
    examples: Sequence[Any],
    privacy: Privacy,
    *,
    payment: Payment | None,
    steps: int,
    batch: float,
    learning_rate: float | Callable[[int], float] = 1e-3,
    customers: Sequence[Hashable] | None = None,
    loss: Loss = caption_loss,
    collate: Collate = default_data_collator,
    optimiser: MakeOptimiser | None = None,
    at_once: int = 32,
    entropy: Entropy = urandom,
) -> Trained:
    """Train the adapter of `model` on `examples`, in place, so that it says little of any one unit.

    Args:
        model: a peft model of a causal, seq2seq, vision encoder-decoder, masked or classifying transformers class; any other with `loss`.
        examples: a data set with length and positions; an example is what `collate` takes.
        privacy: what is promised, for which unit.
        payment: the budget that pays; None where it was paid for before, or where there is no ledger.
        steps: optimiser steps.
        batch: units in a step on average: each is in it with probability batch / units.
        learning_rate: for all steps, or for each by its number from 0.
        customers: for each example its user id, with `unit="customer"`.
        loss: (model, batch) to one value for each record; the default takes `labels`.
        collate: makes a list of examples into a dict of tensors, one row for each.
        optimiser: makes the optimiser from the trained parameters; AdamW without weight decay if left out.
        at_once: records in a pass: memory grows with it, results do not depend on it. A pass holds 256 units or fewer, and where a model
            computes below float32 one, whatever is said here.
        entropy: where sampling and noise come from.

    Guarantees:
        (ε, δ) of `guarantee` for whoever sees every step, under adding or removing one unit with all its examples, whatever the others are.
        Steps of empty samples are taken too. The weights before the first step, the number of units and all arguments count as public.

    Raises:
        ConfigError: model, loss or data cannot be trained with a guarantee: why, and what to do. Nothing was spent.
        BudgetExceeded: the data set's budget does not cover it. Nothing was spent, nothing was trained.
    """
    if (customers is not None) != (privacy.unit == "customer"):
        raise ConfigError(
            f"unit={privacy.unit!r} and customers={'given' if customers is not None else None}: give one user id for each example"
            " with unit='customer', and none with unit='record'"
        )
    parameters = check_model(model)
    units = Units(examples, customers, most=privacy.most_per_customer if customers is not None else 1, entropy=entropy)
    planned = privacy.steps(len(units), batch=batch, steps=steps)
    if at_once < units.longest:
        raise ConfigError(f"at_once={at_once}: a customer brings up to {units.longest} records, which are in one pass together")
    noise = GaussianNoise(
        noise_multiplier=planned.noise_multiplier,
        clip=privacy.clip,
        values=sum(parameter.numel() for parameter in parameters),
        most=len(units),
        entropy=entropy,
    )
    stepper = PrivateOptimiser((optimiser or _adamw)(parameters), noise, clip=privacy.clip, expected=batch)
    _check_optimised(stepper, parameters)
    device = parameters[0].device
    check_independence(model, loss, _on(_different(units, collate), device))
    guarantee = privacy.guarantee(planned)
    total = payment.spend(planned, privacy, len(units)) if payment is not None else None

    loader = DataLoader(units, batch_sampler=PoissonBatches(len(units), planned.sampling, steps, entropy), collate_fn=join(collate))
    rate = learning_rate if callable(learning_rate) else lambda _: learning_rate
    was_training = model.training
    try:
        together = 1 if _coarse(model, device) else min(max(at_once // max(units.longest, 1), 1), PASS)
        _run(model, loader, stepper, loss, rate, units_at_once=together, device=device)
    finally:
        model.train(was_training)
        stepper.forget()
    return Trained(adapter_state(model), planned, guarantee, total, len(units))


def _run(
    model: nn.Module,
    loader: DataLoader[Any],
    stepper: PrivateOptimiser,
    loss: Loss,
    rate: Callable[[int], float],
    *,
    units_at_once: int,
    device: torch.device,
) -> None:
    model.train()
    with (
        per_sample_gradients(model),
        BatchMemoryManager(data_loader=loader, max_physical_batch_size=units_at_once, optimizer=stepper) as passes,
    ):
        step, owned = 0, None
        for group in stepper.param_groups:
            group["lr"] = rate(0)
        for owned in passes:
            _backward(model, stepper, loss, owned, device)
            if stepper.pre_step():
                stepper.original_optimizer.step()
                step += 1
                for group in stepper.param_groups:
                    group["lr"] = rate(step)
            stepper.zero_grad()


def _backward(model: nn.Module, stepper: PrivateOptimiser, loss: Loss, owned: Owned | None, device: torch.device) -> None:
    """One pass: leaves per-sample gradients, of customers the mean over their records."""
    if owned is None:
        stepper.owned_by_nobody()
        return
    batch, owners = owned
    stepper.owned_by(owners)
    share = (1.0 / torch.bincount(owners).to(torch.float32))[owners].to(device)
    (values(model, loss, _on(batch, device)) * share).sum().backward()  # type: ignore[no-untyped-call]


def _different(units: Units, collate: Collate) -> Batch:
    """A batch for the probe: of the first examples those that differ most in length, and one that is unlike the first of them."""
    looked_at = batch_of(units.first(_LOOKED_AT), collate)
    count = len(next(iter(looked_at.values())))
    if count < RECORDS:
        raise ConfigError(f"{count} examples: the probe needs {RECORDS}")
    lengths = looked_at["labels"].ne(-100).reshape(count, -1).sum(1) if "labels" in looked_at else torch.arange(count)
    order = torch.argsort(lengths, stable=True).tolist()
    first = order[0]
    unlike = [row for row in reversed(order) if any(not torch.equal(value[row], value[first]) for value in looked_at.values())]
    if not unlike:
        raise ConfigError(f"the first {count} examples are all the same: the probe needs two that differ, so shuffle the data set once")
    swapped = unlike[0]
    between = [row for row in order if row not in (first, swapped)][-(RECORDS - 2) :]
    rows = [first, *between, swapped]
    return {name: value[rows] for name, value in looked_at.items()}


def _coarse(model: nn.Module, device: torch.device) -> bool:
    """Whether something is computed below float32.

    How long the others of a pass are padded then moves each gradient by half a percent, and with it a sum of n by n times that, for which
    the noise has no room.
    """
    fine = (torch.float32, torch.float64)
    return (
        any(parameter.dtype not in fine for parameter in model.parameters())
        or torch.is_autocast_enabled(device.type)
        or torch.get_float32_matmul_precision() != "highest"
    )


def _check_optimised(stepper: PrivateOptimiser, parameters: list[nn.Parameter]) -> None:
    given, wanted = {id(one) for one in stepper.params}, {id(one) for one in parameters}
    if given != wanted:
        raise ConfigError(
            f"the optimiser holds {len(given)} parameters and {len(wanted)} are trained: make it from the list that `optimiser` is called"
            " with"
        )


def _adamw(parameters: list[nn.Parameter]) -> Optimizer:
    return AdamW(parameters, lr=1e-3, weight_decay=0.0)


def _on(batch: Batch, device: torch.device) -> Batch:
    return {name: value.to(device) for name, value in batch.items()}
