"""Hashes and key derivation with domain separation: a label first, then every part with its length."""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secagg.types import Secret

_PREFIX = b"secagg/v1/"


def frame(label: str, *parts: bytes) -> bytes:
    """`label` and `parts`, each after its length as 8 bytes little-endian: two different lists never give the same bytes."""
    pieces = [_PREFIX + label.encode("ascii"), *parts]
    return b"".join(struct.pack("<Q", len(piece)) + bytes(piece) for piece in pieces)


def digest(label: str, *parts: bytes) -> bytes:
    """SHA-256 of the framed parts, 32 bytes."""
    hasher = hashes.Hash(hashes.SHA256())
    hasher.update(frame(label, *parts))
    return hasher.finalize()


def derive(secret: Secret, *, salt: bytes, label: str, info: tuple[bytes, ...] = (), length: int = 32) -> Secret:
    """HKDF-SHA256 (RFC 5869) of `secret`, salted with the round (`salt` = rd) and separated by `label` and `info`."""
    kdf = HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=frame(label, *info))
    return Secret(kdf.derive(secret.expose()))
