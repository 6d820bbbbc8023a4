"""The decoding fence for transformers: a `LogitsProcessor` for `generate`, right for beams, batches, sampling and assisted decoding.

    model.generate(**inputs, logits_processor=[FenceLogitsProcessor(fence)])

The state of a row is found by the tokens it holds, not by its place in the batch, so beams may be re-ordered and candidates of assisted
decoding may be taken back.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from secagg.filters.fence.decoding import DecodingFence, State
from secagg.filters.fence.endings import Allowed
from secagg.filters.fence.instead import Instead

if TYPE_CHECKING:
    import torch

    from secagg.filters.fence.monitor import Monitor

_KEPT = 4096
"""Prefixes whose state is kept: several steps of a large batch of beams. One that is forgotten is read again, as a prompt."""


class _Row(NamedTuple):
    """What is known of a prefix: its state, and how many tokens of the replacement stand at its end; None if it is in none."""

    state: State
    said: int | None = None


class FenceLogitsProcessor:
    """Sets the logits of forbidden tokens to −inf.

    Args:
        fence: the decoding fence of the model's vocabulary.
        instead: what to say where the model wants to say what is blocked; without it the model goes on with its next choice.
        measure: also add up in `suppressed` the probability that the model gave to forbidden tokens (one softmax a step); `instead` and
            `monitor` do so too.
        monitor: is told of every step.

    Guarantees:
        Text decoded from what a model generates through this processor, with special tokens skipped, holds no blocked phrase in any
        tokenisation and any disguise that its policy covers, wherever generation stops; nor does it with the prompt before it complete one.
        If nothing else is left, the end of the sequence is allowed: it is so in every state.

    Raises:
        ConfigError: a replacement that the fence itself forbids.

    Use a new one for each call of `generate`, or the same one for many: a sequence that does not go on from one seen before is a prompt.
    """

    supports_continuous_batching = False

    def __init__(
        self, fence: DecodingFence, *, instead: Instead | None = None, measure: bool = False, monitor: Monitor | None = None
    ) -> None:
        if instead is not None:
            instead.check(fence)
        self.fence = fence
        self.steps = 0
        self.dead_ends = 0
        self.replaced = 0
        self.suppressed = 0.0
        self._instead = instead
        self._monitor = monitor
        self._measure = measure or instead is not None or monitor is not None
        self._size = len(fence.vocabulary.tokens)
        self._always = Allowed(fence.always, only=False)
        self._rows: OrderedDict[bytes, _Row] = OrderedDict()
        self._tensors: dict[int, tuple[Allowed, torch.Tensor]] = {}

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores`, a batch by the vocabulary, with forbidden tokens at −inf; the argument stays as it was."""
        before = self.dead_ends, self.replaced, self.suppressed
        fenced = scores.clone()
        prefixes = np.ascontiguousarray(input_ids.detach().cpu().numpy(), np.int32)
        found = [self._find(ids) for ids in prefixes]
        for at, (_, row) in enumerate(found):
            self._fence(fenced[at], self.fence.allowed(row.state))
        if self._measure:
            lost = scores.softmax(-1).nan_to_num().masked_fill(~fenced.isneginf(), 0.0).sum(-1).tolist()
            self.suppressed += sum(lost)
            for at, (key, row) in enumerate(found):
                self._speak(fenced[at], key, row, lost[at])
        self.steps += len(scores)
        if self._monitor is not None:
            self._monitor.steps(
                len(scores),
                dead_ends=self.dead_ends - before[0],
                replaced=self.replaced - before[1],
                suppressed=self.suppressed - before[2],
            )
        return fenced

    def _find(self, ids: np.ndarray) -> tuple[bytes, _Row]:
        """A prefix by its digest: a long context is not kept once for each of its steps."""
        digest = hashlib.blake2b(ids[:-1].tobytes(), digest_size=16)
        shorter = digest.digest()
        digest.update(ids[-1:].tobytes())
        key = digest.digest()
        row = self._rows.get(key)
        if row is None:
            row = self._row(self._rows.get(shorter), ids)
            self._keep(key, row)
        return key, row

    def _row(self, before: _Row | None, ids: np.ndarray) -> _Row:
        if before is None:
            return _Row(self.fence.prompted(ids.tolist()))
        token = int(ids[-1])
        said = before.said
        if said is not None:
            goes_on = self._instead is not None and said < len(self._instead.ids) and token == self._instead.ids[said]
            said = said + 1 if goes_on else None
        return _Row(self.fence.advance(before.state, token), said)

    def _keep(self, key: bytes, row: _Row) -> None:
        self._rows[key] = row
        self._rows.move_to_end(key)
        if len(self._rows) > _KEPT:
            self._rows.popitem(last=False)

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

    def _speak(self, scores: torch.Tensor, key: bytes, row: _Row, lost: float) -> None:
        """Leave only the next token of the replacement, if one is being said or is due now."""
        instead = self._instead
        if instead is None:
            return
        if row.said is None and lost >= instead.above and self.fence.permits(row.state, instead.ids[0]):
            self.replaced += 1
            row = _Row(row.state, 0)
            self._keep(key, row)
        if row.said is None:
            return
        if row.said < len(instead.ids) and self.fence.permits(row.state, instead.ids[row.said]):
            left = [instead.ids[row.said]]
        elif instead.end:
            left = list(self.fence.eos)
        else:
            self._keep(key, _Row(row.state))
            return
        scores.fill_(-np.inf)
        scores[left] = 0.0

    def _on(self, scores: torch.Tensor, allowed: Allowed) -> torch.Tensor:
        """Ids as a tensor where the scores are, made once a state."""
        import torch

        known = self._tensors.get(id(allowed))
        if known is None or known[1].device != scores.device:
            if len(self._tensors) >= _KEPT:
                self._tensors.clear()
            known = self._tensors[id(allowed)] = (allowed, torch.from_numpy(allowed.ids.astype(np.int64)).to(scores.device))
        return known[1]
