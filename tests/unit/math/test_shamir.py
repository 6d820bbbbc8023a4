from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import ConfigError
from secagg.math import field, shamir
from secagg.math.field import P
from secagg.testing.entropy import InsecureEntropy
from secagg.types import Secret

secrets = st.binary(min_size=32, max_size=32).map(Secret)


@given(secrets, st.data())
@settings(deadline=None, max_examples=50)
def test_any_t_shares_give_the_secret_back(secret, data):
    indices = data.draw(st.sets(st.integers(1, 2**32 - 1), min_size=1, max_size=12))
    threshold = data.draw(st.integers(1, len(indices)))
    shares = shamir.share(secret, threshold, indices, InsecureEntropy(data.draw(st.integers(0, 99))))
    chosen = data.draw(st.permutations(sorted(indices)))[:threshold]
    assert shamir.combine({index: shares[index] for index in chosen}) == secret
    assert shamir.combine(shares, threshold) == secret
    assert shamir.combine(shares) == secret


def test_every_subset_of_t_of_n_works():
    secret = Secret(bytes(range(32)))
    shares = shamir.share(secret, 3, range(1, 7), InsecureEntropy(1))
    for chosen in itertools.combinations(shares, 3):
        assert shamir.combine({index: shares[index] for index in chosen}) == secret


@given(secrets, secrets, st.integers(2, 6))
@settings(deadline=None, max_examples=30)
def test_t_minus_one_shares_fit_every_other_secret(secret, other, threshold):
    shares = shamir.share(secret, threshold, range(1, threshold + 1), InsecureEntropy(2))
    known = [(0, int.from_bytes(other.expose(), "big")), *((i, field.decode(shares[i].expose())) for i in range(1, threshold))]
    completed = dict(itertools.islice(shares.items(), threshold - 1))
    completed[threshold] = Secret(field.encode(interpolate(known, threshold)))
    assert shamir.combine(completed) == other


@given(st.lists(secrets, min_size=1, max_size=3), st.sets(st.integers(1, 2**32 - 1), min_size=1, max_size=90), st.data())
@settings(deadline=None, max_examples=60)
def test_secrets_that_are_shared_together_have_the_shares_that_each_has_alone(given_, indices, data):
    threshold, seed = data.draw(st.integers(1, len(indices))), data.draw(st.integers(0, 99))
    one_by_one, together = InsecureEntropy(seed), InsecureEntropy(seed)
    alone = [shamir.share(secret, threshold, indices, one_by_one) for secret in given_]
    assert shamir.share_all(given_, threshold, indices, together) == alone
    coefficients = InsecureEntropy(seed)
    for secret, shares in zip(given_, alone, strict=True):
        highest_first = [*field.uniform(threshold - 1, coefficients), int.from_bytes(secret.expose(), "big")]
        for index in itertools.islice(indices, 5):
            value = sum(c * pow(index, power, P) for power, c in enumerate(reversed(highest_first))) % P
            assert field.decode(shares[index].expose()) == value


def test_long_values_of_one_polynomial_do_not_reach_into_the_next():
    indices, given_ = range(2**32 - 90, 2**32), [Secret(bytes([byte]) * 32) for byte in (255, 1, 255)]
    entropy = InsecureEntropy(3)
    alone = [shamir.share(secret, 90, indices, entropy) for secret in given_]
    assert shamir.share_all(given_, 90, indices, InsecureEntropy(3)) == alone


def test_coefficients_do_not_print():
    assert "runs" not in repr(shamir._Rows.of([[5, 7]], 9))


def interpolate(points: list[tuple[int, int]], at: int) -> int:
    """Lagrange by the book, to compare with."""
    total = 0
    for x, y in points:
        term = y
        for z, _ in points:
            if z != x:
                term = term * (at - z) * pow(x - z, -1, P) % P
        total += term
    return total % P


