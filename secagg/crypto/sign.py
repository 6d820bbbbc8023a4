"""Ed25519 signatures (RFC 8032) whose message begins with the purpose it was made for."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from secagg.crypto.derive import frame
from secagg.errors import ConfigError
from secagg.types import Entropy, Secret

SIGNATURE_BYTES = 64
KEY_BYTES = 32


class BadSignature(Exception):
    """The signature does not fit; the caller turns it into its numbered check with the culprit's name."""


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public Ed25519 key, 32 bytes."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise ConfigError(f"an Ed25519 public key has {KEY_BYTES} bytes; this one has {len(self.raw)}")

    def verify(self, signature: bytes, purpose: str, message: bytes) -> None:
        """Raise BadSignature unless `signature` was made with this key, for this purpose, over these bytes."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, frame(purpose, message))
        except (InvalidSignature, ValueError) as refused:
            raise BadSignature(f"no valid {purpose} signature") from refused


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
