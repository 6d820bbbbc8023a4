"""Hashes and key derivation with domain separation: a label first, then every part with its length."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secagg.types import Secret

_PREFIX = b"secagg/v1/"


def frame(label: str, *parts: bytes) -> bytes:
    """`label` and `parts`, each after its length as 8 bytes little-endian: two different lists never give the same bytes."""
    return b"".join(_framed(label, parts))


def _framed(label: str, parts: tuple[bytes, ...]) -> Iterator[bytes]:
    for piece in (_PREFIX + label.encode("ascii"), *parts):
        yield struct.pack("<Q", len(piece))
        yield piece


def digest(label: str, *parts: bytes) -> bytes:
    """SHA-256 of the framed parts, 32 bytes."""
    hasher = hashes.Hash(hashes.SHA256())
    for piece in _framed(label, parts):  # a part may be a whole model: it is hashed where it lies
        hasher.update(piece)
    return hasher.finalize()


def derive(secret: Secret, *, salt: bytes, label: str, info: tuple[bytes, ...] = (), length: int = 32) -> Secret:
    """HKDF-SHA256 (RFC 5869) of `secret`, salted with the round (`salt` = rd) and separated by `label` and `info`."""
    kdf = HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=frame(label, *info))
    return Secret(kdf.derive(secret.expose()))
