"""The canonical map: a homomorphism with an exact way back."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ConfigError
from secagg.filters.canonical import FOLDS, CanonicalMap
from secagg.filters.fence.alphabet import robust
from secagg.filters.make_confusables import confusables, simplified

ANY = st.text(st.characters())
HOMOGLYPHS = "АВСЕНІКМОРТХаеорсухΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
DISGUISES = {
    "full-width": "１３８００１３８０００",
    "zero-width": "1\u200b3\u200c8\u200d0\ufeff0\u20601\u00ad38000",
    "circled": "①③⑧⓪⓪①③⑧⓪⓪⓪",
    "negative circled": "❶❸❽⓿⓿❶❸❽⓿⓿⓿",
    "mathematical": "𝟏𝟑𝟖𝟎𝟎𝟏𝟑𝟖𝟎𝟎𝟎",
    "Arabic-Indic": "١٣٨٠٠١٣٨٠٠٠",
    "extended Arabic-Indic": "۱۳۸۰۰۱۳۸۰۰۰",
    "Devanagari": "१३८००१३८०००",
    "superscript": "¹³⁸⁰⁰¹³⁸⁰⁰⁰",
    "keycaps": "".join(digit + "\ufe0f\u20e3" for digit in "13800138000"),
    "struck through": "".join(digit + "\u0336" for digit in "13800138000"),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguised_number_has_the_canonical_text_of_the_number(disguise: str) -> None:
    assert CanonicalMap().string(DISGUISES[disguise]) == "13800138000"


def test_chinese_numerals_are_digits_only_when_asked() -> None:
    assert CanonicalMap("numerals").string("壹叁捌零〇幺三八零零零") == "13800138000"
    assert CanonicalMap().string("三单元") == "三单元"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Ｚｈａｎｇ＠１６３．ｃｏｍ", "zhang@163.com"),
        ("zhаng@163.соm", "zhang@163.com"),
        ("𝓏𝒽𝒶𝓃ℊ", "zhang"),
        ("ⓩⓗⓐⓝⓖ", "zhang"),
        ("🅉🅗🅐🅝🅖", "zhang"),
        ("ᴢʜᴀɴɢ", "zhang"),
        ("žħáñǥ", "zhang"),
        ("z͑h̷a⃝n̲g", "zhang"),
        ("京А·１２３４５", "京a·12345"),
        ("tel\u3000:\u00a01", "tel : 1"),
        ("straße", "strasse"),
        ("օրիգին", "onhqhn"),
        ("ֆալկօն", "fwluon"),
        ("sɛcrǝʇ", "secret"),
        ("wιпdmιll", "windmill"),
        ("ҏассωorд", "paccworд"),
    ],
)
def test_disguised_letters_are_plain_letters(text: str, plain: str) -> None:
    assert CanonicalMap().string(text) == plain


@given(ANY, ANY, st.sets(st.sampled_from(sorted(FOLDS))))
def test_the_map_is_a_homomorphism(first: str, second: str, folds: set[str]) -> None:
    canonical = CanonicalMap(*folds)
    assert canonical.string(first + second) == canonical.string(first) + canonical.string(second)
    assert canonical.string(first) == "".join(map(canonical.char, first)) == canonical.text(first).text


@given(ANY, st.sets(st.sampled_from(sorted(FOLDS))))
def test_every_canonical_character_comes_from_the_place_it_names(text: str, folds: set[str]) -> None:
    canonical = CanonicalMap(*folds)
    found = canonical.text(text)
    for index, character in enumerate(found.text):
        assert character in canonical.char(text[found.origin(index)])
        start, end = found.span(index, index + 1)
        assert canonical.string(text[start:end]) == canonical.char(text[start])
    assert [found.origin(i) for i in range(len(found.text))] == sorted(found.origin(i) for i in range(len(found.text)))


@pytest.mark.slow
@pytest.mark.parametrize("folds", [(), ("han",), ("numerals",), ("han", "numerals"), ("leet",)])
def test_mapping_twice_changes_nothing_in_all_of_unicode(folds: tuple[str, ...]) -> None:
    canonical = CanonicalMap(*folds)
    moved = {hex(p): once for p in range(0x110000) if (once := canonical.char(chr(p))) != canonical.string(once)}
    assert moved == {}


@pytest.mark.parametrize("character", "1lIO0|Ii5Sszm")
def test_plain_text_is_left_as_it_is_but_for_case(character: str) -> None:
    assert CanonicalMap().char(character) == character.lower()


def test_chinese_text_is_left_as_it_is() -> None:
    text = "一个工人在口字形的八号楼前。丨丿二十、"
    assert CanonicalMap().string(text) == text.replace("、", CanonicalMap().char("、"))


def test_look_alikes_of_either_case_are_plain_letters() -> None:
    assert all(CanonicalMap().char(character).isascii() for character in HOMOGLYPHS)


def test_traditional_and_leet_are_folded_only_when_asked() -> None:
    assert CanonicalMap("han").string("燃氣錶號") == CanonicalMap("han").string("燃气表号")
    assert CanonicalMap().string("燃氣") == "燃氣"
    assert CanonicalMap("leet").string("p4$$w0rd") == "password"


def test_an_unknown_fold_is_refused() -> None:
    with pytest.raises(ConfigError, match="'rot13'"):
        CanonicalMap("rot13")


def test_an_empty_span_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        CanonicalMap().text("abc").span(1, 1)


def test_the_tables_keep_no_plain_source_and_no_chinese_one() -> None:
    rows = "\ufeff# head\n0430 ;\t0061 ;\tMA\t# а\n0031 ;\t006C ;\tMA\n4E28 ;\t006C ;\tMA\n0660 ;\t002E ;\tMA\n"
    assert confusables(rows) == {"а": "a", "А": "a"}
    assert simplified("氣\t气\n乾\t干 乾\n一\t一\n") == {"氣": "气", "乾": "干"}


def test_every_look_alike_that_unicode_lists_for_a_latin_letter_is_that_letter() -> None:
    """UTS #39 as it was published, where the data is: nothing of it was lost on the way into the table."""
    folder = os.environ.get("SECAGG_DATA")
    if not folder:
        pytest.skip("SECAGG_DATA is not set")
    symbols = robust()
    listed = [row.split("#")[0].split(";") for row in (Path(folder) / "unicode/confusables.txt").read_text("utf-8-sig").splitlines()]
    pairs = [(chr(int(row[0], 16)), chr(int(row[1], 16))) for row in listed if len(row) > 2 and len(row[0].split() + row[1].split()) == 2]
    letters = [(one, letter) for one, letter in pairs if letter.isascii() and letter.isalpha() and unicodedata.category(one)[0] == "L"]
    assert len(letters) > 900
    missed = {one for one, letter in letters if one.translate(symbols) != letter.translate(symbols)}
    assert all(unicodedata.name(one).startswith(("CJK", "HANGUL", "KATAKANA", "YI", "ARABIC")) or one == "ſ" for one in missed), missed
