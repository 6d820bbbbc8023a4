"""The cipher: exact sums, hard bounds, what its randomness looks like, and sizes to the byte."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from protocols import ckks
from protocols.ckks import cipher
from protocols.ckks.cipher import Packing
from protocols.ckks.residues import CannotDecrypt, packed_residues, unpack_residues
from secagg.crypto.expand import Stream
from secagg.errors import ConfigError
from secagg.math.ring import Ring
from secagg.payload import Blob
from secagg.roles import Vector
from secagg.testing.entropy import InsecureEntropy
from secagg.types import Context, PartyId, Secret

CTX = Context(b"r" * 32, "task", 1, 1)
KEY = Secret(b"k" * 32)


def seed(index: int) -> Secret:
    return Secret(bytes([index]) * 32)


def added(vectors: list[Vector], packing: Packing) -> np.ndarray:
    total = np.zeros(packing.residues, np.uint32)
    for index, vector in enumerate(vectors):
        name, entropy = PartyId(f"c{index}"), InsecureEntropy(index)
        half = cipher.encrypt(vector, packing, KEY, seed(index), ctx=CTX, client=name, entropy=entropy)
        cipher.add_into(total, cipher.as_payload(half), packing)
    return total


def opened(total: np.ndarray, packing: Packing, of: int, key: Secret = KEY) -> Vector:
    halves = [cipher.uniform(seed(index), CTX, PartyId(f"c{index}"), packing) for index in range(of)]
    return cipher.decrypt(total, halves, packing, key, CTX)


@pytest.mark.parametrize("bits", [16, 24, 32, 48])
@pytest.mark.parametrize("length", [1, 5, 4096, 70_001])
def test_a_sum_is_exact_up_to_the_ends_of_the_ring(bits: int, length: int) -> None:
    """Three vectors whose sums reach −2^(k−1) and 2^(k−1) − 1, with signs that alternate from lane to lane."""
    packing, top = Packing(Ring(bits), length, 3), 1 << (bits - 1)
    ends = np.resize(np.array([-top, top - 1, 0, -1, 1, top - 1, -top], np.int64), length)
    parts = [ends // 3, ends // 3, ends - 2 * (ends // 3)]
    total = added([packing.ring.from_signed(part) for part in parts], packing)
    assert np.array_equal(opened(total, packing, 3), packing.ring.from_signed(ends))


@pytest.mark.parametrize(("bits", "parties", "lanes"), [(16, 48, 3), (16, 49, 2), (24, 48, 2), (24, 49, 1), (32, 1000, 1), (48, 48, 1)])
def test_as_many_words_share_a_coefficient_as_the_noise_leaves_room_for(bits: int, parties: int, lanes: int) -> None:
    packing = Packing(Ring(bits), 10, parties)
    assert packing.lanes == lanes
    assert parties * cipher.NOISE < 1 << (packing.scale_bits - 1)


@pytest.mark.parametrize(("bits", "parties"), [(64, 3), (48, 49)])
def test_what_the_noise_leaves_no_room_for_is_refused(bits: int, parties: int) -> None:
    with pytest.raises(ConfigError, match="no room for the noise"):
        Packing(Ring(bits), 10, parties)


def test_what_a_refusal_names_is_what_fits() -> None:
    with pytest.raises(ConfigError, match=r"only for that of 48: .* fit 32-bit words"):
        ckks.Plan(clients=100)
    assert ckks.Plan(clients=48, ring_bits=48).encoding.ring.bits == 48
    most = 2**32 // (100 * 2**16)
    assert ckks.Plan(clients=100, max_weight=most).encoding.ring.bits == 32
    with pytest.raises(ConfigError, match="no room for the noise"):
        ckks.Plan(clients=100, max_weight=most + 1)


@pytest.mark.sizes
@pytest.mark.parametrize(("bits", "size"), [(16, 2_500_020), (24, 3_750_060), (32, 7_500_060), (48, 7_500_060)])
def test_a_million_values_take_these_bytes(bits: int, size: int) -> None:
    assert Packing(Ring(bits), 1_000_002, 5).size == size


def test_the_primes_are_the_two_largest_that_fit() -> None:
    def is_prime(n: int) -> bool:
        return all(n % divisor for divisor in range(3, 1 << 15, 2))

    candidates = [number for number in range((1 << 30) - 8191, PRIMES_END, -8192) if is_prime(number)]
    assert tuple(candidates[:2]) == cipher.PRIMES


PRIMES_END = cipher.PRIMES[1] - 1


def test_the_error_is_bounded_centred_and_as_wide_as_the_security_needs() -> None:
    noise = cipher._noise(Stream(seed(1)), 0, 16)
    assert np.abs(noise).max() <= cipher.NOISE
    assert abs(noise.mean()) < 0.05
    assert 3.2 < noise.std() < 3.28  # sqrt(21 / 2) = 3.24
    assert not np.array_equal(noise, cipher._noise(Stream(seed(1)), 16, 16)), "no two polynomials share an error"


def test_the_secret_is_ternary_uniform_and_another_in_every_round() -> None:
    one = cipher._TRANSFORMS[0].inverse(cipher.secret_key(KEY, CTX)[0]).astype(np.int64)[:, 0]
    centred = np.where(one > cipher.PRIMES[0] // 2, one - cipher.PRIMES[0], one)
    values, counts = np.unique(centred, return_counts=True)
    assert values.tolist() == [-1, 0, 1]
    assert (np.abs(counts - 4096 / 3) < 150).all()
    other = cipher.secret_key(KEY, Context(b"s" * 32, "task", 2, 1))
    assert not np.array_equal(cipher.secret_key(KEY, CTX)[0], other[0])


def test_the_uniform_half_is_below_its_prime_and_differs_by_client_round_group_and_prime() -> None:
    packing = Packing(Ring(32), 4096 * 20, 3)
    groups = [half for group in cipher.uniform(seed(1), CTX, PartyId("c"), packing) for half in group]
    assert [half.shape[1] for half in groups] == [16, 16, 4, 4]
    for half, prime in zip(groups, cipher.PRIMES * 2, strict=True):
        assert half.max() < prime
        assert abs(half.mean() / prime - 0.5) < 0.01
    others = [
        next(cipher.uniform(seed(1), CTX, PartyId("d"), packing))[0],
        next(cipher.uniform(seed(1), Context(b"s" * 32, "task", 1, 1), PartyId("c"), packing))[0],
    ]
    firsts = [half[:, :4] for half in (*groups, *others)]
    assert all(not np.array_equal(one, two) for one, two in pairwise(firsts))


def test_without_the_key_a_ciphertext_opens_to_nothing() -> None:
    packing = Packing(Ring(32), 100, 3)
    total = added([np.arange(100, dtype=np.uint32)], packing)
    with pytest.raises(CannotDecrypt):
        opened(total, packing, 1, Secret(b"x" * 32))


def test_a_residue_out_of_range_changes_nothing_in_the_sum() -> None:
    packing = Packing(Ring(32), 100, 3)
    total = added([np.arange(100, dtype=np.uint32)], packing)
    before, bad = total.copy(), np.zeros_like(total)
    bad[-1] = cipher.PRIMES[1]
    with pytest.raises(CannotDecrypt, match="not below"):
        cipher.add_into(total, cipher.as_payload(bad), packing)
    assert np.array_equal(total, before)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 4097])
def test_residues_come_back_from_thirty_bits_each_whatever_their_number(count: int) -> None:
    residues = np.random.default_rng(count).integers(0, 1 << 30, count).astype(np.uint32)
    residues[-1] = (1 << 30) - 1
    packed = cipher.as_payload(residues)
    assert packed.size == packed_residues(count) == 60 * -(-count // 16)
    assert np.array_equal(unpack_residues(packed, count), residues)


def test_bytes_of_another_number_or_after_the_last_residue_are_refused() -> None:
    for wrong in (bytes(59), bytes(64), bytes(120)):
        with pytest.raises(CannotDecrypt, match="60 are expected"):
            unpack_residues(Blob(wrong), 3)
    with pytest.raises(CannotDecrypt, match="after its last"):
        unpack_residues(cipher.as_payload(np.array([0, 0, 0, 1], np.uint32)), 3)


@pytest.mark.parametrize("bits", [16, 24, 32])
def test_a_coefficient_that_carries_no_words_is_not_sent_and_not_missed(bits: int) -> None:
    """Lengths around whole coefficients and whole polynomials: each takes as many coefficients as its words need, and opens exactly."""
    lanes = Packing(Ring(bits), 1, 3).lanes
    for length in (lanes, lanes + 1, lanes * 4096, lanes * 4096 + 1, lanes * 4096 * 16 + 2):
        packing = Packing(Ring(bits), length, 3)
        vector = np.arange(length, dtype=np.int64) % (1 << (bits - 3))
        total = added([packing.ring.from_signed(vector)] * 2, packing)
        assert len(total) == 2 * -(-length // lanes)
        assert np.array_equal(opened(total, packing, 2), packing.ring.from_signed(2 * vector))
