"""Fixed randomness for tests and vectors: the same seed gives the same bytes. Never for a real round."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from hashlib import sha256
from typing import TypeVar

T = TypeVar("T")


class InsecureEntropy:
    """SHA-256 of a seed and a counter, as an `Entropy`; also dice for the order of events."""

    def __init__(self, seed: int | str) -> None:
        self._seed = f"secagg/insecure/{seed}/".encode()
        self._counter = 0

    def __call__(self, count: int) -> bytes:
        out = bytearray()
        while len(out) < count:
            out += sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
            self._counter += 1
        return bytes(out[:count])

    def below(self, limit: int) -> int:
        """A number in [0, limit), as good as uniform."""
        return int.from_bytes(self(8), "big") % limit

    def choose(self, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[self.below(len(items))]

    def chance(self, one_in: int) -> bool:
        """True once in `one_in` times."""
        return self.below(one_in) == 0

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Shuffle in place."""
        for index in range(len(items) - 1, 0, -1):
            other = self.below(index + 1)
            items[index], items[other] = items[other], items[index]