def test_shares_lie_on_a_polynomial_of_degree_t_minus_one():
    secret = Secret(b"\xff" * 32)
    shares = {i: field.decode(s.expose()) for i, s in shamir.share(secret, 4, [1, 2, 3, 4, 500], InsecureEntropy(3)).items()}
    assert interpolate([(i, shares[i]) for i in (1, 2, 3, 4)], 500) == shares[500]
    assert interpolate(list(shares.items())[:4], 0) == 2**256 - 1


def test_too_few_shares_and_shares_of_two_sharings_give_something_else_or_nothing():
    secret = Secret(bytes(31) + b"\x05")
    one, two = (shamir.share(secret, 3, range(1, 6), InsecureEntropy(seed)) for seed in (4, 5))
    for mixed in ({1: one[1], 2: one[2]}, {1: one[1], 2: one[2], 3: two[3]}):
        with contextlib.suppress(ConfigError):  # a value above 2^256 is no secret; chance decides
            assert shamir.combine(mixed) != secret


def test_every_share_has_33_bytes_and_is_a_secret():
    for share in shamir.share(Secret(bytes(32)), 2, range(1, 9), InsecureEntropy(6)).values():
        assert len(share) == shamir.SHARE == 33
        assert repr(share) == "<redacted>"


@pytest.mark.parametrize(
    ("size", "threshold", "indices", "named"),
    [
        (31, 1, [1], "31 bytes"),
        (32, 0, [1], "threshold=0"),
        (32, 3, [1, 2], "threshold=3"),
        (32, 1, [0, 1], "index 0"),
        (32, 1, [1, 1], "twice"),
        (32, 1, [], "indices"),
        (32, 1, [2**32], "indices"),
    ],
)
def test_unsafe_sharings_are_refused(size, threshold, indices, named):
    with pytest.raises(ConfigError, match=named):
        shamir.share(Secret(bytes(size)), threshold, indices, InsecureEntropy(0))


def test_shares_out_of_range_are_refused_when_combining():
    shares = shamir.share(Secret(bytes(32)), 2, [1, 2, 3], InsecureEntropy(7))
    for bad in (Secret(P.to_bytes(33, "big")), Secret(b"\xff" * 33), Secret(bytes(32)), Secret(bytes(34))):
        with pytest.raises(ConfigError):
            shamir.combine({1: shares[1], 2: bad})
    with pytest.raises(ConfigError, match="2 needed"):
        shamir.combine({1: shares[1]}, 2)
    with pytest.raises(ConfigError, match="needed"):
        shamir.combine({})
    with pytest.raises(ConfigError, match="index 0"):
        shamir.combine({0: shares[1], 2: shares[2]})


def test_a_value_above_32_bytes_is_refused():
    too_large = Secret(field.encode(P - 1))
    with pytest.raises(ConfigError, match="no 32-byte secret"):
        shamir.combine({1: too_large})


def test_the_modulus_is_the_smallest_prime_above_two_to_the_256():
    def probably_prime(number: int) -> bool:
        odd, twos = number - 1, 0
        while odd % 2 == 0:
            odd, twos = odd // 2, twos + 1
        return all(witnesses(base, odd, twos, number) for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37))

    def witnesses(base: int, odd: int, twos: int, number: int) -> bool:
        value = pow(base, odd, number)
        return value in (1, number - 1) or any(pow(value, 2**k, number) == number - 1 for k in range(1, twos))

    assert [offset for offset in range(1, 298, 2) if probably_prime(2**256 + offset)] == [297]
    assert P == 2**256 + 297


@given(st.integers(0, P - 1))
def test_field_elements_survive_their_encoding(element):
    assert field.decode(field.encode(element)) == element
    if element:
        assert element * field.inverse(element) % P == 1


def test_numbers_outside_the_field_are_refused():
    for bad in (-1, P):
        with pytest.raises(ConfigError):
            field.encode(bad)
    with pytest.raises(ConfigError, match="no inverse"):
        field.inverse(P)
    with pytest.raises(ConfigError, match="entropy source"):
        field.uniform(2, lambda n: bytes(n - 1))
