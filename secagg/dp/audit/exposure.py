"""Exposure: among all secrets that could have been planted, how near to the top does the model put the one that was?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from os import urandom
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from secagg.dp.audit.canaries import Space, Tokens
from secagg.errors import ConfigError
from secagg.types import Entropy

Score: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""(n, length) secrets to the n negative log-likelihoods that the model gives them after the canary's sentence, in nats."""

BATCH = 2048
REFERENCES = 1 << 16


@dataclass(frozen=True, slots=True)
class Exposure:
    """A reading.

    Attributes:
        bits: log2 of the references over the secret's rank. A secret the model has not seen reads 1 bit or less half of the time.
        most: what can be read at most: log2 of one more than the references.
        rank: the secret's place among the references and itself, from 1; ties count against the secret.
    """

    bits: float
    most: float
    rank: int


def exposure(score: Score, space: Space, secret: Tokens, *, references: int = REFERENCES, entropy: Entropy = urandom) -> Exposure:
    """Rank `secret` among `references` other secrets of its space by the likelihood that the model gives them. [Carlini et al. 2019, §4]

    Raises:
        ConfigError: a secret that is not of the space, or a score that is no number.
    """
    if len(secret) != space.length or not set(secret) <= set(space.symbols):
        raise ConfigError(f"the secret has {len(secret)} tokens; {space.length} of the space's {len(space.symbols)} symbols expected")
    others = space.others(secret, references, entropy)
    own = _scores(score, np.array([secret], np.int64))[0]
    rank, total = 1, len(others) + 1
    for start in range(0, len(others), BATCH):
        rank += int(np.count_nonzero(_scores(score, others[start : start + BATCH]) <= own))
    return Exposure(log2(total) - log2(rank), log2(total), rank)


def _scores(score: Score, secrets: NDArray[np.int64]) -> NDArray[np.float64]:
    found = np.asarray(score(secrets), np.float64)
    if found.shape != (len(secrets),) or np.isnan(found).any():
        raise ConfigError(f"scores of shape {found.shape} for {len(secrets)} secrets, or NaN among them: one number for each expected")
    return found
