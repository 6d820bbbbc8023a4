"""Whether a text says a blocked phrase, by plain search in canonical text: neither automata nor rows of a fence are asked.

`auto` is judged by its definition: a short Latin phrase in one of its spellings between word boundaries, one of six letters also in one
piece, any other phrase as `robust`, anywhere in the letters and digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from secagg.filters.fence import Policy, alphabet
from secagg.filters.fence.short import SOLID, short, spellings

_See = Callable[[str], str]


class Judge:
    """Of a list of phrases under one policy, `robust` or `auto`."""

    def __init__(self, phrases: Iterable[str], policy: Policy) -> None:
        letters, words, solid = alphabet.robust(), alphabet.short(), alphabet.solid()

        def between(text: str) -> str:
            return f" {' '.join(text.translate(words).split())} "

        whole, apart, joined = set[str](), set[str](), set[str]()
        for phrase in phrases:
            seen = phrase.translate(letters)
            if policy == "robust" or not short(seen):
                whole.add(seen)
                continue
            apart |= {between(form) for form in spellings(phrase.translate(words))}
            if len(seen) == SOLID:
                joined.add("".join(filter(str.isalnum, phrase)).translate(solid))
        self._searches = [
            (see, lengths)
            for see, needles in (
                (lambda text: text.translate(letters), whole),
                (between, apart),
                (lambda text: text.translate(solid), joined),
            )
            if (lengths := _by_length(needles))
        ]

    def says(self, text: str) -> bool:
        """Whether any phrase is in `text`."""
        for see, lengths in self._searches:
            seen = see(text)
            for length, needles in lengths.items():
                if not needles.isdisjoint(seen[at : at + length] for at in range(len(seen) - length + 1)):
                    return True
        return False


def _by_length(needles: Iterable[str]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for needle in needles:
        found.setdefault(len(needle), set()).add(needle)
    return found
