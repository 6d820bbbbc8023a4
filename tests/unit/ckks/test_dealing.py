"""Laws of the dealt secrets, over drawn cohorts, holders and vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.ckks import cipher
from protocols.ckks.cipher import DEGREE, Packing, add_keys, decrypt_under, encrypt_under
from protocols.ckks.residues import CannotDecrypt
from protocols.ckks.threshold import dealing
from protocols.ckks.threshold.params import DRAWS
from secagg.math.ring import Ring
from secagg.payload import Blob
from secagg.testing.entropy import InsecureEntropy
from secagg.types import Context, PartyId, Secret

CTX = Context(b"r" * 32, "task", 1, 1)
few = settings(max_examples=25, deadline=None)


def name(index: int) -> PartyId:
    return PartyId(f"c{index}")


def seed(client: int, holder: int) -> Secret:
    return Secret(bytes([client, holder]) * 16)


def part(clients: list[int], holder: int) -> cipher.Key:
    """What one holder adds up for a set."""
    return add_keys(dealing.dealt_key(seed(client, holder), CTX, name(client), PartyId(f"h{holder}")) for client in clients)


def whole(clients: list[int], holders: int) -> cipher.Key:
    return add_keys([part(clients, holder) for holder in range(holders)])


def total_of(clients: list[int], holders: int, vectors: dict[int, np.ndarray], packing: Packing) -> np.ndarray:
    total = np.zeros(packing.residues, np.uint32)
    for client in clients:
        half = dealing.public_half(CTX, packing)
        words = encrypt_under(whole([client], holders), vectors[client], packing, half, InsecureEntropy(client))
        cipher.add_into(total, cipher.as_payload(words), packing)
    return total


cohorts = st.lists(st.integers(0, 9), min_size=2, max_size=5, unique=True)


@few
@given(cohorts, st.integers(2, 4), st.sampled_from([16, 24, 32, 48]), st.integers(1, 3 * DEGREE + 1), st.integers(0, 2**32))
def test_any_set_with_any_number_of_holders_opens_to_its_exact_sum(
    clients: list[int], holders: int, bits: int, length: int, dice: int
) -> None:
    ring = Ring(bits)
    packing, numbers = Packing(ring, length, 5, DRAWS), np.random.default_rng(dice)
    bound = ring.modulus // (2 * len(clients))  # the encoding proves that no sum leaves the ring
    vectors = {client: ring.from_signed(numbers.integers(-bound, bound, length)) for client in clients}
    found = decrypt_under(
        whole(clients, holders), total_of(clients, holders, vectors, packing), packing, dealing.public_half(CTX, packing), len(clients)
    )
    expected = ring.zeros(length)
    for vector in vectors.values():
        ring.add_into(expected, vector)
    assert np.array_equal(found, expected)


@few
@given(cohorts, st.integers(2, 4), st.data())
def test_a_key_opens_no_other_set_and_no_part_is_spare(clients: list[int], holders: int, data: st.DataObject) -> None:
    packing = Packing(Ring(32), 40, 5, DRAWS)
    vectors = {client: np.full(40, client, np.uint32) for client in clients}
    total = total_of(clients, holders, vectors, packing)
    gone = data.draw(st.sampled_from(clients))
    lacking = data.draw(st.integers(0, holders - 1))
    without_one = [client for client in clients if client != gone]
    for key in (whole(without_one, holders), add_keys([part(clients, holder) for holder in range(holders) if holder != lacking])):
        with pytest.raises(CannotDecrypt):
            decrypt_under(key, total, packing, dealing.public_half(CTX, packing), len(clients))


@few
@given(st.binary(max_size=64), st.booleans())
def test_bytes_are_a_part_of_the_key_or_refused(data: bytes, padded: bool) -> None:
    raw = data.ljust(dealing.SHARE_BYTES, b"\x00") if padded else data
    try:
        found = dealing.read_share(raw)
    except CannotDecrypt:
        return
    assert bytes(dealing.share_bytes(found)) == raw


def test_parts_are_uniform_and_differ_by_client_holder_and_round() -> None:
    keys = [
        dealing.dealt_key(seed(1, 1), CTX, name(1), PartyId("h1")),
        dealing.dealt_key(seed(1, 1), CTX, name(2), PartyId("h1")),
        dealing.dealt_key(seed(1, 1), CTX, name(1), PartyId("h2")),
        dealing.dealt_key(seed(1, 1), Context(b"s" * 32, "task", 1, 2), name(1), PartyId("h1")),
        dealing.dealt_key(seed(2, 1), CTX, name(1), PartyId("h1")),
    ]
    firsts = [tuple(part[:8, 0].tolist()) for key in keys for part in key]
    assert len(set(firsts)) == len(firsts)
    for key in keys:
        for residues, prime in zip(key, cipher.PRIMES, strict=True):
            assert residues.max() < prime
            counts = np.bincount((residues[:, 0] * np.uint64(16) // np.uint64(prime)).astype(np.int64), minlength=16)
            assert ((counts - DEGREE / 16) ** 2 / (DEGREE / 16)).sum() < 45, "chi-square with 15 degrees of freedom, p = 1e-4"


def over(one: cipher.Key, two: cipher.Key) -> cipher.Key:
    """one / two, value by value, in the transformed domain."""
    quotients = [
        np.array([int(x) * pow(int(y), -1, prime) % prime for x, y in zip(left[:, 0], right[:, 0], strict=True)], np.uint64)[:, None]
        for left, right, prime in zip(one, two, cipher.PRIMES, strict=True)
    ]
    return quotients[0], quotients[1]


def imprints_of(clients: list[int], holder: int) -> np.ndarray:
    total, to = np.zeros(dealing.IMPRINT.residues, np.uint32), PartyId(f"h{holder}")
    for client in clients:
        dealt = dealing.dealt_key(seed(client, holder), CTX, name(client), to)
        cipher.add_into(total, Blob(dealing.imprint(seed(client, holder), dealt, CTX, name(client), to)), dealing.IMPRINT)
    return total


@few
@given(cohorts, st.integers(0, 3), st.data())
def test_the_imprints_of_a_set_fit_its_part_of_the_key_and_no_other(clients: list[int], holder: int, data: st.DataObject) -> None:
    total, right = imprints_of(clients, holder), part(clients, holder)
    assert dealing.leaves(total, right, CTX, len(clients))
    wrong = [right[0].copy(), right[1].copy()]
    plane, place = data.draw(st.integers(0, 1)), data.draw(st.integers(0, DEGREE - 1))
    wrong[plane][place, 0] = (wrong[plane][place, 0] + np.uint64(1)) % np.uint64(cipher.PRIMES[plane])
    gone = [client for client in clients if client != clients[0]]
    for other in ((wrong[0], wrong[1]), part(gone, holder), part(clients, holder + 1)):
        assert not dealing.leaves(total, other, CTX, len(clients))


def test_an_imprint_of_one_polynomial_would_pass_a_part_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """1/b is the smallest error of all, seen through b: the first polynomial shows it as 1, the second as noise."""
    clients = [1, 2, 3]

    def passes() -> bool:
        (half,) = dealing.imprint_half(CTX)
        one = (np.ones((DEGREE, 1), np.uint64),) * 2
        wrong = add_keys([part(clients, 0), over(one, (half[0][:, :1], half[1][:, :1]))])
        return dealing.leaves(imprints_of(clients, 0), wrong, CTX, len(clients))

    monkeypatch.setattr(dealing, "IMPRINT", Packing(Ring(32), DEGREE, 10, DRAWS))
    assert passes()
    monkeypatch.undo()
    assert not passes()
