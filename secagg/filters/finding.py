"""What was found and where; the value itself is never part of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A span of the original text that holds a personal value."""

    start: int
    end: int
    entity: str
    confidence: float
    rule: str
    """The recogniser that found it."""


def resolve(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that do not overlap, in text order: longer spans win, and among equals the more confident.

    A loser that reaches beyond its winner keeps no remainder of its own, it widens the winner: what one of them covered stays covered.
    """
    chosen: list[Finding] = []
    for finding in sorted(findings, key=lambda one: (one.start, one.end)):
        if not chosen or finding.start >= chosen[-1].end:
            chosen.append(finding)
            continue
        last = chosen[-1]
        winner = max(last, finding, key=lambda one: (one.end - one.start, one.confidence))
        end = max(last.end, finding.end)
        chosen[-1] = Finding(last.start, end, winner.entity, winner.confidence, winner.rule)
    return chosen
