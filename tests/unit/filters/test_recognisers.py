"""What the recognisers find, disguised or not, and what they leave alone."""

from __future__ import annotations

import ast
import csv
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.filters.captions import DISGUISED, KINDS, disguised, plain
from benchmarks.filters.disguises import DISGUISES
from secagg.filters import Sanitizer
from secagg.filters.canonical import CanonicalMap
from secagg.filters.detector import Detector
from secagg.filters.recognisers import BUILT_IN
from secagg.filters.regular import MOST_WAYS, most_ways
from secagg.filters.required import Required, digits_in
from secagg.filters.views import views

DETECTOR = Detector(BUILT_IN)
ROOT = Path(__file__).parents[3]
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
    rows = [row for row in disguised(12, 40) if row.disguise == disguise]
    assert len(rows) >= 100
    assert len(missed(rows)) <= 0.02 * len(rows)


NAIVE = {
    "PHONE": r"(?<![0-9])1[3-9][0-9]{9}(?![0-9])",
    "ID_NUMBER": r"(?<![0-9])[1-9][0-9]{16}[0-9xX](?![0-9])",
    "BANK_CARD": r"(?<![0-9])[2-9][0-9]{14,18}(?![0-9])",
    "PLATE": r"[京沪粤浙苏鲁川鄂湘冀豫闽皖辽陕][A-Z]·?[A-Z0-9]{5,6}(?![A-Z0-9])",
    "METER_OR_ACCOUNT": r"(?:户号|表号|阀门号|账号)[：是]?[0-9]{6,12}(?![0-9])",
    "EMAIL": r"[a-z0-9._]+@[a-z0-9.]+[a-z]",
}
"""What anybody would write for these values, on the text as it stands."""


def test_every_disguise_hides_values_from_patterns_on_plain_text() -> None:
    for row in plain(12, 20):
        if (row.entity, row.language) in DISGUISED:
            assert re.search(NAIVE[row.entity], row.text), "the naive pattern has to find the undisguised value"
    for disguise in DISGUISES:
        rows = [row for row in disguised(12, 20) if row.disguise == disguise]
        seen = sum(any(m.start() <= row.start and row.end <= m.end() for m in re.finditer(NAIVE[row.entity], row.text)) for row in rows)
        assert seen <= 0.1 * len(rows), disguise


@pytest.mark.parametrize("one", BUILT_IN, ids=lambda one: f"{one.entity} {one.name}")
def test_a_text_without_what_a_pattern_requires_has_no_match(one) -> None:
    """What spares a search must never spare a finding; and for most patterns most texts are spared."""
    searched = 0
    for row in [*plain(21, 8), *disguised(22, 2)]:
        for view in views(row.text):
            met = one.required.met(set(view.text), digits_in(view.text))
            searched += met
            assert met or one.compiled.search(view.text) is None or digits_in(view.text) < one.fewest_digits, row.text
    assert searched < len(plain(21, 8)) + 2 * len(disguised(22, 2))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("a+b{2}", "aabb"), ("(?:x|yz)[0-9]{3}", "yz123"), ("(?=[a-z]*[0-9])[a-z0-9]{4,8}", "abc1"), ("q?[^a]w", "bw"), ("(?:ab|)c", "c")],
)
def test_what_matches_meets_what_its_pattern_requires(pattern: str, text: str) -> None:
    assert re.search(pattern, text)
    assert Required.of(pattern).met(set(text), digits_in(text))


def test_what_a_pattern_requires_is_read_off_it() -> None:
    assert Required.of("(?:号|栋)[0-9]{2,4}@").digits == 2
    assert not Required.of("(?:号|栋)[0-9]{2,4}@").met(set("12 34 @"), 4)
    assert not Required.of("(?:号|栋)[0-9]{2,4}@").met(set("1号@"), 1)


@pytest.mark.parametrize("value", ["壹參捌壹貳參肆伍陸柒捌", "1#3#8#1#2#3#4#5#6#7#8", "1️⃣3️⃣8️⃣1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7️⃣8️⃣", "๑๓๘๑๒๓๔๕๖๗๘", "1③八１²３④5٦7৮"])
def test_a_disguise_that_no_list_of_ours_has_hides_nothing(value: str, rules: Sanitizer) -> None:
    assert rules.apply(f"居民来电{value}反映井盖松动").text.startswith("居民来电[PHONE]")


