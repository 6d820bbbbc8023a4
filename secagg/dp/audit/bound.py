"""A lower bound on ε from one run: plant each of many canaries by a fair coin, train once, and guess the coins from the model.

[Steinke, Nasr and Jagielski 2023] Under (ε, δ) the number of right guesses is stochastically no more than that of a coin with bias
e^ε/(1 + e^ε), up to a term in δ. So many right guesses refute every ε under which they would be too unlikely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ConfigError

FRACTIONS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Parts of the canaries that are guessed at, the surest ones; the rest is abstained from. Fixed beforehand; a union bound pays for them."""

_MOST = 40.0


@dataclass(frozen=True, slots=True)
class LowerBound:
    """What one run refutes.

    Attributes:
        epsilon: every smaller ε is refuted, at `delta`, with `confidence`. 0 refutes nothing.
        guesses, right: of those guesses that refute the most.
        canaries: planted or kept out.
    """

    epsilon: float
    delta: float
    confidence: float
    guesses: int
    right: int
    canaries: int


def lower_bound(
    scores: NDArray[np.float64],
    planted: NDArray[np.bool_],
    *,
    delta: float,
    confidence: float = 0.95,
    fractions: Sequence[float] = FRACTIONS,
) -> LowerBound:
    """Guess from `scores` (larger: more likely planted) which canaries were planted, and bound ε from below.

    Args:
        scores: (m,) one for each canary, from the trained model alone.
        planted: (m,) by fair, independent coins that the scores were not fitted to.
        delta: δ of the claim that is tested.
        confidence: the bound is too high with at most one minus this probability.

    Guarantees:
        If the training is (ε, δ)-differentially private in each canary, the bound is at most ε with probability `confidence`.

    Raises:
        ConfigError: shapes that do not fit, or a number out of its range.
    """
    scores, planted = np.asarray(scores, np.float64), np.asarray(planted, bool)
    if scores.ndim != 1 or scores.shape != planted.shape or len(scores) < 8 or not np.isfinite(scores).all():
        raise ConfigError(f"scores {scores.shape} and coins {planted.shape}: at least 8 finite scores and as many coins expected")
    if not 0 <= delta < 1 or not 0 < confidence < 1 or not fractions or any(not 0 < part <= 1 for part in fractions):
        raise ConfigError(f"delta={delta}, confidence={confidence}, fractions={fractions}: each between 0 and 1")
    order = np.argsort(-scores, kind="stable")
    risk = (1 - confidence) / len(fractions)
    best = LowerBound(0.0, delta, confidence, 0, 0, len(scores))
    for part in fractions:
        each = max(int(part * len(scores)) // 2, 1)
        right = int(planted[order[:each]].sum() + (~planted[order[-each:]]).sum())
        found = _largest_refuted(len(scores), 2 * each, right, delta, risk)
        if found > best.epsilon:
            best = LowerBound(found, delta, confidence, 2 * each, right, len(scores))
    return best


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """The probability, at most, of `right` or more right guesses under (ε, δ). [Steinke et al. 2023, theorem 5.2]"""
    from scipy.stats import binom

    bias = 1 / (1 + exp(-epsilon))
    likely = binom.pmf(np.arange(right - 1, -1, -1), guesses, bias).cumsum()  # of right-1, right-2, … exactly, added up
    slack = float((likely / np.arange(1, right + 1)).max()) if right else 0.0
    return min(float(binom.sf(right - 1, guesses, bias)) + 2 * canaries * delta * slack, 1.0)


def _largest_refuted(canaries: int, guesses: int, right: int, delta: float, risk: float) -> float:
    if p_value(canaries, guesses, right, 0.0, delta) > risk:
        return 0.0
    low, high = 0.0, _MOST
    while high - low > 1e-4:
        middle = (low + high) / 2
        if p_value(canaries, guesses, right, middle, delta) <= risk:
            low = middle
        else:
            high = middle
    return low
