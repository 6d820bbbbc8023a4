"""Integer noise: exactly the law that it claims, whatever is resolved on the way."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import pytest
from scipy import stats

from secagg.dp.sampler import BITS, Sampler, cumulative
from secagg.errors import ConfigError
from secagg.math.ring import Ring
from secagg.testing.entropy import InsecureEntropy

KINDS = ("skellam", "discrete-gaussian")


def probabilities(kind: str, variance: int, reach: int) -> np.ndarray:
    """P(X = k) for k from −reach to reach, by other formulas than the sampler's."""
    points = np.arange(-reach, reach + 1)
    if kind == "skellam":
        return stats.skellam.pmf(points, variance / 2, variance / 2)
    weights = np.exp(-(points.astype(float) ** 2) / (2 * variance))
    return weights / weights.sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("variance", "bits"), [(1, BITS), (64, BITS), (1000, BITS), (64, 9)])
def test_draws_have_the_law(kind, variance, bits):
    """Pearson's χ² over all values that are expected often enough; with nine bits most draws are resolved with more."""
    count = 400_000 if bits == BITS else 20_000
    drawn = Sampler(kind, variance, bits=bits).draw(count, entropy=InsecureEntropy(f"{kind} {variance} {bits}"))
    reach = int(8 * variance**0.5) + 8
    expected = count * probabilities(kind, variance, reach)
    seen = np.bincount(np.clip(drawn, -reach, reach) + reach, minlength=2 * reach + 1)
    often = expected > 20
    rest = count - expected[often].sum()
    statistic = float(((seen[often] - expected[often]) ** 2 / expected[often]).sum())
    if rest > 5:
        statistic += (count - seen[often].sum() - rest) ** 2 / rest
    assert stats.chi2.sf(statistic, int(often.sum())) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_right_to_the_bits_it_claims(kind):
    rough, fine = cumulative(kind, 5000, 128), cumulative(kind, 5000, 512)
    assert max(abs((exact >> 384) - entry) for entry, exact in zip(rough, fine, strict=False)) < 1 << 24
    folded = probabilities(kind, 5000, 900)
    assert rough[0] / 2**128 == pytest.approx(folded[900], rel=1e-9)
    assert rough[71] / 2**128 == pytest.approx(folded[900 - 71 : 900 + 72].sum(), rel=1e-9)


@pytest.mark.parametrize("bits", [8, 12, 20, BITS])
def test_a_short_table_gives_what_a_long_one_would(bits):
    """The same point of the unit interval gives the same draw, however few bits of it are in the table."""
    exact = cumulative("skellam", 400, 256)
    sampler = Sampler("skellam", 400, bits=bits)
    tail = InsecureEntropy("tail")
    for head in range(0, 1 << bits, max(1, (1 << bits) // 257)):
        given = {"bits": 0}

        def entropy(size: int, given: dict[str, int] = given) -> bytes:
            fresh = tail(size)
            given["bits"] += 8 * size
            given["value"] = int.from_bytes(fresh, "little")
            return fresh

        word = np.array([head << (64 - bits)], np.uint64)
        found = int(sampler._draw(word, entropy)[0])
        if not given["bits"]:
            low = bisect_right(exact, head << (256 - bits))
            high = bisect_right(exact, ((head + 1) << (256 - bits)) - 1)
            assert low == high == found
        elif given["bits"] <= 128:
            wanted = 128 - bits
            point = head << wanted | given["value"] & ((1 << wanted) - 1)
            assert bisect_right(exact, point << 128) == found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_the_noise_of_a_sum_has_the_variance_of_its_shares(kind):
    """Ten shares of 2^20 coordinates: over 10^7 draws, the variance of one and of their sum is within 1 %."""
    sampler, shares, values = Sampler(kind, 17_000**2), 10, 1 << 20
    ring, entropy = Ring(24), InsecureEntropy("shares")
    total, single = np.zeros(values, ring.dtype), 0.0
    for _ in range(shares):
        words = np.zeros(values, ring.dtype)
        sampler.add_into(words, ring, entropy=entropy)
        single += float((ring.center(words).astype(float) ** 2).mean()) / shares
        ring.add_into(total, words)
    assert single == pytest.approx(17_000**2, rel=1e-3)
    assert float((ring.center(total).astype(float) ** 2).mean()) == pytest.approx(shares * 17_000**2, rel=1e-2)


def test_noise_is_added_in_the_ring():
    """The same key gives the same noise in every ring, modulo its size; and what stands there already is kept."""
    wide, narrow, sampler = Ring(64), Ring(24), Sampler("skellam", 10**6)
    start = np.arange(70_000)
    for_wide, for_narrow = start.astype(wide.dtype), start.astype(narrow.dtype)
    sampler.add_into(for_wide, wide, entropy=InsecureEntropy("ring"))
    sampler.add_into(for_narrow, narrow, entropy=InsecureEntropy("ring"))
    np.testing.assert_array_equal(narrow.center(for_narrow), wide.center(for_wide))
    assert float((wide.center(for_wide) - start).var()) == pytest.approx(10**6, rel=0.02)


def test_two_shares_have_nothing_in_common():
    sampler, entropy = Sampler("skellam", 10_000), InsecureEntropy("two")
    one, other = sampler.draw(50_000, entropy=entropy), sampler.draw(50_000, entropy=entropy)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.02
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.02


@pytest.mark.parametrize(("kind", "variance"), [("laplace", 100), ("skellam", 0), ("skellam", 100.0), ("skellam", 1 << 33)])
def test_a_law_that_cannot_be_drawn_is_refused(kind, variance):
    with pytest.raises(ConfigError, match="noise of variance"):
        Sampler(kind, variance)
