"""Short Latin phrases in a list of many: found where they stand as a word of their own, in the spellings that people disguise them with.

Under `robust` a phrase such as "ass", "1t" or "b" is found in "as soon", "it" and almost everything else. What is too short to be taken for
itself is therefore looked for between word boundaries: as it is spelled, joined, spaced out ("a s s", "a.s.s"), and with digits and signs
for letters, as long as letters remain ("a5s", "4ss", "s3x", "sh!t"). Six letters are looked for inside longer words too, in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

LONG = 7
"""Letters and digits from which on a Latin phrase is found through everything, also over the ends of words."""
SOLID = LONG - 1
"""A phrase of so many is found inside longer words in one piece ("falcons"), and in pieces between word boundaries ("fal con")."""
_DIGITS = {"o": "0", "i": "1", "l": "1", "e": "3", "a": "4", "s": "5", "t": "7"}
_SWAPPED = 2
"""Digits for letters in one word, at most."""


def short(symbols: str) -> bool:
    """Whether what `robust` sees of a phrase is too little to be looked for inside words."""
    return symbols.isascii() and len(symbols) < LONG


def spellings(phrase: str) -> Iterator[str]:
    """The ways to write a short phrase that are looked for; `phrase` is canonical text, its words apart."""
    words = phrase.split()
    yield phrase
    letters = "".join(words)
    if len(letters) < 3 or not letters.isalpha():
        return
    for form in _swapped(letters):
        yield form
        yield " ".join(form)
        if len(words) > 1:
            yield _apart(form, words)
    if len(letters) == SOLID:
        yield from _split(letters)
    for at in range(1, len(letters) - 1):
        if letters[at] == "i" and len(letters) > 3:
            yield f"{letters[:at]} {letters[at + 1 :]}"  # ! is a gap here: it ends more sentences than it hides letters


def _split(letters: str) -> Iterator[str]:
    """`letters` with gaps in every set of places."""
    for gaps in range(1 << (len(letters) - 1)):
        yield "".join(letter + " " * (gaps >> at & 1) for at, letter in enumerate(letters))


def _swapped(letters: str) -> Iterator[str]:
    """`letters`, and each way to write up to two of them as digits that leaves two letters."""
    places = [at for at, letter in enumerate(letters) if letter in _DIGITS]
    for count in range(min(_SWAPPED, len(letters) - 2) + 1):
        for chosen in combinations(places, count):
            yield "".join(_DIGITS[letter] if at in chosen else letter for at, letter in enumerate(letters))


def _apart(form: str, words: list[str]) -> str:
    """`form` with the gaps that are between `words`."""
    ends = [sum(map(len, words[:count])) for count in range(len(words) + 1)]
    return " ".join(form[first:last] for first, last in pairwise(ends))
