"""ε of summed integer noise: reference rows, what drop-outs and colluders take away, and noise that is refused."""

from __future__ import annotations

import pytest

from secagg.dp.distributed import SummedNoise
from secagg.errors import ConfigError

DELTA = 1e-5


@pytest.mark.parametrize(
    ("parties", "values", "clip", "bits", "multiplier", "rounds", "scale", "noise", "inflation", "continuous", "gaussian", "skellam"),
    [
        (8, 2**20, 1.0, 18, 1.0, 1, 3.277e4, 1.16e4, 1.0001, 4.7527, 4.7534, 4.7534),
        (8, 2**20, 1.0, 12, 1.0, 1, 512, 181, 1.4156, 4.7527, 7.0958, 7.0958),
        (8, 2**20, 1.0, 10, 1.0, 1, 128, 45.3, 4.1282, 4.7527, 27.1686, 27.1710),
        (16, 2**16, 1.0, 16, 4.0, 50, 2048, 2.05e3, 1.0022, 9.3379, 9.3655, 9.3655),
        (16, 2**16, 1.0, 12, 4.0, 50, 128, 128, 1.4198, 9.3379, 14.2512, 14.2512),
        (100, 2**20, 0.03, 16, 0.5, 1, 5.36e5, 804, 1.0005, 10.8017, 10.8082, 10.8082),
        (100, 2**20, 0.03, 12, 0.5, 1, 3.35e4, 50.2, 1.1230, 10.8017, 12.3681, 12.3681),
    ],
)
def test_known_mechanisms_have_the_numbers_that_are_known(
    parties, values, clip, bits, multiplier, rounds, scale, noise, inflation, continuous, gaussian, skellam
):
    found = SummedNoise(parties, values, clip, multiplier, bits, rounds)
    assert found.scale == pytest.approx(scale, rel=2e-3)
    assert found.noise == pytest.approx(noise, rel=2e-3)
    assert found.bound / (found.scale * clip) == pytest.approx(inflation, abs=6e-5)
    assert found.continuous_epsilon(DELTA) == pytest.approx(continuous, abs=6e-5)
    assert found.gaussian_epsilon(DELTA) == pytest.approx(gaussian, abs=6e-5)
    assert found.skellam_epsilon(DELTA) == pytest.approx(skellam, abs=6e-5)


def test_whoever_knows_some_of_the_noise_is_told_more():
    full = SummedNoise(10, 2**16, 1.0, 2.0, 18)
    spent = [full.against(honest=honest).skellam_epsilon(DELTA) for honest in (10, 7, 3)]
    assert spent == sorted(spent)
    assert spent[0] == full.skellam_epsilon(DELTA)
    assert full.against(honest=3).skellam_epsilon(DELTA) >= full.against(honest=3).continuous_epsilon(DELTA)


def test_noise_of_the_honest_alone_hides_as_much_as_a_sum_of_just_them():
    """Drop-outs and colluders: seven of ten parties' noise is noise of the multiplier that seven parties would have had."""
    some = SummedNoise(10, 2**16, 1.0, 2.0, 18, honest=7)
    assert some.continuous_epsilon(DELTA) == pytest.approx(SummedNoise(7, 2**16, 1.0, 2.0 * 0.7**0.5, 18).continuous_epsilon(DELTA))


def test_more_bits_never_cost_privacy():
    spent = [SummedNoise(8, 2**20, 1.0, 1.0, bits).skellam_epsilon(DELTA) for bits in (10, 12, 14, 16, 18, 20)]
    assert spent == sorted(spent, reverse=True)
    assert spent[-1] == pytest.approx(SummedNoise(8, 2**20, 1.0, 1.0, 20).continuous_epsilon(DELTA), rel=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bits": 6},
        {"bits": 4, "parties": 100},
        {"parties": 1},
        {"values": 0},
        {"rounds": 0},
        {"clip": 0.0},
        {"noise_multiplier": float("nan")},
        {"honest": 0},
        {"honest": 9},
    ],
)
def test_noise_that_hides_nothing_is_refused(wrong):
    numbers = {"parties": 8, "values": 2**20, "clip": 1.0, "noise_multiplier": 1.0, "bits": 18} | wrong
    with pytest.raises(ConfigError):
        SummedNoise(**numbers)


def test_a_delta_is_a_probability():
    with pytest.raises(ConfigError, match="delta"):
        SummedNoise(8, 2**20, 1.0, 1.0, 18).skellam_epsilon(0.0)
