"""Threshold decryption as textbooks have it, to be attacked: a joint public key, ciphertexts under it, smudged answers of each holder.

b = Σ_h (−a·s_h + e_h);   (c0, c1) = (b·u + e0 + Δ·m, a·u + e1);   answer of h: c1·s_h + smudging
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from protocols.ckks import cipher
from protocols.ckks.cipher import DEGREE, PRIMES, Key

DELTA = 1 << 45


def lifted(values: np.ndarray) -> Key:
    """Coefficients to the transformed domain."""
    return cipher._both(values.astype(np.int64)[:, None])


def lowered(key: Key) -> np.ndarray:
    """And back, as the integers of least magnitude."""
    one, two = (transform.inverse(part) for transform, part in zip(cipher._TRANSFORMS, key, strict=True))
    return cipher._lift(one, two)[:, 0]


def times(one: Key, two: Key) -> Key:
    return tuple(a * b % np.uint64(prime) for a, b, prime in zip(one, two, PRIMES, strict=True))  # type: ignore[return-value]


def plus(*keys: Key) -> Key:
    return cipher.add_keys(keys)


def minus(key: Key) -> Key:
    return tuple((np.uint64(prime) - part) % np.uint64(prime) for part, prime in zip(key, PRIMES, strict=True))  # type: ignore[return-value]


def over(one: Key, two: Key) -> Key:
    """Division where `two` has an inverse: in the transformed domain, value by value."""
    return tuple(
        np.array([[int(a) * pow(int(b), -1, prime) % prime] for a, b in zip(top[:, 0], low[:, 0], strict=True)], np.uint64)
        for top, low, prime in zip(one, two, PRIMES, strict=True)
    )  # type: ignore[return-value]


@dataclass
class Textbook:
    """Three holders of a joint key."""

    smudging: int = 1 << 30
    dice: np.random.Generator = field(default_factory=lambda: np.random.default_rng(4))

    def __post_init__(self) -> None:
        self.a = tuple(self.dice.integers(0, prime, (DEGREE, 1), dtype=np.uint64) for prime in PRIMES)
        self.secrets = [self.short(1) for _ in range(3)]
        self.shares = [plus(minus(times(self.a, lifted(s))), lifted(self.short(10))) for s in self.secrets]  # type: ignore[arg-type]
        self.b = plus(*self.shares)

    def short(self, bound: int) -> np.ndarray:
        return self.dice.integers(-bound, bound + 1, DEGREE)

    def encrypt(self, message: np.ndarray, b: Key | None = None) -> tuple[Key, Key]:
        u = lifted(self.short(1))
        c0 = plus(times(b or self.b, u), lifted(self.short(10)), lifted(message * DELTA))
        return c0, plus(times(self.a, u), lifted(self.short(10)))  # type: ignore[arg-type]

    def answer(self, c1: Key, holder: int) -> Key:
        return plus(times(c1, lifted(self.secrets[holder])), lifted(self.short(self.smudging)))

    def opened(self, c0: Key, c1: Key) -> np.ndarray:
        """Δ·m and noise, from the answers of all."""
        return lowered(plus(c0, *(self.answer(c1, holder) for holder in range(3))))


def rounded(phase: np.ndarray) -> np.ndarray:
    return (phase + DELTA // 2) // DELTA
