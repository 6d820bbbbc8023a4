"""Personal names: a conditional random field for Chinese characters and one for words in Latin script.

Both are trained by `benchmarks/filters/train_names.py`.

The models read canonical text, so a name with zero-width characters in it, or its characters set apart by blanks, is read as the name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from secagg.errors import ConfigError
from secagg.filters.canonical import CanonicalMap
from secagg.filters.cased import Cased
from secagg.filters.finding import Finding
from secagg.filters.names import chinese, latin

_HAN_MAP = CanonicalMap("han")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_APART = re.compile(r"(?<=[\u4e00-\u9fff])[ ·.\-_|/*]+(?=[\u4e00-\u9fff])")
_START = re.compile("[" + "".join(sorted(chinese.SURNAMES | {surname[0] for surname in chinese.COMPOUND})) + "](?=[\u4e00-\u9fff某])")
_UPPER = re.compile(r"[A-Z]")
_WINDOW = 4
"""Characters before a surname, and behind the longest name after it, that the model sees."""
CONFIDENT = 0.35
_TOKENS, _OVERLAP = 1000, 10
"""A long text is read in stretches that overlap, so that no name is cut in two."""
UNLISTED = 0.5
"""What a name has to reach none of whose words is in a list of names."""
LOWER_CASE = 0.6
"""What a name without a capital has to reach: most words that could be names are words then."""
POSSIBLE = 0.2
"""What the model has to leave to a name that only the lists know."""
_MODELS: dict[str, bytes] = {}
"""The models' bytes: a tagger reads them where they lie and does not keep them alive itself."""


class NameFinder:
    """Finds names in a text; `NameFinder.load()` reads the shipped models once a process.

    Raises:
        ConfigError: python-crfsuite is not installed.
    """

    def __init__(self, chinese_model: Any, latin_model: Any) -> None:  # noqa: ANN401  # pycrfsuite has no types
        self._chinese, self._latin, self._lexicon = chinese_model, latin_model, latin.lexicon()

    @staticmethod
    @cache
    def load() -> NameFinder:
        return NameFinder(_model("chinese.crfsuite"), _model("latin.crfsuite"))

    def __call__(self, text: str) -> list[Finding]:
        found = self._in_chinese(text) if not text.isascii() and _HAN.search(_HAN_MAP.string(text)) else []
        return found + self._in_latin(text)

    def _in_chinese(self, text: str) -> list[Finding]:
        canonical = _HAN_MAP.text(text)
        plain, indices = _closed_up(canonical.text)
        found = []
        for first, last in _windows(plain):
            window = plain[first:last]
            labels = self._chinese.tag(chinese.features(window))
            for start, end in _spans(labels):
                low = first + start
                high = min(first + end, low + 4)
                if _HAN.match(plain, low) and high - low >= 2 and not chinese.is_ordinary(plain[low:high]):
                    where = canonical.span(indices[low], indices[high - 1] + 1)
                    confidence = min(self._chinese.marginal(label, at) for at, label in ((start, "B"), (end - 1, labels[end - 1])))
                    if confidence >= CONFIDENT:
                        found.append(Finding(*where, "NAME", round(confidence, 3), "names zh"))
        return found

    def _in_latin(self, text: str) -> list[Finding]:
        cased = Cased.of(text)
        plain, offsets = cased.text, cased.offsets
        if not _UPPER.search(plain) and not any(word in self._lexicon and self._lexicon[word] == "F" for word in plain.split()):
            return []
        matches = list(latin.TOKEN.finditer(plain))
        found: list[Finding] = []
        for first in range(0, len(matches), _TOKENS - _OVERLAP):
            found += self._among(plain, offsets, matches[first : first + _TOKENS])
        return found

    def _among(self, plain: str, offsets: Sequence[int], matches: list[re.Match[str]]) -> list[Finding]:
        tokens = [match[0] for match in matches]
        labels = self._latin.tag(latin.features(tokens, self._lexicon))
        found = [
            Finding(offsets[matches[start].start()], offsets[matches[end - 1].end() - 1] + 1, "NAME", 0.7, "names listed")
            for start, end in latin.listed(tokens, self._lexicon)
            if max(1 - self._latin.marginal("O", at) for at in range(start, end)) >= POSSIBLE and not latin.is_of_a_place(tokens, start)
        ]
        for start, end in _spans(labels):
            low, high = matches[start].start(), matches[end - 1].end()
            if plain[low:high].endswith(("'s", "’s")):
                high -= 2
            if (
                not any(map(str.isalpha, plain[low:high]))
                or high - low < 2
                or latin.is_of_a_place(tokens, start)
                or (end == start + 1 and latin.is_ordinary(tokens[start], self._lexicon))
                or (plain[low].islower() and not latin.is_given(tokens[start], self._lexicon))
            ):
                continue
            confidence = min(self._latin.marginal(labels[at], at) for at in range(start, end))
            if confidence >= self._enough(tokens[start:end]):
                found.append(Finding(offsets[low], offsets[high - 1] + 1, "NAME", round(max(confidence, 0.5), 3), "names latin"))
        return found

    def _enough(self, tokens: list[str]) -> float:
        """What a name has to reach: more where nothing but the words around it says that it is one."""
        if not latin.is_listed(tokens, self._lexicon):
            return UNLISTED
        return CONFIDENT if tokens[0][0].isupper() else LOWER_CASE


def _model(name: str) -> Any:  # noqa: ANN401
    try:
        import pycrfsuite
    except ImportError as error:
        raise ConfigError(
            "names need python-crfsuite: pip install 'secagg[filters]', or set `[names] model = false` in the policy"
        ) from error
    _MODELS[name] = resources.files("secagg.filters.names").joinpath(name).read_bytes()
    tagger = pycrfsuite.Tagger()
    tagger.open_inmemory(_MODELS[name])
    return tagger


def _closed_up(text: str) -> tuple[str, range | list[int]]:
    """The text without separators between Chinese characters, with the index of each that is kept."""
    if _APART.search(text) is None:
        return text, range(len(text))
    dropped = {index for match in _APART.finditer(text) for index in range(*match.span())}
    kept = [index for index in range(len(text)) if index not in dropped]
    return "".join(text[index] for index in kept), kept


def _windows(text: str) -> list[tuple[int, int]]:
    """Stretches of text in which a name can stand: around every surname that a Chinese character follows, merged where they meet."""
    merged: list[tuple[int, int]] = []
    for match in _START.finditer(text):
        first, last = max(0, match.start() - _WINDOW), min(len(text), match.start() + 4 + _WINDOW)
        if merged and first <= merged[-1][1] and last - merged[-1][0] <= _TOKENS:
            first = merged.pop()[0]
        merged.append((first, last))
    return merged


def _spans(labels: list[str]) -> list[tuple[int, int]]:
    """Runs of B, I, …"""
    spans: list[tuple[int, int]] = []
    for index, label in enumerate(labels):
        if label == "B":
            spans.append((index, index + 1))
        elif label == "I" and spans and spans[-1][1] == index:
            spans[-1] = (spans[-1][0], index + 1)
    return spans
