"""Canonical text: what a reader sees, one character at a time, with an exact way back to where it stood.

A value disguised by full-width digits, zero-width characters, look-alikes or accents is the same canonical text as the value itself, so
patterns are written once. The map is a homomorphism: `text(a + b).text == text(a).text + text(b).text`, character by character, which NFKC
as a whole is not. That is what lets a decoding fence run the same map token by token.

Per character: dropped if it is a control, a format character or a combining mark; a blank of any kind is a space (a newline stays);
a digit of any script is the ASCII digit; otherwise NFKD, case folding, and two tables of look-alikes of Latin letters: Unicode's
UTS #39, and letters of other scripts that are drawn alike.
Three more folds are optional, since they change what plain text says: `leet`, `han` (traditional to simplified) and `numerals`
(Chinese digits).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources

from secagg.errors import ConfigError

FOLDS: frozenset[str] = frozenset({"leet", "han", "numerals"})
LEET = dict(zip("013457@$!|", "oieastasil", strict=True))
"""Digits and signs that stand for letters."""
NUMERALS = {
    character: str(value)
    for row in ("〇一二三四五六七八九", "零壹贰叁肆伍陆柒捌玖", "○壱貳參肆伍陸柒捌玖", "0幺弐叄４５陸７８９")
    for value, character in enumerate(row)
    if not character.isdecimal()
}
"""Chinese digits as they are written in place of 0 to 9, financial and spoken forms with them."""
_DROPPED = frozenset({"Cc", "Cf", "Mn", "Me", "Cs"})
_NAMED_LETTERS = (
    "NEGATIVE CIRCLED LATIN CAPITAL LETTER ",
    "NEGATIVE SQUARED LATIN CAPITAL LETTER ",
    "REGIONAL INDICATOR SYMBOL LETTER ",
    "PARENTHESIZED LATIN SMALL LETTER ",
    "PARENTHESIZED LATIN CAPITAL LETTER ",
    "LATIN LETTER SMALL CAPITAL ",
)
_DRAWN_AS = frozenset(
    {"TURNED", "REVERSED", "OPEN", "CLOSED", "BARRED", "SIDEWAYS", "BLACKLETTER", "SCRIPT", "STIRRUP", "SINOLOGICAL", "HALF"}
)
"""Ways to draw a Latin letter that Unicode names: ɛ is an open e, ǝ a turned one."""
_FILLERS = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")
"""Letters and symbols that show nothing."""


@dataclass(frozen=True, slots=True)
class Canonical:
    """Canonical text and where each of its characters came from."""

    text: str
    offsets: tuple[int, ...] | None
    """The index in the original of the character that each canonical one comes from; None where both have the same indices."""
    length: int
    """Characters of the original."""

    def origin(self, index: int) -> int:
        """The index in the original of canonical character `index`."""
        return index if self.offsets is None else self.offsets[index]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The smallest span of the original that holds canonical characters `start` to `end` (exclusive), dropped ones between included."""
        if start >= end:
            raise ConfigError(f"canonical span {start} to {end}: a span holds at least one character")
        return self.origin(start), self.origin(end - 1) + 1


class CanonicalMap:
    """The map with a fixed set of optional folds; made once, used for every text.

    `CanonicalMap()` maps "Ｔｅｌ： １\\u200b３８" to "tel: 138". Characters are worked out on first sight and kept, so a text costs one
    look-up a character; ASCII text costs less.

    Raises:
        ConfigError: a fold that there is none of.
    """

    __slots__ = ("_ascii", "_odd", "_plain", "_table", "folds")

    def __init__(self, *folds: str) -> None:
        if unknown := set(folds) - FOLDS:
            raise ConfigError(f"fold {sorted(unknown)[0]!r} is unknown: use {', '.join(sorted(FOLDS))}")
        self.folds = frozenset(folds)
        self._table = _Table(self.folds)
        self._odd: set[str] = set()
        self._plain: set[str] = set()
        self._ascii = "leet" not in self.folds

    def char(self, character: str) -> str:
        """What one character maps to: usually one character, "" if it is dropped, several for a ligature."""
        return self._table[ord(character)]

    def once(self, character: str) -> str:
        """As `char`, but nothing is kept: for a caller with a table of its own."""
        return self._table.mapped(ord(character))

    def string(self, text: str) -> str:
        """Canonical text without the way back."""
        if self._ascii and text.isascii() and text.isprintable():
            return text.lower()
        return text.translate(self._table)

    def text(self, text: str) -> Canonical:
        """Canonical text with the offset of each of its characters in `text`."""
        canonical = self.string(text)
        new = set(text) - self._plain
        if not new:
            return Canonical(canonical, None, len(text))
        for character in new - self._odd:
            (self._plain if len(self.char(character)) == 1 else self._odd).add(character)
        if new.isdisjoint(self._odd):
            return Canonical(canonical, None, len(text))
        char = self._table
        offsets = tuple(index for index, character in enumerate(text) for _ in char[ord(character)])
        return Canonical(canonical, offsets, len(text))


