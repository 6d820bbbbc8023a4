"""What five companies train, the same in every stack: LoRA on a small frozen network, each with data of its own."""

from __future__ import annotations

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

CLIENTS, STEPS, RATE = 5, 8, 0.5


def make_model() -> PeftModel:
    """The same base and the same first adapter everywhere."""
    torch.manual_seed(7)
    base = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 4))
    return get_peft_model(base, LoraConfig(r=4, target_modules=["0", "2"]))


def make_data(client: int) -> tuple[torch.Tensor, torch.Tensor]:
    """40 + 8 · client examples that only this client has."""
    source = torch.Generator().manual_seed(100 + client)
    x = torch.randn(40 + 8 * client, 16, generator=source)
    return x, (x[:, :4] + 0.3 * client).argmax(1)


def fit(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """One round's training; gives the last loss."""
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=RATE)
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
    return float(loss.detach())


def loss_of(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """How well the model does on these examples."""
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model(x), y))
