"""What each policy sees of a character: a string of symbols, character by character, so that text may arrive in any pieces.

| policy | a letter or digit | a separator | an invisible character |
|---|---|---|---|
| `robust` | its canonical form, leet and look-alike digits folded | nothing | nothing |
| `word` | its canonical form; one of a script without word gaps stands alone | a gap | nothing |
| `solid` | as for `robust` | ends a word: no phrase goes on over it | nothing |
| `short` | as for `word`; signs that are drawn like letters (@ $ € £ ¥) folded | a gap | nothing |
| `shape` | its canonical form, Chinese digits folded | a gap (a blank, a dash, a dot) or a break | nothing |
"""

from __future__ import annotations

import re
from collections.abc import Callable

from secagg.filters.canonical import CanonicalMap

GAP = " "
"""Between words, and between the digits of a number."""
BREAK = "#"
"""Ends a number, or a word that must stand in one piece."""
MARK = "█"
"""Stands for what was redacted; in what goes out it counts as a letter that no phrase has, so nothing joins across it."""

_LEET = str.maketrans("013457@$!l€£¥ғ", "oieastasiieiyf")
"""`l` goes where 1 and I go: the three look alike (UTS #39). The last stands for f in texts set in small capitals."""
_SIGNS = frozenset("@$!€£¥ғ")
"""Characters that are letters here before they are anything else."""
CHINESE = re.compile("[\u3000-\u3004\u4e00-\u9fff，。！？：；（）“”█]*")
"""Text without anything that could be a Latin letter or an ASCII digit, where Chinese digits are text."""
_LOOSE = frozenset(" -.·_/()\t,")
_GAPLESS = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
"""Thai, Lao, Myanmar, Khmer, kana, Han: written without gaps between words."""


class Alphabet(dict[int, int | str]):
    """Code point to symbols, for `str.translate`; filled as characters are met. A single symbol is a number: a third of a string's size."""

    def __init__(self, name: str, symbols: Callable[[str], str]) -> None:
        super().__init__()
        self.name = name
        self._symbols = symbols

    def __missing__(self, point: int) -> int | str:
        symbols = self._symbols(chr(point))
        mapped: int | str = symbols
        if len(symbols) == 1:
            mapped = point if ord(symbols) == point else ord(symbols)  # the same object as the key, where it can be
        self[point] = mapped
        return mapped

    def origins(self, text: str) -> list[int]:
        """The character of `text` that each of its symbols comes from."""
        widths = (1 if isinstance(mapped := self[ord(character)], int) else len(mapped) for character in text)
        return [at for at, width in enumerate(widths) for _ in range(width)]


def robust() -> Alphabet:
    """Letters and digits only: what stands between them hides nothing."""
    return _letters("robust", "", "han", "numerals")


def solid() -> Alphabet:
    """Letters and digits as for `robust` (Chinese digits are text), with a break where anything else stands."""
    return _letters("solid", BREAK, "han")


def _letters(name: str, other: str, *folds: str) -> Alphabet:
    canonical = CanonicalMap(*folds)

    def symbols(character: str) -> str:
        if character in _SIGNS:
            return character.translate(_LEET)
        return "".join(c if c.isalnum() else other for c in canonical.once(character)).translate(_LEET)

    return Alphabet(name, symbols)


def word() -> Alphabet:
    """Words with gaps; a character of a script without gaps is a word of its own."""
    return _words("word", frozenset())


def short() -> Alphabet:
    """Words in which signs stand for letters; not `!`, which ends more sentences than it hides letters."""
    return _words("short", _SIGNS - {"!"})


def _words(name: str, signs: frozenset[str]) -> Alphabet:
    canonical = CanonicalMap("han")

    def one(c: str) -> str:
        if not c.isalnum():
            return GAP
        return f"{GAP}{c}{GAP}" if any(low <= ord(c) <= high for low, high in _GAPLESS) else c

    def symbols(character: str) -> str:
        return character.translate(_LEET) if character in signs else "".join(map(one, canonical.once(character)))

    return Alphabet(name, symbols)


def shape() -> Alphabet:
    """Digits, letters, gaps within a number, and breaks that end one."""
    canonical = CanonicalMap("han", "numerals")

    def one(c: str) -> str:
        if c.isalnum():
            return c
        return GAP if c in _LOOSE else BREAK

    return Alphabet("shape", lambda character: "".join(map(one, canonical.once(character))))
