"""What identity folders, authorities, rosters, requests and certificates say, as tables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from secagg.cli.output import Output
from secagg.errors import ConfigError
from secagg.pki import folder as folders
from secagg.pki import rosters
from secagg.pki.authority import Authority, load_certificate
from secagg.pki.requests import Request
from secagg.pki.tls import party_of
from secagg.roster import Member, SignedRoster

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def show(out: Output, path: Path) -> None:
    """Show whatever `path` is. Raises ConfigError if it is nothing that this program makes."""
    if (path / "ca-key.pem").exists():
        _authority(out, path)
    elif path.is_dir():
        _identity(out, path)
    elif path.suffix == ".json":
        _request(out, path)
    elif path.suffix in {".pem", ".crt"}:
        _certificate(out, load_certificate(path))
    elif path.exists():
        roster_table(out, rosters.read(path))
        digest = rosters.read(path).roster.hash
        out.say(f"\n{words(digest)}\n\n    {digest.hex()}")
    else:
        raise ConfigError(f"there is no {path}: name an identity folder, an authority, a roster, a request.json or a certificate")


def roster_table(out: Output, signed: SignedRoster, *, mine: str = "") -> None:
    """The members, with who has signed; rows of `mine` are marked."""
    roster, missing = signed.roster, rosters.unsigned(signed)
    rows = [
        (
            member.party,
            member.organisation + (" (yours)" if member.organisation == mine else ""),
            member.role,
            "ML-KEM-768 + X25519" if member.sealing.post_quantum else "X25519",
            _until(member),
            "missing" if member.organisation in missing else "yes",
        )
        for member in roster.members
    ]
    out.table(f"{roster.consortium}, epoch {roster.epoch}", ["party", "organisation", "role", "sealing", "valid until", "signed"], rows)
    members = [{"party": m.party, "organisation": m.organisation, "role": m.role, "not_after": m.not_after} for m in roster.members]
    body = {"consortium": roster.consortium, "epoch": roster.epoch, "hash": roster.hash.hex(), "words": rosters.spoken(roster.hash)}
    out.record(body | {"members": members, "unsigned": missing})


def words(digest: bytes) -> str:
    """A hash as four lines of four words, to be read out."""
    spoken = rosters.spoken(digest)
    return "\n".join("    " + "  ".join(spoken[start : start + 4]) for start in range(0, 16, 4))


def _identity(out: Output, path: Path) -> None:
    identity = folders.load_identity(path)
    tls = folders.load_tls(identity)
    member, roster = identity.member, identity.roster
    rows = [
        ("party", member.party),
        ("organisation", member.organisation),
        ("role", member.role),
        ("consortium", f"{roster.consortium}, epoch {roster.epoch}, {len(roster.members)} parties"),
        ("roster hash", roster.hash.hex()),
        ("keys valid until", _until(member)),
        ("TLS valid until", f"{tls.expires:%Y-%m-%d}"),
        ("post-quantum", "yes" if member.sealing.post_quantum else "no"),
    ]
    out.table(str(path), ["what", "value"], rows)
    out.record(_body(rows))


def _authority(out: Output, path: Path) -> None:
    authority = Authority.load(path)
    revoked = set(authority.revoked())
    rows = [
        (item.party, f"{item.serial:x}", f"{datetime.fromtimestamp(item.until, UTC):%Y-%m-%d}", "revoked" if item.serial in revoked else "")
        for item in authority.issued()
    ]
    out.table(f"{path}: authority until {authority.certificate.not_valid_after_utc:%Y-%m-%d}", ["party", "serial", "until", ""], rows)
    out.record({"issued": [dict(zip(("party", "serial", "until", "state"), row, strict=True)) for row in rows]})


def _request(out: Output, path: Path) -> None:
    request = Request.read(path)
    member = request.member()
    rows = [
        ("party", request.party),
        ("organisation", request.organisation),
        ("role", request.role),
        ("hosts", ", ".join(request.hosts)),
        ("keys valid until", _until(member)),
        ("signing key", member.signing.raw.hex()),
        ("organisation key", request.organisation_verify_key().raw.hex()),
        ("post-quantum", "yes" if member.sealing.post_quantum else "no"),
    ]
    out.table(str(path), ["what", "value"], rows)
    out.record(_body(rows))


def _certificate(out: Output, certificate: Certificate) -> None:
    rows = [
        ("subject", certificate.subject.rfc4514_string()),
        ("party", party_of(certificate) or "none: an authority"),
        ("serial", f"{certificate.serial_number:x}"),
        ("valid until", f"{certificate.not_valid_after_utc:%Y-%m-%d}"),
    ]
    out.table("certificate", ["what", "value"], rows)
    out.record(_body(rows))


def _body(rows: list[tuple[str, str]]) -> dict[str, object]:
    return {name.lower().replace(" ", "_").replace("-", "_"): value for name, value in rows}


def _until(member: Member) -> str:
    return f"{datetime.fromtimestamp(member.not_after, UTC):%Y-%m-%d}"
