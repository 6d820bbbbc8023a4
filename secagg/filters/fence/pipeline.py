"""A text-generation pipeline of transformers behind the fence.

generate = FencedPipeline(pipeline("text-generation", model=…), fence)
generate("Describe the incident:", max_new_tokens=60)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from secagg.errors import ConfigError
from secagg.filters.fence.decoding import DecodingFence
from secagg.filters.fence.fence import Fence
from secagg.filters.fence.instead import Instead
from secagg.filters.fence.processor import FenceLogitsProcessor
from secagg.filters.fence.tokens import Vocabulary

if TYPE_CHECKING:
    from secagg.filters.fence.monitor import Monitor

_LABELS = frozenset({"role", "type"})


class FencedPipeline:
    """Called as the pipeline is; the fence stands in its decoding, and once more behind it, where a prompt is given back with the answer.

    Args:
        pipe: `pipeline("text-generation", …)`.
        fence: what is blocked.
        instead: what the model says where it wants to say what is blocked.
        monitor: counts steps, texts and hits.
        cache: a folder that keeps what is worked out for a vocabulary (`secagg.filters.fence.cache`).

    Raises:
        ConfigError: a pipeline of another task, a tokenizer that cannot be fenced, or one without an end of the sequence.
    """

    def __init__(
        self, pipe: Any, fence: Fence, *, instead: Instead | None = None, monitor: Monitor | None = None, cache: Path | None = None
    ) -> None:
        if pipe.task != "text-generation":
            raise ConfigError(f"a pipeline for {pipe.task!r} cannot be fenced: give model.generate a FenceLogitsProcessor")
        eos = pipe.model.generation_config.eos_token_id
        eos = pipe.tokenizer.eos_token_id if eos is None else eos
        if eos is None:
            raise ConfigError("neither the model nor its tokenizer names an end of the sequence: set generation_config.eos_token_id")
        self.pipe, self.fence, self.monitor = pipe, fence, monitor
        self.decoding = DecodingFence(fence, Vocabulary.of(pipe.tokenizer, cache=cache), eos=eos, cache=cache)
        self._instead = instead

    def __call__(self, *args: Any, logits_processor: Any = (), **kwargs: Any) -> Any:
        """What the pipeline returns, fenced. A logits processor of the caller's works before the fence."""
        fence = FenceLogitsProcessor(self.decoding, instead=self._instead, monitor=self.monitor)
        return self._clean(self.pipe(*args, logits_processor=[*logits_processor, fence], **kwargs))

    def _clean(self, answer: Any) -> Any:
        match answer:
            case str():
                fenced = self.fence.apply(answer, seen=None if self.monitor is None else self.monitor.hit)
                if self.monitor is not None:
                    self.monitor.text(len(fenced.hits), refused=bool(fenced.hits) and self.fence.action == "refuse")
                return fenced.text
            case list() | tuple():
                return [self._clean(part) for part in answer]
            case dict():
                return {key: part if key in _LABELS else self._clean(part) for key, part in answer.items()}
        return answer
