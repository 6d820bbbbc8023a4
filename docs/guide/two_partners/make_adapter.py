"""The adapter that round 1 starts from, in `first.safetensors`, and the line that tells the hub of which base model it is."""

# ruff: noqa: T201  # a script prints
from __future__ import annotations

import torch
from adapter import HERE, load

from secagg.lora import base_hash, save_first

torch.manual_seed(7)  # LoRA's A is random: drawn once, here, and the same for all
model, _ = load()
save_first(model, HERE / "first.safetensors")  # with what the tensors do not show: the adapter's configuration, the base
print(f'base_model = "{base_hash(model).hex()}"')
