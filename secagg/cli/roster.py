"""`secagg certs roster`: build the first roster, the next one, and one out of copies that were signed side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secagg.cli.options import Json, Out, RosterFile
from secagg.cli.output import Output, begin

if TYPE_CHECKING:
    from secagg.roster import SignedRoster

app = typer.Typer(
    no_args_is_help=True, help="The roster: who takes part and with which keys. Each change is a new epoch in a file of its own."
)


@app.command()
def build(
    requests: Annotated[list[Path], typer.Argument(help="request.json files of all parties.")],
    consortium: Annotated[str, typer.Option(help="Name of the consortium.")],
    target: Out,
    as_json: Json = False,
) -> None:
    """Build epoch 1 from the requests of all parties."""
    from secagg.pki import rosters
    from secagg.pki.requests import Request

    out = begin(as_json)
    _report(out, target, rosters.build(consortium, [Request.read(path) for path in requests]))


@app.command("next")
def next_epoch(
    roster: RosterFile,
    target: Out,
    request: Annotated[list[Path] | None, typer.Option(help="request.json of a party that is new or renewed its keys (repeat).")] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Party to leave out (repeat); `secagg certs revoke` also revokes its certificate.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the epoch after ROSTER: new parties, renewed keys, parties left out."""
    from secagg.pki import rosters
    from secagg.pki.requests import Request

    out = begin(as_json)
    renewed = [Request.read(path) for path in request or []]
    _report(out, target, rosters.next_epoch(rosters.read(roster).roster, renewed, without=without or []))


@app.command()
def merge(copies: Annotated[list[Path], typer.Argument(help="Copies of one roster.")], target: Out, as_json: Json = False) -> None:
    """Put the signatures of several copies of one roster together."""
    from secagg.cli.certs import say_signatures
    from secagg.pki import rosters

    out = begin(as_json)
    merged = rosters.merge([rosters.read(path) for path in copies])
    rosters.write(target, merged)
    say_signatures(out, target, merged)


def write_new(target: Path, signed: SignedRoster) -> None:
    """Write a roster that nobody has signed yet, over nothing. Raises ConfigError."""
    from secagg.errors import ConfigError
    from secagg.pki import rosters

    if target.exists():
        raise ConfigError(
            f"{target} exists, perhaps with signatures: give each epoch a file of its own, for example roster-{signed.roster.epoch}.signed"
        )
    rosters.write(target, signed)


def _report(out: Output, target: Path, signed: SignedRoster) -> None:
    from secagg.cli.show import roster_table

    write_new(target, signed)
    roster_table(out, signed)
    names = ", ".join(name for name, _ in signed.roster.organisations)
    out.say(f"Wrote {target}. Each organisation ({names}) runs `secagg certs sign {target} FOLDER`, then each party pins it.")
    out.record(
        {
            "roster": str(target),
            "hash": signed.roster.hash.hex(),
            "epoch": signed.roster.epoch,
            "unsigned": [name for name, _ in signed.roster.organisations],
        }
    )
