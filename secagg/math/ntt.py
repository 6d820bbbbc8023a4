"""The negacyclic number-theoretic transform: products in Z_p[X]/(X^n + 1), several polynomials side by side.

Arrays have shape (n, batch): coefficient j of polynomial b at [j, b], so every butterfly works on long contiguous rows.
Sources: Longa and Naehrig 2016 (merged powers of ψ, bit-reversed order); Shoup's precomputed quotients, as in Harvey 2014.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ConfigError

Residues = NDArray[np.uint64]

_SHIFT = np.uint64(32)


@dataclass(frozen=True)
class Ntt:
    """The transform for one prime p < 2^30 with p ≡ 1 mod 2n; n is a power of two.

    Raises:
        ConfigError: a prime or a size for which there is no transform.
    """

    prime: int
    size: int

    def __post_init__(self) -> None:
        if self.size < 2 or self.size & (self.size - 1) or not 2 < self.prime < 1 << 30 or self.prime % (2 * self.size) != 1:
            raise ConfigError(f"no negacyclic transform of size {self.size} modulo {self.prime}: p < 2^30 and p = 1 mod 2n needed")

    def forward(self, values: Residues) -> Residues:
        """Coefficients in [0, p) to values at the odd powers of ψ, in bit-reversed order; a new array."""
        out, p, batch = values.copy(), np.uint64(self.prime), values.shape[1]
        for m, half in ((1 << level, self.size >> (level + 1)) for level in range(self.size.bit_length() - 1)):
            view = out.reshape(m, 2, half, batch)
            left, right = view[:, 0], view[:, 1]
            turned = _times(right, self._powers[0][m : 2 * m], self._powers[1][m : 2 * m], p)
            np.subtract(left + p, turned, out=right)
            left += turned
            _reduce(left, p)
            _reduce(right, p)
        return out

    def inverse(self, values: Residues) -> Residues:
        """The inverse of `forward`; a new array."""
        return self.unscaled_inverse(values) * np.uint64(self.shrink) % np.uint64(self.prime)

    @property
    def shrink(self) -> int:
        """1/n modulo p."""
        return pow(self.size, -1, self.prime)

    def unscaled_inverse(self, values: Residues) -> Residues:
        """n times the inverse, for who has divided a factor by n already; a new array."""
        out, p, batch = values.copy(), np.uint64(self.prime), values.shape[1]
        for m, half in ((1 << level, self.size >> (level + 1)) for level in reversed(range(self.size.bit_length() - 1))):
            view = out.reshape(m, 2, half, batch)
            left, right = view[:, 0], view[:, 1]
            difference = left + p
            difference -= right
            left += right
            _reduce(left, p)
            view[:, 1] = _times(difference, self._inverses[0][m : 2 * m], self._inverses[1][m : 2 * m], p)
        return out

    @cached_property
    def _powers(self) -> tuple[Residues, Residues]:
        return self._table(self._root())

    @cached_property
    def _inverses(self) -> tuple[Residues, Residues]:
        return self._table(pow(self._root(), -1, self.prime))

    def _root(self) -> int:
        """The least primitive 2n-th root of unity, which SEAL takes as well: then both write the same values in the same order."""
        exponent = (self.prime - 1) // (2 * self.size)
        for base in range(2, self.prime):
            root = pow(base, exponent, self.prime)
            if pow(root, self.size, self.prime) == self.prime - 1:
                return min(pow(root, odd, self.prime) for odd in range(1, 2 * self.size, 2))
        raise ConfigError(f"{self.prime} has no root of unity of order {2 * self.size}: is it prime?")

    def _table(self, root: int) -> tuple[Residues, Residues]:
        """Powers of `root` in bit-reversed order, and their Shoup quotients floor(w · 2^32 / p)."""
        bits = self.size.bit_length() - 1
        powers = [1] * self.size
        for index in range(1, self.size):
            powers[index] = powers[index - 1] * root % self.prime
        turned = [powers[int(f"{index:0{bits}b}"[::-1], 2)] for index in range(self.size)]
        quotients = [(power << 32) // self.prime for power in turned]
        return np.array(turned, np.uint64), np.array(quotients, np.uint64)


def _times(values: Residues, factors: Residues, quotients: Residues, p: np.uint64) -> Residues:
    """values · factors mod p, in [0, p), for values < 2^32: one row of values for each factor. [Shoup]"""
    by = quotients[:, None, None]
    rest = values * by
    rest >>= _SHIFT
    rest *= p
    product = values * factors[:, None, None]
    product -= rest
    _reduce(product, p)
    return product


def _reduce(values: Residues, p: np.uint64) -> None:
    """[0, 2p) to [0, p) in place: below p, subtracting wraps to something larger."""
    np.minimum(values, values - p, out=values)
