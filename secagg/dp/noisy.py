"""A party's vector with its share of noise: clip ─▶ rotate ─▶ scale ─▶ round, until short enough ─▶ + noise ─▶ ring.

The norm that counts is measured on the integers that leave, so the sensitivity holds whatever floating point did before.
"""

from __future__ import annotations

import numpy as np

from secagg.dp.integer import IntegerNoise
from secagg.dp.sampler import sampler
from secagg.encode.quantise import Quantiser
from secagg.encode.tensors import Floats
from secagg.errors import ConfigError
from secagg.math.ring import Ring, Words
from secagg.types import Entropy

_TRIES = 64
"""A rounding is too long with probability e^-½ at most: so many in a row are, with less than 2^-46."""

_MARGIN = 1 - 2.0**-32
"""What a float64 sum of fewer than 2^40 rounded squares is surely exact to."""


def encode_noisy(quantiser: Quantiser, vector: Floats, noise: IntegerNoise, *, entropy: Entropy) -> Words:
    """`vector` as `size` + 2 ring words of weight 1, rounded until its norm is within `noise.bound`, with one fresh share of `noise`.

    Guarantees:
        Between any vector and none, the integers under the noise differ by at most `noise.bound` in L2 norm. The count and the weight
        carry no noise.

    Raises:
        ConfigError: a vector that cannot be encoded (see `Quantiser.prepare`), or noise that was sized for another encoding.
    """
    if noise.values != quantiser.size or len(quantiser.clips) != _groups(quantiser):
        raise ConfigError(
            f"noise for {noise.values} values in {_groups(quantiser)} scale groups, and the update has {quantiser.size} in"
            f" {len(quantiser.clips)}: give one clip for each scale group"
        )
    limit = noise.bound**2 * _MARGIN
    for _ in range(_TRIES):
        words = quantiser.encode(vector, entropy=entropy)
        if _square(words[: quantiser.size], quantiser.ring) <= limit:
            break
    else:
        raise ConfigError(f"no rounding of {_TRIES} was within {noise.bound:.6g} grid steps: was the noise sized for this encoding?")
    sampler(noise.kind, round(noise.variance)).add_into(words[: quantiser.size], quantiser.ring, entropy=entropy)
    return words


def _groups(quantiser: Quantiser) -> int:
    """Scale groups that the encoding's clip was stated for."""
    return len(quantiser.encoding.clip) if isinstance(quantiser.encoding.clip, tuple) else 1


def _square(words: Words, ring: Ring) -> float:
    """The squared norm of the integers that `words` stand for."""
    total = 0.0
    for start in range(0, len(words), 1 << 16):
        integers = ring.center(words[start : start + (1 << 16)]).astype(np.float64)
        total += float(np.vecdot(integers, integers))
    return total
