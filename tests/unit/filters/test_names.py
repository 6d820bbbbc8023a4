"""The shipped names model: what it finds, what it leaves alone, and how large it is."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import pytest

from benchmarks.filters.captions import plain
from secagg.filters import Sanitizer
from secagg.filters.names import chinese

pytest.importorskip("pycrfsuite")


@pytest.fixture(scope="module")
def whole() -> Sanitizer:
    return Sanitizer()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_names_in_captions_are_found_whole(whole: Sanitizer, language: str) -> None:
    rows = [row for row in plain(13, 100) if (row.entity, row.language) == ("NAME", language)]
    found = sum(any(one.start <= row.start and row.end <= one.end for one in whole.find(row.text)) for row in rows)
    assert len(rows) == 100
    assert found >= 92


@pytest.mark.parametrize("text", ["巡检员王\u200b建\u200b国正在检查燃气表", "巡检员王 建 国正在检查燃气表"])
def test_a_disguised_name_is_found(whole: Sanitizer, text: str) -> None:
    assert whole.apply(text).text == "巡检员[NAME]正在检查燃气表"


def test_a_name_far_into_a_long_text_is_found(whole: Sanitizer) -> None:
    assert "Mary" not in whole.apply("the gas meter is closed. " * 800 + "Mary Johnson closed the valve").text


@pytest.mark.parametrize(
    "text",
    [
        "come and see us at the game",
        "I hope he will go and kick the ball",
        "April and May were wet, and so was Sunday",
        "Sydney and Paris are far from here",
        "a guy with a red hat rides a bike",
    ],
)
def test_words_that_are_names_elsewhere_are_words(whole: Sanitizer, text: str) -> None:
    assert whole.apply(text).text == text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("巡检员程雅琴正在检查燃气表", "程雅琴"),
        ("网格员洪一诺在劝导商贩", "洪一诺"),
        ("庞思远站在路边打电话", "庞思远"),
        ("Inspector Zedrick Quorvane closed the valve", "Zedrick Quorvane"),
    ],
)
def test_names_that_few_have_are_found(whole: Sanitizer, text: str, name: str) -> None:
    assert whole.apply(text).text == text.replace(name, "[NAME]")


HOSTILE = {
    "capitals": "Mary " * 40_000,
    "one word": "M" + "a" * 200_000,
    "surnames": "王" * 100_000,
    "names": "王建国" * 30_000,
    "combining flood": "M" + "\u0301" * 200_000 + "ary Smith",
    "hyphens": "Anna-" * 40_000,
    "initials": "J. " * 60_000,
    "apart": "王 " * 60_000,
    "brackets": "[" * 100_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_time_for_names_is_linear_in_hostile_text(whole: Sanitizer, text: str) -> None:
    def seconds(part: str) -> float:
        took = []
        for _ in range(2):  # the better one: a neighbour of this process must not decide
            began = time.process_time()
            whole.find(part)
            took.append(time.process_time() - began)
        return min(took)

    short, longer = seconds(text[: len(text) // 4]), seconds(text)
    assert longer < 1.0 or longer < 8 * short, f"{short:.2f} s for a quarter, {longer:.2f} s for all"
    assert longer < 30


def test_the_models_are_small() -> None:
    assert sum(path.stat().st_size for path in Path(chinese.__file__).parent.iterdir() if path.is_file()) < 6_000_000


@pytest.mark.slow
@pytest.mark.skipif("SECAGG_DATA" not in os.environ, reason="needs the open data of SECAGG_DATA")
def test_clean_chinese_captions_are_left_alone_by_rules_and_names(whole: Sanitizer) -> None:
    with (Path(os.environ["SECAGG_DATA"]) / "captions" / "coco-cn-ext.zh.tsv").open(encoding="utf-8") as lines:
        captions = [row[1] for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert len(captions) > 4000
    assert sum(bool(whole.find(caption)) for caption in captions) <= 0.005 * len(captions)
