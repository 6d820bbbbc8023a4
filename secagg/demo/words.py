"""What the demo says, in English and in Chinese: one catalogue for the terminal and the report."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from secagg.errors import ConfigError

TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES: tuple[str, ...] = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of one language by dotted key; `words("live.round", round=3)` fills in the numbers."""

    language: str
    sentences: dict[str, str]

    @classmethod
    def of(cls, language: str) -> Words:
        """Raises ConfigError for a language that there is no catalogue of."""
        if language not in LANGUAGES:
            raise ConfigError(f"--lang {language!r}: the demo speaks {' and '.join(LANGUAGES)}")
        return cls(language, _catalogue(language))

    def __call__(self, key: str, **numbers: object) -> str:
        return self.sentences[key].format(**numbers) if numbers else self.sentences[key]

    def under(self, protocol: str) -> Words:
        """The words for a run of `protocol`: its own sentences, those of the table `[PROTOCOL]`, take the place of the common ones."""
        own = {key.removeprefix(f"{protocol}."): text for key, text in self.sentences.items() if key.startswith(f"{protocol}.")}
        return Words(self.language, {**self.sentences, **own})

    def name(self, what: str) -> str:
        """How a model, a party, a metric or a variant is called; itself where the catalogue has no name for it."""
        return self.sentences.get(f"name.{what}", what)


@cache
def _catalogue(language: str) -> dict[str, str]:
    with (TEMPLATES / f"{language}.toml").open("rb") as file:
        return dict(_flatten(tomllib.load(file)))


def _flatten(table: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in table.items():
        pairs += _flatten(value, f"{before}{key}.") if isinstance(value, dict) else [(before + key, str(value))]
    return pairs
