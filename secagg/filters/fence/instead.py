"""What a model says in place of what is blocked: words of the operator's, said token by token through the same fence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from secagg.errors import ConfigError
from secagg.filters.fence.decoding import DecodingFence


@dataclass(frozen=True, slots=True)
class Instead:
    """A replacement or a refusal, as tokens.

    It begins at a step at which the model gives at least `above` of its probability to forbidden tokens. With `end` the text is over after
    it (a refusal), else the model goes on (a replacement). Its tokens are fenced like all others: one that would complete what the text has
    begun is not said, and the text ends or goes on without it.

    Raises:
        ConfigError: no token, or a share that is none.
    """

    ids: Sequence[int]
    end: bool = True
    above: float = 0.5

    def __post_init__(self) -> None:
        if not self.ids:
            raise ConfigError("a replacement without tokens: give the ids of what is to be said")
        if not 0 < self.above <= 1:
            raise ConfigError(f"a replacement from {self.above} of the probability on: use a share above 0 and at most 1")

    @classmethod
    def of(cls, tokenizer: Any, text: str, *, end: bool = True, above: float = 0.5) -> Instead:  # noqa: ANN401
        """Of a text; `tokenizer` is one of transformers."""
        return cls(tuple(tokenizer.encode(text, add_special_tokens=False)), end, above)

    def check(self, fence: DecodingFence) -> None:
        """Raises ConfigError if `fence` forbids one of the tokens even in an empty text."""
        state = fence.start
        for place, token in enumerate(self.ids):
            if not fence.permits(state, token):
                raise ConfigError(
                    f"token {place} of the replacement ({token}) is itself blocked, or none of the vocabulary: choose another text"
                )
            state = fence.advance(state, token)
