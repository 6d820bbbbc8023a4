"""Canaries: a sentence that everybody may know, and behind it a secret drawn from a space of known size. [Carlini et al. 2019]"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ConfigError
from secagg.types import Entropy

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """All secrets that a canary could have had: `length` tokens, each one of `symbols`.

    Raises:
        ConfigError: no symbols, the same twice, or no length.
    """

    symbols: Tokens
    length: int

    def __post_init__(self) -> None:
        if len(set(self.symbols)) != len(self.symbols) or len(self.symbols) < 2 or self.length < 1:
            raise ConfigError(
                f"{len(self.symbols)} symbols and length {self.length}: at least two different symbols and one place expected"
            )

    @property
    def bits(self) -> float:
        return self.length * log2(len(self.symbols))

    def draw(self, count: int, entropy: Entropy) -> list[Tokens]:
        """`count` secrets, independent and uniform."""
        return [tuple(row) for row in self._table()[_uniform(count * self.length, len(self.symbols), entropy).reshape(count, -1)].tolist()]

    def others(self, secret: Tokens, count: int, entropy: Entropy) -> NDArray[np.int64]:
        """`count` different secrets, none of them `secret`, uniform without replacement; all others where there are no more.

        Returns:
            (count, length) tokens.
        """
        size = len(self.symbols) ** self.length
        own = 0
        for token in secret:
            own = own * len(self.symbols) + self.symbols.index(token)
        if count >= size - 1:
            chosen = np.delete(np.arange(size), own)
        else:
            found: set[int] = set()
            while len(found) < count:
                drawn = _uniform(count - len(found), size, entropy)
                found |= {int(one) for one in drawn if one != own}
            chosen = np.fromiter(sorted(found), np.int64, len(found))
        digits = np.empty((len(chosen), self.length), np.int64)
        for place in reversed(range(self.length)):
            chosen, digits[:, place] = np.divmod(chosen, len(self.symbols))
        return self._table()[digits]

    def _table(self) -> NDArray[np.int64]:
        return np.array(self.symbols, np.int64)


def flips(count: int, entropy: Entropy) -> NDArray[np.bool_]:
    """A fair coin for each canary: whether it is planted."""
    return np.unpackbits(np.frombuffer(entropy((count + 7) // 8), np.uint8))[:count].astype(bool)


def spread(space: Space, count: int, entropy: Entropy) -> Sequence[Tokens]:
    """`count` different secrets, for canaries that are told apart. Raises ConfigError where there are not so many."""
    if count > len(space.symbols) ** space.length:
        raise ConfigError(f"{count} canaries of {len(space.symbols) ** space.length} possible secrets: lengthen them")
    found: dict[Tokens, None] = {}
    while len(found) < count:
        found.update(dict.fromkeys(space.draw(count - len(found), entropy)))
    return list(found)


def _uniform(count: int, below: int, entropy: Entropy) -> NDArray[np.int64]:
    """Uniform whole numbers under `below`, up to a bias of below / 2^63."""
    words = np.frombuffer(entropy(8 * count), np.uint64) >> np.uint64(1)
    return (words % np.uint64(below)).astype(np.int64)
