"""HPKE (RFC 9180) to one recipient: X25519 alone, or the hybrid with ML-KEM-768 that also stands against a quantum computer.

A public key is one suite byte and the raw key, so a roster can hold both kinds and a reader knows which it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from secagg.crypto.agree import low_order
from secagg.crypto.derive import frame
from secagg.errors import ConfigError
from secagg.types import Entropy, Secret

X25519 = 0x20
"""Suite byte of DHKEM(X25519), the number that RFC 9180 gives the KEM."""
HYBRID = 0x64
"""Suite byte of MLKEM768-X25519."""

_MLKEM_SEED, _MLKEM_PUBLIC, _X25519_BYTES = 64, 1184, 32
_PUBLIC_BYTES = {X25519: _X25519_BYTES, HYBRID: _MLKEM_PUBLIC + _X25519_BYTES}
_SEED_BYTES = {X25519: _X25519_BYTES, HYBRID: _MLKEM_SEED + _X25519_BYTES}
_KEMS = {X25519: hpke.KEM.X25519, HYBRID: hpke.KEM.MLKEM768_X25519}
_OVERHEAD = {X25519: 32 + 16, HYBRID: 1088 + 32 + 16}


class CannotOpen(Exception):
    """The ciphertext was not made for this key, purpose and context; the caller names its check and culprit."""


def _suite(kind: int) -> hpke.Suite:
    return hpke.Suite(_KEMS[kind], hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class SealKey:
    """A recipient's public key: suite byte, then the raw key (33 bytes, or 1,217 for the hybrid)."""

    raw: bytes

    def __post_init__(self) -> None:
        if not self.raw or self.raw[0] not in _PUBLIC_BYTES or len(self.raw) != 1 + _PUBLIC_BYTES[self.raw[0]]:
            raise ConfigError(
                f"not an HPKE public key of a known suite: {len(self.raw)} bytes; known are X25519 (0x20) and MLKEM768-X25519 (0x64)"
            )
        if low_order(self.raw[-_X25519_BYTES:]):
            raise ConfigError("an HPKE public key whose X25519 part is of low order: nothing sealed to it would be secret")

    @property
    def post_quantum(self) -> bool:
        return self.raw[0] == HYBRID

    def sealed_size(self, size: int) -> int:
        """Bytes of the ciphertext of `size` bytes."""
        return size + _OVERHEAD[self.raw[0]]

    def seal(self, plaintext: Secret, *, purpose: str, context: bytes) -> bytes:
        """Encrypt to this key; only the same `purpose` and `context` open it. Randomness is the operating system's."""
        return _suite(self.raw[0]).encrypt(plaintext.expose(), self._public(), info=frame(purpose, context))

    def _public(self) -> X25519PublicKey | hpke.MLKEM768X25519PublicKey:
        raw = self.raw[1:]
        if self.raw[0] == X25519:
            return X25519PublicKey.from_public_bytes(raw)
        mlkem = MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC])
        return hpke.MLKEM768X25519PublicKey(mlkem, X25519PublicKey.from_public_bytes(raw[_MLKEM_PUBLIC:]))


@dataclass(frozen=True, slots=True)
class OpenKey:
    """The recipient's private key, kept as its seed."""

    kind: int
    seed: Secret
    _private: X25519PrivateKey | hpke.MLKEM768X25519PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if _SEED_BYTES.get(self.kind) != len(self.seed):
            raise ConfigError(f"an HPKE private key of suite {self.kind:#04x} does not have {len(self.seed)} bytes")
        # Loading takes as long as opening: it is done once.
        private = self._curve() if self.kind == X25519 else hpke.MLKEM768X25519PrivateKey(self._lattice(), self._curve())
        object.__setattr__(self, "_private", private)

    @classmethod
    def generate(cls, entropy: Entropy, kind: int = HYBRID) -> OpenKey:
        return cls(kind, Secret(entropy(_SEED_BYTES[kind])))

    def seal_key(self) -> SealKey:
        """The public half."""
        curve = self._curve().public_key().public_bytes_raw()
        if self.kind == X25519:
            return SealKey(bytes([X25519]) + curve)
        return SealKey(bytes([HYBRID]) + self._lattice().public_key().public_bytes_raw() + curve)

    def open(self, sealed: bytes, *, purpose: str, context: bytes) -> Secret:
        """Decrypt what was sealed to this key for this purpose and context. Raises CannotOpen."""
        try:
            return Secret(_suite(self.kind).decrypt(sealed, self._private, info=frame(purpose, context)))
        except (InvalidTag, ValueError) as refused:
            raise CannotOpen(f"cannot open a sealed {purpose}") from refused

    def _curve(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.seed.expose()[-_X25519_BYTES:])

    def _lattice(self) -> MLKEM768PrivateKey:
        return MLKEM768PrivateKey.from_seed_bytes(self.seed.expose()[:_MLKEM_SEED])
