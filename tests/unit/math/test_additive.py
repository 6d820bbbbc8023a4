from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import ConfigError
from secagg.math import additive
from secagg.math.ring import WIDTHS, Ring
from secagg.testing.entropy import InsecureEntropy


@given(st.sampled_from(WIDTHS).map(Ring), st.integers(2, 6), st.integers(0, 100), st.integers(0, 2**32))
@settings(deadline=None)
def test_the_shares_sum_to_the_vector(ring, count, n, seed):
    vector = additive.uniform(n, ring, InsecureEntropy(seed))
    shares = additive.split(vector, count, ring, InsecureEntropy(seed + 1))
    assert len(shares) == count
    assert np.array_equal(additive.join(shares, ring), vector)


@pytest.mark.parametrize("bits", WIDTHS)
def test_all_shares_but_one_say_nothing_because_they_fit_every_vector(bits):
    ring = Ring(bits)
    vector, other = (additive.uniform(50, ring, InsecureEntropy(seed)) for seed in (1, 2))
    known = additive.split(vector, 3, ring, InsecureEntropy(3))[1:]
    completed = additive.last_share(other, known, ring)
    assert np.array_equal(additive.join([completed, *known], ring), other)


def test_the_long_share_is_uniform_whatever_the_vector():
    ring = Ring(16)
    share = additive.split(ring.zeros(60_000), 2, ring, InsecureEntropy(5))[0]
    counts = np.bincount(share.view(np.uint8), minlength=256)
    chi_squared = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert chi_squared < 380  # 255 degrees of freedom: passed by chance once in 2^20


def test_a_single_share_and_no_share_are_refused():
    ring = Ring(32)
    with pytest.raises(ConfigError, match="at least 2"):
        additive.split(ring.zeros(3), 1, ring, InsecureEntropy(0))
    with pytest.raises(ConfigError, match="no shares"):
        additive.join([], ring)
    with pytest.raises(ConfigError, match="cannot be added"):
        additive.join([ring.zeros(3), ring.zeros(2)], ring)


def test_a_short_entropy_source_is_refused():
    with pytest.raises(ConfigError, match="entropy source"):
        additive.uniform(4, Ring(16), lambda n: bytes(n - 2))
