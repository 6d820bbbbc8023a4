"""The shipped names model: what it finds, what it leaves alone, and how large it is."""

from __future__ import annotations

import csv
import os
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


def test_the_models_are_small() -> None:
    assert sum(path.stat().st_size for path in Path(chinese.__file__).parent.iterdir() if path.is_file()) < 6_000_000


@pytest.mark.slow
@pytest.mark.skipif("SECAGG_DATA" not in os.environ, reason="needs the open data of SECAGG_DATA")
def test_clean_chinese_captions_are_left_alone_by_rules_and_names(whole: Sanitizer) -> None:
    with (Path(os.environ["SECAGG_DATA"]) / "captions" / "coco-cn-ext.zh.tsv").open(encoding="utf-8") as lines:
        captions = [row[1] for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert len(captions) > 4000
    assert sum(bool(whole.find(caption)) for caption in captions) <= 0.005 * len(captions)
