"""Shamir's sharing when some shares are wrong: the secret, as long as enough are right, and who gave the wrong ones.

Shares are a Reed–Solomon code word, so up to (m − t) / 2 wrong ones among m are found by decoding (Gao 2003). With few shares every
subset of t is tried as well: whoever can recognise the secret, by a commitment or a public key, needs only t right shares.
Source: McEliece and Sarwate, On sharing secrets and Reed–Solomon codes (1981); Gao, A new algorithm for decoding Reed–Solomon codes (2003).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb

from secagg.errors import ConfigError
from secagg.math import field, shamir
from secagg.math.field import P
from secagg.types import Secret

MAX_SUBSETS = 2000
"""Subsets tried at most: more than any honest majority of 16 shares needs, and under a second of work."""

Poly = list[int]
"""Coefficients over GF(p), lowest first, without leading zeros."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """The secret, and the indices whose shares do not lie on its polynomial; none where liars could have chosen the polynomial."""

    secret: Secret
    wrong: tuple[int, ...]


def repair(shares: Mapping[int, Secret], threshold: int, accept: Callable[[Secret], bool], *, liars: int = 1) -> Repaired | None:
    """The secret that `accept` recognises, from at least `threshold` shares of which some may be wrong; None if none is found.

    Two liars can add to their shares what is zero at the secret and at t − 2 right shares: the polynomial through them all has the right
    secret and passes by everybody else. So up to `liars` liars prove nothing by the secret alone. A polynomial with t + liars − 1 points
    has the secret and t − 1 right shares at least, and is the dealer's own if the dealer is honest.
    """
    points = {index: value for index, share in shares.items() if (value := _value(share)) is not None}
    if len(points) < threshold:
        return None
    proof = threshold + max(liars, 1) - 1
    unproven: Repaired | None = None
    for chosen in (_decode(points, threshold), *_subsets(points, threshold)):
        if chosen is None:
            continue
        secret = _secret(_interpolate(chosen))
        if secret is not None and accept(secret):
            line = _interpolate(chosen)
            wrong = [index for index in shares if index not in points or _at(line, index) != points[index]]
            if len(shares) - len(wrong) >= proof:
                return Repaired(secret, tuple(sorted(wrong)))
            unproven = Repaired(secret, ())
            if len(points) < proof:
                break
    return unproven


def _value(share: Secret) -> int | None:
    try:
        return field.decode(share.expose())
    except ConfigError:
        return None


def _secret(line: Poly) -> Secret | None:
    value = line[0] if line else 0
    return Secret(value.to_bytes(shamir.SECRET, "big")) if value >> (8 * shamir.SECRET) == 0 else None


def _subsets(points: Mapping[int, int], threshold: int) -> list[dict[int, int]]:
    if comb(len(points), threshold) > MAX_SUBSETS:
        return []
    return [{index: points[index] for index in chosen} for chosen in combinations(sorted(points), threshold)]


def _decode(points: Mapping[int, int], threshold: int) -> dict[int, int] | None:
    """`threshold` points of the polynomial that all but (m − t) / 2 of the points lie on, if there is one."""
    rest, word = _vanishing(points), _interpolate(points)
    before: Poly = []
    after: Poly = [1]
    limit = (len(points) + threshold) // 2 + (len(points) + threshold) % 2
    while len(word) > limit:
        quotient, remainder = _divide(rest, word)
        rest, word = word, remainder
        before, after = after, _minus(before, _times(quotient, after))
    line, left = _divide(word, after)
    if left or len(line) > threshold:
        return None
    right = [index for index in sorted(points) if _at(line, index) == points[index]]
    return {index: points[index] for index in right[:threshold]} if len(right) >= threshold else None


def _vanishing(points: Mapping[int, int]) -> Poly:
    product: Poly = [1]
    for point in points:
        product = _times(product, [-point % P, 1])
    return product


def _interpolate(points: Mapping[int, int]) -> Poly:
    """Newton's form, then expanded: the polynomial of lowest degree through all points."""
    indices = list(points)
    table = [points[index] for index in indices]
    for level in range(1, len(indices)):
        for row in range(len(indices) - 1, level - 1, -1):
            table[row] = (table[row] - table[row - 1]) * field.inverse(indices[row] - indices[row - level]) % P
    line: Poly = []
    for index, coefficient in zip(reversed(indices), reversed(table), strict=True):
        line = _minus(_times(line, [-index % P, 1]), [-coefficient % P])
    return line


def _at(line: Poly, point: int) -> int:
    value = 0
    for coefficient in reversed(line):
        value = (value * point + coefficient) % P
    return value


def _times(left: Poly, right: Poly) -> Poly:
    if not left or not right:
        return []
    out = [0] * (len(left) + len(right) - 1)
    for shift, factor in enumerate(left):
        for place, other in enumerate(right):
            out[shift + place] += factor * other
    return _trim(out)


def _minus(left: Poly, right: Poly) -> Poly:
    length = max(len(left), len(right))
    padded = zip(left + [0] * (length - len(left)), right + [0] * (length - len(right)), strict=True)
    return _trim([one - other for one, other in padded])


def _divide(left: Poly, right: Poly) -> tuple[Poly, Poly]:
    """Quotient and remainder; `right` is not zero."""
    rest, lead = list(left), field.inverse(right[-1])
    quotient = [0] * max(len(left) - len(right) + 1, 0)
    for shift in range(len(quotient) - 1, -1, -1):
        factor = rest[shift + len(right) - 1] * lead % P
        quotient[shift] = factor
        for place, other in enumerate(right):
            rest[shift + place] = (rest[shift + place] - factor * other) % P
    return _trim(quotient), _trim(rest[: len(right) - 1])


def _trim(line: Poly) -> Poly:
    reduced = [coefficient % P for coefficient in line]
    while reduced and not reduced[-1]:
        reduced.pop()
    return reduced
