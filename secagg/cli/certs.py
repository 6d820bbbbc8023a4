"""`secagg certs`, what each party does: request, install, sign, pin, renew, show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secagg.cli.options import Classic, Days, Folder, Json, OrganisationKey, RosterFile, Yes, split_names
from secagg.cli.output import Output, begin

if TYPE_CHECKING:
    from secagg.pki.folder import Requested
    from secagg.roster import SignedRoster

app = typer.Typer(
    no_args_is_help=True,
    help="Keys, certificates and rosters. Every organisation makes its own keys; a private key never leaves its folder.",
    epilog="In order: ca, request, issue, install, roster build, sign, pin. For a first look: trial.",
)
_STEP = "Next: send {request} to the hub operator, who runs `secagg certs issue` and puts it into the roster."


@app.command()
def request(
    folder: Folder,
    party: Annotated[str, typer.Option(help="Name of this party, for example energy.")],
    organisation: Annotated[str, typer.Option(help='Name of the organisation behind it, for example "City Gas".')],
    role: Annotated[str, typer.Option(help="client, aggregator, coordinator or keyholder.")] = "client",
    host: Annotated[list[str] | None, typer.Option(help="Name or address that parties dial (coordinator only; repeat, or commas).")] = None,
    days: Days = 365,
    classic: Classic = False,
    organisation_key: OrganisationKey = None,
    as_json: Json = False,
) -> None:
    """Make a party's keys and the request for its certificate."""
    from datetime import UTC, datetime

    from secagg.errors import ConfigError
    from secagg.pki import folder as folders
    from secagg.pki.requests import Applicant
    from secagg.roster import ROLES

    out = begin(as_json)
    known = next((name for name in ROLES if name == role), None)
    if known is None:
        raise ConfigError(f"--role {role}: one of {', '.join(ROLES)}")
    hosts = split_names(host or (["localhost,127.0.0.1"] if known == "coordinator" else []))
    start, end = folders.validity(datetime.now(UTC), days)
    made = folders.request(
        folder, Applicant(party, organisation, known, start, end, tuple(hosts)), classic=classic, organisation_key=organisation_key
    )
    _report(out, folder, made)


@app.command()
def renew(folder: Folder, days: Days = 365, organisation_key: OrganisationKey = None, as_json: Json = False) -> None:
    """Make new keys; the old ones stay in use until the roster that names the new ones is pinned."""
    from datetime import UTC, datetime

    from secagg.pki import folder as folders

    out = begin(as_json)
    _report(out, folder, folders.renew(folder, now=datetime.now(UTC), days=days, organisation_key=organisation_key))


@app.command()
def install(
    folder: Folder,
    file: Annotated[list[Path], typer.Argument(help="Certificate or revocation list from the hub operator.")],
    as_json: Json = False,
) -> None:
    """Put a certificate or a revocation list from the hub operator into its place."""
    from datetime import UTC, datetime

    from secagg.pki import folder as folders

    out = begin(as_json)
    written = [place for path in file for place in folders.install(folder, path, now=datetime.now(UTC))]
    out.say(f"Installed {', '.join(str(path) for path in written)}.")
    out.record({"installed": [str(path) for path in written]})


@app.command()
def sign(roster: RosterFile, folder: Folder, organisation_key: OrganisationKey = None, yes: Yes = False, as_json: Json = False) -> None:
    """Sign a roster for the organisation behind FOLDER, after a look at who is in it."""
    from secagg.cli.show import roster_table
    from secagg.pki import folder as folders
    from secagg.pki import rosters
    from secagg.pki.keys import load_signing

    out = begin(as_json)
    signed = rosters.read(roster)
    own = folders.check_named(folder, signed.roster, roster)
    key = organisation_key or folders.organisation_key_of(folder, own.organisation)
    roster_table(out, signed, mine=own.organisation)
    if not yes:
        typer.confirm(f"Are these the parties, and are all of {own.organisation} yours? Sign", abort=True, err=True)
    signed = rosters.sign(signed, load_signing(key, "organisation key"))
    rosters.write(roster, signed)
    say_signatures(out, roster, signed)


@app.command()
def pin(
    folder: Folder,
    roster: RosterFile,
    agreed: Annotated[str, typer.Option("--hash", help="The hash that the partners read out, in words or hexadecimal.")] = "",
    as_json: Json = False,
) -> None:
    """Accept a roster once its hash was compared with the partners, for example by telephone."""
    from secagg.cli.show import roster_table, words
    from secagg.errors import ConfigError
    from secagg.pki import folder as folders
    from secagg.pki import rosters

    out = begin(as_json)
    signed = rosters.read(roster)
    digest = signed.roster.hash
    if agreed:
        given = rosters.from_spoken(agreed)
        if given is None:
            raise ConfigError("--hash: neither 16 words of five letters nor 64 hexadecimal digits: read it from `secagg certs show ROSTER`")
        digest = given
    else:
        roster_table(out, signed)
        out.say(f"\nRead this to your partners, and let them read theirs to you:\n\n{words(digest)}\n\n    {digest.hex()}\n")
        typer.confirm("Do all partners have the same words? Pin", abort=True, err=True)
    pinned = folders.pin(folder, signed, digest, roster)
    out.say(f"Pinned epoch {pinned.epoch} of {pinned.consortium} in {folder}.")
    out.record({"pinned": digest.hex(), "epoch": pinned.epoch, "consortium": pinned.consortium, "folder": str(folder)})


@app.command()
def show(
    path: Annotated[Path, typer.Argument(help="Identity folder, authority, roster, request or certificate.")], as_json: Json = False
) -> None:
    """Show what an identity folder, an authority, a roster, a request or a certificate says; never a private key."""
    from secagg.cli import show as shows

    shows.show(begin(as_json), path)


def _report(out: Output, folder: Path, made: Requested) -> None:
    from secagg.pki.folder import REQUEST

    asked = made.request
    out.say(f"Made the keys of {asked.party} ({asked.role} of {asked.organisation}) in {folder}, readable by this user only.")
    if made.is_new_organisation:
        out.warn(f"{made.organisation_key} is the key of {asked.organisation}: it signs rosters. Keep a copy offline.")
    out.say(_STEP.format(request=folder / REQUEST))
    out.record(
        {
            "party": asked.party,
            "organisation": asked.organisation,
            "role": asked.role,
            "request": str(folder / REQUEST),
            "organisation_key": str(made.organisation_key),
            "is_new_organisation": made.is_new_organisation,
            "not_after": asked.not_after,
        }
    )


def say_signatures(out: Output, path: Path, signed: SignedRoster) -> None:
    """Who has signed, and who has not."""
    from secagg.pki import rosters

    missing = rosters.unsigned(signed)
    done = len(signed.roster.organisations) - len(missing)
    rest = f"still missing: {', '.join(missing)}" if missing else "complete: every party can pin it now"
    out.say(f"{path}: {done} of {len(signed.roster.organisations)} signatures, {rest}.")
    out.record({"roster": str(path), "hash": signed.roster.hash.hex(), "epoch": signed.roster.epoch, "unsigned": missing})
