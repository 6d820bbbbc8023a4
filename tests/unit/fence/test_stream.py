"""The streaming filter: every chunking gives the same, and nothing is taken back."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import LocalProtocolError
from secagg.filters.fence import Fence, Phrases, Shape, StreamFilter

RULES = (Phrases("robust", ("abab", "bc", "cabbage"), "robust"), Phrases("words", ("ca", "ab ca"), "word"), Shape("mobile"))
SMALL = Fence(*RULES)
TEXTS = st.text(alphabet="aabbcc ge.\u200b1380一ﬁ█", max_size=30) | st.text(max_size=12)


def chunked(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


@given(TEXTS, st.lists(st.integers(0, 30), max_size=8), st.sampled_from(["redact", "replace", "refuse"]))
def test_every_chunking_gives_what_the_whole_text_gives(text, cuts, action):
    fence = Fence(*RULES, action=action, replacement="x", refusal="no")
    stream = StreamFilter(fence)
    parts = [stream.feed(chunk) for chunk in chunked(text, cuts)] + [stream.flush()]
    if action == "refuse" and fence.check(text):
        assert "".join(parts).endswith("no")
    else:
        whole = StreamFilter(fence)
        assert "".join(parts) == whole.feed(text) + whole.flush()
        assert tuple(stream.hits) == fence.check(text)
        assert fence.apply("".join(parts)).text == fence.apply(text).text


@given(TEXTS, st.lists(st.integers(0, 30), max_size=8))
def test_nothing_emitted_belongs_to_a_span_found_later(text, cuts):
    spans = [(hit.start, hit.end) for hit in SMALL.check(text)]
    stream = StreamFilter(SMALL)
    read = 0
    for chunk in chunked(text, cuts):
        known = len(stream.hits)
        emitted = read - stream.holding
        assert all(start >= emitted for start, _ in spans[known:])
        stream.feed(chunk)
        read += len(chunk)


@given(TEXTS)
def test_only_a_beginning_of_a_phrase_or_what_overlaps_it_is_held(text):
    """Some continuation claims the first held character: that is what makes holding it necessary."""
    stream = StreamFilter(SMALL)
    stream.feed(text)
    if not stream.holding:
        return
    first = len(text) - stream.holding
    endings = [p[n:] + "." for p in ("abab", "bc", "cabbage", "ca", "ab ca") for n in range(len(p) + 1)]
    endings += (
        ["3800138000"[n:] + "." for n in range(11)]
        + ["613800138000"[n:] + "." for n in range(13)]
        + ["86138001380001"[n:-1] for n in range(14)]
    )
    endings += ["9" * n + "." for n in range(13)] + ["3" + "9" * n + "." for n in range(13)]
    assert any(hit.start <= first < hit.end for ending in endings for hit in SMALL.check(text + ending))


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
