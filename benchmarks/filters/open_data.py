"""The open labelled data of SECAGG_DATA: sentences with the spans of personal values, from three sources.

Nobody here wrote them, so they say what the generated captions cannot: how the sanitiser reads text that it was not made beside.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Span(NamedTuple):
    """A labelled value: offsets in its text, and what it is."""

    start: int
    end: int
    entity: str


class Sentence(NamedTuple):
    """A text, its labelled values, its language."""

    text: str
    spans: tuple[Span, ...]
    language: str


PRESIDIO = {
    "PERSON": "NAME",
    "STREET_ADDRESS": "ADDRESS",
    "ADDRESS": "ADDRESS",
    "CREDIT_CARD": "BANK_CARD",
    "IBAN_CODE": "BANK_CARD",
    "PHONE_NUMBER": "PHONE",
    "EMAIL_ADDRESS": "EMAIL",
    "US_SSN": "SOCIAL_SECURITY",
    "IP_ADDRESS": "IP_ADDRESS",
}
"""Labels of presidio-research that name a personal value in our sense; places, dates, organisations and titles do not."""


def presidio(folder: Path, name: str) -> list[Sentence]:
    """A file of presidio-research: generated sentences, some of them hard."""
    rows = json.loads((folder / "pii" / name).read_text(encoding="utf-8"))
    return [
        Sentence(
            row["full_text"],
            tuple(
                Span(span["start_position"], span["end_position"], PRESIDIO[span["entity_type"]])
                for span in row["spans"]
                if span["entity_type"] in PRESIDIO
            ),
            "en",
        )
        for row in rows
    ]


def argus(folder: Path) -> list[Sentence]:
    """argus-redact's realistic cases: records, chats and notes in several languages; every value that they list, whatever its kind."""
    rows = json.loads((folder / "adversarial" / "argus-realistic.json").read_text(encoding="utf-8"))
    return [
        Sentence(
            row["input"],
            tuple(
                Span(at, at + len(value), f"VALUE {row['lang']}") for value in row["pii_values"] if (at := row["input"].find(value)) >= 0
            ),
            row["lang"],
        )
        for row in rows
    ]


def wnut(folder: Path) -> list[Sentence]:
    """WNUT 2017, training part: social media, persons only. Tokens are put together with blanks, as they are published."""
    return list(_wnut((folder / "pii" / "wnut17-train.en.conll").read_text(encoding="utf-8").splitlines()))


def _wnut(lines: list[str]) -> Iterator[Sentence]:
    tokens: list[tuple[str, str]] = []
    for line in [*lines, ""]:
        if line.strip():
            word, label = line.split("\t")
            tokens.append((word, label))
            continue
        if tokens:
            yield _sentence(tokens)
        tokens = []


def _sentence(tokens: list[tuple[str, str]]) -> Sentence:
    text, spans = "", []
    for word, label in tokens:
        text += " " if text else ""
        if label == "B-person":
            spans.append(Span(len(text), len(text) + len(word), "NAME"))
        elif label == "I-person" and spans:
            spans[-1] = spans[-1]._replace(end=len(text) + len(word))
        text += word
    return Sentence(text, tuple(spans), "en")


def clean_captions(folder: Path) -> list[str]:
    """Human Chinese captions of pictures, in which nothing is personal."""
    with (folder / "captions" / "coco-cn-ext.zh.tsv").open(encoding="utf-8") as lines:
        return [row[1] for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
