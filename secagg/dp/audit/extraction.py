"""Extraction: does the model write the secret out?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, exp, expm1, inf, log1p

import numpy as np
from numpy.typing import NDArray

from secagg.dp.audit.canaries import Tokens
from secagg.errors import ConfigError

Next = Callable[[Tokens], NDArray[np.float64]]
"""The secret's first tokens to log-probabilities of the next one, over the vocabulary."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """A reading.

    Attributes:
        greedy: the most likely continuation, token by token, is the secret.
        log_probability: of the secret in one sample at temperature 1, in nats.
    """

    greedy: bool
    log_probability: float

    def samples(self, probability: float = 0.5) -> float:
        """How many independent samples hold the secret at least once with `probability`; infinite where none ever does.

        [Hayes et al. 2024: (n, p)-discoverable extraction]
        """
        if not 0 < probability < 1:
            raise ConfigError(f"probability={probability}: between 0 and 1")
        if self.log_probability >= 0:
            return 1.0
        once = -exp(self.log_probability) if self.log_probability < -30 else log1p(-exp(self.log_probability))
        return float(max(ceil(log1p(-probability) / once), 1)) if once else inf

    def chance(self, samples: int) -> float:
        """The probability with which so many samples hold the secret."""
        if self.log_probability >= 0:
            return 1.0
        return -expm1(samples * log1p(-exp(self.log_probability)))


def extraction(following: Next, secret: Tokens) -> Extraction:
    """Follow `secret` token by token through a model's predictions.

    Args:
        following: what the model predicts after the canary's sentence and the first tokens of the secret.
    """
    greedy, total = True, 0.0
    for place, token in enumerate(secret):
        found = np.asarray(following(secret[:place]), np.float64)
        if not 0 <= token < len(found):
            raise ConfigError(f"token {token} is not among the {len(found)} that the model predicts")
        greedy &= int(found.argmax()) == token
        total += float(found[token])
    return Extraction(greedy, min(total, 0.0))
