"""A request says what it says, or is refused; it never holds a private byte."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from secagg.errors import ConfigError
from secagg.pki import folder as folders
from secagg.pki import keys
from secagg.pki.requests import Applicant, Request


def applicant(now: datetime, **changed: Any) -> Applicant:
    start, end = folders.validity(now, 30)
    asked: dict[str, Any] = {"party": "energy", "organisation": "城市燃气", "role": "client", "not_before": start, "not_after": end}
    return Applicant(**asked | changed)


def private_bytes(folder: Path) -> list[bytes]:
    """Every private scalar and seed under `folder`, raw."""
    held = keys.load(folder / "keys")
    seed = held.opening.seed.expose()
    scalar = held.tls.private_numbers().private_value.to_bytes(32)
    return [held.signing.seed.expose(), seed, seed[-32:], scalar, keys.load_signing(folder / "organisation.pem", "key").seed.expose()]


def every_form(raw: bytes) -> list[bytes]:
    aligned = [base64.b64encode(raw[start:]).rstrip(b"=")[2:-2] for start in range(3)]
    return [raw, raw.hex().encode(), repr(raw).encode(), *aligned]


@pytest.mark.parametrize("classic", [True, False])
def test_a_request_reads_back_as_the_member_it_asks_for(tmp_path: Path, now: datetime, classic: bool) -> None:
    made = folders.request(tmp_path / "energy", applicant(now), classic=classic)
    member = Request.read(tmp_path / "energy" / "request.json").member()
    held = keys.load(tmp_path / "energy" / "keys")
    assert made.is_new_organisation
    assert (member.party, member.organisation, member.role) == ("energy", "城市燃气", "client")
    assert (member.signing, member.sealing) == (held.signing.verify_key(), held.opening.seal_key())
    assert member.sealing.post_quantum is not classic


def test_no_private_byte_is_in_a_public_file_or_a_repr(tmp_path: Path, now: datetime) -> None:
    made = folders.request(tmp_path / "energy", applicant(now))
    public = (tmp_path / "energy" / "request.json").read_bytes()
    shown = repr(made) + repr(keys.load(tmp_path / "energy" / "keys"))
    for raw in private_bytes(tmp_path / "energy"):
        for form in every_form(raw):
            assert form not in public
            assert form not in shown.encode()


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "party": lambda body: body.update(party="mallory"),
    "organisation": lambda body: body.update(organisation="Mallory Ltd"),
    "role": lambda body: body.update(role="aggregator"),
    "validity": lambda body: body.update(not_after=body["not_after"] + 1),
    "organisation key": lambda body: body.update(organisation_key=body["signing_key"]),
    "no signature": lambda body: body.update(signature=""),
    "unknown field": lambda body: body.update(private_key="x"),
    "missing field": lambda body: body.pop("sealing_key"),
    "not base64": lambda body: body.update(signing_key="!"),
    "short key": lambda body: body.update(signing_key="AAAA"),
    "no tls request": lambda body: body.update(tls_request="-----BEGIN"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_altered_request_is_refused_by_name(tmp_path: Path, now: datetime, change: str) -> None:
    folders.request(tmp_path / "energy", applicant(now), classic=True)
    path = tmp_path / "energy" / "request.json"
    body = json.loads(path.read_text())
    CHANGES[change](body)
    path.write_text(json.dumps(body))
    with pytest.raises(ConfigError, match=r"request\.json: "):
        Request.read(path)


def test_a_tls_request_of_another_key_does_not_pass(tmp_path: Path, now: datetime) -> None:
    for name in ("energy", "urban"):
        folders.request(tmp_path / name, applicant(now, party=name, organisation=name), classic=True)
    path = tmp_path / "energy" / "request.json"
    body, other = json.loads(path.read_text()), json.loads((tmp_path / "urban" / "request.json").read_text())
    path.write_text(json.dumps(body | {"tls_request": other["tls_request"]}))
    with pytest.raises(ConfigError, match="signature"):
        Request.read(path)


@pytest.mark.parametrize(
    "asked", ["", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "unsigned", "other curve"]
)
def test_a_tls_request_that_proves_no_key_is_refused_though_the_party_signed_it(
    tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    name = x509.Name([])
    if asked == "unsigned":
        good = x509.CertificateSigningRequestBuilder().subject_name(name).sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
        raw = bytearray(good.public_bytes(Encoding.DER))
        raw[-1] ^= 1
        asked = x509.load_der_x509_csr(bytes(raw)).public_bytes(Encoding.PEM).decode()
    if asked == "other curve":
        other = x509.CertificateSigningRequestBuilder().subject_name(name).sign(ec.generate_private_key(ec.SECP384R1()), SHA256())
        asked = other.public_bytes(Encoding.PEM).decode()
    monkeypatch.setattr("secagg.pki.requests._tls_request", lambda *_: asked)
    folders.request(tmp_path / "energy", applicant(now), classic=True)
    with pytest.raises(ConfigError, match="tls_request"):
        Request.read(tmp_path / "energy" / "request.json")


@pytest.mark.parametrize(
    "wrong",
    [
        {"party": "City Gas"},
        {"party": "../hub"},
        {"organisation": ""},
        {"organisation": "a\nb"},
        {"organisation": "x" * 65},
        {"hosts": ("localhost",)},
        {"role": "coordinator", "hosts": ("http://hub:7070",)},
        {"not_after": 0},
    ],
)
def test_what_no_certificate_may_say_is_refused_before_a_key_is_made(now: datetime, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        applicant(now, **wrong)


def test_a_second_request_overwrites_no_key(tmp_path: Path, now: datetime) -> None:
    folders.request(tmp_path / "energy", applicant(now), classic=True)
    before = private_bytes(tmp_path / "energy")
    listed = sorted(tmp_path.rglob("*"))
    for elsewhere in (None, tmp_path / "another.pem"):
        with pytest.raises(ConfigError, match="secagg certs renew"):
            folders.request(tmp_path / "energy", applicant(now), classic=True, organisation_key=elsewhere)
    assert private_bytes(tmp_path / "energy") == before
    assert sorted(tmp_path.rglob("*")) == listed


def test_an_organisation_has_one_key_for_all_its_parties(tmp_path: Path, now: datetime) -> None:
    first = folders.request(tmp_path / "energy", applicant(now), classic=True)
    second = folders.request(tmp_path / "energy-aggregator", applicant(now, party="energy-aggregator", role="aggregator"), classic=True)
    assert not second.is_new_organisation
    assert second.request.organisation_key == first.request.organisation_key
    assert second.organisation_key == tmp_path / "energy" / "organisation.pem"