class _Table(dict[int, str]):
    """Code point to canonical text, filled as code points are met: at most all of Unicode, in practice a few thousand."""

    def __init__(self, folds: frozenset[str]) -> None:
        super().__init__()
        self._folds = folds

    def __missing__(self, point: int) -> str:
        mapped = self[point] = self.mapped(point)
        return mapped

    def mapped(self, point: int) -> str:
        """The canonical text of a code point, worked out."""
        return "".join(self._optional(character) for character in _fold(chr(point)))

    def _optional(self, character: str) -> str:
        if "numerals" in self._folds:  # before the other fold: 參 is a digit, the 参 that it becomes is not only one
            character = NUMERALS.get(character, character)
        if "han" in self._folds:
            character = _simplified().get(character, character)
        if "leet" in self._folds:
            character = LEET.get(character, character)
        return character


def _fold(character: str) -> str:
    """One character without any optional fold. Applying it again to each character of the result changes nothing (a test says so)."""
    if character in {"\n", "\u2028", "\u2029", "\x85"}:
        return "\n"
    if character.isspace():
        return " "
    if character in _FILLERS or unicodedata.category(character) in _DROPPED:
        return ""
    if (digit := _digit(character)) is not None:
        return digit
    if character in NUMERALS:
        return character
    folded = _confusables().get(character)
    if folded is None:
        folded = _named(character) or unicodedata.normalize("NFKD", character).casefold()
    if folded == character:
        return character
    return "".join(map(_fold, folded))


def _digit(character: str) -> str | None:
    """Digits of every script, circled, superscript and mathematical ones; numbers on one sign (⑩, ⒓) with all their digits."""
    if character.isascii() or character in NUMERALS:
        return None
    if character.isdigit():
        return str(unicodedata.digit(character))
    value = unicodedata.numeric(character, -1.0)
    if value.is_integer() and 10 <= value <= 50 and "CIRCLED" in unicodedata.name(character, ""):
        return str(int(value))
    return None


def _named(character: str) -> str:
    """Letters that Unicode names but does not decompose: 🅰, 🇦, ᴀ, đ."""
    name = unicodedata.name(character, "")
    for prefix in _NAMED_LETTERS:
        if name.startswith(prefix) and len(name) == len(prefix) + 1:
            return name[-1].lower()
    base, _, changed = name.partition(" WITH ")
    if name.startswith("LATIN ") and " LETTER " in base:
        letter = base.partition(" LETTER ")[2].removeprefix("SMALL CAPITAL ")
        way, _, last = letter.rpartition(" ")
        if len(last) == 1 and set(way.split()) <= _DRAWN_AS:
            return last.lower()
    if changed and name.startswith(("CYRILLIC ", "GREEK ")) and unicodedata.normalize("NFKD", character) == character:
        try:
            return unicodedata.lookup(base)
        except KeyError:
            return ""
    return ""


@cache
def _confusables() -> dict[str, str]:
    """Look-alikes of Latin text: what `make_drawn` found alike, then, before it, Unicode's table as `make_confusables` cut it down."""
    return {**dict(_lines("drawn.txt")), **dict(_lines("confusables.txt"))}


@cache
def _simplified() -> dict[str, str]:
    """Traditional characters to simplified ones, from OpenCC's table as `make_confusables` cut it down."""
    return {traditional: simplified for simplified, many in _lines("simplified.txt") for traditional in many}


def _lines(name: str) -> list[tuple[str, str]]:
    """`target<tab>sources` a line, comments left out; as (source, target) for look-alikes, whose targets may be several characters."""
    text = resources.files("secagg.filters").joinpath("tables", name).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    if name != "simplified.txt":
        return [(source, target) for target, sources in rows for source in sources]
    return [(target, sources) for target, sources in rows]
