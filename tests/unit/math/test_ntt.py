"""The negacyclic transform against schoolbook products, and against SEAL value by value."""

from __future__ import annotations

import numpy as np
import pytest
from tenseal import sealapi

from protocols.ckks.cipher import DEGREE, PRIMES
from secagg.errors import ConfigError
from secagg.math.ntt import Ntt


def schoolbook(one: np.ndarray, two: np.ndarray, prime: int) -> list[int]:
    """The product in Z_p[X]/(X^n + 1) with Python's integers."""
    n = len(one)
    product = [0] * n
    for i in range(n):
        for j in range(n):
            product[(i + j) % n] += (1 if i + j < n else -1) * int(one[i]) * int(two[j])
    return [value % prime for value in product]


@pytest.mark.parametrize("prime", PRIMES)
@pytest.mark.parametrize("size", [2, 8, 64])
def test_a_product_of_transforms_is_the_schoolbook_product(prime: int, size: int) -> None:
    dice, transform = np.random.default_rng(size), Ntt(prime, size)
    one, two = (dice.integers(0, prime, (size, 3), dtype=np.uint64) for _ in range(2))
    product = transform.inverse(transform.forward(one) * transform.forward(two) % np.uint64(prime))
    for batch in range(3):
        assert product[:, batch].tolist() == schoolbook(one[:, batch], two[:, batch], prime)


@pytest.mark.parametrize("prime", PRIMES)
def test_at_full_size_x_to_the_n_is_minus_one_and_the_largest_residues_survive(prime: int) -> None:
    transform = Ntt(prime, DEGREE)
    x, last = np.zeros((DEGREE, 1), np.uint64), np.full((DEGREE, 1), prime - 1, np.uint64)
    x[1] = 1
    turned = transform.inverse(transform.forward(x) * transform.forward(last) % np.uint64(prime))
    assert turned[0, 0] == 1, "X · (−X^(n−1)) = 1"
    assert (turned[1:] == prime - 1).all()
    assert np.array_equal(transform.inverse(transform.forward(last)), last)


@pytest.mark.parametrize(("prime", "size"), [(PRIMES[0], 3), (PRIMES[0], 1), (PRIMES[0] - 2, 8), ((1 << 31) - 1, 2), (2, 2)])
def test_where_there_is_no_transform_it_says_so(prime: int, size: int) -> None:
    with pytest.raises(ConfigError, match="no negacyclic transform"):
        Ntt(prime, size)


def test_a_composite_modulus_without_a_root_is_refused() -> None:
    with pytest.raises(ConfigError, match="is it prime"):
        Ntt(65, 32).forward(np.zeros((32, 1), np.uint64))  # 65 = 5 · 13 is 1 modulo 64, and no power in it is −1 of that order


def transformed_by_seal(values: np.ndarray) -> np.ndarray:
    """What SEAL makes of a polynomial with coefficients below 2^19: its transform modulo both primes, one after the other."""
    numbers = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.BFV)
    numbers.set_poly_modulus_degree(DEGREE)
    numbers.set_coeff_modulus([sealapi.Modulus(prime) for prime in PRIMES])
    numbers.set_plain_modulus(1 << 20)
    context = sealapi.SEALContext(numbers, True, sealapi.SEC_LEVEL_TYPE.TC128)
    terms = (f"{int(value):X}x^{power}" if power else f"{int(value):X}" for power, value in enumerate(values))
    plain, turned = sealapi.Plaintext(" + ".join(reversed(list(terms)))), sealapi.Plaintext()
    sealapi.Evaluator(context).transform_to_ntt(plain, context.key_parms_id(), turned)
    return np.array([turned.data(place) for place in range(turned.coeff_count())], np.uint64).reshape(len(PRIMES), DEGREE)


def test_it_writes_the_values_that_seal_writes_in_seals_order() -> None:
    values = np.random.default_rng(8).integers(1, 1 << 19, DEGREE).astype(np.uint64)
    for prime, expected in zip(PRIMES, transformed_by_seal(values), strict=True):
        assert np.array_equal(Ntt(prime, DEGREE).forward(values[:, None])[:, 0], expected)
        assert np.array_equal(Ntt(prime, DEGREE).inverse(expected[:, None])[:, 0], values)
