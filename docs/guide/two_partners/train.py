"""One company's training, as `secagg join` calls it once a round."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from adapter import HERE, load

from secagg.lora import adapter_layout, adapter_state, base_hash, load_adapter


class Train:
    """`[training] callable = "train:Train"`; the arguments are `[training.options]`."""

    def __init__(self, data: str, steps: int = 20, learning_rate: float = 0.005, rank: int = 8) -> None:
        self.model, tokenizer = load(rank)
        self.base_model = base_hash(self.model)  # rounds over another base model are refused
        self.layout = adapter_layout(self.model, base=self.base_model)  # and over an adapter of another configuration
        self.steps, self.learning_rate = steps, learning_rate
        reports = [json.loads(line) for line in (HERE / data).read_text().splitlines()]
        self.inputs = dict(tokenizer([one["text"] for one in reports], padding=True, return_tensors="pt"))
        self.labels = torch.tensor([self.model.config.label2id[one["label"]] for one in reports])

    def __call__(self, state: Mapping[str, torch.Tensor], round: int) -> tuple[dict[str, torch.Tensor], int]:
        """The adapter after training from `state`, and the number of examples it saw."""
        load_adapter(self.model, state)
        self.fit(torch.Generator().manual_seed(round))
        return adapter_state(self.model), len(self.labels)

    def fit(self, draw: torch.Generator) -> None:
        """Some steps over this company's own reports: put your training loop here."""
        self.model.train()
        optimizer = torch.optim.AdamW([weight for weight in self.model.parameters() if weight.requires_grad], lr=self.learning_rate)
        for _ in range(self.steps):
            batch = torch.randint(len(self.labels), (32,), generator=draw)
            inputs = {name: values[batch] for name, values in self.inputs.items()}
            self.model(**inputs, labels=self.labels[batch]).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
