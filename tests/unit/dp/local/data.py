"""Tiny models of four families, and records of different lengths for them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from secagg.dp.local import caption_loss, per_sample_gradients
from secagg.dp.local.hooks import grad_sample
from tests.unit.lora.models import VOCABULARY, adapted

FAMILIES = ("bert", "gpt2", "llama", "captioner")
LONGEST = 8


def model(family="llama", *, seed=0, **options):
    """A model whose adapter is not where LoRA starts: there half of all gradients are zero."""
    made = adapted(family, seed=seed, **options)
    if family == "captioner":
        config: Any = made.get_base_model().config
        config.decoder_start_token_id = config.pad_token_id = 0
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=draw))
    return made


def records(count, family="llama", seed=0):
    """Examples of 3 to 8 tokens, the longest first and the shortest second."""
    draw = torch.Generator().manual_seed(seed)
    made = []
    for number in range(count):
        length = {0: LONGEST, 1: 3}.get(number, int(torch.randint(3, LONGEST + 1, (1,), generator=draw)))
        tokens = torch.randint(2, VOCABULARY, (LONGEST,), generator=draw)
        labels = torch.where(torch.arange(LONGEST) < length, tokens, -100)
        match family:
            case "captioner":
                made.append({"pixel_values": torch.randn(3, 8, 8, generator=draw), "labels": labels})
            case "bert":
                made.append({"input_ids": tokens, "labels": torch.tensor(number % 3)})
            case _:
                made.append({"input_ids": tokens, "attention_mask": (torch.arange(LONGEST) < length).long(), "labels": labels})
    return made


def stacked(examples):
    return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}


def gradient(given, batch, loss=caption_loss):
    """The gradient of the summed loss, by plain autograd, as one vector; dropout is off."""
    given.eval()
    parameters = [parameter for parameter in given.parameters() if parameter.requires_grad]
    return torch.cat([grad.flatten() for grad in torch.autograd.grad(loss(given, batch).sum(), parameters)])


@contextmanager
def passes(given):
    """A function (batch, loss) to (records, values): one row for each record, from one pass. Dropout is off."""
    given.eval()
    for module in given.modules():  # hooks look at the mode of their own module
        module.training = any(parameter.requires_grad for parameter in module.parameters(recurse=False))
    parameters = [parameter for parameter in given.parameters() if parameter.requires_grad]

    def rows(batch, loss=caption_loss):
        loss(given, batch).sum().backward()
        found = torch.cat([found.flatten(1) for parameter in parameters if (found := grad_sample(parameter)) is not None], dim=1)
        for parameter in parameters:
            parameter.grad_sample = None
        return found

    with per_sample_gradients(given):
        yield rows


def per_sample(given, batch, loss=caption_loss):
    with passes(given) as rows:
        return rows(batch, loss)


def entropy(seed=0):
    """Coins that a test can repeat."""
    return np.random.default_rng(seed).bytes


def weights(given):
    return torch.cat([parameter.detach().flatten().clone() for parameter in given.parameters() if parameter.requires_grad])
