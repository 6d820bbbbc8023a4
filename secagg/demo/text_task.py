"""The demo's second task: real weights and real text. MiniLM learns to tell what kind of incident a report describes.

Each company has reports of its own categories; the joint test set holds all companies' reports, and every one of all categories
can be the answer.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten

import torch

from secagg.demo.task import VARIANTS, Line, Sample, Scores, State
from secagg.demo.text_data import Report, read_reports
from secagg.demo.text_model import LONGEST, Classifier
from secagg.errors import ConfigError
from secagg.lora import base_hash, canonical_config
from secagg.lora.state import peft_config


class TextTask:
    """LoRA (r = 8, query and value: 73,728 values) on all-MiniLM-L6-v2, trained on the CSV files of `folder`.

    Raises:
        ConfigError: MiniLM is not installed, or the folder's files do not hold reports (`text_data`).
    """

    name = "text"
    metrics: tuple[str, ...] = ("accuracy", "balanced accuracy")

    def __init__(self, folder: Path, seed: int) -> None:
        self._reports = read_reports(folder, seed)
        self._classifier = Classifier(seed)
        self._base = base_hash(self._classifier.model)

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
            "In the disjoint variant a company alone knows the others' categories by name only, and forgets them while it learns.",
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

    def train(self, company: str, variant: str, state: State, *, round: int, steps: int, seed: int) -> tuple[State, int]:
        _check_variant(variant)
        return self._learn(self._reports.of(company, variant), state, steps, f"{company}/{variant}/{round}/{seed}")

    def train_pooled(self, variant: str, state: State, *, round: int, steps: int, seed: int) -> tuple[State, int]:
        """The pool is the same in both variants: overlapping parts are parts of it."""
        _check_variant(variant)
        pool = [report for reports in self._reports.training.values() for report in reports]
        return self._learn(pool, state, steps, f"pooled/{variant}/{round}/{seed}")

    def _learn(self, reports: Sequence[Report], state: State, steps: int, label: str) -> tuple[State, int]:
        draw = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(label.encode()).digest()[:7]))
        texts, categories = [report.text for report in reports], [report.category for report in reports]
        return self._classifier.train(state, texts, categories, steps=steps, generator=draw), len(reports)

    def evaluate(self, state: State) -> Scores:
        """Accuracy over all reports, and its mean over categories, which frequent ones cannot carry alone."""
        test = self._reports.test
        answers = self._classifier.classify(state, [report.text for report in test], self.categories)
        right = [answer == report.category for answer, report in zip(answers, test, strict=True)]
        of_category = _means([report.category for report in test], right)
        values = {"accuracy": sum(right) / len(right), "balanced accuracy": sum(of_category.values()) / len(of_category)}
        return Scores(values, _means([report.company for report in test], right))

    def samples(self, states: Mapping[str, State], n: int) -> list[Sample]:
        """Reports of all companies in turn."""
        chosen = self._in_turn()[:n]
        texts = [report.text for report in chosen]
        answers = {model: self._classifier.classify(state, texts, self.categories) for model, state in states.items()}
        return [_sample(report, {model: said[place] for model, said in answers.items()}) for place, report in enumerate(chosen)]

    def _in_turn(self) -> list[Report]:
        parts = [[report for report in self._reports.test if report.company == company] for company in self.companies]
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
