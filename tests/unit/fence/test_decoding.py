"""The decoding fence: rows are what trying every token gives, and no sequence of allowed tokens says what is blocked."""

from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer, decoders, models

from secagg.errors import ConfigError
from secagg.filters.fence import Fence, Phrases, Shape, decoding
from secagg.filters.fence.decoding import DecodingFence, State
from secagg.filters.fence.tokens import Vocabulary

TEXTS = [
    "a",
    "b",
    "c",
    " ",
    "ab",
    "ba",
    " ca",
    "ca",
    "abc",
    " ab",
    "1",
    "3",
    "13",
    "800",
    "0013",
    ".",
    "aa b",
    "bab ",
    "片",
    "三",
    "级片",
    "ﬁ",
    "！",
    "A",
    "\u200b",
]
TOKENS = (
    [text.encode() for text in TEXTS]
    + [bytes([byte]) for byte in range(128, 256)]
    + [" 三".encode()[:3], "级".encode()[1:], "级".encode()[1:] + b"a", b"\xffa", b"\x82 ca", b"\x82  b", None, None]
)
EOS = len(TOKENS) - 1
TINY = Vocabulary(tuple(TOKENS))
RULES = (
    Phrases("robust", ("abba", "三级片", "cc"), "robust"),
    Phrases("auto", ("bbb", "b13", "bababc")),
    Phrases("words", ("ca", "ab ca"), "word"),
    Shape("mobile"),
)
FENCE = Fence(*RULES)


def brute(fence: DecodingFence, state: State) -> set[int]:
    """Every token tried: does what it says, read on from the state, hold a phrase or end on one?"""
    bad = set()
    for token, said in enumerate(fence.vocabulary.tokens):
        if token in fence.eos:
            continue
        try:
            text = (state.pending + (said if said is not None else b"\xff")).decode()
            cut = False
        except UnicodeDecodeError as error:
            text = (
                (state.pending + (said or b""))[: error.start].decode()
                if error.reason == "unexpected end of data" and said is not None
                else ""
            )
            cut = error.reason != "unexpected end of data" or said is None
        if cut or any(row.advance(at, text)[1] for row, at in zip(fence._rows, state.machines, strict=True)):
            bad.add(token)
        if any(row.advance(at, text)[1] for row, at in zip(fence._rows, state.alone, strict=True)):
            bad.add(token)
    return bad


def walk(fence: DecodingFence, rng: random.Random, length: int):
    """Allowed tokens at random, and the states between them."""
    state = fence.start
    ids: list[int] = []
    for _ in range(length):
        yield state, ids
        token = rng.choice(sorted(set(range(len(fence.vocabulary.tokens))) - fence.forbidden(state) - set(fence.eos)) or list(fence.eos))
        ids = [*ids, token]
        state = fence.advance(state, token)
    yield state, ids


def test_a_row_is_what_trying_every_token_gives():
    fence = DecodingFence(FENCE, TINY, eos=EOS)
    rng = random.Random(7)
    for _ in range(12):
        for state, _ in walk(fence, rng, 12):
            assert fence.forbidden(state) == brute(fence, state), state


STOP, STEP, NO = "。".encode(), "级".encode(), "é".encode()
PIECES = (
    *(b"a", b"b", b"c", b" ", b"ab", STOP[:2], STOP[2:], STOP[2:] + b" b", STOP[2:] + b"b", STOP[2:] + b"  b", STOP[2:] + b" "),
    *(STEP[:1], STEP[1:], STEP[1:] + b"ba", NO[:1], NO[1:], NO[1:] + b"a", None),
)


@pytest.mark.parametrize(
    "rules",
    [
        (Phrases("words", ("a b", "ba b ce", "b b"), "word"),),
        (Phrases("robust", ("aba", "bab级b", "cc", "级级"), "robust"),),
        (Phrases("auto", ("bac", "cab", "aca", "cabbac", "b", "cacaacab")),),
    ],
    ids=["word", "robust", "auto"],
)
def test_the_row_of_every_state_is_what_trying_every_token_gives(rules):
    """States after every sequence of allowed tokens, in tokens that hold pieces of characters."""
    fence = DecodingFence(Fence(*rules), Vocabulary(PIECES), eos=len(PIECES) - 1)
    seen = {fence.start}
    todo = [fence.start, *(fence.prompted(ids) for ids in ([0, 3], [0, 3, 5], [11], [1, 0]))]
    while todo and len(seen) < 1500:
        state = todo.pop(0)
        bad = fence.forbidden(state)
        assert bad == brute(fence, state), state
        following = {fence.advance(state, token) for token in set(range(len(PIECES))) - bad - set(fence.eos)} - seen
        seen |= following
        todo += following
    assert len(seen) > 30
    assert any(state.pending for state in seen)


def test_no_sequence_of_allowed_tokens_says_what_is_blocked_wherever_it_stops():
    fence = DecodingFence(FENCE, TINY, eos=EOS)
    rng = random.Random(8)
    for _ in range(60):
        for _, ids in walk(fence, rng, 16):
            assert FENCE.check(TINY.text(ids)) == (), TINY.text(ids)


