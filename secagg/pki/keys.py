"""One party's private keys, and its organisation's, on disk: made once, mode 0600, read only if nobody else can read them.

Beside `secagg.crypto` this is the one module that handles raw private bytes: it is where they go to the file and come back.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from secagg.crypto.seal import HYBRID, X25519, OpenKey
from secagg.crypto.sign import SigningKey
from secagg.errors import ConfigError
from secagg.pki.files import new_private_folder, read_private, write_private
from secagg.types import Secret

SIGNING, SEALING, TLS = "signing.pem", "sealing.pem", "tls.pem"
_REFUSAL = "holds keys already and they are not overwritten: `secagg certs renew` makes new ones beside them"
_SEALING_LABEL = "SECAGG HPKE PRIVATE KEY"
_SEALING_PEM = re.compile(rb"\s*-----BEGIN SECAGG HPKE PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END SECAGG HPKE PRIVATE KEY-----\s*")


@dataclass(frozen=True, slots=True)
class PartyKeys:
    """What one party signs with, opens seals with, and speaks TLS with."""

    signing: SigningKey
    opening: OpenKey
    tls: EllipticCurvePrivateKey = field(repr=False)


def generate(*, classic: bool = False) -> PartyKeys:
    """Fresh keys from the operating system's randomness. `classic`: X25519 without the post-quantum half."""
    kind = X25519 if classic else HYBRID
    return PartyKeys(SigningKey.generate(os.urandom), OpenKey.generate(os.urandom, kind), generate_private_key(SECP256R1()))


def check_unused(folder: Path) -> None:
    """Raise ConfigError if `folder` holds keys, before anything else is made for them."""
    if folder.exists():
        raise ConfigError(f"{folder} {_REFUSAL}")


def save(folder: Path, keys: PartyKeys) -> None:
    """Write all three into the new folder `folder` at once. Raises ConfigError if it exists."""
    with new_private_folder(folder, refusal=_REFUSAL) as partial:
        write_private(partial / SIGNING, _signing_to_pem(keys.signing))
        write_private(partial / SEALING, _sealing_to_pem(keys.opening))
        write_private(partial / TLS, private_pem(keys.tls))


def load(folder: Path) -> PartyKeys:
    """The keys in `folder`. Raises ConfigError for a file that is missing, malformed, or readable by others."""
    opening = _sealing_from_pem(folder / SEALING)
    return PartyKeys(load_signing(folder / SIGNING, "signing key"), opening, load_tls(folder / TLS))


def create_organisation(path: Path) -> SigningKey:
    """Make an organisation's key, which signs rosters and requests. Raises ConfigError if the file exists."""
    key = SigningKey.generate(os.urandom)
    write_private(path, _signing_to_pem(key))
    return key


def load_signing(path: Path, what: str) -> SigningKey:
    """An Ed25519 private key from a PKCS#8 PEM file."""
    key = _load_pem(path, what)
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is no Ed25519 private key in PKCS#8 PEM")
    return SigningKey(Secret(key.private_bytes_raw()))


def load_tls(path: Path) -> EllipticCurvePrivateKey:
    """A P-256 private key from a PKCS#8 PEM file: the kind that gRPC's TLS takes everywhere."""
    key = _load_pem(path, "TLS key")
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise ConfigError(f"{path} is no P-256 private key in PKCS#8 PEM")
    return key


def private_pem(key: EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    """PKCS#8 PEM. It is not encrypted: the file's mode and the disk's encryption protect it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _load_pem(path: Path, what: str) -> object:
    raw = read_private(path, what)
    try:
        return load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as refused:
        # `from None`: OpenSSL's message could quote what it read.
        raise ConfigError(f"{path} is no {what} in unencrypted PKCS#8 PEM ({type(refused).__name__})") from None


def _signing_to_pem(key: SigningKey) -> bytes:
    return private_pem(Ed25519PrivateKey.from_private_bytes(key.seed.expose()))


def _sealing_to_pem(key: OpenKey) -> bytes:
    text = base64.b64encode(bytes([key.kind]) + key.seed.expose()).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {_SEALING_LABEL}-----", *lines, f"-----END {_SEALING_LABEL}-----", ""]).encode("ascii")


def _sealing_from_pem(path: Path) -> OpenKey:
    """Suite byte, then the seed: RFC 9180 gives raw private keys, and no PKCS#8 form exists for the hybrid suite yet."""
    match = _SEALING_PEM.fullmatch(read_private(path, "sealing key"))
    try:
        raw = base64.b64decode(b"".join(match[1].split()), validate=True) if match is not None else b""
    except ValueError:
        raw = b""
    if not raw:
        raise ConfigError(f"{path} is no {_SEALING_LABEL}")
    try:
        return OpenKey(raw[0], Secret(raw[1:]))
    except ConfigError as refused:
        raise ConfigError(f"{path}: {refused}") from refused
