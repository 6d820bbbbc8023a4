"""Captions say one thing in one way, and a company's records hold what its variant allows."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import combinations

import pytest

from secagg.demo.captions import (
    COMPANIES,
    LANGUAGES,
    SCENES,
    SLOTS,
    VALIDATION,
    WORDS,
    caption,
    every_caption,
    join,
    tokens,
    validation_scenes,
)
from secagg.demo.captions import (
    company_records as _company_records,
)
from secagg.demo.metrics import stated
from secagg.demo.scenes import Scene, paint
from secagg.demo.tasks import STREET
from secagg.errors import ConfigError

company_records = cache(_company_records)  # painting a company's pictures takes a second
SCENE = Scene(surface="cobble", roadside="trees", clothes="red", action="squat", device="cover", state="leaking", seed=0)


@pytest.mark.parametrize(
    ("aspect", "language", "text"),
    [
        ("energy", "en", "the manhole cover is leaking gas"),
        ("energy", "zh", "井盖正在漏气"),
        ("community", "en", "a person in red is squatting down"),
        ("community", "zh", "一个穿红衣服的人蹲在地上"),
        ("urban", "en", "this cobbled lane has a row of trees"),
        ("urban", "zh", "这条石块路上能看到一排树"),
    ],
)
def test_a_caption_states_both_facts_of_its_aspect(aspect: str, language: str, text: str) -> None:
    assert caption(SCENE, aspect, language) == text


@pytest.mark.parametrize("aspect", COMPANIES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_states_exactly_one_value_of_each_slot_and_no_two_are_alike(aspect: str, language: str) -> None:
    sentences = every_caption(aspect, language)
    first, second = SLOTS[aspect]
    found = [(stated(text, first, language), stated(text, second, language)) for text in sentences]
    assert all(len(one) == len(other) == 1 for one, other in found)
    assert len(set(sentences)) == len({(*one, *other) for one, other in found}) == len(WORDS[first]) * len(WORDS[second])


@pytest.mark.parametrize("company", COMPANIES)
def test_disjoint_records_speak_of_the_companys_own_aspect_only(company: str) -> None:
    assert {record.aspect for record in company_records(company, "disjoint", 0)} == {company}


@pytest.mark.parametrize("company", COMPANIES)
def test_overlap_is_60_20_20_and_keeps_the_pictures(company: str) -> None:
    overlap, disjoint = company_records(company, "overlap", 0), company_records(company, "disjoint", 0)
    counts = Counter(record.aspect for record in overlap)
    assert {aspect: round(count / len(overlap), 3) for aspect, count in counts.items()} == {
        aspect: 0.6 if aspect == company else 0.2 for aspect in COMPANIES
    }
    assert [record.id for record in overlap] == [record.id for record in disjoint]
    assert all((one.picture == other.picture).all() for one, other in zip(overlap, disjoint, strict=True))


def test_each_picture_has_one_record_per_language() -> None:
    records = company_records("urban", "disjoint", 0)
    assert len({record.id for record in records}) == len(records) == SCENES["urban"] * len(LANGUAGES)
    assert Counter(record.scene for record in records).most_common()[-1][1] == len(LANGUAGES)


def test_records_are_determined_by_the_seed() -> None:
    one, same, other = ([record.text for record in _company_records("energy", "overlap", seed)] for seed in (0, 0, 1))
    assert one == same != other


def test_no_picture_is_at_two_companies_or_in_the_validation_set() -> None:
    holders = [{record.picture.tobytes() for record in company_records(company, "disjoint", 0)} for company in COMPANIES]
    holders.append({paint(scene).tobytes() for scene in validation_scenes(0)})
    assert len(holders[-1]) == VALIDATION
    assert all(not one & other for one, other in combinations(holders, 2))


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ConfigError, match="disjoint, overlap"):
        company_records("energy", "other", 0)


def test_companies_are_those_that_the_demo_names_without_loading_this() -> None:
    assert COMPANIES == STREET


def test_tokens_are_words_or_characters_and_join_undoes_them() -> None:
    assert tokens("a gas meter") == ["a", "gas", "meter"]
    assert tokens("燃气表 着火") == ["燃", "气", "表", "着", "火"]
    for aspect in COMPANIES:
        for language in LANGUAGES:
            for text in every_caption(aspect, language):
                assert join(" ".join(tokens(text))) == text
