"""What the specifications say of security, held against the tables of the Homomorphic Encryption Standard.

Source: M. Albrecht et al., *Homomorphic Encryption Standard*, 2018, tables 1 and 2: largest log2 q for a degree, by distribution of the
secret, with errors of σ = 8/√(2π) ≈ 3.2. SEAL's own table is read below (ternary secrets, classical). All twelve numbers are those of
OpenFHE, commit 0d4c01e, src/core/lib/lattice/stdlatticeparms.cpp: HEStd_uniform and HEStd_ternary at ring dimension 4096, both classic
and quantum.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from protocols.ckks import cipher, slots
from protocols.ckks.cipher import DEGREE, NOISE, PRIMES
from protocols.ckks.threshold.params import DRAWS, MOST_CLIENTS
from secagg.math.ring import Ring
from secagg.testing.entropy import InsecureEntropy

Q_BITS = math.log2(PRIMES[0] * PRIMES[1])
STANDARD_SIGMA = 8 / math.sqrt(2 * math.pi)
TERNARY = {128: 109, 192: 75, 256: 58}
UNIFORM = {128: 111, 192: 77, 256: 60}
TERNARY_QUANTUM = {128: 101, 192: 70, 256: 54}
UNIFORM_QUANTUM = {128: 103, 192: 72, 256: 56}
"""log2 q at degree 4096, by bits of security; classical attackers first."""


def test_the_table_for_ternary_secrets_is_the_one_that_seal_enforces() -> None:
    sealapi = pytest.importorskip("tenseal.sealapi")
    levels = {128: sealapi.SEC_LEVEL_TYPE.TC128, 192: sealapi.SEC_LEVEL_TYPE.TC192, 256: sealapi.SEC_LEVEL_TYPE.TC256}
    assert {bits: sealapi.CoeffModulus.MaxBitCount(DEGREE, level) for bits, level in levels.items()} == TERNARY


def security(table: dict[int, int], bits: float) -> int:
    """The security level that a table gives a modulus of so many bits."""
    return max(level for level, most in table.items() if bits <= most)


def test_one_key_holders_secrets_have_192_bits_of_security() -> None:
    assert DEGREE == 4096
    assert all(prime % (2 * DEGREE) == 1 for prime in PRIMES)
    assert Q_BITS < 60
    assert security(TERNARY, Q_BITS) == 192
    assert security(TERNARY_QUANTUM, Q_BITS) == 192


def test_dealt_secrets_are_uniform_and_have_256_bits() -> None:
    assert security(UNIFORM, Q_BITS) == 256
    assert security(UNIFORM_QUANTUM, Q_BITS) == 192


def binomial(coins: int) -> list[float]:
    """The law of `coins` fair coins."""
    return [math.comb(coins, ones) / 2**coins for ones in range(coins + 1)]


def spread(law: list[float]) -> float:
    mean = sum(value * weight for value, weight in enumerate(law))
    return math.sqrt(sum((value - mean) ** 2 * weight for value, weight in enumerate(law)))


def test_one_error_is_as_wide_as_the_standard_asks() -> None:
    assert spread(binomial(2 * NOISE)) >= STANDARD_SIGMA
    assert spread(binomial(2 * NOISE)) == pytest.approx(3.24, abs=0.01)


def given_the_sum(coins: int, ones: int) -> float:
    """σ of the ones among `coins` coins when twice as many show `ones`: the hypergeometric law, counted out."""
    ways = [math.comb(coins, mine) * math.comb(coins, ones - mine) if 0 <= ones - mine <= coins else 0 for mine in range(coins + 1)]
    return spread([way / sum(ways) for way in ways])


def test_what_an_opened_sum_leaves_of_an_error_is_as_wide_as_the_standard_asks() -> None:
    coins = 2 * NOISE * DRAWS
    law = binomial(2 * coins)
    left = [given_the_sum(coins, ones) for ones in range(2 * coins + 1)]
    assert math.sqrt(sum(weight * sigma**2 for weight, sigma in zip(law, left, strict=True))) == pytest.approx(3.24, abs=0.005)
    sigma_of_the_sum = spread(law)
    rare = sum(weight for ones, weight in enumerate(law) if abs(ones - coins) >= 6 * sigma_of_the_sum)
    assert rare < 3e-9
    assert min(left[ones] for ones in range(2 * coins + 1) if abs(ones - coins) <= 6 * sigma_of_the_sum) > 2.85
    assert all(one <= two for one, two in pairwise(left[: coins + 1])), "the further out the sum, the less is left"


def test_with_a_single_draw_too_little_would_be_left() -> None:
    coins = 2 * NOISE
    law = binomial(2 * coins)
    left = math.sqrt(sum(weight * given_the_sum(coins, ones) ** 2 for ones, weight in enumerate(law)))
    assert left == pytest.approx(2.29, abs=0.01)
    assert left < STANDARD_SIGMA


@pytest.mark.parametrize("draws", [1, 2])
def test_the_errors_that_are_drawn_have_that_law(draws: int) -> None:
    packing = cipher.Packing(Ring(32), 16 * DEGREE, 3, draws)
    zero = (np.zeros((DEGREE, 1), np.uint64),) * 2
    halves = ((np.zeros((DEGREE, 16), np.uint64),) * 2 for _ in range(1))
    words = cipher.encrypt_under(zero, np.zeros(16 * DEGREE, np.uint32), packing, halves, InsecureEntropy("errors"))
    errors = words[: 16 * DEGREE].astype(np.int64)
    errors[errors > PRIMES[0] // 2] -= PRIMES[0]
    assert np.abs(errors).max() <= packing.noise
    assert abs(errors.mean()) < 0.1
    assert errors.std() == pytest.approx(math.sqrt(NOISE * draws / 2), rel=0.02)
    counted = np.bincount(errors + packing.noise, minlength=2 * packing.noise + 1) / len(errors)
    assert np.abs(counted - binomial(2 * packing.noise)).max() < 0.005


def log2_of_wrong_parts_that_pass(clients: int) -> float:
    """log2 of the probability, over b, that any part but the right one passes. The argument is in docs/spec/ckks-threshold.md, Imprints."""
    bound, slots, prime = 2 * NOISE * DRAWS * clients, 2 * DEGREE, math.log2(PRIMES[1])
    zeros = math.log2(slots) - 2 * prime  # one value of both polynomials is zero at once: then that of the part does not matter
    support = slots - DEGREE * (math.log2(bound) + math.log2(DEGREE) / 2) / prime  # fewer values apart: nothing is short but zero
    short = 2 * DEGREE * math.log2(2 * bound + 1) - support * prime
    return max(zeros, short)


def test_a_wrong_part_of_the_key_passes_for_no_cohort_that_a_plan_allows() -> None:
    assert log2_of_wrong_parts_that_pass(3) < -46
    assert log2_of_wrong_parts_that_pass(MOST_CLIENTS) < -46
    assert log2_of_wrong_parts_that_pass(MOST_CLIENTS + 100) > 0, "the bound is used up"


# --- what flooding would take, which nothing here does -----------------------------------------------------------------------------


def log2_of_a_flooded_modulus(ring_bits: int, clients: int, holders: int, values: int) -> float:
    """log2 q for one word in a coefficient under a joint public key, each holder's answer within 2^-40 of one that shows nothing.

    Uniform noise F beside an error of at most E is off by E/F in each coefficient, so F is 2^40 times E times their number.
    """
    error = clients * NOISE * (2 * DEGREE + 1)  # e·u + e0 + e1·s, with u and s ternary
    flood = error * 2**40 * values
    return 1 + ring_bits + math.log2(2 * (error + holders * flood))


def test_flooding_would_take_the_modulus_that_the_specification_says() -> None:
    assert log2_of_a_flooded_modulus(16, 3, 3, DEGREE) == pytest.approx(90.6, abs=0.05)
    assert log2_of_a_flooded_modulus(32, 24, 3, DEGREE) == pytest.approx(109.6, abs=0.05)
    assert log2_of_a_flooded_modulus(16, 3, 3, 10**6) == pytest.approx(98.5, abs=0.05)
    assert log2_of_a_flooded_modulus(32, 24, 3, 10**6) == pytest.approx(117.5, abs=0.05)
    assert log2_of_a_flooded_modulus(32, 24, 3, 10**6) > UNIFORM[128], "and then the degree has to double"


# --- randomness that is read by rejection ------------------------------------------------------------------------------------------


def log2_of_too_few(draws: int, wanted: int, kept: float) -> float:
    """log2 of a bound on the probability that fewer than `wanted` of `draws` are kept. [Chernoff]"""
    share = (wanted - 1) / draws
    distance = share * math.log2(share / kept) + (1 - share) * math.log2((1 - share) / (1 - kept))
    return -draws * distance


def test_rejection_never_leaves_too_little() -> None:
    assert log2_of_too_few(2 * DEGREE, DEGREE, 3 / 4) < -1000, "the ternary secret"
    for count in range(1, cipher.GROUP + 1):
        wanted = count * DEGREE
        draws = cipher.drawn_for(wanted)
        assert all(log2_of_too_few(draws, wanted, prime / 2**30) < -250 for prime in PRIMES), "the uniform half"


# --- slots: docs/spec/ckks.md, Slots ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parties", [2, 24, 1000])
def test_the_bound_of_the_noise_in_slots_holds_but_for_one_in_a_trillion(parties: int) -> None:
    """A real part is Σ e_j·cos(…): of 42 centred coins each, and half a unit of rounding. Hoeffding for the coins, always for the half."""
    proxy = parties * 42 / 4 * DEGREE / 2
    rounding = parties / 2 * DEGREE * 2 / math.pi
    coins = slots.noise_bound(DEGREE, parties) - rounding
    assert 2**34 * 2 * math.exp(-(coins**2) / (2 * proxy)) <= 2**-40 * 1.001
    largest = parties * (NOISE + 1 / 2) * DEGREE * 2 / math.pi
    assert largest < 2**slots.GRID_BITS * slots.noise_bound(DEGREE, parties) / 2, "all errors at their largest are rounded away, too"


def test_the_rounding_of_doubles_in_slots_is_what_the_specification_says() -> None:
    """Higham 2002, theorem 24.2: a transform of n = 2^t is off by t·η of its norm, η = u + 4u·(√2 + u). Two of them; 2048 slots of √2·M."""
    unit = 2.0**-53
    eta = unit + 4 * unit * (math.sqrt(2) + unit)
    transforms = 2 * math.log2(DEGREE) * eta
    assert math.log2(transforms * math.sqrt(DEGREE / 2) * math.sqrt(2)) == pytest.approx(-39.7, abs=0.05)
    assert 2.0**slots.MOST_BITS * 2**-39.7 < 2**-slots.GRID_BITS
