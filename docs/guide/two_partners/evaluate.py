"""How many of the agreed test reports a model labels right: `python evaluate.py ADAPTER`, or `alone` for six rounds without partners."""

# ruff: noqa: T201  # a script prints
from __future__ import annotations

import sys

import torch
from adapter import HERE
from safetensors.torch import load_file
from train import Train

from secagg.lora import load_adapter

torch.manual_seed(7)
test, mine = Train(data="data/test.jsonl"), Train(data="data/train.jsonl")
if sys.argv[1] == "alone":
    for round in range(1, 7):
        mine.fit(torch.Generator().manual_seed(round))
else:
    load_adapter(mine.model, load_file(sys.argv[1]))
mine.model.eval()
with torch.no_grad():
    right = mine.model(**test.inputs).logits.argmax(dim=1) == test.labels
print(f"{HERE.name}, {sys.argv[1]}: {right.float().mean():.2f} of {len(right)} reports right")
