"""What a fence blocks: lists of phrases with a policy, and shapes of personal numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from secagg.errors import ConfigError

Policy = Literal["auto", "robust", "word"]
MAX_PHRASE = 1000
"""Characters of a phrase; what a stream holds back is at most this long."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """Phrases under one name and one policy.

    `robust` finds a phrase through anything that is no letter or digit, through other cases, widths, look-alikes, invisible characters,
    traditional characters and leet; also inside longer words. `word` finds it between word boundaries only, and as it is spelled: for short
    words that stand inside harmless ones. `auto`, which real lists need, is `robust` but for Latin phrases of at most six letters and
    digits: these are found between word boundaries, as spelled, spaced out, and with a few digits and signs for letters, and those of six
    also inside longer words (`secagg.filters.fence.short`).

    Raises:
        ConfigError: no phrase, an unknown policy, a phrase that is too long.
    """

    name: str
    phrases: tuple[str, ...]
    policy: Policy = "auto"

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise ConfigError(f"policy {self.policy!r} of {self.name!r} is unknown: use {', '.join(get_args(Policy))}")
        if not self.phrases:
            raise ConfigError(f"{self.name!r} has no phrase")
        if long := next((phrase for phrase in self.phrases if len(phrase) > MAX_PHRASE), None):
            raise ConfigError(f"{self.name!r} has a phrase of {len(long)} characters; at most {MAX_PHRASE} are supported")

    @classmethod
    def read(cls, path: Path | str, *, policy: Policy = "auto", name: str | None = None) -> Phrases:
        """A block list: UTF-8, one phrase a line; empty lines and lines that begin with `#` are left out.

        Raises:
            ConfigError: the file cannot be read, is no UTF-8, or has no phrase; or a line has no letter or digit.
        """
        path = Path(path)
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"block list {path}: {error}") from error
        phrases = []
        for number, line in enumerate(lines, 1):
            phrase = line.strip()
            if not phrase or phrase.startswith("#"):
                continue
            if not any(map(str.isalnum, phrase)):
                raise ConfigError(f"block list {path}, line {number}: no letter or digit, it would be found everywhere; take it out")
            phrases.append(phrase)
        return cls(name or path.name, tuple(phrases), policy)


@dataclass(frozen=True, slots=True)
class Shape:
    """Personal numbers by shape: `mobile`, `identity` or `plate`."""

    name: str


Rule = Phrases | Shape


def indexed(rules: Iterable[Rule], policy: Policy) -> list[tuple[str, int]]:
    """The phrases of one policy, each with the index of its rule."""
    return [
        (phrase, index)
        for index, rule in enumerate(rules)
        if isinstance(rule, Phrases) and rule.policy == policy
        for phrase in rule.phrases
    ]
