"""The decoding fence for transformers: a `LogitsProcessor` for `generate`, right for beams, batches, sampling and assisted decoding.

    model.generate(**inputs, logits_processor=[FenceLogitsProcessor(fence)])

The state of a row is found by the tokens it holds, not by its place in the batch, so beams may be re-ordered and candidates of assisted
decoding may be taken back.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from secagg.filters.fence.decoding import Allowed, DecodingFence, State

if TYPE_CHECKING:
    import torch

_KEPT = 4096
"""Prefixes whose state is kept: several steps of a large batch of beams. One that is forgotten is read again, as a prompt."""


class FenceLogitsProcessor:
    """Sets the logits of forbidden tokens to −inf.

    Args:
        fence: the decoding fence of the model's vocabulary.
        measure: also add up the probability that the model gave to forbidden tokens (one softmax a step).

    Guarantees:
        Text decoded from what a model generates through this processor, with special tokens skipped, holds no blocked phrase in any
        tokenisation and any disguise that its policy covers, wherever generation stops; nor does it with the prompt before it complete one.
        If nothing else is left, the end of the sequence is allowed: it is so in every state.

    Use a new one for each call of `generate`, or the same one for many: a sequence that does not go on from one seen before is a prompt.
    """

    supports_continuous_batching = False

    def __init__(self, fence: DecodingFence, *, measure: bool = False) -> None:
        self.fence = fence
        self.steps = 0
        self.dead_ends = 0
        self.suppressed = 0.0
        self._measure = measure
        self._size = len(fence.vocabulary.tokens)
        self._always = Allowed(fence.always, only=False)
        self._states: OrderedDict[bytes, State] = OrderedDict()
        self._tensors: dict[int, tuple[Allowed, torch.Tensor]] = {}

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`, a batch by the vocabulary, with forbidden tokens at −inf; the argument stays as it was."""
        fenced = scores.clone()
        for row, ids in enumerate(np.ascontiguousarray(input_ids.detach().cpu().numpy(), np.int64)):
            self._fence(fenced[row], self.fence.allowed(self._state(ids)))
        if self._measure:
            lost = scores.softmax(-1).nan_to_num().masked_fill(~fenced.isneginf(), 0.0)
            self.suppressed += float(lost.sum())
        self.steps += len(scores)
        return fenced

    def _state(self, ids: np.ndarray) -> State:
        whole = ids.tobytes()
        state = self._states.get(whole)
        if state is None:
            before = self._states.get(whole[: -ids.itemsize])
            state = self.fence.prompted(ids.tolist()) if before is None else self.fence.advance(before, int(ids[-1]))
            self._states[whole] = state
            if len(self._states) > _KEPT:
                self._states.popitem(last=False)
        return state

    def _fence(self, scores: torch.Tensor, allowed: Allowed) -> None:
        ids = self._on(scores, allowed)
        if allowed.only:
            kept = scores[ids]
            scores.fill_(-np.inf)
            scores[ids] = kept
        else:
            scores.index_fill_(0, self._on(scores, self._always), -np.inf)
            scores.index_fill_(0, ids, -np.inf)
            if len(scores) > self._size:
                scores[self._size :] = -np.inf  # the padding of an embedding: nothing is known of what it says
        # Only where another processor has forbidden the end can nothing be left.
        if bool(scores[self.fence.eos[0]] == -np.inf) and bool(scores.amax() == -np.inf):
            self.dead_ends += 1
            scores[list(self.fence.eos)] = 0.0

    def _on(self, scores: torch.Tensor, allowed: Allowed) -> torch.Tensor:
        """Ids as a tensor where the scores are, made once a state."""
        import torch

        known = self._tensors.get(id(allowed))
        if known is None or known[1].device != scores.device:
            if len(self._tensors) >= _KEPT:
                self._tensors.clear()
            known = self._tensors[id(allowed)] = (allowed, torch.from_numpy(allowed.ids).to(scores.device))
        return known[1]
