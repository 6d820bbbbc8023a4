"""Scores of the sanitiser: recall of whole values per entity, language and disguise, clean captions touched, captions per CPU-second.

    python -m benchmarks.filters                       # prints JSON
    SECAGG_DATA=/data python -m benchmarks.filters     # and clean Chinese captions

Presidio is run beside it where it is installed, on the same captions: a value is found if one span covers it.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.filters.captions import Labelled, disguised, plain
from benchmarks.filters.peers import presidio
from secagg.filters import Policy, Sanitizer
from secagg.filters.policy import Names

Spans = Callable[[str, str], list[tuple[int, int]]]


def recall(find: Spans, rows: list[Labelled], key: Callable[[Labelled], str]) -> dict[str, float]:
    total: Counter[str] = Counter(map(key, rows))
    hit = Counter(key(row) for row in rows if any(start <= row.start and row.end <= end for start, end in find(row.text, row.language)))
    return {name: round(hit[name] / count, 4) for name, count in total.items()}


def speed(sanitizer: Sanitizer, texts: list[str]) -> int:
    began = time.process_time()
    for text in texts:
        sanitizer.find(text)
    return round(len(texts) / (time.process_time() - began))


def ours(sanitizer: Sanitizer) -> Spans:
    return lambda text, _: [(finding.start, finding.end) for finding in sanitizer.find(text)]


def theirs() -> Spans:
    engine = presidio()
    return lambda text, language: [(one.start, one.end) for one in engine.analyze(text, language="en")]


def main() -> None:
    whole, rules = Sanitizer(), Sanitizer(Policy(names=Names(model=False)))
    rows, hidden = plain(101, 200), disguised(102, 60)
    tools = {"secagg": ours(whole)} | ({"presidio": theirs()} if importlib.util.find_spec("presidio_analyzer") else {})
    result: dict[str, Any] = {
        name: {
            "entities": recall(find, rows, lambda row: f"{row.entity} {row.language}"),
            "disguises": recall(find, hidden, lambda row: row.disguise),
        }
        for name, find in tools.items()
    }
    if "SECAGG_DATA" in os.environ:
        with (Path(os.environ["SECAGG_DATA"]) / "captions" / "coco-cn-ext.zh.tsv").open(encoding="utf-8") as lines:
            clean = [row[1] for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
        found = [whole.find(text) for text in clean]
        characters = sum(finding.end - finding.start for one in found for finding in one)
        result["clean"] = {
            "captions": len(clean),
            "touched": round(sum(map(bool, found)) / len(clean), 5),
            "characters": round(characters / sum(map(len, clean)), 5),
            "captions per CPU-second, rules": speed(rules, clean),
            "captions per CPU-second, rules and names": speed(whole, clean),
        }
    texts = [row.text for row in rows]
    result["captions with values per CPU-second"] = {"rules": speed(rules, texts), "rules and names": speed(whole, texts)}
    print(json.dumps(result, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
