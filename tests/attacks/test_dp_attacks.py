"""Attacks on sums: without noise, or with too little of it, they tell whether one organisation's update is in them.

The attacker is the server, knows every other update and the noise of the clients that work with it, and looks for a canary: the update that
the victim sends, or does not. A lower bound on ε from how often it is right must stay under the ε that is stated.
"""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy import stats

from secagg import privacy
from secagg.dp.noisy import encode_noisy
from secagg.dp.sampler import sampler
from secagg.encode.encoding import Encoding
from secagg.encode.quantise import Quantiser
from secagg.errors import ConfigError
from secagg.policy import Floors
from secagg.privacy import PrivacyTerms
from secagg.testing.entropy import InsecureEntropy

VALUES, TRIALS, DELTA = 48, 40_000, 1e-5
TERMS = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=1.0, epsilon=5.0, delta=DELTA)
FLOORS = Floors(n_min=3, colluders=1)
EXACT = Encoding(max_parties=20, bits=12)


def canary() -> np.ndarray:
    drawn = np.random.default_rng(7).standard_normal(VALUES)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def encoded(quantiser: Quantiser, vector: np.ndarray) -> np.ndarray:
    """The canary in grid steps, without noise."""
    words = quantiser.encode(vector, entropy=InsecureEntropy("canary"))
    return quantiser.ring.center(words[:VALUES]).astype(float)


def scores(terms: PrivacyTerms, floors: Floors, shares: int) -> tuple[np.ndarray, np.ndarray]:
    """How much the sum looks like the canary, without it and with it, in trials with `shares` shares that the attacker does not know."""
    quantiser = Quantiser(EXACT, VALUES, bytes(32))
    noise, found = terms.noise(EXACT, VALUES, floors), encoded(quantiser, canary())
    entropy, law = InsecureEntropy("attack"), sampler(noise.kind, round(noise.variance))
    seen = [sum(law.draw(TRIALS * VALUES, entropy=entropy).reshape(TRIALS, VALUES).astype(float) for _ in range(shares)) for _ in range(2)]
    return seen[0] @ found, (seen[1] + found) @ found


def epsilon_at_least(without: np.ndarray, with_it: np.ndarray) -> float:
    """A lower bound on ε by the best of a few thresholds: 99.9 % sure (Clopper and Pearson), for (ε, δ): TPR ≤ e^ε · FPR + δ."""
    best, level = 0.0, 1e-3 / 16
    for cut in np.quantile(without, [0.5, 0.9, 0.99, 0.999, 0.9999]):
        hits, alarms = int((with_it > cut).sum()), int((without > cut).sum())
        sure = stats.beta.ppf(level, hits, TRIALS - hits + 1) if hits else 0.0
        most = stats.beta.ppf(1 - level, alarms + 1, TRIALS - alarms)
        if sure > DELTA:
            best = max(best, log((sure - DELTA) / most))
    return best


def test_without_noise_the_others_read_the_victims_update_off_the_sum() -> None:
    """A canary that stands in the sum of four is found to the last rounding step; under noise the same subtraction finds noise."""
    floors, size = FLOORS, 400
    vectors = [np.random.default_rng(seed).standard_normal(size).astype(np.float32) / np.float32(40) for seed in range(4)]
    victim = vectors[0]

    def rebuilt(noisy: bool) -> np.ndarray:
        encoding = TERMS.encoding(EXACT, floors)
        quantiser = Quantiser(encoding, size, bytes(32))
        ring, total, known = quantiser.ring, np.zeros(quantiser.words, quantiser.ring.dtype), np.zeros(quantiser.words, np.int64)
        for seed, vector in enumerate(vectors):
            entropy = InsecureEntropy(f"client {seed}")
            noise = TERMS.noise(encoding, size, floors)
            words = encode_noisy(quantiser, vector, noise, entropy=entropy) if noisy else quantiser.encode(vector, entropy=entropy)
            ring.add_into(total, words)
            if seed == 1:  # the one colluder tells what it sent, noise and all
                known += ring.center(words)
            elif seed > 1:  # what the others brought is known, their noise is not
                known += ring.center(quantiser.encode(vector, entropy=entropy))
        return (ring.center(total) - known)[:size] * quantiser.step()

    exact = rebuilt(noisy=False)
    np.testing.assert_allclose(exact, victim, atol=1e-2)
    assert np.corrcoef(exact, victim)[0, 1] > 0.99
    assert abs(np.corrcoef(rebuilt(noisy=True), victim)[0, 1]) < 0.2


