"""The demo's second task: real weights and real text. MiniLM learns to tell what kind of incident a report describes.

Each company has reports of its own categories; the joint test set holds all companies' reports, and every one of all categories
can be the answer.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import shorten

import torch

from secagg.demo.cleaning import Cleaning
from secagg.demo.planted import Caption
from secagg.demo.record import Cleaned, FencedModel
from secagg.demo.task import VARIANTS, Line, Sample, Scores, State
from secagg.demo.text_data import Report, read_reports
from secagg.demo.text_model import DECAY, LEARNING_RATE, LONGEST, Classifier
from secagg.errors import ConfigError
from secagg.lora import adapter_digest, base_hash, canonical_config
from secagg.lora.state import peft_config


class TextTask:
    """LoRA (r = 8, all linear maps of the upper two layers: 110,592 values) on all-MiniLM-L6-v2, trained on the CSV files of `folder`.

    Reports pass the sanitiser before a model is trained on them, scored on them or shown them, unless `sanitise` is turned off.

    Raises:
        ConfigError: MiniLM is not installed, or the folder's files do not hold reports (`text_data`).
    """

    name = "text"
    metrics: tuple[str, ...] = ("accuracy", "balanced accuracy")

    def __init__(self, folder: Path, seed: int, *, sanitise: bool = True) -> None:
        self._reports = read_reports(folder, seed)
        self._cleaning = Cleaning(sanitise=sanitise)
        self._clean: dict[tuple[str, str], list[Report]] = {}
        self._classifier = Classifier(seed)
        self._base = base_hash(self._classifier.model)
        self._pooled: dict[str, tuple[State, int]] = {}

    @property
    def companies(self) -> tuple[str, ...]:
        return self._reports.companies

    @property
    def categories(self) -> tuple[str, ...]:
        """Every category that an answer can be."""
        return self._reports.categories

    @property
    def cannot_claim(self) -> tuple[str, ...]:
        return (
            f"The test set has {len(self._reports.test)} reports: an accuracy is known to ±{self._uncertainty():.2f} (one standard error).",
            "In the disjoint variant a company alone has seen no report of the others' categories: of those it knows the names only.",
            f"A report is read to its first {LONGEST} tokens, and training stops after minutes: the table compares and sets no record.",
            "The reports are public records, written by other people than those who would write them for these companies.",
        )

    def _uncertainty(self) -> float:
        return 0.5 / math.sqrt(len(self._reports.test))

    def initial_state(self) -> State:
        return {name: value.clone() for name, value in self._classifier.initial.items()}

    def base_hash(self) -> bytes:
        return self._base

    def adapter_config(self) -> Mapping[str, object]:
        config: Mapping[str, object] = json.loads(canonical_config(peft_config(self._classifier.model)))
        return config

    def train(
        self, company: str, variant: str, state: State, *, round: int, steps: int, seed: int, alone: bool = False
    ) -> tuple[State, int]:
        """In the rounds all categories compete, for their names are agreed on; a company alone knows its own only, and is better so."""
        _check_variant(variant)
        reports = self._cleaned(company, variant, self._reports.of(company, variant))
        names = tuple(sorted({report.category for report in reports})) if alone else self.categories
        return self._learn(reports, names, state, f"{company}/{variant}/{round}/{seed}", steps=steps, round=round)

    def train_pooled(self, variant: str, state: State, *, round: int, steps: int, seed: int) -> tuple[State, int]:
        """The pool is the same in both variants, for overlapping parts are parts of it: it is trained once."""
        _check_variant(variant)
        pool = self._cleaned("pool", "", [report for reports in self._reports.training.values() for report in reports])
        label = f"pooled/{round}/{seed}/{steps}/{adapter_digest(state).hex()}"
        if label not in self._pooled:
            self._pooled[label] = self._learn(pool, self.categories, state, label, steps=steps, round=round)
        return self._pooled[label]

    def _learn(
        self, reports: Sequence[Report], names: Sequence[str], state: State, label: str, *, steps: int, round: int
    ) -> tuple[State, int]:
        draw = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(label.encode()).digest()[:7]))
        examples = [(report.text, report.category) for report in reports]
        rate = LEARNING_RATE * DECAY**round
        return self._classifier.train(state, examples, names, steps=steps, rate=rate, generator=draw), len(reports)

    def cleaned(self, company: str, variant: str) -> Cleaned | None:
        return self._cleaning.of(company, variant)

    def _cleaned(self, company: str, variant: str, reports: Sequence[Report]) -> list[Report]:
        if (company, variant) not in self._clean:
            texts = self._cleaning.clean(company, variant, [Caption(report.text) for report in reports])
            self._clean[company, variant] = [replace(report, text=text) for report, text in zip(reports, texts, strict=True)]
        return self._clean[company, variant]

    def _test(self) -> list[Report]:
        return self._cleaned("test", "", self._reports.test)

    def evaluate(self, state: State) -> Scores:
        """Accuracy over all reports, and its mean over categories, which frequent ones cannot carry alone."""
        test = self._test()
        answers = self._classifier.classify(state, [report.text for report in test], self.categories)
        right = [answer == report.category for answer, report in zip(answers, test, strict=True)]
        of_category = _means([report.category for report in test], right)
        values = {"accuracy": sum(right) / len(right), "balanced accuracy": sum(of_category.values()) / len(of_category)}
        return Scores(values, _means([report.company for report in test], right))

    def fenced(self, state: State) -> FencedModel | None:
        """None: the model names a category and writes nothing."""
        return None

    def samples(self, states: Mapping[str, State], n: int) -> list[Sample]:
        """Reports of all companies in turn."""
        chosen = self._in_turn()[:n]
        texts = [report.text for report in chosen]
        answers = {model: self._classifier.classify(state, texts, self.categories) for model, state in states.items()}
        return [_sample(report, {model: said[place] for model, said in answers.items()}) for place, report in enumerate(chosen)]

    def _in_turn(self) -> list[Report]:
        parts = [[report for report in self._test() if report.company == company] for company in self.companies]
        return [part[place] for place in range(max(map(len, parts))) for part in parts if place < len(part)]


def _check_variant(variant: str) -> None:
    if variant not in VARIANTS:
        raise ConfigError(f"variant {variant!r}: choose one of {', '.join(VARIANTS)}")


def _means(keys: Sequence[str], right: Sequence[bool]) -> dict[str, float]:
    """The share of right answers for each key, in the order in which keys first occur."""
    found: dict[str, list[bool]] = {}
    for key, answer in zip(keys, right, strict=True):
        found.setdefault(key, []).append(answer)
    return {key: sum(answers) / len(answers) for key, answers in found.items()}


def _sample(report: Report, said: Mapping[str, str]) -> Sample:
    right = {model: answer == report.category for model, answer in said.items()}
    line = Line(report.company, "en", report.category, said, right)
    return Sample(None, shorten(report.text, 300, placeholder=" …"), (line,))
