"""Long texts for models with a limit: read in stretches that overlap, so that no name is cut in two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from secagg.errors import ConfigError
from secagg.filters.detector import Source
from secagg.filters.finding import Finding

STRETCH, OVERLAP = 20_000, 200
"""Characters read at once, and how many of them again with the next stretch: longer than any name."""
PERSONS: Mapping[str, str] = {"PERSON": "NAME", "PER": "NAME"}
"""What models call a person, and what the sanitiser does."""


class Span(NamedTuple):
    """What a model says of a text."""

    start: int
    end: int
    label: str
    score: float


def as_source(read: Callable[[str], Iterable[Span]], name: str, labels: Mapping[str, str]) -> Source:
    """A source of findings from a function that labels one text. An error of it is told without its message, which may quote the text."""

    def find(text: str) -> list[Finding]:
        found: dict[tuple[int, int, str], Finding] = {}
        for first in range(0, max(len(text) - OVERLAP, 1), STRETCH - OVERLAP):
            for span in _read(read, text[first : first + STRETCH], name):
                if span.label in labels and span.start < span.end:
                    one = Finding(first + span.start, first + span.end, labels[span.label], round(span.score, 3), name)
                    found[one.start, one.end, one.entity] = one
        return list(found.values())

    return find


def _read(read: Callable[[str], Iterable[Span]], text: str, name: str) -> list[Span]:
    try:
        return list(read(text))
    except Exception as error:
        raise ConfigError(f"{name}: the model failed on a text of {len(text)} characters with {type(error).__name__}") from None