def test_with_drop_outs_and_colluders_the_stated_epsilon_holds(weak: pytest.MonkeyPatch) -> None:
    """Three of twenty stay, one of them colludes: two shares are left. Shares sized for all twenty (the weakened copy) do not hide."""
    stated = TERMS.noise(EXACT, VALUES, FLOORS).epsilon(DELTA)
    assert stated <= TERMS.epsilon
    assert 0.5 < epsilon_at_least(*scores(TERMS, FLOORS, shares=2)) <= stated
    weak.setattr(privacy, "certain", lambda _: EXACT.max_parties)
    assert TERMS.noise(EXACT, VALUES, FLOORS).epsilon(DELTA) <= TERMS.epsilon, "what it states is the same"
    assert epsilon_at_least(*scores(TERMS, FLOORS, shares=2)) > TERMS.epsilon


def test_a_rounding_that_is_not_held_to_the_bound_moves_the_sum_by_more(weak: pytest.MonkeyPatch) -> None:
    """A vector of the clip's length whose every coordinate is rounded up is longer than the bound; the real encoder does not send it."""
    encoding = Encoding(max_parties=20, bits=4)
    strong = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=8.0, epsilon=5.0, delta=DELTA)
    quantiser, noise = Quantiser(encoding, 4096, bytes(32)), strong.noise(encoding, 4096, FLOORS)
    flat = np.full(4096, 1 / 64, np.float32)
    rounded_up = quantiser.ring.from_signed(np.concatenate([np.ones(4096, np.int64), [1, 1]]))
    assert np.linalg.norm(np.ones(4096)) > noise.bound
    weak.setattr(Quantiser, "encode", lambda *_, **__: rounded_up.copy())
    with pytest.raises(ConfigError, match="no rounding"):
        encode_noisy(quantiser, flat, noise, entropy=InsecureEntropy("up"))


def test_noise_that_repeats_cancels_between_rounds() -> None:
    """The weakened copy draws the same noise in two attempts: their difference is what changed in the update, to the step."""
    encoding = TERMS.encoding(EXACT, FLOORS)
    quantiser, noise = Quantiser(encoding, VALUES, bytes(32)), TERMS.noise(encoding, VALUES, FLOORS)
    before, after = canary() * np.float32(0.5), canary()

    def difference(first: InsecureEntropy, second: InsecureEntropy) -> np.ndarray:
        one, other = (
            quantiser.ring.center(encode_noisy(quantiser, vector, noise, entropy=entropy)[:VALUES]).astype(float) * quantiser.step()
            for vector, entropy in ((before, first), (after, second))
        )
        return other - one

    np.testing.assert_allclose(difference(InsecureEntropy("same"), InsecureEntropy("same")), after - before, atol=2e-3)
    fresh = InsecureEntropy("fresh")
    assert np.abs(difference(fresh, fresh) - (after - before)).max() > 0.1


def test_exact_weights_would_tell_of_a_unit_whatever_the_noise_hides() -> None:
    """The sum of the weights has no noise: the attacker reads the victim's off it, and terms refuse an encoding with weights."""
    weighted = Encoding(max_parties=20, bits=12, max_weight=50)
    quantiser = Quantiser(weighted, VALUES, bytes(32))
    known, victim = 10, 37
    total = sum(
        int(quantiser.ring.center(quantiser.encode(canary(), weight, entropy=InsecureEntropy("w")))[-1])
        for weight in (known, known, victim)
    )
    assert total - 2 * known == victim
    with pytest.raises(ConfigError, match="max_weight"):
        TERMS.encoding(weighted, FLOORS)
