"""X25519 key agreement (RFC 7748), hashed at once: the raw shared point never leaves this module."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from secagg.crypto.derive import derive
from secagg.types import Entropy, Secret

KEY_BYTES = 32


class LowOrderPoint(Exception):
    """The peer's key gives the all-zero output, so it contributes nothing (RFC 7748, section 6.1). `index`: which of a row it was."""

    def __init__(self, index: int = 0) -> None:
        super().__init__("the peer's X25519 key is of low order or malformed")
        self.index = index


@dataclass(frozen=True, slots=True)
class AgreementKey:
    """A private X25519 key."""

    seed: Secret
    _private: X25519PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Loading takes longer than agreeing: it is done once.
        object.__setattr__(self, "_private", X25519PrivateKey.from_private_bytes(self.seed.expose()))

    @classmethod
    def generate(cls, entropy: Entropy) -> AgreementKey:
        return cls(Secret(entropy(KEY_BYTES)))

    def public(self) -> bytes:
        """The 32-byte public key."""
        return self._private.public_key().public_bytes_raw()

    def agree(self, peer: bytes, *, salt: bytes, label: str, info: tuple[bytes, ...] = ()) -> Secret:
        """32 bytes that both ends derive, bound to `salt`, `label` and `info`. Raises LowOrderPoint."""
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError as refused:
            raise LowOrderPoint from refused
        return derive(Secret(shared), salt=salt, label=label, info=info)


_P = (1 << 255) - 19
_ORDER_8 = 325606250916557431795983626356110631294008115727848805560023387167927233504
_LOW_ORDER = {0, 1, _P - 1, _P, _P + 1, _ORDER_8, 39382357235489614581723060781553021112529911719440698176882885853963445705823}
"""The coordinates, reduced and not, of the points of order 1, 2, 4 and 8 on the curve and on its twist: under any private key they give
zero, because RFC 7748 clears the cofactor. No key of an honest party is among them."""


def low_order(public: bytes) -> bool:
    """Whether a public X25519 key is of low order, so that no two parties get a secret out of it. The top bit counts for nothing."""
    return int.from_bytes(public, "little") % (1 << 255) in _LOW_ORDER
