"""What one party asks of the consortium: its public keys, signed by itself and by its organisation. It holds nothing private.

The request goes to the hub operator, who issues the TLS certificate from it and puts its keys into the next roster.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from secagg.crypto.derive import frame
from secagg.crypto.seal import SealKey
from secagg.crypto.sign import BadSignature, SigningKey, VerifyKey
from secagg.errors import ConfigError
from secagg.pki.files import read_public
from secagg.pki.keys import PartyKeys
from secagg.roster import Member, RoleName
from secagg.types import PartyId, is_party_id

_PURPOSE = "certificate-request"
_HOST = re.compile(r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_NAME_LIMIT = 64  # X.520: the longest common or organisation name of a certificate


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who asks, and from when to when its keys shall hold (seconds since 1970). Raises ConfigError for what no certificate may say."""

    party: str
    organisation: str
    role: RoleName
    not_before: int
    not_after: int
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_party(self.party)
        check_organisation(self.organisation)
        for host in self.hosts:
            check_host(host)
        if self.hosts and self.role != "coordinator":
            # Only the hub is dialled; a client with a host name in its certificate could stand in for the hub.
            raise ConfigError(f"{self.party} is {self.role}, and only the coordinator's certificate carries host names")
        if not 0 <= self.not_before < self.not_after < 1 << 40:
            raise ConfigError("not_after must be later than not_before")


def check_party(name: str) -> None:
    """Raise ConfigError unless `name` can name a party."""
    if not is_party_id(name):
        raise ConfigError(f"{name!r} cannot name a party: use 1 to 64 lower-case letters, digits, '.', '_' or '-', for example 'city-gas'")


def check_organisation(name: str) -> None:
    """Raise ConfigError unless `name` can name an organisation; any script will do."""
    if not 1 <= len(name) <= _NAME_LIMIT or not name.isprintable() or name != name.strip():
        raise ConfigError(f"{name!r} cannot name an organisation: use 1 to {_NAME_LIMIT} printable characters, no space at either end")


def check_host(name: str) -> None:
    """Raise ConfigError unless `name` is a host name or an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not _HOST.fullmatch(name):
            raise ConfigError(f"{name!r} is neither a host name nor an IP address (no port, no scheme)") from None


def _bytes_from_text(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error as refused:
        raise ValueError("not base64") from refused
    return text


Base64 = Annotated[str, Field(max_length=4096), AfterValidator(_bytes_from_text)]


class Request(BaseModel):
    """A parsed request whose signatures hold: the party has its keys, and its organisation stands behind it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal["secagg/request/v1"]
    party: str
    organisation: str
    role: RoleName
    hosts: Annotated[list[str], Field(max_length=32)]
    not_before: int
    not_after: int
    signing_key: Base64
    sealing_key: Base64
    organisation_key: Base64
    tls_request: Annotated[str, Field(max_length=8192)]
    signature: Base64
    organisation_signature: Base64

    @classmethod
    def create(cls, who: Applicant, keys: PartyKeys, organisation_key: SigningKey) -> Self:
        """The request of `who` for `keys`, signed with `keys.signing` and by the organisation."""
        unsigned = cls(
            format="secagg/request/v1",
            party=who.party,
            organisation=who.organisation,
            role=who.role,
            hosts=list(who.hosts),
            not_before=who.not_before,
            not_after=who.not_after,
            signing_key=_text(keys.signing.verify_key().raw),
            sealing_key=_text(keys.opening.seal_key().raw),
            organisation_key=_text(organisation_key.verify_key().raw),
            tls_request=_tls_request(who, keys),
            signature="",
            organisation_signature="",
        )
        statement = unsigned._statement()
        own, vouched = keys.signing.sign(_PURPOSE, statement), organisation_key.sign(_PURPOSE, statement)
        return unsigned.model_copy(update={"signature": _text(own), "organisation_signature": _text(vouched)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """The request in `path`. Raises ConfigError, naming the field, for one that is malformed, altered or not signed."""
        try:
            return cls.model_validate_json(read_public(path, "a request")).checked()
        except ValidationError as refused:
            first = refused.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "the file"
            raise ConfigError(f"{path}: {where}: {first['msg']}: ask for the request.json that `secagg certs request` wrote") from refused
        except ConfigError as refused:
            raise ConfigError(f"{path}: {refused}") from refused

    def to_bytes(self) -> bytes:
        return (self.model_dump_json(indent=2) + "\n").encode()

    def member(self) -> Member:
        """The entry that this request asks for in the roster."""
        signing, sealing = VerifyKey(_raw(self.signing_key)), SealKey(_raw(self.sealing_key))
        return Member(PartyId(self.party), self.organisation, self.role, signing, sealing, self.not_before, self.not_after)

    def organisation_verify_key(self) -> VerifyKey:
        """The key that signs rosters for its organisation."""
        return VerifyKey(_raw(self.organisation_key))

    def tls_key(self) -> EllipticCurvePublicKey:
        """The public key of its TLS certificate. Raises ConfigError unless the request for it is signed with it."""
        try:
            asked = x509.load_pem_x509_csr(self.tls_request.encode())
            key = asked.public_key()
        except ValueError as refused:
            raise ConfigError("tls_request is no PEM certificate request") from refused
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1) or not asked.is_signature_valid:
            raise ConfigError("tls_request must be for a P-256 key and be signed with it")
        return key

    def checked(self) -> Self:
        """Itself, once every field is allowed, every key parses and every signature holds. Raises ConfigError."""
        Applicant(self.party, self.organisation, self.role, self.not_before, self.not_after, tuple(self.hosts))
        self.tls_key()
        statement = self._statement()
        for key, signature, whose in (
            (self.member().signing, self.signature, f"party {self.party}"),
            (self.organisation_verify_key(), self.organisation_signature, f"organisation {self.organisation}"),
        ):
            try:
                key.verify(_raw(signature), _PURPOSE, statement)
            except BadSignature as refused:
                raise ConfigError(
                    f"the signature of {whose} does not hold: the request was altered on its way, ask for it again"
                ) from refused
        return self

    def _statement(self) -> bytes:
        texts = [self.format, self.party, self.organisation, self.role, str(self.not_before), str(self.not_after)]
        texts += [self.signing_key, self.sealing_key, self.organisation_key, self.tls_request, *self.hosts]
        return frame("request/statement", *(text.encode() for text in texts))


def subject(party: str, organisation: str) -> x509.Name:
    """The name in a party's TLS certificate."""
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, party)])


def _tls_request(who: Applicant, keys: PartyKeys) -> str:
    name = subject(who.party, who.organisation)
    signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(keys.tls, SHA256())
    return signed.public_bytes(Encoding.PEM).decode("ascii")


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _raw(text: str) -> bytes:
    return base64.b64decode(text)
