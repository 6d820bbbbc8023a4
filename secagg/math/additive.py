"""Additive sharing in its pure form: a vector is the sum of its shares modulo 2^k, and all but one of them are uniform.

The protocols expand the uniform shares from 32-byte seeds instead of drawing them here; the arithmetic is the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from secagg.errors import ConfigError
from secagg.math.ring import Ring, Words
from secagg.types import Entropy


def split(words: Words, count: int, ring: Ring, entropy: Entropy) -> list[Words]:
    """`count` ≥ 2 shares that sum to `words`; any `count` − 1 of them are uniform and independent of `words`."""
    if count < 2:
        raise ConfigError(f"{count} share: a vector that is not split is not hidden; use at least 2")
    masks = [uniform(len(words), ring, entropy) for _ in range(count - 1)]
    return [last_share(words, masks, ring), *masks]


def uniform(n: int, ring: Ring, entropy: Entropy) -> Words:
    """`n` uniform ring elements: whole machine words of entropy, cut to the ring."""
    words: Words = np.frombuffer(bytearray(entropy(n * ring.dtype.itemsize)), ring.dtype)
    if len(words) != n:
        raise ConfigError(f"the entropy source gave {len(words)} words, {n} were asked for")
    ring.reduce_into(words)
    return words


def last_share(words: Words, masks: Iterable[Words], ring: Ring) -> Words:
    """The share that makes the sum whole: `words` minus every mask."""
    rest = words.copy()
    for mask in masks:
        ring.sub_into(rest, mask)
    return rest


def join(shares: Iterable[Words], ring: Ring) -> Words:
    """The vector that the shares sum to. Raises ConfigError without shares or with shares of different lengths."""
    remaining = iter(shares)
    first = next(remaining, None)
    if first is None:
        raise ConfigError("no shares to join")
    total = first.copy()
    for words in remaining:
        ring.add_into(total, words)
    return total
