"""Mutual TLS from an identity folder: loaded whole, checked before dialling, handed to gRPC as the bytes it wants.

TLS keeps strangers out and hides who talks when; it is never the authority. Who a party is follows from the signed roster.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from secagg.errors import ConfigError, InvalidMessage
from secagg.pki.authority import key_uri, load_certificate, load_revoked, party_uri
from secagg.pki.keys import TLS, load_tls, private_pem
from secagg.roster import Roster
from secagg.types import PartyId, Secret, is_party_id

AUTHORITY, CERTIFICATE, REVOKED = "ca.pem", "certificate.pem", "revoked.crl"
_SCHEME = party_uri("")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What one party needs for mutual TLS, checked: the authority's certificate, its own, and the private key (a Secret).

    Attributes:
        authority: PEM of the consortium's authority, the only root that is trusted.
        certificate: PEM of this party's certificate.
        key: PEM of its private key, PKCS#8.
        expires: when the certificate ends.
        revoked: serial numbers that the authority has revoked; empty where no list lies in the folder.
    """

    party: PartyId
    authority: bytes
    certificate: bytes
    key: Secret
    expires: datetime
    revoked: frozenset[int] = frozenset()

    @classmethod
    def load(cls, keys: Path, folder: Path, *, party: PartyId, now: datetime | None = None) -> TlsFiles:
        """The files of `party`: key and certificate from `keys`, the authority from the identity folder.

        Raises:
            ConfigError: a file is missing, the key is readable by others, or the certificate is expired, not yet valid,
                of another authority, for another key or for another party. The message says which, and what to do.
        """
        if not (keys / CERTIFICATE).exists() or not (folder / AUTHORITY).exists():
            raise ConfigError(f"{party} has no TLS certificate in {keys}: run `secagg certs install {folder} FILE` with what the hub sent")
        authority, certificate = load_certificate(folder / AUTHORITY), load_certificate(keys / CERTIFICATE)
        key = load_tls(keys / TLS)
        check_issued(certificate, authority, keys / CERTIFICATE, now or datetime.now(UTC))
        if certificate.public_key() != key.public_key():
            raise ConfigError(f"{keys / CERTIFICATE} is not for the key beside it: install the one issued from the latest request.json")
        if party_of(certificate) != party:
            raise ConfigError(f"{keys / CERTIFICATE} names {party_of(certificate)}, not {party}: install the certificate issued to {party}")
        revoked = load_revoked(folder / REVOKED, authority) if (folder / REVOKED).exists() else frozenset[int]()
        if certificate.serial_number in revoked:
            raise ConfigError(f"{keys / CERTIFICATE} was revoked: run `secagg certs renew {folder}`, or ask the hub operator why")
        return cls(party, _pem(authority), _pem(certificate), Secret(private_pem(key)), certificate.not_valid_after_utc, revoked)

    def channel_arguments(self) -> dict[str, bytes]:
        """What `grpc.ssl_channel_credentials(**…)` takes. It holds the private key: pass it on, keep it nowhere."""
        return {"root_certificates": self.authority, "private_key": self.key.expose(), "certificate_chain": self.certificate}

    def server_arguments(self) -> dict[str, object]:
        """What `grpc.ssl_server_credentials(**…)` takes: every caller must show a certificate of the consortium's authority."""
        pairs = [(self.key.expose(), self.certificate)]
        return {"private_key_certificate_chain_pairs": pairs, "root_certificates": self.authority, "require_client_auth": True}

    def peer(self, pem: bytes, roster: Roster) -> PartyId:
        """The party that the peer's certificate names; TLS has already checked who issued it. Raises InvalidMessage.

        A certificate that was issued for earlier keys of the party is refused. Whether the party is in the roster at all is the
        caller's question.
        """
        try:
            certificate = x509.load_pem_x509_certificate(pem)
        except ValueError as refused:
            raise InvalidMessage("TL-C1", "the peer's TLS certificate does not parse") from refused
        name = party_of(certificate)
        # > A TLS certificate names exactly one party (TL-C1).
        if name is None:
            raise InvalidMessage("TL-C1", "the peer's TLS certificate names no party")
        # > A revoked certificate opens no connection (TL-C2).
        if certificate.serial_number in self.revoked:
            raise InvalidMessage("TL-C2", f"the TLS certificate of {name} was revoked", culprits=[name])
        # > A certificate opens a connection only for the keys that the roster names: a renewal supersedes the one before (TL-C3).
        if any(member.party == name and key_uri(member.signing) not in _uris(certificate) for member in roster.members):
            raise InvalidMessage(
                "TL-C3", f"the TLS certificate of {name} is for other keys than the roster's: renewed since?", culprits=[name]
            )
        return name


def check_issued(certificate: x509.Certificate, authority: x509.Certificate, path: Path, now: datetime) -> None:
    """Raise ConfigError unless `authority` issued `certificate` and it is valid now."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as refused:
        raise ConfigError(f"{path} is not issued by the authority in {AUTHORITY}: install both from the same consortium") from refused
    for item, what in ((certificate, str(path)), (authority, f"the authority of {path}")):
        if now >= item.not_valid_after_utc:
            raise ConfigError(f"{what} expired on {_minute(item.not_valid_after_utc)}: run `secagg certs renew` and have it issued again")
        if now < item.not_valid_before_utc:
            raise ConfigError(f"{what} is valid from {_minute(item.not_valid_before_utc)} and it is {_minute(now)}: set the clock")


def party_of(certificate: x509.Certificate) -> PartyId | None:
    """The one party that a certificate names in its `secagg://` URI, or None."""
    uris = [uri for uri in _uris(certificate) if uri.startswith(_SCHEME)]
    if len(uris) != 1 or not is_party_id(uris[0].removeprefix(_SCHEME)):
        return None
    return PartyId(uris[0].removeprefix(_SCHEME))


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return list(names.get_values_for_type(x509.UniformResourceIdentifier))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
