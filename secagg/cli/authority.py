"""`secagg certs`, what the hub operator does: make the authority, issue certificates, revoke a party."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secagg.cli.options import Authority, Json, Out
from secagg.cli.output import begin


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(ca)
    app.command()(issue)
    app.command()(revoke)


def ca(
    folder: Annotated[Path, typer.Argument(help="Folder for the authority, at the hub operator only.")],
    consortium: Annotated[str, typer.Option(help="Name of the consortium.")],
    days: Annotated[int, typer.Option(help="Days that the authority holds.")] = 3650,
    as_json: Json = False,
) -> None:
    """Make the consortium's TLS authority."""
    from datetime import UTC, datetime

    from secagg.pki.authority import CERTIFICATE, KEY
    from secagg.pki.authority import Authority as TlsAuthority

    out = begin(as_json)
    made = TlsAuthority.create(folder, consortium, now=datetime.now(UTC), days=days)
    until = made.certificate.not_valid_after_utc
    out.say(f"Made the TLS authority of {consortium} in {folder}, valid until {until:%Y-%m-%d}. Keep {folder / KEY} to yourself.")
    out.record({"authority": str(folder / CERTIFICATE), "until": until.isoformat()})


def issue(
    requests: Annotated[list[Path], typer.Argument(help="request.json files of the parties.")],
    authority: Authority,
    out_folder: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the certificates; by default CA/issued.")] = None,
    as_json: Json = False,
) -> None:
    """Issue the TLS certificates that parties ask for; send each PARTY.pem back to its party."""
    from datetime import UTC, datetime

    from secagg.pki.authority import Authority as TlsAuthority
    from secagg.pki.files import make_folder, write_public
    from secagg.pki.requests import Request

    out, now = begin(as_json), datetime.now(UTC)
    issuing, asked = TlsAuthority.load(authority), [Request.read(path) for path in requests]
    folder = out_folder or authority / "issued"
    make_folder(folder)
    rows = []
    for request in asked:
        certificate = issuing.issue(request, now=now)
        place = folder / f"{request.party}.pem"
        write_public(place, issuing.bundle(certificate))
        rows.append((request.party, request.organisation, request.role, f"{certificate.not_valid_after_utc:%Y-%m-%d}", str(place)))
        out.record(dict(zip(("party", "organisation", "role", "until", "certificate"), rows[-1], strict=True)))
    out.table("Issued", ["party", "organisation", "role", "until", "certificate"], rows)
    out.say("Each party runs `secagg certs install FOLDER CERTIFICATE` with its own.")


def revoke(
    party: Annotated[list[str], typer.Argument(help="Parties that are out from now on.")],
    authority: Authority,
    roster: Annotated[Path, typer.Option(help="Roster in force.")],
    target: Out,
    as_json: Json = False,
) -> None:
    """Leave parties out: the next roster without them, and their TLS certificates on the revocation list."""
    from datetime import UTC, datetime

    from secagg.cli.roster import write_new
    from secagg.pki import rosters
    from secagg.pki.authority import REVOKED
    from secagg.pki.authority import Authority as TlsAuthority

    out, now = begin(as_json), datetime.now(UTC)
    issuing = TlsAuthority.load(authority)
    following = rosters.next_epoch(rosters.read(roster).roster, without=party)
    write_new(target, following)
    count = sum(issuing.revoke(name, now=now) for name in party)
    out.say(
        f"{target}: epoch {following.roster.epoch} without {', '.join(party)}. The remaining organisations sign it, all parties pin it."
    )
    out.say(f"{authority / REVOKED}: {count} certificates more. The hub runs `secagg certs install FOLDER {authority / REVOKED}`.")
    out.record(
        {
            "roster": str(target),
            "epoch": following.roster.epoch,
            "revoked": list(party),
            "certificates": count,
            "list": str(authority / REVOKED),
        }
    )
