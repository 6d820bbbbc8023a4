"""Shamir's sharing of a 32-byte secret: any t shares give it back, t − 1 say nothing about it.

The secret is the value at 0 of a random polynomial of degree t − 1 over GF(p); the share of index i is its value at i.
Source: Shamir, How to share a secret (1979).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from operator import mul

from secagg.errors import ConfigError
from secagg.math import field
from secagg.math.field import P
from secagg.types import Entropy, Secret

SECRET = 32
"""Bytes of a secret."""

SHARE = field.SIZE
"""Bytes of a share."""

MAX_INDEX = (1 << 32) - 1
"""Indices are small, so that powers of them stay short while a polynomial is evaluated."""

_LAZY_BITS = 1024
"""How long an intermediate value may grow before it is reduced modulo p: a reduction costs as much as several short products."""


def share(secret: Secret, threshold: int, indices: Iterable[int], entropy: Entropy) -> dict[int, Secret]:
    """Split `secret` (32 bytes) into one 33-byte share per index, of which any `threshold` rebuild it.

    Guarantees:
        Any `threshold` − 1 shares are within statistical distance threshold · 2^-255 of independent of the secret, given uniform entropy.

    Raises:
        ConfigError: secret of another length; indices that repeat or lie outside 1 … 2^32 − 1; fewer indices than the threshold.
    """
    (shares,) = share_all([secret], threshold, indices, entropy)
    return shares


def share_all(secrets: Sequence[Secret], threshold: int, indices: Iterable[int], entropy: Entropy) -> list[dict[int, Secret]]:
    """`share` of each secret among the same indices, under polynomials of their own: together they take less time than one by one."""
    points = _checked_indices(indices)
    for secret in secrets:
        if len(secret) != SECRET:
            raise ConfigError(f"a secret of {len(secret)} bytes cannot be shared; it must have {SECRET}")
    if not 1 <= threshold <= len(points):
        raise ConfigError(f"threshold={threshold}: between 1 and the {len(points)} shares made")
    highest_first = [[*field.uniform(threshold - 1, entropy), int.from_bytes(secret.expose(), "big")] for secret in secrets]
    rows = _Rows.of(highest_first, points[-1])
    values = [(index, rows.at(index)) for index in points]
    return [{index: Secret(field.encode(row[place])) for index, row in values} for place in range(len(secrets))]


def combine(shares: Mapping[int, Secret], threshold: int | None = None) -> Secret:
    """Rebuild the 32-byte secret from the shares of one sharing, by index.

    Interpolates through all shares given, or through the `threshold` of the lowest indices. Shares of different sharings give a
    value that has nothing to do with either: compare it with a commitment.

    Raises:
        ConfigError: too few shares, an index or a share out of range, or a value that is no 32-byte secret.
    """
    needed = len(shares) if threshold is None else threshold
    if not 1 <= needed <= len(shares):
        raise ConfigError(f"{len(shares)} shares given, {max(needed, 1)} needed")
    points = tuple(_checked_indices(shares)[:needed])
    values = [field.decode(shares[index].expose()) for index in points]
    value = sum(map(mul, _weights_at_zero(points), values)) % P
    if value >> (8 * SECRET):
        raise ConfigError("the shares give no 32-byte secret: at least one is wrong or of another sharing")
    return Secret(value.to_bytes(SECRET, "big"))


def _checked_indices(indices: Iterable[int]) -> list[int]:
    points = sorted(indices)
    if not points or points[0] < 1 or points[-1] > MAX_INDEX:
        raise ConfigError(f"share indices must lie between 1 and {MAX_INDEX}: index 0 is the secret itself")
    if len(set(points)) != len(points):
        raise ConfigError("a share index is given twice")
    return points


@dataclass(frozen=True, slots=True, repr=False)
class _Rows:
    """Polynomials side by side in long integers, a lane of bits for each: what is done to one integer is done to all of them.

    `runs` are the coefficients, highest first, cut where the lanes have to be reduced modulo p before they could run into each other.
    """

    runs: list[list[int]]
    lane: int
    count: int

    @classmethod
    def of(cls, highest_first: Sequence[Sequence[int]], largest: int) -> _Rows:
        """For points up to `largest`: a step of Horner's rule makes a value longer by as many bits as the point has, and one."""
        growth, start = largest.bit_length() + 1, P.bit_length()
        steps = max((_LAZY_BITS - start) // growth, 1)
        lane = start + steps * growth
        packed = [sum(value << lane * place for place, value in enumerate(row)) for row in zip(*highest_first, strict=True)]
        return cls([packed[at : at + steps] for at in range(0, len(packed), steps)], lane, len(highest_first))

    def at(self, point: int) -> list[int]:
        """Every polynomial's value at `point`, by Horner's rule."""
        row = [0] * self.count
        for run in self.runs:
            value = sum(part << self.lane * place for place, part in enumerate(row))
            for coefficients in run:
                value = value * point + coefficients
            row = self._parted(value)
        return row

    def _parted(self, value: int) -> list[int]:
        mask = (1 << self.lane) - 1
        return [(value >> self.lane * place & mask) % P for place in range(self.count)]


@lru_cache(maxsize=64)
def _weights_at_zero(points: tuple[int, ...]) -> tuple[int, ...]:
    """Lagrange's weights at 0: w_i = Π_{j≠i} x_j / (x_j − x_i). Indices are public, so they may be kept for the next secret.

    With all products exact, w_i = (Π_j x_j) / d_i for d_i = x_i · Π_{j≠i} (x_j − x_i). Prefix products of the d_i turn the many
    inverses into one (Montgomery's trick).
    """
    denominators = [point * prod(other - point for other in points if other != point) % P for point in points]
    before = [1]
    for denominator in denominators:
        before.append(before[-1] * denominator % P)
    suffix = field.inverse(before[-1]) * prod(points) % P
    weights = []
    for position in range(len(points) - 1, -1, -1):
        weights.append(suffix * before[position] % P)
        suffix = suffix * denominators[position] % P
    return tuple(reversed(weights))
