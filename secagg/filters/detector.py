"""Runs recognisers over the views of a text and gives back spans of the original that do not overlap."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from secagg.filters.finding import Finding, resolve
from secagg.filters.recogniser import THRESHOLD, Recogniser
from secagg.filters.recognisers.address import zh_lead
from secagg.filters.reserved import reserved_spans
from secagg.filters.views import View, views

Source = Callable[[str], Iterable[Finding]]
"""An additional source of findings over the original text: the names model, an adapter of another library."""

_DIGIT = re.compile(r"[0-9]")
_EDGE = " \n,，.。;；:：、-—~·|/*"


class Detector:
    """Finds personal values. `sources` add findings of their own; placeholders that a policy left in the text are never findings."""

    def __init__(self, recognisers: Sequence[Recogniser], sources: Sequence[Source] = (), threshold: float = THRESHOLD) -> None:
        groups: dict[str, list[Recogniser]] = {}
        for recogniser in recognisers:
            groups.setdefault(recogniser.needs, []).append(recogniser)
        self._groups = [(_need(needs), tuple(group)) for needs, group in groups.items()]
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
        for needed, group in self._groups:
            if needed is not None and not needed(view.text):
                continue
            for recogniser in group:
                for match in recogniser.compiled().finditer(view.text):
                    confidence = recogniser.confidence(view.text, match)
                    if confidence >= self._threshold:
                        yield _finding(view, match, recogniser, confidence, text)


def _finding(view: View, match: re.Match[str], recogniser: Recogniser, confidence: float, text: str) -> Finding:
    first, last = match.span(recogniser.value)
    if recogniser.entity == "ADDRESS":
        first += zh_lead(view.text[first:last])
    start, end = view.span(first, last)
    while end > start + 1 and text[end - 1] in _EDGE:
        end -= 1
    while start < end - 1 and text[start] in _EDGE:
        start += 1
    return Finding(start, end, recogniser.entity, confidence, recogniser.name or recogniser.entity)


def _outside(finding: Finding, taken: list[tuple[int, int]]) -> list[Finding]:
    """What a finding covers beside replaced values: a finding that only reaches into one is left out, one that spans it is cut."""
    start, end = finding.start, finding.end
    for first, last in taken:
        if first < end and start < last:
            before, behind = first - start, end - last
            start, end = (start, first) if before >= behind else (last, end)
    shrunk = (start, end) != (finding.start, finding.end)
    return [] if start >= end or (shrunk and end - start < 6) else [Finding(start, end, finding.entity, finding.confidence, finding.rule)]


def _need(needs: str) -> Callable[[str], object] | None:
    if not needs:
        return None
    return _DIGIT.search if needs == "0" else re.compile(f"[{re.escape(needs)}]").search
