"""A recogniser: a pattern over canonical text, what a match is worth, and the cue words that raise it.

A match scores `base`; a `validate` that knows a checksum moves it to what it returns; a cue near it lifts it to at least `with_cue`. A
match is a finding from `THRESHOLD` on. So a number that fails its checksum stays a finding where a cue stands near: numbers in real
text are often mistyped, and a mistyped number still names somebody.

Patterns are searched in canonical text (`canonical`, lower case, Chinese digits folded), so they are written in lower case and plain
digits. Boundaries are ASCII look-arounds, never `\\b`, which sees no boundary between a Chinese character and a digit. Repetitions are
bounded or anchored, so that a search takes time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from secagg.filters.required import Required

THRESHOLD = 0.5
WINDOW = 16
"""Canonical characters before a match in which a cue counts; ten behind it do too."""
BEHIND = 10

SEPARATOR = r"[^0-9a-z\u4e00-\u9fff\n]"
"""What people put between the digits of one number to group or to disguise it: signs, brackets, emoji; letters are a view's business."""
GAP = SEPARATOR + "{0,3}"
_NOT_ALNUM = re.compile(r"[^0-9a-z]")


@dataclass(frozen=True)
class Recogniser:
    """One shape of one entity. `value` is the group of the pattern that is the value; 0 is the whole match."""

    entity: str
    pattern: str
    base: float
    cues: str = ""
    with_cue: float = 0.0
    validate: Callable[[str], float | None] | None = None
    """Gets the value without separators; returns the confidence, or None to leave `base`. 0 with a cue counts `with_cue` all the same."""
    veto: Callable[[str], bool] | None = None
    """Gets the value as it stands in canonical text; True where it cannot be this entity, cue or not."""
    value: int | str = 0
    fewest_digits: int = 0
    """Digits that the text holds at least, where the pattern does not say so itself."""
    lead: Callable[[str], int] | None = None
    """Gets the value as it stands in canonical text; how many of its first characters are the sentence rather than the value."""
    settle: Callable[[str, int, int], tuple[int, int] | None] | None = None
    """Gets the text in the case that it is written in, and the span of the value; the span that it has there, None if capitals speak
    against it."""
    name: str = ""

    @cached_property
    def required(self) -> Required:
        """What a text must hold for the pattern to match it."""
        own = Required.of(self.pattern)
        return Required(own.sets, max(own.digits, self.fewest_digits))

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern, compiled on first use."""
        return re.compile(self.pattern)

    @cached_property
    def cue(self) -> re.Pattern[str] | None:
        """The cue words, compiled on first use."""
        return re.compile(self.cues) if self.cues else None

    def confidence(self, text: str, match: re.Match[str]) -> float:
        """What a match in canonical `text` is worth, between 0 and 1."""
        value = match[self.value]
        if self.veto is not None and self.veto(value):
            return 0.0
        score = self.base
        if self.validate is not None:
            checked = self.validate(_NOT_ALNUM.sub("", value))
            score = score if checked is None else checked
        if self.with_cue > score and (cue := self.cue) is not None:
            start, end = match.span(self.value)
            if cue.search(text, max(0, start - WINDOW), start) or cue.search(text, end, end + BEHIND):
                score = self.with_cue
        return score


def digits(count: str, first: str = "0-9") -> str:
    """A pattern of digits with optional separators between them; `count` as in `{3}` or `{7,15}` counts those behind the first."""
    return f"[{first}](?:{GAP}[0-9]){{{count}}}"