def test_without_the_fence_the_same_walk_says_it():
    rng = random.Random(8)
    said = [TINY.text(rng.choices(range(len(TEXTS)), k=16)) for _ in range(300)]
    assert sum(bool(FENCE.check(text)) for text in said) > 100


def test_what_a_prompt_begins_cannot_be_completed_nor_said_alone():
    fence = DecodingFence(FENCE, TINY, eos=EOS)
    state = fence.prompted([TEXTS.index("ab"), TEXTS.index("b")])
    assert TEXTS.index("a") in fence.forbidden(state), "abb + a"
    state = fence.prompted([TEXTS.index("b")])
    assert TEXTS.index("ca") in fence.forbidden(state), "'bca' is no word of the list, but 'ca' alone is"


def test_the_end_is_allowed_in_every_state():
    fence = DecodingFence(FENCE, TINY, eos=EOS)
    for state, _ in walk(fence, random.Random(9), 60):
        assert EOS not in fence.forbidden(state)


def test_every_state_that_can_be_reached_has_a_next_token_and_can_end():
    """All states of a small fence, found by taking every allowed token from every state."""
    vocabulary = Vocabulary((b"a", b"b", b" ", b"ab", "三".encode()[:1], "三".encode()[1:], b"\xba", b"1", b"bab", None))
    rules = (Phrases("robust", ("aba", "三"), "robust"), Phrases("auto", ("abb", "babbab")), Phrases("words", ("b a",), "word"))
    fence = DecodingFence(Fence(*rules), vocabulary, eos=9)
    seen, todo = {fence.start}, [fence.start]
    ends: set[State] = set()
    while todo:
        state = todo.pop()
        allowed = set(range(10)) - fence.forbidden(state)
        assert 9 in allowed
        if allowed == {9}:
            ends.add(state)
        for token in allowed - {9}:
            following = fence.advance(state, token)
            if following not in seen:
                seen.add(following)
                todo.append(following)
    assert len(seen) > 20
    assert all(state.pending for state in ends), "only an unfinished character that would complete a phrase leaves nothing but the end"


@pytest.mark.parametrize("eos", [(), 10_000, -1])
def test_a_vocabulary_without_an_end_is_refused(eos):
    with pytest.raises(ConfigError):
        DecodingFence(FENCE, TINY, eos=eos)


def test_lists_that_forbid_half_of_the_vocabulary_are_refused():
    with pytest.raises(ConfigError, match="take short phrases out"):
        DecodingFence(Fence(Phrases("all", ("a", "b", "c", "1"), "robust")), Vocabulary((b"a", b"b", b"ab", b"d", None)), eos=4)


def test_each_family_of_tokenizers_is_read_as_it_decodes():
    wordpiece = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2}, unk_token="[UNK]"))
    wordpiece.decoder = decoders.WordPiece()
    assert Vocabulary.of(wordpiece).tokens == (b" [UNK]", b" a", b"b")
    pieces = Tokenizer(models.BPE({"▁a": 0, "<0xE4>": 1, "<0xBD>": 2, "<0xA0>": 3}, []))
    pieces.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    assert Vocabulary.of(pieces).text([0, 1, 2, 3]) == " a你"
    level = Tokenizer(models.BPE({"Ġa": 0, "ä½": 1, "ł": 2}, []))
    level.decoder = decoders.ByteLevel()
    assert Vocabulary.of(level).text([0, 1, 2]) == " a\u4f60"
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "你": 2}, unk_token="[UNK]"))
    assert Vocabulary.of(words).text([1, 2, 1]) == " a 你 a"
    clip = Tokenizer(models.BPE({"a</w>": 0, "b": 1}, [], end_of_word_suffix="</w>"))
    clip.decoder = decoders.BPEDecoder("</w>")
    assert Vocabulary.of(clip).text([0, 1, 0]) == "a ba "


def test_a_tokenizer_that_decodes_otherwise_is_refused():
    odd = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    odd.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("a", "b")])
    with pytest.raises(ConfigError, match="cannot be fenced"):
        Vocabulary.of(odd)
    with pytest.raises(ConfigError, match="none of"):
        Vocabulary.of(Tokenizer(models.BPE({"a": 0}, [])))


def test_states_that_were_forgotten_are_worked_out_again(monkeypatch):
    kept = DecodingFence(FENCE, TINY, eos=EOS)
    monkeypatch.setattr(decoding, "_KEPT", 2)
    monkeypatch.setattr(decoding, "_KEPT_ENDINGS", 1)
    forgetful = DecodingFence(FENCE, TINY, eos=EOS)
    for state, _ in walk(kept, random.Random(10), 80):
        assert forgetful.forbidden(state) == kept.forbidden(state)
        assert len(forgetful._allowed) <= 2
        assert len(forgetful._known_endings) <= 1
