"""Keys and small boxes between many pairs: one private key against a row of peers, secrets committed to, joined, boxed, cut apart.

A box is AES-256-GCM under a key that seals one box only, so its nonce is zero: deriving a fresh key for each direction and purpose is
the caller's part, as for `secagg.crypto.expand.Stream`.
"""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Callable, Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secagg.crypto.agree import KEY_BYTES, AgreementKey, LowOrderPoint
from secagg.crypto.derive import derive, digest
from secagg.crypto.seal import CannotOpen
from secagg.errors import ConfigError
from secagg.threads import spread, threads
from secagg.types import Secret

BOX_OVERHEAD = 16
"""Bytes that a box has more than what is in it."""
VOUCHER = 16
"""Bytes of a tag that vouches for a statement."""
_NONCE = bytes(12)
_FEW = 4
"""Agreements below which a thread more is not worth its start."""


def _exchange_by_libsodium(key: AgreementKey) -> Callable[[bytes], bytes] | None:
    """X25519 as libsodium computes it: a fifth slower than OpenSSL, but without the interpreter's lock. None without PyNaCl.

    It raises for a key of low order, as RFC 7748 allows.
    """
    try:
        from nacl.bindings import crypto_scalarmult
    except ImportError:
        return None
    seed = key.seed.expose()

    def exchange(peer: bytes) -> bytes:
        # libsodium reads as many bytes as a key has, whatever it is given.
        if len(peer) != KEY_BYTES:
            raise ValueError(f"an X25519 key of {len(peer)} bytes")
        return crypto_scalarmult(seed, peer)

    return exchange


class Agreeing:
    """A private X25519 key loaded once: a row of agreements costs one scalar multiplication each instead of two.

    It lives for the length of one step; what is kept is the `AgreementKey`, whose seed is a Secret.
    """

    __slots__ = ("_key",)

    def __init__(self, key: AgreementKey) -> None:
        self._key = key

    def public(self) -> bytes:
        """The 32-byte public key."""
        return self._key.public()

    def keys(
        self, peers: Sequence[bytes], *, salt: bytes, label: str, infos: Sequence[Sequence[tuple[bytes, ...]]], length: int = 32
    ) -> list[tuple[Secret, ...]]:
        """For each peer one key of `length` bytes per entry of its `infos`, as `AgreementKey.agree` derives them, from one agreement.

        Raises LowOrderPoint, which says which peer's key was of low order.
        """
        return [
            tuple(derive(shared, salt=salt, label=label, info=info, length=length) for info in wanted)
            for shared, wanted in zip(self._shared(peers), infos, strict=True)
        ]

    def _shared(self, peers: Sequence[bytes]) -> list[Secret]:
        """The agreements. Threads share a long row, where there are any to share it."""
        found: list[Secret | None] = [None] * len(peers)
        exchange = _exchange_by_libsodium(self._key) if min(threads(), len(peers) // _FEW) > 1 else None
        exchange = exchange or self._exchange

        def agree(part: range) -> None:
            for index in part:
                try:
                    found[index] = Secret(exchange(peers[index]))
                except (ValueError, RuntimeError):
                    return

        spread(agree, len(peers), least=_FEW)
        shared = [secret for secret in found if secret is not None]
        if len(shared) != len(peers):
            raise LowOrderPoint(found.index(None))
        return shared

    def _exchange(self, peer: bytes) -> bytes:
        return self._key._private.exchange(X25519PublicKey.from_public_bytes(peer))

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


def vouch(key: Secret, statement: bytes) -> bytes:
    """AES-256-GMAC of `statement` under a key of two parties that vouches for one statement only: for the other party it is a signature."""
    return AESGCM(key.expose()).encrypt(_NONCE, b"", statement)


def vouches(key: Secret, tag: bytes, statement: bytes) -> bool:
    """Whether `tag` is what `vouch` makes."""
    return hmac.compare_digest(vouch(key, statement), tag)


def commit(secret: Secret, label: str, *parts: bytes) -> bytes:
    """A hash of `secret` under `label` with `parts`, 32 bytes: binding, and hiding for a secret of 256 random bits."""
    return digest(label, *parts, secret.expose())


def join(secrets: Iterable[Secret]) -> Secret:
    """All secrets one after another."""
    return Secret(b"".join(secret.expose() for secret in secrets))


def part(secret: Secret, *sizes: int) -> tuple[Secret, ...]:
    """The pieces of these sizes that `join` put together. Raises ConfigError if they are not the whole."""
    if sum(sizes) != len(secret):
        raise ConfigError(f"a secret of {len(secret)} bytes is not made of pieces of {sizes}")
    raw, ends = secret.expose(), itertools.accumulate(sizes)
    return tuple(Secret(raw[end - size : end]) for size, end in zip(sizes, ends, strict=True))


def cut(secret: Secret, size: int) -> tuple[Secret, ...]:
    """The pieces of `size` bytes that `join` put together. Raises ConfigError if it does not divide."""
    if size < 1 or len(secret) % size:
        raise ConfigError(f"a secret of {len(secret)} bytes is not made of pieces of {size}")
    raw = secret.expose()
    return tuple(Secret(raw[start : start + size]) for start in range(0, len(raw), size))
