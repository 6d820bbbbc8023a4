"""The same part in the task as `secagg join`, from a loop of one's own: `python loop.py`."""

# ruff: noqa: T201  # a script prints
from __future__ import annotations

import torch
from adapter import HERE
from safetensors.torch import save_file
from train import Train

import secagg
from secagg.lora import adapter_state, delta, load_adapter

train = Train(data="data/train.jsonl")
with secagg.join(
    "127.0.0.1:7070",
    identity=secagg.Identity.load(HERE / "pki/client"),
    aggregator=secagg.Identity.load(HERE / "pki/aggregator"),  # peer mode; leave it out otherwise
    like=adapter_state(train.model),  # rounds over other tensors are refused, and models come as torch tensors
    base_model=train.base_model,
    layout=train.layout,
    policy=secagg.Policy(min_servers=2),
) as session:
    for adapter in session.rounds():
        load_adapter(train.model, adapter)
        train.fit(torch.Generator().manual_seed(session.round))
        session.submit(delta(adapter_state(train.model), adapter), weight=len(train.labels))
        print(f"round {session.round}: submitted")
    save_file(dict(session.model), HERE / "results/model.safetensors")
    for receipt in session.receipts:
        number = receipt.round.description.round
        (HERE / f"results/round-{number:04d}.receipt").write_bytes(receipt.to_bytes())
        print(f"round {number}: {', '.join(receipt.included)} in the sum")
