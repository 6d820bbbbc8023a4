"""Runs recognisers over the views of a text and gives back spans of the original that do not overlap."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from secagg.filters.cased import Cased
from secagg.filters.finding import Finding, resolve
from secagg.filters.recogniser import THRESHOLD, Recogniser
from secagg.filters.required import digits_in
from secagg.filters.reserved import reserved_spans
from secagg.filters.views import View, views

Source = Callable[[str], Iterable[Finding]]
"""An additional source of findings over the original text: the names model, an adapter of another library."""

_EDGE = " \n,，.。;；:：、-—~·|/*"

_AROUND = 300
"""Characters beside a value that are looked at to settle where it ends."""
_BRACKETS = dict(zip("([{<（［｛〈《「『【〔", ")]}>）］｝〉》」』】〕", strict=True))
_CLOSING = {closing: opening for opening, closing in _BRACKETS.items()}


class Detector:
    """Finds personal values. `sources` add findings of their own; placeholders that a policy left in the text are never findings."""

    def __init__(self, recognisers: Sequence[Recogniser], sources: Sequence[Source] = (), threshold: float = THRESHOLD) -> None:
        most = max((one.required.digits for one in recognisers), default=0)
        self._by_digits = [tuple(_Search(one) for one in recognisers if one.required.digits <= digits) for digits in range(most + 1)]
        self._sources, self._threshold = tuple(sources), threshold

    def find(self, text: str) -> list[Finding]:
        """Findings in text order; none overlaps another."""
        found = [finding for view in views(text) for finding in self._search(view, text)]
        for source in self._sources:
            found += source(text)
        if not found:
            return found
        if taken := reserved_spans(text):
            found = [part for finding in found for part in _outside(finding, taken)]
        return resolve(found)

    def _search(self, view: View, text: str) -> Iterable[Finding]:
        canonical = view.text
        characters = set(canonical)
        for search in self._by_digits[min(digits_in(canonical), len(self._by_digits) - 1)]:
            for needed in search.sets:
                if characters.isdisjoint(needed):
                    break
            else:
                for match in search.matches(canonical):
                    confidence = search.recogniser.confidence(canonical, match)
                    if confidence >= self._threshold:
                        yield from _finding(view, match, search.recogniser, confidence, text)


class _Search:
    """One recogniser as the inner loop uses it."""

    __slots__ = ("matches", "recogniser", "sets")

    def __init__(self, recogniser: Recogniser) -> None:
        self.recogniser, self.sets, self.matches = recogniser, recogniser.required.sets, recogniser.compiled.finditer


def _finding(view: View, match: re.Match[str], recogniser: Recogniser, confidence: float, text: str) -> Iterator[Finding]:
    first, last = match.span(recogniser.value)
    if recogniser.lead is not None:
        first += recogniser.lead(view.text[first:last])
    start, end = view.span(first, last)
    if recogniser.settle is not None:
        low = max(0, start - _AROUND)
        cased = Cased.of(text[low : end + _AROUND])
        settled = recogniser.settle(cased.text, *cased.here(start - low, end - low))
        if settled is None:
            return
        start, end = (low + place for place in cased.original(*settled))
    while end > start + 1 and text[end - 1] in _EDGE and not (recogniser.settle and text[end - 1] == "."):
        end -= 1
    while start < end - 1 and text[start] in _EDGE:
        start += 1
    start, end = _closed(text, start, end)
    yield Finding(start, end, recogniser.entity, confidence, recogniser.name or recogniser.entity)


def _closed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span with the bracket beside it that closes or opens one inside: `(1381)(2345)(678)` is one value and six brackets."""
    if (
        start
        and (pair := _BRACKETS.get(text[start - 1]))
        and 0 <= text.find(pair, start, end) < _or_end(text.find(text[start - 1], start, end), end)
    ):
        start -= 1
    if end < len(text) and (pair := _CLOSING.get(text[end])) and text.rfind(pair, start, end) > text.rfind(text[end], start, end):
        end += 1
    return start, end


def _or_end(place: int, end: int) -> int:
    return place if place >= 0 else end


def _outside(finding: Finding, taken: list[tuple[int, int]]) -> list[Finding]:
    """What a finding covers beside replaced values: a finding that only reaches into one is left out, one that spans it is cut."""
    start, end = finding.start, finding.end
    for first, last in taken:
        if first < end and start < last:
            before, behind = first - start, end - last
            start, end = (start, first) if before >= behind else (last, end)
    shrunk = (start, end) != (finding.start, finding.end)
    return [] if start >= end or (shrunk and end - start < 6) else [Finding(start, end, finding.entity, finding.confidence, finding.rule)]
