"""Each company's own reports, and a test set that all agreed on: `python make_data.py`. Stands for the data that you have."""

# ruff: noqa: S311  # the reports are made up
from __future__ import annotations

import json
import random
from pathlib import Path

LABELS = {
    "gas": ("smell of gas", "hissing pipe", "gas meter leaking", "boiler went out", "gas valve stuck"),
    "heating": ("radiator cold", "no warm water", "heating too hot", "thermostat broken", "heating noise at night"),
    "break-in": ("door forced open", "window smashed", "stranger in the garage", "lock picked", "bicycle stolen"),
    "alarm": ("siren does not stop", "camera offline", "motion sensor triggers", "alarm panel beeps", "badge reader dead"),
    "road": ("deep pothole", "traffic light dark", "manhole cover missing", "crossing paint faded", "road sign bent"),
    "waste": ("bin overflowing", "rubbish on the pavement", "container burnt", "old sofa dumped", "street not swept"),
}
KNOWS = {"energy": ("gas", "heating"), "security": ("break-in", "alarm"), "city": ("road", "waste")}
PLACES = ("in Mill Lane", "at the market", "near the school", "behind block 7", "by the station", "in Harbour Street")
OPENINGS = ("", "please help:", "since this morning", "caller says", "again", "urgent:")


def report(draw: random.Random, label: str) -> dict[str, str]:
    """One line of a file."""
    words = f"{draw.choice(OPENINGS)} {draw.choice(LABELS[label])} {draw.choice(PLACES)}"
    return {"text": words.strip(), "label": label}


def write(path: Path, reports: list[dict[str, str]]) -> None:
    """As JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in reports))


def main() -> None:
    """Three companies, each of which mostly meets its own two kinds of incident."""
    draw = random.Random(7)
    test = [report(draw, label) for label in LABELS for _ in range(30)]
    for company, known in KNOWS.items():
        other = [label for label in LABELS if label not in known]
        train = [report(draw, draw.choice(known)) for _ in range(170)] + [report(draw, draw.choice(other)) for _ in range(30)]
        draw.shuffle(train)
        write(Path(company, "data", "train.jsonl"), train)
        write(Path(company, "data", "test.jsonl"), test)


if __name__ == "__main__":
    main()
