"""A vector with its share of noise: short enough, exact in the ring, hidden as stated."""

from __future__ import annotations

import numpy as np
import pytest

from secagg.dp import noisy
from secagg.dp.integer import IntegerNoise, least_variance, tail
from secagg.dp.noisy import encode_noisy
from secagg.dp.sampler import Sampler
from secagg.encode.encoding import Encoding
from secagg.encode.quantise import Quantiser, grid_norm
from secagg.errors import ConfigError
from secagg.policy import Floors
from secagg.privacy import PrivacyTerms
from secagg.testing.entropy import InsecureEntropy

TERMS = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=2.0, epsilon=4.0, delta=1e-6)
FLOORS = Floors(n_min=4)


def numbers(size: int, **changes) -> tuple[Quantiser, IntegerNoise]:
    encoding = TERMS.encoding(Encoding(**{"max_parties": 6, "bits": 10, "rotation": True} | changes), FLOORS)
    return Quantiser(encoding, size, bytes(32)), TERMS.noise(encoding, size, FLOORS)


def vector(size: int, seed: int, length: float = 3.0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal(size)
    return (drawn * length / np.linalg.norm(drawn)).astype(np.float32)


@pytest.mark.parametrize("changes", [{"rotation": False}, {"rotation": True}, {"bits": 4}])
@pytest.mark.parametrize("size", [1, 70, 5000, 70_000])
def test_what_stands_under_the_noise_is_never_longer_than_the_bound(monkeypatch, changes, size):
    quantiser, noise = numbers(size, **changes)
    monkeypatch.setattr(Sampler, "add_into", lambda *_, **__: None)
    monkeypatch.setattr(noisy, "sampler", lambda *_: Sampler("skellam", 1))
    for seed in range(5):
        words = encode_noisy(quantiser, vector(size, seed), noise, entropy=InsecureEntropy(f"{seed}"))
        assert np.linalg.norm(quantiser.ring.center(words[:size]).astype(float)) <= noise.bound


def test_a_rounding_that_is_too_long_is_drawn_again(monkeypatch):
    """Of a vector whose roundings have norms around the bound, only those within it leave."""
    quantiser, noise = numbers(400, rotation=False, bits=4)
    monkeypatch.setattr(Sampler, "add_into", lambda *_, **__: None)
    monkeypatch.setattr(noisy, "sampler", lambda *_: Sampler("skellam", 1))
    flat = np.full(400, 1 / 20, np.float32)
    drawn = [np.linalg.norm(quantiser.ring.center(quantiser.encode(flat, entropy=InsecureEntropy(f"{n}"))[:400])) for n in range(200)]
    tight = IntegerNoise(noise.kind, 400, noise.norm, noise.variance, noise.shares)
    limit = float(np.quantile(drawn, 0.3))
    monkeypatch.setattr(IntegerNoise, "bound", property(lambda _: limit))
    kept = [encode_noisy(quantiser, flat, tight, entropy=InsecureEntropy(f"{n}"))[:400] for n in range(50)]
    assert max(np.linalg.norm(quantiser.ring.center(words)) for words in kept) <= limit
    monkeypatch.setattr(IntegerNoise, "bound", property(lambda _: float(min(drawn)) / 2))
    with pytest.raises(ConfigError, match="no rounding"):
        encode_noisy(quantiser, flat, tight, entropy=InsecureEntropy("never"))


@pytest.mark.parametrize("size", [100, 66_000])
def test_a_sum_in_the_ring_is_the_sum_of_the_integers(size):
    """Modular round trip: what the ring holds is the sum without any wrap, and decodes to a mean near the true one."""
    quantiser, noise = numbers(size)
    ring, total, plain = quantiser.ring, np.zeros(quantiser.words, quantiser.ring.dtype), np.zeros(quantiser.words, np.int64)
    vectors = [vector(size, seed, 0.9) for seed in range(6)]
    for seed, one in enumerate(vectors):
        words = encode_noisy(quantiser, one, noise, entropy=InsecureEntropy(f"{seed}"))
        plain += ring.center(words)
        ring.add_into(total, words)
    np.testing.assert_array_equal(ring.center(total), plain)
    decoded = quantiser.decode(total)
    assert (decoded.count, decoded.weight) == (6, 6)
    error = decoded.mean - np.mean(vectors, axis=0)
    expected = TERMS.noise_multiplier * (6 / noise.shares) ** 0.5 / 6
    assert np.sqrt((error.astype(float) ** 2).mean()) == pytest.approx(expected, rel=0.25 if size == 100 else 0.02)


@pytest.mark.parametrize("parties", [3, 50])
def test_the_ring_has_room_for_the_noise_of_all(parties):
    exact = Encoding(max_parties=parties, bits=10, rotation=True)
    encoding = TERMS.encoding(exact, Floors())
    for size in (1, 100, 1 << 16, 1 << 20, 1 << 26):
        share = TERMS.noise(encoding, size, Floors()).variance
        assert encoding.noise_tail >= tail(parties * round(share))
        assert encoding.noise_tail > 10 * (parties * share) ** 0.5
    assert encoding.ring.bits >= exact.ring.bits
    with pytest.raises(ConfigError, match="noise up to"):
        TERMS.encoding(Encoding(max_parties=parties, bits=10, rotation=True, ring_bits=16), Floors())


def test_ten_bits_in_a_ring_of_24_cost_a_tenth_of_a_percent():
    """What rounding to 10 bits adds to ε, over a million rotated values."""
    quantiser, noise = numbers(1 << 20)
    assert quantiser.ring.bits == 24
    free = IntegerNoise("skellam", 1, noise.norm, noise.variance, noise.shares)
    ideal = free.norm / (free.shares * free.variance) ** 0.5
    assert ideal == pytest.approx(1 / TERMS.noise_multiplier, rel=1e-6)
    assert noise.epsilon(1e-6) < 1.001 * IntegerNoise("discrete-gaussian", 1, 1e4, (2e4) ** 2 / 3, 3).epsilon(1e-6)


def test_noise_for_another_vector_is_refused():
    quantiser, noise = numbers(100)
    with pytest.raises(ConfigError, match="noise for 100 values"):
        encode_noisy(Quantiser(quantiser.encoding, 101, bytes(32)), vector(101, 0), noise, entropy=InsecureEntropy("x"))


@pytest.mark.parametrize(("changes", "what"), [({"bits": 2, "rotation": False}, "more bits"), ({"bits": 20}, "fewer bits")])
def test_noise_that_the_grid_does_not_fit_is_refused(changes, what):
    with pytest.raises(ConfigError, match=what):
        numbers(10_000, **changes)


def test_the_least_variance_is_enough_and_little_less_is_not():
    norm = grid_norm(Encoding(max_parties=5, bits=10, rotation=True), 10_000)
    variance = least_variance("skellam", values=10_000, norm=norm, shares=3, epsilon=2.0, delta=1e-6, count=10)
    assert IntegerNoise("skellam", 10_000, norm, variance, 3, 10).epsilon(1e-6) <= 2.0
    assert IntegerNoise("skellam", 10_000, norm, variance * 0.99, 3, 10).epsilon(1e-6) > 2.0
    with pytest.raises(ConfigError, match="no noise"):
        least_variance("skellam", values=10_000, norm=norm, shares=3, epsilon=1e-4, delta=1e-6, count=10)
