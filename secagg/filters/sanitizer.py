"""The sanitiser: finds personal values in a caption and does with each what the policy says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from secagg.errors import ConfigError
from secagg.filters import checksums
from secagg.filters.canonical import CanonicalMap
from secagg.filters.detector import Detector, Source
from secagg.filters.finding import Finding
from secagg.filters.gazetteer import Gazetteer
from secagg.filters.policy import CustomRecogniser, Policy, read_file, read_policy
from secagg.filters.pseudonyms import Pseudonyms
from secagg.filters.recogniser import Recogniser
from secagg.filters.recognisers import BUILT_IN
from secagg.filters.regular import compile_safely

Outcome = Literal["kept", "dropped", "held"]
_CANONICAL = CanonicalMap("numerals", "han")
_PASSES = 6
"""A replaced value changes what stands around its neighbours: a caption is read again until nothing is found, which is what makes a
second run change nothing. Two readings are the rule; a caption that needs more than six is held for a person."""


@dataclass(frozen=True, slots=True, repr=False)
class Sanitized:
    """A caption as it may be trained on, and what was found in it. The text is empty where it is dropped or held."""

    text: str
    findings: tuple[Finding, ...]
    """Of the first reading: spans of the caption as it came in."""
    outcome: Outcome = "kept"

    def __repr__(self) -> str:
        return f"Sanitized({self.outcome}, {len(self.findings)} findings)"


class Sanitizer:
    """Made once from a policy, used for any number of captions; safe to use from several threads.

    *Guarantees*: spans are exact in the original; no text is kept, logged or shown in an error; no network is used; `apply` of a sanitised
    text finds nothing and returns it unchanged.

    Raises:
        ConfigError: a policy that cannot be carried out: a pattern that can blow up, a missing file or key.
    """

    def __init__(self, policy: Policy | None = None, *, sources: Iterable[Source] = ()) -> None:
        self.policy = policy or Policy()
        policy = self.policy
        self._extra = tuple(sources)
        self._pseudonyms = Pseudonyms(policy.key(), policy.project) if policy.pseudonymises else None
        own = [_recogniser(custom, number) for number, custom in enumerate(policy.recogniser, 1)]
        every = [*self._extra, *_gazetteers(policy)]
        if policy.names.model:
            from secagg.filters.names import NameFinder

            every.append(NameFinder.load())
        every += _models(policy)
        self.detector = Detector([*BUILT_IN, *own], every, policy.threshold)
        self._allowed = frozenset(map(_bare, policy.allow))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its policy: another process reads keys, lists and models where the policy says, and refuses a different key.

        The mark of the key is also what makes `datasets` notice that a cached result was made with another one.
        """
        return _again, (self.policy, self._extra, self._pseudonyms.mark if self._pseudonyms else "")

    @classmethod
    def from_policy(cls, path: str | Path) -> Sanitizer:
        """The sanitiser of a policy file."""
        return cls(read_policy(path))

    def find(self, text: str) -> list[Finding]:
        """What is found and not allowed by the policy, in text order."""
        found = self.detector.find(text)
        kept = [one for one in found if self.policy.of(one.entity).action != "keep"]
        return [one for one in kept if _bare(text[one.start : one.end]) not in self._allowed] if self._allowed else kept

    def apply(self, text: str) -> Sanitized:
        """One caption."""
        first = findings = tuple(self.find(text))
        for _ in range(_PASSES):
            if not findings:
                return Sanitized(text, first, "kept")
            actions = {self.policy.of(finding.entity).action for finding in findings}
            if "drop" in actions:
                return Sanitized("", first, "dropped")
            if "hold" in actions:
                return Sanitized("", first, "held")
            text = self._replace(text, findings)
            findings = tuple(self.find(text))
        return Sanitized("", first, "held") if findings else Sanitized(text, first, "kept")

    def stream(self, texts: Iterable[str]) -> Iterator[Sanitized]:
        """Captions one by one."""
        return map(self.apply, texts)

    def map_batch(self, batch: Mapping[str, list[Any]], column: str = "text") -> dict[str, list[Any]]:
        """For `datasets.Dataset.map(sanitizer.map_batch, batched=True)`: rows that are dropped or held are left out.

        Raises:
            ConfigError: no such column.
        """
        if column not in batch:
            raise ConfigError(f"no column {column!r}: the batch has {', '.join(batch)}")
        done = [self.apply(text) for text in batch[column]]
        kept = [row for row, one in enumerate(done) if one.outcome == "kept"]
        return {name: [done[row].text if name == column else values[row] for row in kept] for name, values in batch.items()}

    def _replace(self, text: str, findings: Iterable[Finding]) -> str:
        parts, last = [], 0
        for finding in findings:
            parts += [text[last : finding.start], self._instead(text[finding.start : finding.end], finding.entity)]
            last = finding.end
        return "".join([*parts, text[last:]])

    def _instead(self, value: str, entity: str) -> str:
        treatment = self.policy.of(entity)
        if treatment.action == "mask":
            kept = treatment.keep_last
            return "".join("*" if place < len(value) - kept and not c.isspace() else c for place, c in enumerate(value))
        if treatment.action == "pseudonymise" and self._pseudonyms is not None:
            return self._pseudonyms.surrogate(entity, value, shape=treatment.shape)
        return f"[{entity}]"


