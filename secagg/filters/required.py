"""What a text must hold for a pattern to match it: read off the pattern once, looked up in every text before the pattern is tried.

Most captions hold no `@`, no `°` and fewer digits than a card number has; a look at the set of their characters spares most searches.
The conditions are necessary ones by construction: a text that fails them has no match.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_DIGITS = frozenset("0123456789")
_MOST, _LARGEST = 3, 80
"""Sets that are kept of one pattern, and how many characters a set may have to be worth a look."""
_RARE = {letter: 0.002 * place for place, letter in enumerate("qzjxvkwybfpgmcuhdlrsntoiae", 1)}
"""Roughly how often a character stands in a caption; what is not here is rarer."""

Needs = tuple[frozenset[frozenset[str]], int]
"""Sets of which the text holds at least one character each, and how many digits it holds at least."""
_NOTHING: Needs = (frozenset(), 0)


@dataclass(frozen=True, slots=True)
class Required:
    """Necessary conditions for a match."""

    sets: tuple[frozenset[str], ...]
    digits: int

    @classmethod
    def of(cls, pattern: str) -> Required:
        """The conditions of a pattern that compiles."""
        sets, digits = _all(_parser.parse(pattern))
        smallest = sorted((one for one in sets if not one >= _DIGITS), key=_weight)
        return cls(tuple(smallest[:_MOST]), digits)

    def met(self, characters: set[str], digits: int) -> bool:
        """Whether a text of these characters and so many digits can have a match."""
        if digits < self.digits:
            return False
        return not any(characters.isdisjoint(one) for one in self.sets)


def digits_in(text: str) -> int:
    """How many of the ten digits stand in canonical text."""
    return sum(map(text.count, "0123456789"))


def _all(parts: Iterable[tuple[Any, Any]]) -> Needs:
    """One part after the other: what each needs, the text needs. What is only looked at adds no digits."""
    needs = [(str(operation) == "ASSERT", *_one(str(operation), argument)) for operation, argument in parts]
    taken = sum(digits for seen, _, digits in needs if not seen)
    looked_at = max((digits for seen, _, digits in needs if seen), default=0)
    return frozenset[frozenset[str]]().union(*(sets for _, sets, _ in needs)), max(taken, looked_at)


def _one(operation: str, argument: Any) -> Needs:  # noqa: ANN401  # the parser of `re` has no types
    match operation:
        case "LITERAL":
            return _set({chr(argument)})
        case "IN":
            return _set(_characters(argument))
        case "SUBPATTERN":
            return _all(argument[-1])
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, _, body = argument
            sets, digits = _all(body)
            return (sets, int(low) * digits) if low else _NOTHING
        case "BRANCH":
            return _either([_all(branch) for branch in argument[1]])
        case "ASSERT":
            return _all(argument[1])
        case "ATOMIC_GROUP":
            return _all(argument)
    return _NOTHING


def _set(characters: set[str]) -> Needs:
    if not characters or len(characters) > _LARGEST:
        return _NOTHING
    return frozenset({frozenset(characters)}), int(characters <= _DIGITS)


def _characters(items: Iterable[tuple[Any, Any]]) -> set[str]:
    """The characters of a set such as `[a-z@]`; none if it is negated, has classes, or is large."""
    found: set[str] = set()
    for operation, argument in items:
        if str(operation) == "LITERAL":
            found.add(chr(argument))
        elif str(operation) == "RANGE" and argument[1] - argument[0] <= _LARGEST:
            found.update(map(chr, range(argument[0], argument[1] + 1)))
        else:
            return set()
    return found


def _either(branches: list[Needs]) -> Needs:
    """One of several: the text needs a character of any, chosen where each branch is rarest."""
    digits = min(count for _, count in branches)
    if not all(sets for sets, _ in branches):
        return frozenset(), digits
    rarest = reduce(frozenset.union, (min(sets, key=_weight) for sets, _ in branches))
    return (frozenset({rarest}) if len(rarest) <= _LARGEST else frozenset()), digits


def _weight(characters: frozenset[str]) -> tuple[float, list[str]]:
    """How likely a text holds one of them; the characters themselves only to decide between equals, always in the same way."""
    return sum(_often(character) for character in characters), sorted(characters)


def _often(character: str) -> float:
    return 0.05 if character in _DIGITS or character == " " else _RARE.get(character, 0.001)
