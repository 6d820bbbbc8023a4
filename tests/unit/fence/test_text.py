"""The text fence: disguises are found, harmless text is left alone, nothing joins across a mark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ConfigError
from secagg.filters.fence import Fence, Phrases, Shape, StreamFilter, alphabet
from secagg.filters.fence.short import spellings

FALCON = Fence(Phrases("projects", ("project falcon", "三级片")))
MARK = "████"


@pytest.mark.parametrize(
    "disguised",
    [
        "PROJECT Falcon",
        "ｐｒｏｊｅｃｔ　ｆａｌｃｏｎ",
        "pro\u200bject fal\u2060con",
        "p r o j e c t f a l c o n",
        "p.r-o_j*e~c/t|falcon",
        "рrоjесt fаlсоn",
        "pr0j3ct f@lc0n",
        "ⓟⓡⓞⓙⓔⓒⓣ ⓕⓐⓛⓒⓞⓝ",
        "𝐩𝐫𝐨𝐣𝐞𝐜𝐭 𝔣𝔞𝔩𝔠𝔬𝔫",
        "pröjéct fàlcôn",
        "p\u0336r\u0336o\u0336j\u0336e\u0336c\u0336t\u0336 falcon",
        "project\n\nfalcon",
        "proj🙂ect fal🙂con",
        "ᴘʀᴏᴊᴇᴄᴛ ꜰᴀʟᴄᴏɴ",
        "project ғalcon",
        "proj€ct fa£con",
        "叁级片",
        "③级片",
        "三·級·片",
        "三 级\u3000片",
    ],
)
def test_a_phrase_is_found_in_every_disguise_of_the_robust_policy(disguised):
    fenced = FALCON.apply(f"a {disguised} b")
    assert fenced.text.startswith(f"a {MARK}")
    assert [hit.start for hit in fenced.hits] == [2]
    assert FALCON.apply(f"a {'x'.join(disguised)} b").hits == (), "the harness must be able to miss"


@pytest.mark.parametrize("text", ["", "a projection of falcons", "falcon project", "三级跳", "█"])
def test_harmless_text_is_returned_as_it_came(text):
    assert FALCON.apply(text).text is text


@pytest.mark.parametrize(
    "separator", ["🔥", "❤️", "│", "█", "\ufe0f", "\u034f", "\u00ad", "\u3164", "\u2800", "\U000e0020", "\n|\n", "**", "]["]
)
def test_no_separator_hides_a_phrase(separator):
    assert FALCON.check(separator.join("project falcon"))
    assert FALCON.check(separator.join("三级片"))
    stream = StreamFilter(FALCON)
    said = "".join([*map(stream.feed, f"a {separator.join('project falcon')} b"), stream.flush()])
    assert FALCON.check(said) == ()
    assert "████" in said


def test_a_word_is_found_between_word_boundaries_only():
    fence = Fence(Phrases("words", ("ass", "你好", "kill bill"), "word"))
    assert fence.apply("class assassin ass. ASS").text == f"class assassin {MARK}. {MARK}"
    assert fence.apply("他说你好吗").text == f"他说{MARK}吗"
    assert fence.apply("Kill --  Bill").text == MARK
    assert fence.apply("ass你").text == f"{MARK}你"
    assert Fence(Phrases("words", ("ass",), "robust")).apply("class").text == f"cl{MARK}"


@pytest.mark.parametrize(
    ("text", "fenced"),
    [
        ("电话１３８-００１３-８０００。", f"电话{MARK}。"),
        ("call 13800138000 5", f"call {MARK} 5"),
        ("2138001380001", "2138001380001"),
        ("一三八〇〇一三八〇〇〇", MARK),
        ("id 11010119900307461X", f"id {MARK}"),
        ("110 13800138000", f"110 {MARK}"),
        ("新 window", "新 window"),
        ("粤BD12345 停", f"{MARK} 停"),
        ("粤B·12345 停", f"{MARK} 停"),
    ],
)
def test_personal_numbers_are_found_by_shape(text, fenced):
    assert Fence(Shape("mobile"), Shape("identity"), Shape("plate")).apply(text).text == fenced


@pytest.mark.parametrize(
    ("text", "fenced"),
    [
        (
            "class assassin as soon, ass. A S S a.s.s a$$ @ss 4ss a5s",
            f"class assassin as soon, {MARK}. {MARK} {MARK} {MARK} {MARK} {MARK} {MARK}",
        ),
        ("аss a\u0336s\u0336s a\u200bss ａｓｓ 455", f"{MARK} {MARK} {MARK} {MARK} 455"),
        ("falcons a FAL-CON f4lcon, fal con; or gas meter orgasms", f"{MARK}s a {MARK} {MARK}, {MARK}; or gas meter {MARK}s"),
        ("it is 1t, b, bad B", f"it is {MARK}, {MARK}, bad {MARK}"),
        ("13点 七 7 t", f"13点 {MARK} 7 t"),
        ("sh!t as ships", f"{MARK} as ships"),
        ("a g-spot, gspot, big spot", f"a {MARK}, {MARK}, big spot"),
    ],
)
def test_short_latin_phrases_of_a_list_are_found_between_word_boundaries(text, fenced):
    fence = Fence(Phrases("list", ("ass", "falcon", "orgasm", "1t", "b", "七", "shit", "g spot", "project falcon")))
    assert fence.apply(text).text == fenced
    strict = Fence(Phrases("list", ("ass",), "robust"))
    assert strict.check("as soon"), "what a list of short phrases does under robust"


@pytest.mark.parametrize("text", ["一个人在街上，拿着手机。", "“好！”（你们）？：；"])
def test_chinese_text_has_nothing_that_a_latin_phrase_could_be_found_in(text):
    assert alphabet.CHINESE.fullmatch(text)
    every = "".join(chr(p) for p in range(0x10000) if alphabet.CHINESE.fullmatch(chr(p)))
    for made in (alphabet.solid(), alphabet.short(), alphabet.word()):
        assert not any(c.isascii() and c.isalnum() for c in every.translate(made))


@pytest.mark.parametrize("phrase", ["Ηνυ", "νησος"])
def test_a_phrase_is_found_in_the_cases_that_people_write(phrase):
    fence = Fence(Phrases("greek", (phrase,), "robust"))
    assert all(fence.check(form) for form in (phrase.lower(), phrase.upper(), phrase.title()))


def test_phrases_that_overlap_are_redacted_together():
    fence = Fence(Phrases("all", ("110", "abc", "cde"), "robust"), Shape("identity"))
    assert fence.apply("x abcde").text == f"x {MARK}"
    assert Fence(Phrases("all", ("abcde", "bc"), "robust")).apply("x abcde f").text == f"x {MARK} f", "one inside the other"
    assert fence.apply("110101199003074610").text == MARK, "the rest of a number would give most of it away"


def test_replacement_and_refusal_say_what_was_configured():
    rule = Phrases("all", ("secret",))
    assert Fence(rule, action="replace", replacement="customer").apply("a secret b").text == "a █customer█ b"
    assert Fence(rule, action="refuse", refusal="No.").apply("a secret b").text == "No."


@pytest.mark.parametrize(
    "make",
    [
        Fence,
        lambda: Fence(Phrases("all", ("...",))),
        lambda: Phrases("all", ()),
        lambda: Phrases("all", ("a",), "loose"),  # type: ignore[arg-type]
        lambda: Phrases("all", ("a" * 1001,)),
        lambda: Fence(Shape("face")),
        lambda: Fence(Phrases("all", ("secret",)), action="replace", replacement="S3CRET"),
        lambda: Fence(Phrases("all", ("secret",)), action="shout"),  # type: ignore[arg-type]
    ],
)
def test_a_fence_that_cannot_hold_is_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_a_line_without_letters_is_refused_with_its_number(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# names\n\nfalcon\n---\n")
    with pytest.raises(ConfigError, match="line 4"):
        Phrases.read(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match=r"list\.txt"):
        Phrases.read(path)


SMALL = Fence(Phrases("robust", ("aba", "bb", "cab"), "robust"), Phrases("words", ("ca", "ab ca"), "word"), Shape("mobile"))
AUTO = Fence(Phrases("auto", ("bac", "ab ca", "bcabba", "cabbaca", "aa", "一一")), Shape("mobile"))
TEXTS = st.text(alphabet="aabbcc AB.\u200b一1380█4@", max_size=24) | st.text(max_size=12)


@given(TEXTS, st.sampled_from([SMALL, AUTO]))
def test_what_comes_out_holds_nothing_blocked(text, fence):
    assert fence.check(fence.apply(text).text) == ()


ACTIONS = [
    SMALL,
    AUTO,
    Fence(*AUTO.rules, action="replace", replacement="c a"),
    Fence(*SMALL.rules, action="replace", replacement="c a"),
    Fence(*SMALL.rules, action="refuse", refusal="no"),
]


@given(TEXTS, st.sampled_from(ACTIONS))
def test_a_second_pass_changes_nothing(text, fence):
    once = fence.apply(text).text
    assert fence.apply(once).text is once


def test_what_a_redaction_brings_together_is_found_as_well():
    fence = Fence(Phrases("all", ("falcon", "xyz"), "robust"), Phrases("words", ("ass",), "word"), Shape("mobile"))
    assert fence.apply("a falxyzcon b").text == "a ████ b"
    assert set(fence.apply("assxyz").text) == {"█"}
    assert set(fence.apply("13800138000xyz").text) == {"█"}
    assert fence.apply("fal" * 300 + "con" * 300).text == MARK, "a text built to be looked through again and again goes as a whole"


def test_a_hit_is_told_with_what_it_covers():
    told: list[tuple[str, str]] = []
    FALCON.apply("the PR0JECT falcon.", seen=lambda hit, said: told.append((hit.rule, said)))
    assert told == [("projects", "PR0JECT falcon")]


@given(TEXTS)
def test_the_automaton_finds_what_a_plain_search_finds(text):
    seen = SMALL.machines[0].symbols(text)
    ends = {seen.find(p, at) + len(p) for p in ("aba", "bb", "cab") for at in range(len(seen)) if seen.startswith(p, at)}
    assert bool(ends) == any(hit.rule == "robust" for hit in SMALL.check(text))
    words = f" {' '.join(SMALL.machines[1].symbols(text).split())} "
    assert (" ca " in words) == any(hit.rule == "words" for hit in SMALL.check(text))


@given(TEXTS)
def test_under_auto_the_automata_find_what_a_plain_search_by_its_definition_finds(text):
    seen = alphabet.short()
    words = f" {' '.join(text.translate(seen).split())} "
    spelled = {" ".join(form.split()) for phrase in ("bac", "ab ca", "bcabba", "aa", "一一") for form in spellings(phrase.translate(seen))}
    found = "cabbaca" in text.translate(alphabet.robust()) or "bcabba" in text.translate(alphabet.solid())
    assert (found or any(f" {form} " in words for form in spelled)) == any(hit.rule == "auto" for hit in AUTO.check(text))
