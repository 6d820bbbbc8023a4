"""What a transformers model gives to secrets after a canary's sentence: the scores that the meter reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from secagg.dp.audit.canaries import Tokens
from secagg.errors import ConfigError


class Reading:
    """A model, in peft or not, before one canary's sentence.

    Args:
        model: a causal model, or an encoder-decoder for text or pictures.
        prompt: the sentence's tokens, up to the secret; for an encoder-decoder those of the decoder, its start token first.
        inputs: one row of the encoder's inputs, such as `pixel_values`; None for a causal model.

    Raises:
        ConfigError: an empty prompt, or inputs of several rows.
    """

    def __init__(self, model: nn.Module, prompt: Tokens, inputs: Mapping[str, torch.Tensor] | None = None) -> None:
        if not prompt or (inputs is not None and any(len(value) != 1 for value in inputs.values())):
            raise ConfigError("a canary has a sentence of at least one token, and one row of encoder inputs")
        get = getattr(model, "get_base_model", None)
        self._model: Any = get() if callable(get) else model
        self._prompt = torch.tensor(prompt)
        self._seen: torch.Tensor | None = None
        if inputs is not None:
            with _asking(self._model):
                self._seen = _encoder(self._model)(**inputs).last_hidden_state

    def score(self, secrets: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, length) secrets to their n negative log-likelihoods, in nats."""
        tokens = torch.from_numpy(secrets)
        before = self._prompt.expand(len(tokens), -1)
        with _asking(self._model):
            logits = self._logits(torch.cat([before, tokens[:, :-1]], dim=1))[:, len(self._prompt) - 1 :]
            found: NDArray[np.float64] = -logits.log_softmax(-1).gather(2, tokens[:, :, None]).sum((1, 2)).double().numpy()
        return found

    def following(self, first: Tokens) -> NDArray[np.float64]:
        """Log-probabilities of the token after the sentence and the secret's first tokens."""
        with _asking(self._model):
            found: NDArray[np.float64] = (
                self._logits(torch.cat([self._prompt, torch.tensor(first, dtype=torch.long)])[None])[0, -1].log_softmax(-1).double().numpy()
            )
        return found

    def _logits(self, tokens: torch.Tensor) -> torch.Tensor:
        if self._seen is None:
            found: torch.Tensor = self._model(input_ids=tokens, use_cache=False).logits
        else:
            seen = BaseModelOutput(last_hidden_state=self._seen.expand(len(tokens), -1, -1).contiguous())
            found = self._model(encoder_outputs=seen, decoder_input_ids=tokens, use_cache=False).logits
        return found.float()


def _encoder(model: Any) -> Any:  # noqa: ANN401  # transformers' classes share the method and no type for it
    return model.get_encoder()


@contextmanager
def _asking(model: nn.Module) -> Iterator[None]:
    """Dropout off, no gradients; modes are afterwards as they were."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