def _again(policy: Policy, sources: tuple[Source, ...], mark: str) -> Sanitizer:
    """A pickled sanitiser in the process that it was sent to."""
    made = Sanitizer(policy, sources=sources)
    if mark and (made._pseudonyms is None or made._pseudonyms.mark != mark):
        raise ConfigError("the pseudonym key here differs from the one where the sanitiser was made: set the same key in every process")
    return made


def _bare(value: str) -> str:
    return "".join(character for character in _CANONICAL.string(value) if character.isalnum())


def _recogniser(custom: CustomRecogniser, number: int) -> Recogniser:
    where = f"[[recogniser]] {number} ({custom.entity})"
    compile_safely(custom.pattern, where)
    check = {"luhn": checksums.luhn, "mod_11_2": checksums.mod_11_2}.get(custom.checksum or "")

    def validate(value: str) -> float:
        return max(custom.confidence, 0.9) if check is not None and check(value) else custom.confidence / 2

    return Recogniser(
        custom.entity,
        custom.pattern,
        custom.confidence,
        cues="|".join(_escaped(cue) for cue in custom.cues),
        with_cue=custom.with_cue,
        validate=validate if check is not None else None,
        name=f"own {number}",
    )


def _escaped(cue: str) -> str:
    return re.escape(_CANONICAL.string(cue))


def _models(policy: Policy) -> Iterator[Source]:
    """The further models of names that the policy asks for; paths start at its folder."""
    names = policy.names
    if names.spacy is not None:
        from secagg.filters.adapters.spacy import from_spacy

        folder = policy.folder / names.spacy
        yield from_spacy(folder if folder.is_dir() else names.spacy)
    if names.hugging_face is not None:
        from secagg.filters.adapters.hugging_face import from_hugging_face

        yield from_hugging_face(policy.folder / names.hugging_face)
    if names.presidio is not None:
        from secagg.filters.adapters.presidio import from_presidio

        yield from_presidio(policy.folder / names.presidio)


def _gazetteers(policy: Policy) -> Iterator[Source]:
    lists = [(one.entity, one.file) for one in policy.gazetteer]
    if policy.names.gazetteer is not None:
        lists.append(("NAME", policy.names.gazetteer))
    for entity, file in lists:
        lines = read_file(policy.folder / file, f"the gazetteer of {entity}").splitlines()
        yield Gazetteer(entity, (line for line in lines if line.strip() and not line.startswith("#")), name=f"gazetteer {file}")
