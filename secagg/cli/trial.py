"""`secagg certs trial`: a whole consortium in one folder, for a first look on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secagg.cli.options import Classic, Json, split_names
from secagg.cli.output import begin

_WARNING = (
    "TRIAL ONLY: all private keys of all parties lie in {folder}, so whoever reads it can open every update.\n"
    "With real data each organisation makes its own keys on its own machine: `secagg certs request`."
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(trial)


def trial(
    folder: Annotated[Path, typer.Argument(help="Folder for all keys; must not hold a trial yet.")],
    clients: Annotated[list[str], typer.Option(help="Names of the clients (commas, or repeat).")],
    aggregators: Annotated[list[str] | None, typer.Option(help="Names of the aggregators.")] = None,
    keyholders: Annotated[list[str] | None, typer.Option(help="Names of the key holders.")] = None,
    hub: Annotated[str, typer.Option(help="Name of the coordinator that all dial.")] = "hub",
    host: Annotated[list[str] | None, typer.Option(help="Names and addresses that parties dial.")] = None,
    consortium: Annotated[str, typer.Option(help="Name of the consortium.")] = "trial",
    peer: Annotated[
        bool, typer.Option("--peer", help="Peer mode: each client's organisation also runs the aggregator NAME-aggregator.")
    ] = False,
    days: Annotated[int, typer.Option(help="Days that the trial's keys hold.")] = 30,
    classic: Classic = False,
    as_json: Json = False,
) -> None:
    """Make all keys, certificates and the signed roster of a trial on one machine."""
    from secagg.pki.trial import make_trial

    out = begin(as_json)
    with out.progress("making keys"):
        made = make_trial(
            folder,
            clients=split_names(clients),
            aggregators=split_names(aggregators or []),
            keyholders=split_names(keyholders or []),
            hub=hub,
            hosts=split_names(host or ["localhost,127.0.0.1"]),
            consortium=consortium,
            peer=peer,
            days=days,
            classic=classic,
        )
    members = made.roster.members
    out.table(
        "Trial", ["party", "organisation", "role", "identity"], [(m.party, m.organisation, m.role, folder / m.party) for m in members]
    )
    for member in members:
        out.record(
            {"party": member.party, "organisation": member.organisation, "role": member.role, "identity": str(folder / member.party)}
        )
    out.warn(_WARNING.format(folder=folder))
