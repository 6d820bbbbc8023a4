"""Keys and small boxes between many pairs: one private key against a row of peers, secrets committed to, joined, boxed, cut apart.

A box is AES-256-GCM under a key that seals one box only, so its nonce is zero: deriving a fresh key for each direction and purpose is
the caller's part, as for `secagg.crypto.expand.Stream`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secagg.crypto.agree import AgreementKey, LowOrderPoint
from secagg.crypto.derive import derive, digest
from secagg.crypto.seal import CannotOpen
from secagg.errors import ConfigError
from secagg.types import Secret

BOX_OVERHEAD = 16
"""Bytes that a box has more than what is in it."""
_NONCE = bytes(12)


class Agreeing:
    """A private X25519 key loaded once: a row of agreements costs one scalar multiplication each instead of two.

    It lives for the length of one step; what is kept is the `AgreementKey`, whose seed is a Secret.
    """

    __slots__ = ("_private",)

    def __init__(self, key: AgreementKey) -> None:
        self._private = key._private

    def public(self) -> bytes:
        """The 32-byte public key."""
        return self._private.public_key().public_bytes_raw()

    def keys(self, peer: bytes, *, salt: bytes, label: str, infos: Sequence[tuple[bytes, ...]]) -> tuple[Secret, ...]:
        """One 32-byte key per entry of `infos`, as `AgreementKey.agree` derives them, from one agreement. Raises LowOrderPoint."""
        try:
            shared = Secret(self._private.exchange(X25519PublicKey.from_public_bytes(peer)))
        except ValueError as refused:
            raise LowOrderPoint("the peer's X25519 key is of low order or malformed") from refused
        return tuple(derive(shared, salt=salt, label=label, info=info) for info in infos)

    def __repr__(self) -> str:
        return "Agreeing(<redacted>)"


def seal_box(key: Secret, plain: Secret, *, context: bytes) -> bytes:
    """`plain` sealed under a key that seals nothing else; opens only with the same `context`."""
    return AESGCM(key.expose()).encrypt(_NONCE, plain.expose(), context)


def open_box(key: Secret, sealed: bytes, *, context: bytes) -> Secret:
    """What is in the box. Raises CannotOpen."""
    try:
        return Secret(AESGCM(key.expose()).decrypt(_NONCE, sealed, context))
    except (InvalidTag, ValueError) as refused:
        raise CannotOpen("the box was not sealed under this key and context") from refused


def commit(secret: Secret, label: str, *parts: bytes) -> bytes:
    """A hash of `secret` under `label` with `parts`, 32 bytes: binding, and hiding for a secret of 256 random bits."""
    return digest(label, *parts, secret.expose())


def join(secrets: Iterable[Secret]) -> Secret:
    """All secrets one after another."""
    return Secret(b"".join(secret.expose() for secret in secrets))


def cut(secret: Secret, size: int) -> tuple[Secret, ...]:
    """The pieces of `size` bytes that `join` put together. Raises ConfigError if it does not divide."""
    if size < 1 or len(secret) % size:
        raise ConfigError(f"a secret of {len(secret)} bytes is not made of pieces of {size}")
    raw = secret.expose()
    return tuple(Secret(raw[start : start + size]) for start in range(0, len(raw), size))
