"""Both languages say everything, with the same numbers in it."""

from __future__ import annotations

from string import Formatter

import pytest

from secagg.demo.words import LANGUAGES, Words
from secagg.errors import ConfigError


def placeholders(sentence):
    return {field for _, field, _, _ in Formatter().parse(sentence) if field}


def test_the_catalogues_have_the_same_keys():
    keys = {language: set(Words.of(language).sentences) for language in LANGUAGES}
    assert keys["en"] == keys["zh"]


def test_a_sentence_takes_the_same_numbers_in_both_languages():
    english, chinese = Words.of("en").sentences, Words.of("zh").sentences
    assert {key: placeholders(text) for key, text in english.items()} == {key: placeholders(text) for key, text in chinese.items()}


@pytest.mark.parametrize("protocol", ["pairwise", "ckks", "ckks-threshold"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_protocol_has_words_of_its_own_for_sentences_that_there_are(language, protocol):
    common = Words.of(language)
    own = {key.removeprefix(f"{protocol}.") for key in common.sentences if key.startswith(f"{protocol}.")}
    told = common.under(protocol)
    assert own
    for key in own:
        assert told(key) != common(key)
        assert placeholders(told(key)) <= placeholders(common(key))
    assert common.under("additive").sentences == common.sentences


def test_numbers_are_filled_in():
    assert Words.of("en")("live.round", round=3, rounds=12) == "round  3/12"


def test_a_name_without_an_entry_stays_as_it_is():
    assert Words.of("en").name("north") == "north"


def test_an_unknown_language_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="en and zh"):
        Words.of("de")
