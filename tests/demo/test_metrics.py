"""The three numbers of the table, against examples worked by hand and against laws."""

from __future__ import annotations

import math

import pytest

from secagg.demo.captions import COMPANIES, LANGUAGES, caption
from secagg.demo.metrics import bleu4, is_right, rouge_l, stated
from secagg.demo.scenes import Scene, draw_scenes

SCENE = Scene(surface="brick", roadside="car", clothes="red", action="stand", device="meter", state="leaking", seed=0)


def test_every_caption_is_right_about_its_own_scene() -> None:
    for scene in draw_scenes((5,), 50):
        assert all(is_right(caption(scene, aspect, language), scene, aspect, language) for aspect in COMPANIES for language in LANGUAGES)


def test_a_caption_is_right_about_another_scene_only_if_both_facts_agree() -> None:
    scenes = draw_scenes((6,), 40)
    for one in scenes:
        for other in scenes:
            agree = (one.device, one.state) == (other.device, other.state)
            assert is_right(caption(one, "energy", "zh"), other, "energy", "zh") is agree


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("the gas meter is leaking gas", True),
        ("here a gas meter seems to be leaking gas", True),
        ("the gas meter is on fire", False),
        ("the gas cylinder is leaking gas", False),
        ("the gas meter is leaking gas on fire", False),
        ("gas meter gas cylinder leaking gas", False),
        ("the meter is leaking gas", False),
        ("the gas meter", False),
        ("", False),
    ],
)
def test_a_fact_needs_both_values_and_no_other_beside_them(text: str, right: bool) -> None:
    assert is_right(text, SCENE, "energy", "en") is right


def test_words_are_found_as_whole_tokens() -> None:
    assert stated("a redder person", "clothes", "en") == set()
    assert stated("红衣服 绿衣服", "clothes", "zh") == {"red", "green"}


def test_scores_of_the_reference_itself_are_one() -> None:
    pairs = [("the gas meter is on fire", "the gas meter is on fire"), ("燃气表着火了", "燃气表着火了")]
    assert bleu4(pairs) == pytest.approx(1.0)
    assert rouge_l(pairs) == 1.0


def test_scores_without_a_common_word_are_zero() -> None:
    assert bleu4([("a b c d e", "v w x y z")]) == 0.0
    assert rouge_l([("a b c d e", "v w x y z")]) == 0.0
    assert rouge_l([("", "v w")]) == 0.0
    assert bleu4([("", "v w")]) == 0.0


def test_bleu_of_one_wrong_word_worked_by_hand() -> None:
    # a b c d e f against a b c d e x: 5/6 words, 4/5 pairs, 3/4 triples, 2/3 fours, equal lengths
    expected = (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25
    assert bleu4([("a b c d e f", "a b c d e x")]) == pytest.approx(expected)


def test_bleu_punishes_short_answers_and_counts_a_repeated_word_as_often_as_the_reference_has_it() -> None:
    # 5 of 7 words, all n-grams match: only exp(1 − 7/5) is left
    assert bleu4([("a b c d e", "a b c d e f g")]) == pytest.approx(math.exp(1 - 7 / 5))
    # a a a a a: 2/5, 1/4, 0/3 → no triple matches
    assert bleu4([("a a a a a", "a a b a b")]) == 0.0
    # one answer longer than its reference does not make up for nothing: counts are pooled over the corpus
    pooled = (8 / 10 * 6 / 8 * 4 / 6 * 2 / 4) ** 0.25
    assert bleu4([("a b c d x", "a b c d e"), ("a b c d y", "a b c d e")]) == pytest.approx(pooled)


def test_rouge_l_worked_by_hand() -> None:
    # longest common subsequence of (a b c d) and (a x c d e) is a c d: 2·3 / (4 + 5)
    assert rouge_l([("a b c d", "a x c d e")]) == pytest.approx(6 / 9)
    # order counts: (b a) and (a b) share one token
    assert rouge_l([("b a", "a b")]) == pytest.approx(0.5)
    assert rouge_l([("b a", "a b"), ("a", "a")]) == pytest.approx(0.75)


def test_chinese_is_scored_by_character() -> None:
    # 燃气表着火了 against 燃气表漏气了: four of six characters in common, in order
    assert rouge_l([("燃气表着火了", "燃气表漏气了")]) == pytest.approx(8 / 12)