@given(
    seed=st.integers(0, 2**32),
    disguise=st.sampled_from(sorted(DISGUISES)),
    before=st.text("一个工人在", max_size=6),
    after=st.text("。，旁边有树", max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_a_span_starts_and_ends_with_the_value_under_every_disguise(seed: int, disguise: str, before: str, after: str) -> None:
    import random

    # Where anything may lie between the digits, a numeral in the words before is one digit more, and the number another: see the guide.
    assume(disguise not in {"a digit a line", "letters between"} or "一" not in before)
    rng = random.Random(seed)
    value = DISGUISES[disguise]("13" + "".join(rng.choice("23456789") for _ in range(9)), rng)
    text = f"{before}，{value}，{after}"
    start = text.index(value)
    (finding,) = [one for one in DETECTOR.find(text) if one.start < start + len(value) and start < one.end]
    assert CanonicalMap("numerals").string(text[finding.start : finding.end]) == CanonicalMap("numerals").string(value)
    assert (finding.start, finding.end) == (start, start + len(value))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("He lives at 12 rue de la Paix, 75002 Paris, and sleeps", "He lives at [ADDRESS], and sleeps"),
        ("Adresse: Hauptstraße 5, 80331 München", "Adresse: [ADDRESS]"),
        ("the owner of Rákóczi út 66. Apt. 268, Beder", "the owner of [ADDRESS]"),
        ("PSC 5217, Box 4854\nAPO AP 43617 is far", "[ADDRESS] is far"),
        ("Flat 5, 12 Baker Street, London NW1 6XE is empty", "[ADDRESS] is empty"),
        ("gas smell at 12 Baker Street, two men repair a pipe", "gas smell at [ADDRESS], two men repair a pipe"),
        ("300 WEST 234TH STREET TO 304 WEST 234TH STREET", "[ADDRESS] TO [ADDRESS]"),
        ("전화 010-1234-5678 또는 850315-1234567", "전화 [PHONE] 또는 [ID_NUMBER]"),
        ("card 501864667909 is lost", "card [BANK_CARD] is lost"),
    ],
)
def test_values_of_other_countries_are_replaced_and_the_sentence_around_them_stays(text: str, clean: str, rules: Sanitizer) -> None:
    assert rules.apply(text).text == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Send it to 14 Crown Street Kishiev Squares\n Suite 321\n LONDON\n United Kingdom 75419 today", "Send it to [ADDRESS] today"),
        ("Our address is 56 Canelones 2266\nFahrdorf\n, SH\n 05775", "Our address is [ADDRESS]"),
        ("She lives at 28919 136 Filadelfeos Str., Klirou", "She lives at [ADDRESS]"),
        ("Meet me at the corner of Dalbraut 99 and Frederikke Coves", "Meet me at [ADDRESS]"),
        ("My zip code is 35649", "My zip code is [ADDRESS]"),
        ("Canary Wharf, London E14 5HP", "Canary Wharf, London [ADDRESS]"),
        ("12 Baker Street Two men walk", "[ADDRESS] Two men walk"),
        ("LEAK AT 174 EVANS AVE. THE CREW LEFT", "LEAK AT [ADDRESS]. THE CREW LEFT"),
        ("a bus at the corner of the park", "a bus at the corner of the park"),
        ("the corner of 48th and Roanoke", "the corner of 48th and Roanoke"),
        ("收货地址：陕西省西安市碑林区长安北路1号省体育场东门", "收货地址：[ADDRESS]"),
    ],
)
def test_an_address_goes_as_far_as_its_words_are_written_like_one(text: str, clean: str, rules: Sanitizer) -> None:
    assert rules.apply(text).text == clean


@pytest.mark.parametrize(
    "number",
    ["06 12 34 56 78", "(85) 5986-8343", "082 490 1693", "400-810-1234", "2025550134", "0151 12345678"],
)
def test_a_number_written_like_a_phone_needs_no_cue(number: str, rules: Sanitizer) -> None:
    assert rules.apply(f"a sticker, {number}, on the door").text == "a sticker, [PHONE], on the door"


@pytest.mark.parametrize("file", ["captions", "values", "words", "disguises"])
def test_the_makers_of_test_captions_know_nothing_of_the_recognisers(file: str) -> None:
    tree = ast.parse((ROOT / "benchmarks" / "filters" / f"{file}.py").read_text(encoding="utf-8"))
    named = {
        name
        for node in ast.walk(tree)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in getattr(node, "names", [])])
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert "__future__" in named
    assert [name for name in named if name and name.startswith("secagg")] == []


@pytest.mark.parametrize(
    "text",
    [
        "4 days person just park",
        "5-8 cars blocking fire lane",
        "the meter at 19:30 was read",
        "It's 2/25/1996 today",
        "chapters 4, 8, 13, 14, 15",
        "The train leaves platform 4 at place 12",
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
    "one surname": "王" * 200_000,
    "names": "王伟" * 50_000,
    "names in Latin script": "Mary Smith " * 10_000,
    "flats": "Apt 1 " * 20_000,
    "homes": "lives at 1 " * 10_000,
    "corners": "corner of a b and " * 10_000,
    "streets": "1 Elm Street, " * 8_000,
    "captions in one line": " ".join(row.text for row in plain(32, 80)),
    "emoji": "😀" * 100_000,
    "brackets around digits": "(1)" * 50_000,
    "a letter after each digit": "1a" * 50_000,
    "a digit a line": "1\n" * 50_000,
}


SLOWER = 5
"""How many times the processor time of ordinary text a character of hostile text may take."""


def seconds(find: Callable[[str], object], texts: list[str]) -> float:
    """Processor time, the best of two: a neighbour of this process must not decide."""
    took = []
    for _ in range(2):
        began = time.process_time()
        for text in texts:
            find(text)
        took.append(time.process_time() - began)
    return min(took)


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_takes_the_time_of_its_length(text: str) -> None:
    """Names included; ordinary text is captions with values, one by one, so that only their length counts."""
    sanitizer, ordinary = Sanitizer(), [row.text for row in plain(31, 20)]
    sanitizer.find(ordinary[0])
    usual = seconds(sanitizer.find, ordinary) / sum(map(len, ordinary))
    assert seconds(sanitizer.find, [text]) / len(text) < SLOWER * usual


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
