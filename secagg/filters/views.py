"""The views of a text in which recognisers search: its canonical text, and the same with letters that were spread out put together.

`z h a n g @ 1 6 3 . c o m` and `京-A-1-2-3-4-5` are single characters with separators between them; the second view leaves those out.
Two more leave out what stands between digits: a letter each (`1a3b8c…`), or the ends of lines.
Letters that stand for digits (`l38OO13`) are digits in a view of their own. Each view knows where its characters came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from secagg.filters.canonical import Canonical, CanonicalMap

_CANONICAL = CanonicalMap("numerals", "han")
_SPREAD = re.compile(
    r"(?<![0-9a-z])[0-9a-z\u4e00-\u9fff@](?:[^0-9a-z\u4e00-\u9fff@]{1,3}[0-9a-z@](?![0-9a-z])|[ ]{1,3}[.\-_:/](?=[ ]{1,3}[0-9a-z@])){5,200}"
)
_CONTENT = frozenset("@.:")
"""Signs that mean something inside an address of mail or of a machine."""
_BETWEEN = re.compile(r"(?<![0-9a-z])[0-9](?:[^0-9a-z\n]?[a-z\u4e00-\u9fff][^0-9a-z\n]?[0-9](?![0-9])){9,24}")
"""Digits with a letter or two after each: `1a3b8c…`."""
_LINES = re.compile(
    r"(?<![^\n])[^0-9a-z\u4e00-\u9fff\n]{0,3}[0-9]{1,4}(?:[^0-9a-z\u4e00-\u9fff\n]{0,3}\n[^0-9a-z\u4e00-\u9fff\n]{0,3}[0-9]{1,4}){2,20}(?![0-9a-z])"
)
"""A number written over several lines, a few digits on each."""
_NOT_DIGIT = re.compile(r"[^0-9]")
_ALIKE = re.compile(r"(?<![a-z])[0-9oilszb|](?:[\-.]?[0-9oilszb|]){6,25}(?=x?(?![a-z]))")
_DIGIT_OF = str.maketrans("oilszb|", "0115281")


@dataclass(frozen=True, slots=True)
class View:
    """A text to search, with the index in the canonical text of each of its characters (None: the same)."""

    text: str
    indices: tuple[int, ...] | None
    canonical: Canonical

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original that holds characters `start` to `end` of the view."""
        if self.indices is not None:
            start, end = self.indices[start], self.indices[end - 1] + 1
        return self.canonical.span(start, end)


def views(text: str) -> Iterator[View]:
    """Every view of `text`; most texts have one."""
    canonical = _CANONICAL.text(text)
    yield View(canonical.text, None, canonical)
    if _SPREAD.search(canonical.text):
        yield _together(canonical)
    for split in (_BETWEEN, _LINES):
        if split.search(canonical.text):
            yield _digits_only(canonical, split)
    if _ALIKE.search(canonical.text):
        digits = _ALIKE.sub(_to_digits, canonical.text)
        if digits != canonical.text:
            yield View(digits, None, canonical)


def _together(canonical: Canonical) -> View:
    kept: list[int] = []
    last = 0
    for match in _SPREAD.finditer(canonical.text):
        kept.extend(range(last, match.start()))
        run = match[0]
        dotted = " " not in run and "-" not in run and run.count(".") > len(run) // 3
        kept.extend(
            match.start() + index
            for index, character in enumerate(run)
            if (character.isalnum() or character in _CONTENT)
            and not (dotted and character == "." and run[index - 1 : index + 2].count(".") == 1)
        )
        last = match.end()
    kept.extend(range(last, len(canonical.text)))
    return View("".join(canonical.text[index] for index in kept), tuple(kept), canonical)


def _digits_only(canonical: Canonical, split: re.Pattern[str]) -> View:
    """The text with what stands between the digits of every run left out."""
    kept: list[int] = []
    last = 0
    for match in split.finditer(canonical.text):
        kept.extend(range(last, match.start()))
        kept.extend(index for index in range(*match.span()) if not _NOT_DIGIT.match(canonical.text, index))
        last = match.end()
    kept.extend(range(last, len(canonical.text)))
    return View("".join(canonical.text[index] for index in kept), tuple(kept), canonical)


def _to_digits(match: re.Match[str]) -> str:
    run = match[0]
    return run.translate(_DIGIT_OF) if 3 * sum(map(str.isdigit, run)) >= sum(map(str.isalnum, run)) else run
