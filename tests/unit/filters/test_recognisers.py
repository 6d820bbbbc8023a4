"""What the recognisers find, disguised or not, and what they leave alone."""

from __future__ import annotations

import csv
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.filters.captions import DISGUISES, KINDS, disguised, plain
from secagg.filters.canonical import CanonicalMap
from secagg.filters.detector import Detector
from secagg.filters.recogniser import THRESHOLD
from secagg.filters.recognisers import BUILT_IN
from secagg.filters.regular import MOST_WAYS, most_ways

DETECTOR = Detector(BUILT_IN)
FLOORS = {"ADDRESS": 0.95, "CREDENTIAL": 0.97, "METER_OR_ACCOUNT": 0.98, "USER_ID": 0.98, "GPS": 0.99, "ID_NUMBER bad checksum": 0.99}
STRUCTURED = 0.995


def covered(text: str, start: int, end: int) -> bool:
    return any(finding.start <= start and end <= finding.end for finding in DETECTOR.find(text))


def missed(rows) -> list[str]:
    return [row.text for row in rows if not covered(row.text, row.start, row.end)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind[0] != "NAME"], ids=" ".join)
def test_a_value_in_a_caption_is_found_whole(kind) -> None:
    rows = [row for row in plain(11, 100) if (row.entity, row.language) == kind]
    floor = FLOORS.get(kind[0], 0.95 if kind == ("PLATE", "en") else STRUCTURED)
    assert len(rows) == 100
    assert len(missed(rows)) <= (1 - floor) * len(rows)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguised_value_is_found_whole(disguise: str) -> None:
    rows = [row for row in disguised(12, 25) if row.disguise == disguise]
    assert len(rows) >= 100
    assert len(missed(rows)) <= 0.02 * len(rows)


def test_the_disguises_hide_values_from_patterns_on_plain_text() -> None:
    seen = Counter(
        row.disguise
        for row in disguised(12, 10)
        if any(
            one.pattern and one.compiled.search(row.text.lower()) and one.base >= THRESHOLD for one in BUILT_IN if one.name == "zh mobile"
        )
    )
    assert all(seen[disguise] <= 10 for disguise in ("full-width", "zero-width", "circled", "mathematical", "Chinese numerals"))


@given(
    seed=st.integers(0, 2**32),
    disguise=st.sampled_from(sorted(DISGUISES)),
    before=st.text("一个工人在", max_size=6),
    after=st.text("。，旁边有树", max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_a_span_starts_and_ends_with_the_value_under_every_disguise(seed: int, disguise: str, before: str, after: str) -> None:
    import random

    rng = random.Random(seed)
    value = DISGUISES[disguise]("13" + "".join(rng.choice("23456789") for _ in range(9)), rng)
    text = f"{before}，{value}，{after}"
    start = text.index(value)
    (finding,) = [one for one in DETECTOR.find(text) if one.start < start + len(value) and start < one.end]
    assert CanonicalMap("numerals").string(text[finding.start : finding.end]) == CanonicalMap("numerals").string(value)
    assert (finding.start, finding.end) == (start, start + len(value))


@pytest.mark.parametrize(
    "text",
    [
        "一个男人在打电话，手里拿着13个苹果",
        "第3路公交车停在12路站台旁",
        "2023年5月12日拍摄的两辆车",
        "三个单元测试",
        "the clock shows 10:45 and 3 people wait",
        "train number 1234 at platform 5",
        "a sign that reads 50% off",
        "version 1.2.3 of the software",
        "a 1920x1080 picture of 2 dogs",
        "12 angry men on the street",
        "https://example.org/about",
        "the meter reads",
        "他把密码忘了",
        "价格是12800元",
    ],
)
def test_a_clean_caption_is_left_alone(text: str) -> None:
    assert [(text[one.start : one.end], one.rule) for one in DETECTOR.find(text)] == []


@pytest.mark.parametrize("number", ["110101199003074619", "1101011990030746190"])
def test_a_number_that_fails_its_checksum_is_found_behind_a_cue(number: str) -> None:
    assert covered(f"身份证号{number}", 4, 4 + len(number))


HOSTILE = {
    "one line of a megabyte": "a" * 1_000_000,
    "digits": "1" * 200_000,
    "spaced digits": "1 " * 100_000,
    "letters and at": "a." * 50_000 + "@" + "a." * 50_000,
    "brackets": "[" * 100_000 + "]" * 100_000,
    "combining flood": "1" + "\u0301" * 300_000,
    "roads": "人民路" * 30_000,
    "roads and numbers": "路1号" * 30_000,
    "degrees": "1°1'" * 40_000,
    "words": "number is " * 30_000 + "1",
    "capitalised words": "12 Baker " * 20_000,
    "colons": "a:" * 100_000,
    "separators": "1" + "-" * 200_000 + "1",
    "cues": "账号" * 60_000,
    "tokens": "token " * 40_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_time_is_linear_in_hostile_text(text: str) -> None:
    def seconds(part: str) -> float:
        took = []
        for _ in range(2):  # the better one: a neighbour of this process must not decide
            began = time.process_time()
            DETECTOR.find(part)
            took.append(time.process_time() - began)
        return min(took)

    short, whole = seconds(text[: len(text) // 4]), seconds(text)
    assert whole < 1.0 or whole < 8 * short, f"{short:.2f} s for a quarter, {whole:.2f} s for all"
    assert whole < 30


@pytest.mark.parametrize("one", BUILT_IN, ids=lambda one: f"{one.entity} {one.name}")
def test_no_pattern_can_be_read_in_exponentially_many_ways(one) -> None:
    from re import _parser  # type: ignore[attr-defined]

    assert most_ways(_parser.parse(one.pattern)) <= 10 * MOST_WAYS


@pytest.mark.slow
@pytest.mark.skipif("SECAGG_DATA" not in os.environ, reason="needs the open data of SECAGG_DATA")
def test_clean_chinese_captions_are_left_alone() -> None:
    with (Path(os.environ["SECAGG_DATA"]) / "captions" / "coco-cn-ext.zh.tsv").open(encoding="utf-8") as lines:
        captions = [row[1] for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert len(captions) > 4000
    assert sum(bool(DETECTOR.find(caption)) for caption in captions) <= 0.005 * len(captions)
