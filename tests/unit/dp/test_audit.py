"""The memorisation meter reads what was planted, nothing where nothing was, and never refutes a true ε."""

from __future__ import annotations

import os
from math import exp, log, log2

import numpy as np
import pytest

from secagg.dp.audit.bound import lower_bound, p_value
from secagg.dp.audit.canaries import Space, flips, spread
from secagg.dp.audit.exposure import exposure
from secagg.dp.audit.extraction import Extraction, extraction
from secagg.errors import ConfigError

pytest.importorskip("scipy")
SPACE = Space(tuple(range(10, 26)), 5)


def coins(seed):
    return np.random.default_rng(seed).bytes


def test_secrets_are_of_their_space_and_uniform():
    drawn = np.array(SPACE.draw(20_000, coins(0)))
    assert drawn.shape == (20_000, 5)
    assert SPACE.bits == 20
    from scipy.stats import chisquare

    assert all(chisquare(np.bincount(drawn[:, place] - 10, minlength=16)).pvalue > 1e-4 for place in range(5))


@pytest.mark.parametrize(("space", "count"), [(SPACE, 500), (Space((3, 7), 3), 100)])
def test_the_others_are_different_and_not_the_secret(space, count):
    secret = space.draw(1, coins(1))[0]
    others = [tuple(row) for row in space.others(secret, count, coins(2)).tolist()]
    assert len(others) == len(set(others)) == min(count, len(space.symbols) ** space.length - 1)
    assert secret not in others
    assert all(set(other) <= set(space.symbols) for other in others)


def test_exposure_is_the_logarithm_of_the_rank():
    secret = SPACE.draw(1, coins(1))[0]
    others = SPACE.others(secret, 1023, coins(3))
    better = {tuple(row) for row in others[:3].tolist()}

    def score(secrets):
        return np.array([0.0 if tuple(row) in better else 1.0 if tuple(row) == secret else 2.0 for row in secrets.tolist()])

    found = exposure(score, SPACE, secret, references=1023, entropy=coins(3))
    assert (found.bits, found.most, found.rank) == (log2(1024 / 4), 10.0, 4)
    blind = exposure(lambda secrets: np.zeros(len(secrets)), SPACE, secret, references=1023, entropy=coins(3))
    assert blind.bits == 0.0


def test_extraction_follows_the_secret():
    def following(first):
        found = np.full(30, log(0.25 / 29))
        found[10 + len(first)] = log(0.75)
        return found

    right = extraction(following, (10, 11, 12))
    assert right.greedy
    assert right.log_probability == pytest.approx(3 * log(0.75))
    assert right.samples(0.5) == 2
    assert right.chance(2) == pytest.approx(1 - (1 - 0.75**3) ** 2)
    wrong = extraction(following, (10, 12, 12))
    assert not wrong.greedy
    assert wrong.samples() > 50
    assert Extraction(False, -1000.0).samples() == float("inf")
    assert Extraction(True, 0.0).samples() == 1


def test_the_bound_is_that_of_a_coin_where_there_is_no_delta():
    from scipy.stats import binom

    for right, epsilon in ((40, 1.0), (48, 2.0)):
        assert p_value(100, 50, right, epsilon, 0.0) == pytest.approx(binom.sf(right - 1, 50, exp(epsilon) / (1 + exp(epsilon))))
    assert p_value(100, 50, 48, 2.0, 1e-3) > p_value(100, 50, 48, 2.0, 0.0)


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 4.0])
def test_randomised_response_is_never_refuted_more_often_than_the_confidence_allows_and_a_false_claim_is(epsilon):
    """Each canary's coin is told with probability e^ε/(1 + e^ε): ε-differentially private, and nothing tells more."""
    draw, bounds = np.random.default_rng(7), []
    for _ in range(200):
        planted = draw.random(1000) < 0.5
        told = planted ^ (draw.random(1000) > exp(epsilon) / (1 + exp(epsilon)))
        bounds.append(lower_bound(told + draw.random(1000) * 0.1, planted, delta=0.0).epsilon)
    assert np.mean(np.array(bounds) > epsilon) <= 0.05 + 0.03
    assert np.median(bounds) > 0.6 * epsilon  # so a claim of half of it is refuted


def test_guessing_blindly_refutes_nothing():
    planted = flips(512, coins(4))
    assert lower_bound(np.random.default_rng(0).random(512), planted, delta=1e-5).epsilon < 0.3
    sure = lower_bound(planted.astype(float), planted, delta=0.0)
    assert sure.epsilon > 4
    assert sure.right == sure.guesses


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Space((1,), 3),
        lambda: Space((1, 1), 3),
        lambda: Space((1, 2), 0),
        lambda: spread(Space((1, 2), 2), 5, os.urandom),
        lambda: exposure(lambda secrets: np.zeros(len(secrets)), SPACE, (10, 11)),
        lambda: exposure(lambda secrets: np.zeros(3), SPACE, (10, 11, 12, 13, 14)),
        lambda: exposure(lambda secrets: np.full(len(secrets), np.nan), SPACE, (10, 11, 12, 13, 14)),
        lambda: extraction(lambda first: np.zeros(5), (7,)),
        lambda: Extraction(True, -1.0).samples(1.0),
        lambda: lower_bound(np.zeros(4), np.zeros(4, bool), delta=0.0),
        lambda: lower_bound(np.zeros(10), np.zeros(9, bool), delta=0.0),
        lambda: lower_bound(np.zeros(10), np.zeros(10, bool), delta=0.0, confidence=1.0),
        lambda: lower_bound(np.full(10, np.inf), np.zeros(10, bool), delta=0.0),
    ],
)
def test_what_cannot_be_read_is_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()
