"""The cache: it gives back what was worked out, notices damage, is whole or not there, and holds nothing of what is blocked."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models

from secagg.errors import ConfigError
from secagg.filters.fence import Fence, Phrases, cache
from secagg.filters.fence.decoding import DecodingFence
from secagg.filters.fence.said import Said
from secagg.filters.fence.tokens import Vocabulary
from tests.unit.fence.test_decoding import EOS, FENCE, TINY, walk


@pytest.fixture
def tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2, "falcon": 3}, unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def test_a_fence_from_the_cache_forbids_what_a_new_one_does(tmp_path, monkeypatch):
    new = DecodingFence(FENCE, TINY, eos=EOS, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5, "robust, solid, short, word, shape"
    monkeypatch.setattr(Said, "of", None)
    kept = DecodingFence(FENCE, TINY, eos=EOS, cache=tmp_path)
    for state, _ in walk(new, random.Random(11), 40):
        assert kept.forbidden(state) == new.forbidden(state)


def test_another_list_uses_the_same_files_and_another_vocabulary_its_own(tmp_path):
    DecodingFence(Fence(Phrases("one", ("abba",), "robust")), TINY, eos=EOS, cache=tmp_path)
    before = set(tmp_path.iterdir())
    DecodingFence(Fence(Phrases("two", ("abab",), "robust")), TINY, eos=EOS, cache=tmp_path)
    assert set(tmp_path.iterdir()) == before
    DecodingFence(Fence(Phrases("two", ("abab",), "robust")), Vocabulary((*TINY.tokens, b"new")), eos=EOS, cache=tmp_path)
    assert len(set(tmp_path.iterdir())) == 2 * len(before)


def test_nothing_of_what_is_blocked_is_kept(tmp_path):
    DecodingFence(Fence(Phrases("projects", ("bacabba",)), Phrases("words", ("caabca",), "word")), TINY, eos=EOS, cache=tmp_path)
    assert all(b"bacabba" not in path.read_bytes() and b"caabca" not in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("place", [0, 40, 200, -1])
def test_a_damaged_file_is_noticed_and_made_again(tmp_path, caplog, place):
    fence = Fence(Phrases("one", ("abba",), "robust"))
    DecodingFence(fence, TINY, eos=EOS, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    bad = bytearray(good)
    bad[place] ^= 1
    path.write_bytes(bad)
    with caplog.at_level(logging.WARNING):
        DecodingFence(fence, TINY, eos=EOS, cache=tmp_path)
    assert "damaged" in caplog.text
    assert path.read_bytes() == good


@pytest.mark.parametrize("kept", [b"", b"short"])
def test_a_cut_file_is_noticed(tmp_path, kept):
    (tmp_path / "x.fence").write_bytes(kept)
    assert cache.read(tmp_path, "x") is None


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ConfigError, match="disk full"):
        cache.write(tmp_path, "x", {})
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_is_verified_once(tmp_path, monkeypatch, tokenizer):
    first = Vocabulary.of(tokenizer, cache=tmp_path)
    monkeypatch.setattr(Vocabulary, "verify", None)
    assert Vocabulary.of(tokenizer, cache=tmp_path) == first


def test_missing_tokens_come_back_as_missing():
    strings = [b"a", None, b"", "片".encode()]
    assert cache.unpacked(cache.packed(strings)) == strings


def test_the_folder_is_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("SECAGG_CACHE", str(tmp_path))
    assert cache.default_folder() == tmp_path / "fence"
    monkeypatch.delenv("SECAGG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache.default_folder() == tmp_path / "x" / "secagg" / "fence"
