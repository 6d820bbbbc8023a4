from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import ConfigError
from secagg.math import additive, packing
from secagg.math.ring import WIDTHS, Ring
from secagg.testing.entropy import InsecureEntropy

rings = st.sampled_from(WIDTHS).map(Ring)
seeds = st.integers(0, 2**32)
lengths = st.integers(0, 300)


def words(ring: Ring, n: int, seed: int):
    return additive.uniform(n, ring, InsecureEntropy(seed))


@given(rings, lengths, seeds)
@settings(deadline=None)
def test_unpacking_undoes_packing_at_exactly_the_ring_s_bits(ring, n, seed):
    vector = words(ring, n, seed)
    packed = ring.pack(vector)
    assert packed.nbytes == ring.packed_size(n) == n * ring.bits // 8
    assert np.array_equal(ring.unpack(packed, n), vector)


@given(rings, st.integers(1, 50), seeds)
@settings(deadline=None)
def test_the_packed_bytes_are_the_elements_little_endian(ring, n, seed):
    vector = words(ring, n, seed)
    size = ring.bits // 8
    assert bytes(ring.pack(vector)) == b"".join(int(word).to_bytes(size, "little") for word in vector)


@given(rings, lengths, seeds)
@settings(deadline=None)
def test_sums_and_differences_are_those_of_integers_modulo_the_modulus(ring, n, seed):
    one, two = words(ring, n, seed), words(ring, n, seed + 1)
    total, rest = one.copy(), one.copy()
    ring.add_into(total, two)
    ring.sub_into(rest, two)
    assert [int(word) for word in total] == [(int(a) + int(b)) % ring.modulus for a, b in zip(one, two, strict=True)]
    assert [int(word) for word in rest] == [(int(a) - int(b)) % ring.modulus for a, b in zip(one, two, strict=True)]


@pytest.mark.parametrize("bits", WIDTHS)
def test_chunks_of_a_long_vector_meet_without_a_seam(bits):
    ring = Ring(bits)
    one, two = words(ring, 200_001, 1), words(ring, 200_001, 2)
    total = one.copy()
    ring.add_into(total, two)
    ring.sub_into(total, one)
    assert np.array_equal(total, two)
    assert np.array_equal(ring.unpack(ring.pack(two), len(two)), two)


@pytest.mark.parametrize("bits", WIDTHS)
def test_center_gives_the_signed_representative_and_from_signed_undoes_it(bits):
    ring = Ring(bits)
    half = ring.modulus // 2
    vector = np.array([0, 1, half - 1, half, ring.modulus - 1], ring.dtype)
    assert ring.center(vector).tolist() == [0, 1, half - 1, -half, -1]
    assert np.array_equal(ring.from_signed(ring.center(vector)), vector)


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_machine_words_are_packed_and_unpacked_without_a_copy(bits):
    ring = Ring(bits)
    vector = words(ring, 100, 3)
    packed = ring.pack(vector)
    assert packed.readonly
    assert np.shares_memory(np.frombuffer(packed, np.uint8), vector)
    assert np.shares_memory(ring.unpack(packed, 100), vector)
    unpacked = ring.unpack(bytearray(packed), 100)
    with pytest.raises(ValueError, match="read-only"):
        unpacked[0] = 1


@pytest.mark.parametrize("bits", [24, 48])
def test_spare_bits_of_the_machine_word_never_reach_the_wire(bits):
    ring = Ring(bits)
    dirty = np.full(4, ring.modulus + 5, ring.dtype)
    clean = dirty.copy()
    ring.reduce_into(clean)
    assert clean.tolist() == [5] * 4
    assert bytes(ring.pack(dirty)) == bytes(ring.pack(clean))


@pytest.mark.parametrize("bits", WIDTHS)
def test_packing_writes_into_a_given_buffer_at_any_alignment(bits):
    ring = Ring(bits)
    vector = words(ring, 11, 4)
    room = bytearray(ring.packed_size(11) + 1)
    ring.pack_into(vector, memoryview(room)[1:])
    assert room[1:] == bytes(ring.pack(vector))


@pytest.mark.parametrize("bits", [0, 8, 17, 40, 128])
def test_other_widths_are_refused_and_the_allowed_ones_named(bits):
    with pytest.raises(ConfigError, match="16, 24, 32, 48, 64"):
        Ring(bits)


@pytest.mark.parametrize("bits", WIDTHS)
def test_wrong_lengths_dtypes_and_shapes_are_refused(bits):
    ring = Ring(bits)
    with pytest.raises(ConfigError, match="bytes given"):
        ring.unpack(bytes(ring.packed_size(3) - 1), 3)
    with pytest.raises(ConfigError, match="bytes given"):
        ring.pack_into(ring.zeros(3), bytearray(ring.packed_size(3) + 1))
    with pytest.raises(ConfigError, match="bytes given"):
        ring.unpack(b"", -1)
    with pytest.raises(ConfigError, match="cannot be added"):
        ring.add_into(ring.zeros(3), ring.zeros(1))
    with pytest.raises(ConfigError, match="are a vector of"):
        ring.pack(ring.zeros(4).reshape(2, 2))
    with pytest.raises(ConfigError, match="are a vector of"):
        ring.sub_into(ring.zeros(3), np.zeros(3, np.int8))


@pytest.mark.parametrize(("width", "dtype"), [(3, "<u4"), (6, "<u8")])
@given(n=st.integers(0, 200), shift=st.integers(0, 7), seed=st.integers(0, 2**32))
def test_words_written_over_each_other_are_those_written_unit_after_unit(width, dtype, n, shift, seed):
    words = np.random.default_rng(seed).integers(0, 2**32, (n, 2), np.uint32).view("<u8")[:, 0].astype(dtype)
    one, other = (memoryview(bytearray(n * width + shift))[shift:] for _ in range(2))
    packing.pack_into(words, one, width)
    packing.write_units(words, other, width)
    assert one == other
    assert np.array_equal(packing.unpack(one, n, width, np.dtype(dtype)), words & np.asarray((1 << 8 * width) - 1, dtype))


def test_words_are_packed_too_where_numpy_writes_in_another_order(monkeypatch):
    monkeypatch.setattr(packing, "in_order", lambda: False)
    ring = Ring(24)
    vector = np.arange(200_000, dtype=np.uint32) * 83
    ring.reduce_into(vector)
    assert np.array_equal(ring.unpack(ring.pack(vector), len(vector)), vector)


def test_a_process_notices_that_numpy_writes_in_another_order(monkeypatch):
    def backwards(words, out, width):
        last = len(words) - 1
        target = packing._overlapping(out, last, width, words.dtype)
        for place in range(last - 1, -1, -1):
            target[place] = words[place]

    assert packing.in_order.__wrapped__()
    monkeypatch.setattr(packing, "_write", backwards)
    assert not packing.in_order.__wrapped__()


@given(ring=rings, n=lengths, seed=seeds, sign=st.sampled_from([1, -1]))
def test_packed_words_are_added_and_taken_away_as_unpacked_ones(ring, n, seed, sign):
    total, other = words(ring, n, seed), words(ring, n, seed + 1)
    expected = total.copy()
    (ring.add_into if sign > 0 else ring.sub_into)(expected, other)
    ring.combine_packed(total, ring.pack(other), sign)
    assert np.array_equal(total, expected)


def test_packed_words_of_another_length_are_not_added():
    with pytest.raises(ConfigError, match="9 bytes"):
        Ring(24).combine_packed(Ring(24).zeros(4), bytes(9), 1)
