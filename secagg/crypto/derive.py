"""Hashes and key derivation with domain separation: a label first, then every part with its length."""

from __future__ import annotations

import functools
import hashlib
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secagg.types import Secret

_PREFIX = b"secagg/v1/"
_SHA256 = hashes.SHA256()
_length = struct.Struct("<Q").pack


def frame(label: str, *parts: bytes) -> bytes:
    """`label` and `parts`, each after its length as 8 bytes little-endian: two different lists never give the same bytes."""
    pieces = [_head(label)]
    for part in parts:
        pieces += (_length(len(part)), part)
    return b"".join(pieces)


@functools.lru_cache(256)
def _head(label: str) -> bytes:
    """The label with its length. Labels stand in the code, so there are few: on a graph of 100 clients each is framed by the thousand."""
    named = _PREFIX + label.encode("ascii")
    return _length(len(named)) + named


def digest(label: str, *parts: bytes | memoryview) -> bytes:
    """SHA-256 of the framed parts, 32 bytes."""
    hasher = hashlib.sha256(_head(label))
    for part in parts:  # a part may be a whole model: it is hashed where it lies
        hasher.update(_length(len(part)))
        hasher.update(part)
    return hasher.digest()


def derive(secret: Secret, *, salt: bytes, label: str, info: tuple[bytes, ...] = (), length: int = 32) -> Secret:
    """HKDF-SHA256 (RFC 5869) of `secret`, salted with the round (`salt` = rd) and separated by `label` and `info`."""
    kdf = HKDF(algorithm=_SHA256, length=length, salt=salt, info=frame(label, *info))
    return Secret(kdf.derive(secret.expose()))
