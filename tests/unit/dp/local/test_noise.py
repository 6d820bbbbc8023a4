"""The noise: Gaussian, fresh for each draw, whole multiples of a grid, from nothing that is kept."""

from __future__ import annotations

import os
import pickle
from math import log2

import numpy as np
import pytest
from scipy import stats

from secagg.dp.local import GaussianNoise, PoissonBatches
from secagg.dp.local.noise import standard_normal
from secagg.errors import ConfigError
from tests.unit.dp.local.data import entropy


def noise(*, noise_multiplier=1.0, clip=1.0, values=1000, most=100, source=None):
    return GaussianNoise(noise_multiplier=noise_multiplier, clip=clip, values=values, most=most, entropy=source or os.urandom)


def test_draws_are_standard_normal():
    drawn = standard_normal(1_000_001, entropy(1))
    assert len(drawn) == 1_000_001
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert drawn.var() == pytest.approx(1, abs=0.01)
    assert abs(stats.kurtosis(drawn)) < 0.05
    assert abs(np.corrcoef(drawn[:500_000], drawn[500_001:])[0, 1]) < 0.01
    assert np.isfinite(drawn).all()


@pytest.mark.parametrize(("word", "radius"), [(b"\0", 9.5), (b"\xff", 0.0)])
def test_the_ends_of_the_stream_are_finite(monkeypatch, word, radius):
    from secagg.crypto.expand import Stream

    monkeypatch.setattr(Stream, "fill", lambda self, room: room.view(np.uint8).fill(word[0]))
    assert np.abs(standard_normal(4, os.urandom)).max() == pytest.approx(radius, abs=0.02)


def test_each_draw_has_a_key_of_its_own_and_asks_for_nothing_else():
    asked = []

    def source(count):
        asked.append(count)
        return os.urandom(count)

    drawer = noise(source=source)
    first, second = drawer.add(np.zeros(100)), drawer.add(np.zeros(100))
    assert asked == [32, 32]
    assert not np.any(first == second)


def test_noise_is_not_saved():
    with pytest.raises(TypeError, match="not saved"):
        pickle.dumps(noise())


def test_every_result_is_a_multiple_of_the_grid_whatever_the_sum():
    """The attack on low bits (Mironov 2012), first on noise as it is usually added: the sum shows in what can come out."""

    def multiples(found, grid):
        return float(np.mean(found / grid == np.rint(found / grid)))

    sums = [np.zeros(10_000), np.full(10_000, 1000.0)]
    step = 2.0**-44  # what float64 can tell apart near 1000; near 0 it can tell apart more
    usual = [multiples(total + standard_normal(10_000, entropy(seed)), step) for seed, total in enumerate(sums)]
    assert usual[0] < 0.95
    assert usual[1] == 1.0
    drawer = noise()
    assert [multiples(drawer.add(total), drawer.grid) for total in sums] == [1.0, 1.0]


def test_the_grid_is_fine_and_paid_for():
    drawer = noise(noise_multiplier=0.7, clip=0.3, values=10**6)
    assert log2(drawer.grid).is_integer()
    assert drawer.grid < 0.21 / 2**23
    moved = np.rint((np.ones(1000) * 1e-3 + 0.3 / 1000**0.5) / drawer.grid) - np.rint(np.ones(1000) * 1e-3 / drawer.grid)
    assert np.linalg.norm(moved) * drawer.grid <= drawer.sensitivity < 0.3 * 1.001
    assert drawer.deviation == pytest.approx(0.7 * drawer.sensitivity)


def test_a_sum_that_float64_cannot_hold_exactly_is_refused():
    with pytest.raises(ConfigError, match="exact sum"):
        noise(noise_multiplier=1e-4, most=10**6)


def test_samples_are_poisson():
    drawn = list(PoissonBatches(1000, 0.02, 2000, entropy(5)))
    sizes = [len(batch) for batch in drawn]
    assert len(sizes) == 2000
    assert np.mean(sizes) == pytest.approx(20, abs=0.4)
    assert np.var(sizes) == pytest.approx(20 * 0.98, rel=0.12)
    each = np.bincount(np.concatenate(drawn), minlength=1000)
    assert stats.chisquare(each).pvalue > 1e-4
    assert list(PoissonBatches(3, 1.0, 2, entropy(0))) == [[0, 1, 2]] * 2
