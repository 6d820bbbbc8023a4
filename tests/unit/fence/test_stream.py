"""The streaming filter: every chunking gives the same, and nothing is taken back."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import LocalProtocolError
from secagg.filters.fence import Fence, Phrases, Shape, StreamFilter
from secagg.filters.fence.short import spellings

RULES = (Phrases("robust", ("abab", "bc", "cabbage"), "robust"), Phrases("words", ("ca", "ab ca"), "word"), Shape("mobile"))
AUTO = (Phrases("auto", ("bac", "ab ca", "geabba", "cabbage", "三级片")), Shape("mobile"))
SMALL = Fence(*RULES)
FENCES = {"robust and word": SMALL, "auto": Fence(*AUTO)}
TEXTS = st.text(alphabet="aabbcc ge.\u200b1380一ﬁ█4三级片", max_size=30) | st.text(max_size=12)
both = pytest.mark.parametrize("fence", FENCES.values(), ids=FENCES)


def chunked(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("rules", [RULES, AUTO], ids=FENCES)
@given(text=TEXTS, cuts=st.lists(st.integers(0, 30), max_size=8), action=st.sampled_from(["redact", "replace", "refuse"]))
def test_every_chunking_gives_what_the_whole_text_gives(rules, text, cuts, action):
    fence = Fence(*rules, action=action, replacement="x", refusal="no")
    stream = StreamFilter(fence)
    parts = [stream.feed(chunk) for chunk in chunked(text, cuts)] + [stream.flush()]
    if action == "refuse" and fence.check(text):
        assert "".join(parts).endswith("no")
    else:
        whole = StreamFilter(fence)
        assert "".join(parts) == whole.feed(text) + whole.flush()
        assert tuple(stream.hits) == fence.check(text)
        assert fence.apply("".join(parts)).text == fence.apply(text).text


@both
@given(text=TEXTS, cuts=st.lists(st.integers(0, 30), max_size=8))
def test_nothing_emitted_belongs_to_a_span_found_later(fence, text, cuts):
    spans = [(hit.start, hit.end) for hit in fence.check(text)]
    stream = StreamFilter(fence)
    read = 0
    for chunk in chunked(text, cuts):
        known = len(stream.hits)
        emitted = read - stream.holding
        assert all(start >= emitted for start, _ in spans[known:])
        stream.feed(chunk)
        read += len(chunk)


def forms(fence):
    """What a phrase may be spelled like, as far as it matters to how one goes on."""
    phrases = [(phrase, rule.policy) for rule in fence.rules if isinstance(rule, Phrases) for phrase in rule.phrases]
    return {form for phrase, policy in phrases for form in (phrase, *(spellings(phrase) if policy == "auto" and len(phrase) < 7 else ()))}


@both
@given(text=TEXTS)
def test_only_a_beginning_of_a_phrase_or_what_overlaps_it_is_held(fence, text):
    """Some continuation claims the first held character: that is what makes holding it necessary."""
    stream = StreamFilter(fence)
    stream.feed(text)
    if not stream.holding:
        return
    first = len(text) - stream.holding
    endings = [form[n:] + "." for form in forms(fence) for n in range(len(form) + 1)]
    endings += (
        ["3800138000"[n:] + "." for n in range(11)]
        + ["613800138000"[n:] + "." for n in range(13)]
        + ["86138001380001"[n:-1] for n in range(14)]
    )
    endings += ["9" * n + "." for n in range(13)] + ["3" + "9" * n + "." for n in range(13)]
    assert any(hit.start <= first < hit.end for ending in endings for hit in fence.check(text + ending))


def test_harmless_text_is_not_delayed():
    stream = StreamFilter(SMALL)
    assert stream.feed("do it") == "do it"
    assert stream.feed(" ab") == " "
    assert stream.feed("x") == "abx"


def test_a_weak_filter_that_looks_at_chunks_leaks_what_straddles_them():
    fence = Fence(Phrases("all", ("falcon",)))
    chunks = ["a fal", "con b"]
    assert "falcon" in "".join(fence.apply(chunk).text for chunk in chunks)
    stream = StreamFilter(fence)
    assert [*map(stream.feed, chunks), stream.flush()] == ["a ", "████ b", ""]


def test_a_refused_stream_says_so_and_nothing_after():
    stream = StreamFilter(Fence(Phrases("all", ("falcon",)), action="refuse", refusal="No."))
    assert [stream.feed("the fal"), stream.feed("con flies"), stream.feed("on"), stream.flush()] == ["the ", "No.", "", ""]
    assert stream.refused


def test_text_after_the_end_is_refused():
    stream = StreamFilter(SMALL)
    stream.flush()
    with pytest.raises(LocalProtocolError):
        stream.feed("a")
