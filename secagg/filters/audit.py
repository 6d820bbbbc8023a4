"""The audit report: what was found, what was done, and nothing that was found.

JSON follows `Report` (its schema: `secagg sanitize --schema`); `audit_page` writes the same as HTML. A value is in the report as a
salted hash only: the salt is drawn for one run and not written into the report, so that hashes count equal values and cannot be looked
up. Contexts are the shape of what stands around a value: letters as x, digits as 0, since they may be part of another value.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

import secagg
from secagg.filters.policy import Policy
from secagg.filters.recognisers import BUILT_IN
from secagg.filters.sanitizer import Sanitized

CONTEXTS, HASHES = 5, 1000
"""Contexts an entity, and different hashes an entity, that a report holds at most."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EntityCount(_Record):
    """One entity."""

    entity: str
    action: str
    findings: int
    captions: int = Field(description="captions with at least one finding of this entity")
    characters: int = Field(description="characters of the original inside findings")
    rules: dict[str, int] = Field(description="recogniser to findings")
    doubtful: float = Field(description="estimate of findings that are no such value: the sum of 1 - confidence")
    distinct: int = Field(description="different values, counted by salted hash, at most 1,000")
    hashes: tuple[str, ...] = Field(description="the most frequent salted hashes, first 16 hexadecimal digits")
    contexts: tuple[str, ...] = Field(
        description="masked contexts: what stands around, the value covered, letters and digits shown as x and 0"
    )


class Report(_Record):
    """One run of the sanitiser."""

    version: Literal["secagg-audit/1"] = "secagg-audit/1"
    software: str
    rules: str = Field(description="SHA-256 over every recogniser's entity, name, pattern and cues")
    policy: str = Field(description="SHA-256 of the policy")
    party: str
    project: str
    captions: int
    touched: int
    dropped: int
    held: int
    characters: int
    over_redaction: float = Field(description="estimate: the share of findings that are no personal value")
    entities: tuple[EntityCount, ...]


class Audit:
    """Counts captions as they pass; `report()` says what has been counted so far."""

    def __init__(self, policy: Policy, *, salt: bytes | None = None) -> None:
        self._policy, self._salt = policy, salt or os.urandom(32)
        self._totals: Counter[str] = Counter()
        self._entities: dict[str, dict[str, Any]] = {}

    def add(self, original: str, done: Sanitized) -> None:
        """One caption and what became of it."""
        totals = self._totals
        totals["captions"] += 1
        totals["characters"] += len(original)
        totals[done.outcome] += 1
        if not done.findings:
            return
        totals["touched"] += 1
        for entity in {finding.entity for finding in done.findings}:
            self._of(entity)["captions"] += 1
        for finding in done.findings:
            row = self._of(finding.entity)
            row["findings"] += 1
            row["characters"] += finding.end - finding.start
            row["rules"][finding.rule] = row["rules"].get(finding.rule, 0) + 1
            row["doubtful"] += 1 - finding.confidence
            value = original[finding.start : finding.end]
            digest = hmac.new(self._salt, value.encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:16]
            if digest in row["hashes"] or len(row["hashes"]) < HASHES:
                row["hashes"][digest] = row["hashes"].get(digest, 0) + 1
            if len(row["contexts"]) < CONTEXTS:
                row["contexts"].append(_context(original, finding.start, finding.end, finding.entity))

    def _of(self, entity: str) -> dict[str, Any]:
        empty = {"captions": 0, "findings": 0, "characters": 0, "rules": {}, "doubtful": 0.0, "hashes": {}, "contexts": []}
        return self._entities.setdefault(entity, empty)

    def state(self) -> dict[str, Any]:
        """The counts, for a run that is resumed later; without the salt, which the caller keeps beside it."""
        return {"totals": dict(self._totals), "entities": self._entities}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._totals, self._entities = Counter(state["totals"]), dict(state["entities"])

    def merge(self, other: Mapping[str, Any]) -> None:
        """Add the counts of a worker with the same salt."""
        self._totals.update(other["totals"])
        for entity, row in other["entities"].items():
            mine = self._of(entity)
            for key in ("captions", "findings", "characters", "doubtful"):
                mine[key] += row[key]
            for key in ("rules", "hashes"):
                for name, count in row[key].items():
                    mine[key][name] = mine[key].get(name, 0) + count
            mine["contexts"] = (mine["contexts"] + row["contexts"])[:CONTEXTS]

    def report(self) -> Report:
        """Everything counted so far."""
        totals, rows = self._totals, []
        for entity, row in sorted(self._entities.items(), key=lambda item: -item[1]["findings"]):
            hashes = [digest for digest, _ in Counter(row["hashes"]).most_common(10)]
            counted = {key: row[key] for key in ("captions", "findings", "characters", "rules")}
            rows.append(
                EntityCount(
                    entity=entity,
                    action=self._policy.of(entity).action,
                    doubtful=round(row["doubtful"], 2),
                    distinct=min(len(row["hashes"]), HASHES),
                    hashes=tuple(hashes),
                    contexts=tuple(row["contexts"]),
                    **counted,
                )
            )
        findings = sum(row.findings for row in rows)
        return Report(
            software=f"secagg {secagg.__version__}",
            rules=rules_version(),
            policy=hashlib.sha256(self._policy.model_dump_json(exclude={"folder"}).encode()).hexdigest(),
            party=self._policy.party,
            project=self._policy.project,
            captions=totals["captions"],
            touched=totals["touched"],
            dropped=totals["dropped"],
            held=totals["held"],
            characters=totals["characters"],
            over_redaction=round(sum(row.doubtful for row in rows) / findings, 4) if findings else 0.0,
            entities=tuple(rows),
        )


def rules_version() -> str:
    """What identifies the built-in rules."""
    every = "\x00".join(f"{one.entity}\x01{one.name}\x01{one.pattern}\x01{one.cues}" for one in BUILT_IN)
    return hashlib.sha256(every.encode()).hexdigest()


def _context(text: str, start: int, end: int, entity: str) -> str:
    """Six characters on either side, every letter and digit of them covered."""
    before, after = text[max(0, start - 6) : start], text[end : end + 6]
    return f"{_covered(before)}[{entity}]{_covered(after)}"


def _covered(text: str) -> str:
    return "".join("0" if c.isdigit() else "x" if c.isalnum() else " " if c.isspace() else c if c.isprintable() else "" for c in text)
