"""Text with look-alikes plain and hidden characters left out, in the case that it shows: capitals say where a name or a town begins."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from secagg.filters.canonical import CanonicalMap

_HAN_MAP = CanonicalMap("han")


@dataclass(frozen=True, slots=True)
class Cased:
    """The text, and the index in the original of each of its characters."""

    text: str
    offsets: Sequence[int]

    @classmethod
    def of(cls, text: str) -> Cased:
        """The cased text of an original."""
        if text.isascii():
            return cls(text, range(len(text)))
        parts: list[str] = []
        offsets: list[int] = []
        for index, character in enumerate(text):
            mapped = character if "\u00c0" <= character <= "\u024f" else _HAN_MAP.char(character)
            parts.append(mapped.upper() if character.isupper() and mapped.islower() else mapped)
            offsets += [index] * len(parts[-1])
        return cls("".join(parts), offsets)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original that holds characters `start` to `end`."""
        return self.offsets[start], self.offsets[end - 1] + 1

    def here(self, start: int, end: int) -> tuple[int, int]:
        """Where a span of the original is in this text."""
        return bisect_left(self.offsets, start), bisect_left(self.offsets, end)
