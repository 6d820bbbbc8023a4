"""Lists of known words: names of staff, of sites, of projects. Found in canonical text, in time linear in the text."""

from __future__ import annotations

from collections.abc import Iterable

from secagg.errors import ConfigError
from secagg.filters.canonical import CanonicalMap
from secagg.filters.finding import Finding

_CANONICAL = CanonicalMap("numerals", "han")
LONGEST = 64


class Gazetteer:
    """Every occurrence of `phrases` is a finding of `entity`; Latin phrases only as whole words.

    Raises:
        ConfigError: a phrase that is empty, longer than 64 characters or, in Chinese, a single character.
    """

    def __init__(self, entity: str, phrases: Iterable[str], *, confidence: float = 0.9, name: str = "gazetteer") -> None:
        self._entity, self._confidence, self._name = entity, confidence, name
        self._lengths: dict[str, list[int]] = {}
        self._phrases: set[str] = set()
        for number, phrase in enumerate(phrases, 1):
            canonical = _CANONICAL.string(phrase.strip())
            if not 2 <= len(canonical) <= LONGEST:
                raise ConfigError(f"{name}, phrase {number}: {len(canonical)} characters; a phrase has 2 to {LONGEST}")
            self._phrases.add(canonical)
            lengths = self._lengths.setdefault(canonical[:2], [])
            if len(canonical) not in lengths:
                lengths.append(len(canonical))
                lengths.sort(reverse=True)

    def __call__(self, text: str) -> list[Finding]:
        """Findings in `text`, longest phrase first at each place."""
        canonical = _CANONICAL.text(text)
        plain, found, index = canonical.text, [], 0
        while index < len(plain) - 1:
            length = next((n for n in self._lengths.get(plain[index : index + 2], ()) if self._stands(plain, index, index + n)), 0)
            if length:
                found.append(Finding(*canonical.span(index, index + length), self._entity, self._confidence, self._name))
            index += length or 1
        return found

    def _stands(self, plain: str, start: int, end: int) -> bool:
        if plain[start:end] not in self._phrases:
            return False
        return not (_glued(plain, start - 1, start) or _glued(plain, end - 1, end))


def _glued(text: str, left: int, right: int) -> bool:
    """Whether two neighbours are one Latin word or number."""
    return (
        left >= 0
        and right < len(text)
        and text[left].isascii()
        and text[left].isalnum()
        and text[right].isascii()
        and text[right].isalnum()
    )
