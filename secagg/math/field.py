"""The prime field of p = 2^256 + 297 elements: the smallest prime above 2^256, so that every 32-byte secret is an element.

Elements are Python integers in [0, p); on the wire an element has always 33 bytes, big-endian.
"""

from __future__ import annotations

from secagg.errors import ConfigError
from secagg.types import Entropy

P = (1 << 256) + 297
"""The modulus."""

SIZE = 33
"""Bytes of an encoded element."""

_WIDE = 64
"""Random bytes behind one element: reduced modulo p they are within 2^-255 of uniform, and how many are drawn depends on no secret."""


def encode(element: int) -> bytes:
    """33 bytes, big-endian. Raises ConfigError outside [0, p)."""
    if not 0 <= element < P:
        raise ConfigError("a number outside the field has no encoding")
    return element.to_bytes(SIZE, "big")


def decode(data: bytes) -> int:
    """The element with this encoding. Raises ConfigError for another length or a value that is not below p."""
    if len(data) != SIZE:
        raise ConfigError(f"{len(data)} bytes given; a field element has {SIZE}")
    element = int.from_bytes(data, "big")
    if element >= P:
        raise ConfigError("the bytes encode a number that is not below the modulus")
    return element


def inverse(element: int) -> int:
    """1 / element. Raises ConfigError for zero."""
    if element % P == 0:
        raise ConfigError("zero has no inverse")
    return pow(element, -1, P)


def uniform(count: int, entropy: Entropy) -> list[int]:
    """`count` elements, each within statistical distance 2^-255 of uniform, from one draw of 64 bytes each."""
    drawn = entropy(_WIDE * count)
    if len(drawn) != _WIDE * count:
        raise ConfigError(f"the entropy source gave {len(drawn)} bytes, {_WIDE * count} were asked for")
    return [int.from_bytes(drawn[start : start + _WIDE], "big") % P for start in range(0, len(drawn), _WIDE)]
