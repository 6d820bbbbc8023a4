"""The consortium's TLS certificate authority, kept by the hub operator: it says who may open a connection, not who is believed.

What a party believes follows from the roster alone; a stolen authority could disturb the service, not read or forge an update.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from secagg.crypto.sign import VerifyKey
from secagg.errors import ConfigError
from secagg.pki.files import make_folder, new_private_folder, read_public, write_private, write_public
from secagg.pki.keys import load_tls, private_pem
from secagg.pki.requests import Request, check_organisation, subject

CERTIFICATE, KEY, ISSUED, REVOKED = "ca.pem", "ca-key.pem", "issued.json", "revoked.crl"
CA_DAYS = 3650
_CRL_DAYS = 400
SKEW = timedelta(hours=1)
"""How far a partner's clock may be behind: certificates and keys hold from this long before they were made."""


class Issued(NamedTuple):
    """One certificate that was issued: its serial number, whose it is, and its end in seconds since 1970."""

    serial: int
    party: str
    until: int


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority in `folder`: its certificate, its private key, and the record of what it issued."""

    folder: Path
    certificate: x509.Certificate
    key: EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def create(cls, folder: Path, consortium: str, *, now: datetime, days: int = CA_DAYS) -> Authority:
        """Make a new authority. Raises ConfigError if the folder has one."""
        check_organisation(consortium)
        make_folder(folder.parent)
        key = generate_private_key(SECP256R1())
        name = subject("secagg TLS authority", consortium)
        builder = _builder(name, name, key.public_key(), now - SKEW, now + timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        certificate = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False).sign(key, SHA256())
        with new_private_folder(folder, refusal="is in use: give the new authority a folder of its own") as partial:
            write_private(partial / KEY, private_pem(key))
            write_public(partial / CERTIFICATE, certificate.public_bytes(Encoding.PEM))
            unplaced = cls(partial, certificate, key)
            unplaced._write_issued([])
            unplaced._write_revoked([], now)
        return cls(folder, certificate, key)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """The authority in `folder`. Raises ConfigError."""
        if not (folder / CERTIFICATE).exists():
            raise ConfigError(f"{folder} holds no authority: make one with `secagg certs ca {folder} --consortium NAME`")
        certificate = load_certificate(folder / CERTIFICATE)
        key = load_tls(folder / KEY)
        if certificate.public_key() != key.public_key():
            raise ConfigError(f"{folder / KEY} is not the key of {folder / CERTIFICATE}: restore both from the same backup")
        return cls(folder, certificate, key)

    def issue(self, request: Request, *, now: datetime) -> x509.Certificate:
        """The TLS certificate for `request`, valid as long as its keys are, at most as long as the authority itself."""
        end = min(datetime.fromtimestamp(request.not_after, UTC), self.certificate.not_valid_after_utc)
        if end <= now:
            raise ConfigError(f"the keys of {request.party} or the authority are expired: ask for a new request, or make a new authority")
        key = request.tls_key()
        builder = _builder(subject(request.party, request.organisation), self.certificate.subject, key, now - SKEW, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(_purposes(request)), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(_names(request)), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        certificate = builder.sign(self.key, SHA256())
        self._write_issued([*self.issued(), Issued(certificate.serial_number, request.party, int(end.timestamp()))])
        return certificate

    def bundle(self, certificate: x509.Certificate) -> bytes:
        """What goes back to the party: its certificate and this authority's, as PEM."""
        return certificate.public_bytes(Encoding.PEM) + self.certificate.public_bytes(Encoding.PEM)

    def revoke(self, party: str, *, now: datetime) -> int:
        """Put every certificate of `party` that is still valid on the revocation list; how many that were."""
        serials = [entry.serial for entry in self.issued() if entry.party == party and entry.until > now.timestamp()]
        known = self.revoked()
        self._write_revoked([*known, *(serial for serial in serials if serial not in known)], now)
        return len(serials)

    def issued(self) -> list[Issued]:
        """What it issued, oldest first."""
        path = self.folder / ISSUED
        try:
            entries = json.loads(read_public(path, "the record of issued certificates"))
            return [Issued(int(entry["serial"], 16), str(entry["party"]), int(entry["until"])) for entry in entries]
        except (ValueError, KeyError, TypeError) as refused:
            raise ConfigError(f"{path} is not the record that `secagg certs issue` writes: restore it from a backup") from refused

    def revoked(self) -> list[int]:
        """Serial numbers on the revocation list."""
        return sorted(load_revoked(self.folder / REVOKED, self.certificate))

    def _write_issued(self, entries: list[Issued]) -> None:
        listed = [{"serial": f"{entry.serial:x}", "party": entry.party, "until": entry.until} for entry in entries]
        write_public(self.folder / ISSUED, (json.dumps(listed, indent=1) + "\n").encode())

    def _write_revoked(self, serials: list[int], now: datetime) -> None:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now - SKEW).next_update(now + timedelta(days=_CRL_DAYS))
        for serial in serials:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build())
        write_public(self.folder / REVOKED, builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM))


def load_certificate(path: Path) -> x509.Certificate:
    """The first certificate in a PEM file. Raises ConfigError."""
    try:
        return x509.load_pem_x509_certificate(read_public(path, "a certificate"))
    except ValueError as refused:
        raise ConfigError(f"{path} is no PEM certificate") from refused


def load_revoked(path: Path, issuer: x509.Certificate) -> frozenset[int]:
    """Serial numbers that the revocation list in `path` names, once the issuer's signature under it holds. Raises ConfigError."""
    try:
        listed = x509.load_pem_x509_crl(read_public(path, "the revocation list"))
    except ValueError as refused:
        raise ConfigError(f"{path} is no PEM revocation list") from refused
    if not listed.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
        raise ConfigError(f"{path} is not signed by the consortium's authority: take the file from the hub operator again")
    return frozenset(entry.serial_number for entry in listed)


def party_uri(party: str) -> str:
    """How a party's TLS certificate names it."""
    return f"secagg://{party}"


def key_uri(signing: VerifyKey) -> str:
    """How a TLS certificate names the signing key of its party: a certificate of keys that were renewed since is then known as old."""
    return f"secagg-key:{signing.raw.hex()}"


def _names(request: Request) -> list[x509.GeneralName]:
    uris = (party_uri(request.party), key_uri(request.member().signing))
    names: list[x509.GeneralName] = [x509.DNSName(request.party), *map(x509.UniformResourceIdentifier, uris)]
    for host in request.hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return list(dict.fromkeys(names))


def _purposes(request: Request) -> list[x509.ObjectIdentifier]:
    dialled = [ExtendedKeyUsageOID.SERVER_AUTH] if request.role == "coordinator" else []
    return [ExtendedKeyUsageOID.CLIENT_AUTH, *dialled]


def _builder(name: x509.Name, issuer: x509.Name, key: EllipticCurvePublicKey, start: datetime, end: datetime) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
