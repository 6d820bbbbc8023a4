"""Ed25519 signatures (RFC 8032) whose message begins with the purpose it was made for.

Signatures are made by OpenSSL, behind pyca/cryptography like every secret key, and verified by libsodium, behind PyNaCl of the same
maintainers: it takes half the time, and verifying is most of what parties of a large cohort do. It refuses what RFC 8032 lets pass with
keys or points of low order. Without PyNaCl, OpenSSL verifies too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from secagg.crypto.derive import frame
from secagg.errors import ConfigError
from secagg.threads import spread
from secagg.types import Entropy, Secret

SIGNATURE_BYTES = 64
KEY_BYTES = 32


class BadSignature(Exception):
    """The signature does not fit; the caller turns it into its numbered check with the culprit's name."""


_FEW = 4
"""Signatures below which a thread more is not worth its start."""


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public Ed25519 key, 32 bytes."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise ConfigError(f"an Ed25519 public key has {KEY_BYTES} bytes; this one has {len(self.raw)}")

    def verify(self, signature: bytes, purpose: str, message: bytes) -> None:
        """Raise BadSignature unless `signature` was made with this key, for this purpose, over these bytes."""
        if not _fits(self.raw, signature, frame(purpose, message)):
            raise BadSignature(f"no valid {purpose} signature")


def first_bad(signed: Sequence[tuple[VerifyKey, bytes, bytes]], purpose: str) -> int | None:
    """Index of the first of (key, signature, message) that `VerifyKey.verify` would refuse; None if all are right.

    Threads share the row: libsodium lets go of the interpreter's lock for each signature.
    """
    bad: list[int] = []

    def verify(part: range) -> None:
        for index in part:
            key, signature, message = signed[index]
            if not _fits(key.raw, signature, frame(purpose, message)):
                bad.append(index)
                return

    spread(verify, len(signed), least=_FEW)
    return min(bad, default=None)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private Ed25519 key; its seed is a Secret, so neither repr nor pickle shows it."""

    seed: Secret
    _private: Ed25519PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Loading takes as long as signing: it is done once.
        object.__setattr__(self, "_private", Ed25519PrivateKey.from_private_bytes(self.seed.expose()))

    @classmethod
    def generate(cls, entropy: Entropy) -> SigningKey:
        return cls(Secret(entropy(KEY_BYTES)))

    def verify_key(self) -> VerifyKey:
        return VerifyKey(self._private.public_key().public_bytes_raw())

    def sign(self, purpose: str, message: bytes) -> bytes:
        """A 64-byte signature over the framed purpose and message."""
        return self._private.sign(frame(purpose, message))


def _fits_by_openssl(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature is one over `message` under the key `public`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _by_libsodium() -> Callable[[bytes, bytes, bytes], bool] | None:
    """The same as libsodium says it; None without PyNaCl."""
    try:
        from nacl.bindings import crypto_sign_open
        from nacl.exceptions import BadSignatureError
    except ImportError:
        return None

    def fits(public: bytes, signature: bytes, message: bytes) -> bool:
        # What is shorter than a signature would be filled up with the message that follows it.
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            crypto_sign_open(signature + message, public)
        except BadSignatureError:
            return False
        return True

    return fits


_fits = _by_libsodium() or _fits_by_openssl
