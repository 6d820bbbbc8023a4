from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secagg.crypto import expand
from secagg.crypto.expand import SEGMENT, Stream
from secagg.crypto.many import combine
from secagg.errors import ConfigError
from secagg.math import additive
from secagg.math.ring import WIDTHS, Ring
from secagg.testing.entropy import InsecureEntropy
from secagg.types import Secret

KEY = bytes(range(32))


def keystream(segments: int) -> bytes:
    """Each segment in counter mode in one call, to compare with: its number in 12 bytes, and block counters from 2 on in 4."""
    nonces = [index.to_bytes(12, "big") + (2).to_bytes(4, "big") for index in range(segments)]
    return b"".join(Cipher(algorithms.AES(KEY), modes.CTR(nonce)).encryptor().update(bytes(SEGMENT)) for nonce in nonces)


WHOLE = keystream(3)


@pytest.fixture(autouse=True, params=["gcm", "ctr"])
def maker(request, monkeypatch):
    """Both ways of making the stream, whichever is the faster one here."""
    monkeypatch.setattr(expand, "wide", lambda: request.param == "gcm")


def test_a_segment_is_what_gcm_makes_of_zeros(maker):
    sealed = AESGCM(KEY).encrypt((1).to_bytes(12, "big"), bytes(SEGMENT), None)
    assert sealed[:-16] == WHOLE[SEGMENT : 2 * SEGMENT]


def test_no_two_blocks_of_a_stream_have_the_same_counter():
    blocks = np.frombuffer(WHOLE, "V16")
    assert len(set(blocks.tolist())) == len(blocks)


def test_what_is_drawn_is_the_stream_and_only_the_spare_bytes_are_scribbled_over():
    room = bytearray(b"\xaa" * (SEGMENT + 500))
    Stream(Secret(KEY)).draw(memoryview(room), 2 * 16 + 5, SEGMENT - 16)
    assert room[:37] == WHOLE[SEGMENT - 16 : SEGMENT + 21]
    assert set(room[37 + expand.SPARE :]) == {0xAA}


@given(st.integers(0, 2 * SEGMENT), st.integers(0, 100) | st.integers(SEGMENT - 20, SEGMENT + 20))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_range_is_that_of_the_keystream_in_one_call(offset, size):
    room = bytearray(min(size, len(WHOLE) - offset))
    Stream(Secret(KEY)).fill(room, offset)
    assert room == WHOLE[offset : offset + len(room)]


@given(st.sampled_from(WIDTHS).map(Ring), st.integers(0, 5000), st.integers(0, 300))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_words_of_the_stream_are_machine_words_cut_to_the_ring(ring, offset, n):
    words = ring.zeros(n)
    combine([(Stream(Secret(KEY)), 1)], words, ring, offset)
    drawn = np.frombuffer(WHOLE, ring.dtype, n, offset * ring.dtype.itemsize)
    assert [int(word) for word in words] == [int(word) % ring.modulus for word in drawn]


@given(st.sampled_from(WIDTHS).map(Ring), st.integers(0, 400), st.integers(0, 400), st.integers(0, 2**32))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_subtracting_undoes_adding_in_any_ranges(ring, cut, n, seed):
    vector = additive.uniform(n, ring, InsecureEntropy(seed))
    words, stream = vector.copy(), Stream(Secret(KEY))
    combine([(stream, 1)], words, ring, 7)
    cut = min(cut, n)
    combine([(stream, -1)], words[cut:], ring, 7 + cut)
    combine([(stream, -1)], words[:cut], ring, 7)
    assert np.array_equal(words, vector)


@pytest.mark.parametrize("bits", WIDTHS)
def test_threads_over_ranges_give_what_one_call_gives(bits):
    ring, stream, n = Ring(bits), Stream(Secret(KEY)), 300_000
    alone, together = ring.zeros(n), ring.zeros(n)
    combine([(stream, 1)], alone, ring)
    edges = [*range(0, n, 70_001), n]
    with ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(combine, [(stream, 1)], together[a:b], ring, a) for a, b in itertools.pairwise(edges)]
    assert all(part.exception() is None for part in parts)
    assert np.array_equal(alone, together)


def test_masked_words_are_uniform_in_every_bit_and_next_to_each_other():
    """The regression that a mask of few values, or of floats, would fail: no bit of a zero vector stays put."""
    for bits in WIDTHS:
        ring, n = Ring(bits), 1 << 15
        words = ring.zeros(n)
        combine([(Stream(Secret(KEY)), 1)], words, ring)
        ones = [int(((words >> np.asarray(bit, ring.dtype)) & np.asarray(1, ring.dtype)).sum()) for bit in range(bits)]
        assert all(abs(count - n / 2) < 6 * np.sqrt(n) / 2 for count in ones)
        centered = ring.center(words).astype(float)
        assert abs(np.corrcoef(centered[1:], centered[:-1])[0, 1]) < 6 / np.sqrt(n)


def test_two_keys_give_two_streams():
    one, two = bytearray(64), bytearray(64)
    Stream(Secret(KEY)).fill(one)
    Stream.fresh(lambda n: b"\x01" * n).fill(two)
    assert one != two


def test_wrong_keys_vectors_signs_and_ranges_are_refused():
    stream, ring = Stream(Secret(KEY)), Ring(32)
    with pytest.raises(ConfigError, match="32-byte key"):
        Stream(Secret(bytes(16)))
    with pytest.raises(ConfigError, match="its sign is 1 or -1"):
        combine([(stream, 0)], ring.zeros(4), ring)
    with pytest.raises(ConfigError, match="uint32"):
        combine([(stream, 1)], np.zeros(4, np.uint16), ring)
    with pytest.raises(ConfigError, match="of a stream"):
        stream.fill(bytearray(1), -1)
    with pytest.raises(ConfigError, match="of a stream"):
        stream.fill(bytearray(1), expand.LIMIT)
    assert "00" not in repr(stream)
