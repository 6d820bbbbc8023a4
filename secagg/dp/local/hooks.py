"""Per-sample gradients by Opacus' hooks, put on for a training and taken off after it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from opacus.grad_sample import GradSampleModule
from torch import nn

from secagg.errors import ConfigError


@contextmanager
def per_sample_gradients(model: nn.Module) -> Iterator[None]:
    """Within, a backward pass leaves the gradient of each record in `parameter.grad_sample`, records first.

    The model itself is called, not the wrapper: it stays what it was, and so do its tensors' names. Only modules in training mode count.

    Raises:
        ConfigError: the model has a trainable layer that Opacus cannot handle.
    """
    try:
        wrapper = GradSampleModule(model, loss_reduction="sum", strict=True)
    except (NotImplementedError, ValueError) as refused:
        raise ConfigError(f"Opacus refuses this model: {refused}") from refused
    try:
        with warnings.catch_warnings():
            # A LoRA factor of the first layer reads frozen embeddings: that no input needs a gradient is how it should be.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            yield
    finally:
        wrapper.to_standard_module()
        for module in model.modules():  # what a pass that failed half way left behind
            for name in ("activations", "max_batch_len"):
                if name in vars(module):  # peft's wrapper of a trained module shows the attributes of what it wraps
                    delattr(module, name)
        for parameter in model.parameters():
            for name in ("grad_sample", "_current_grad_sample", "_forward_counter"):
                if hasattr(parameter, name):
                    delattr(parameter, name)


def grad_sample(parameter: nn.Parameter) -> torch.Tensor | None:
    """The gradients of the records of one backward pass, or None where the parameter had no part in it.

    Raises:
        ConfigError: gradients of several passes, which would be clipped as if they were of one.
    """
    found = getattr(parameter, "grad_sample", None)
    if isinstance(found, list):
        raise ConfigError(
            f"gradients of {len(found)} backward passes lie in one parameter: take a step after each pass; larger batches come from"
            " `batch`, and `at_once` bounds the memory"
        )
    return found
