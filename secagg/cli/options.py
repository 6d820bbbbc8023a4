"""Options that several commands share, said the same way everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output, for machines.")]
Folder = Annotated[Path, typer.Argument(help="Identity folder of the party, for example pki/energy.")]
Days = Annotated[int, typer.Option(help="Days that the keys hold.")]
Classic = Annotated[bool, typer.Option("--classic", help="Seal with X25519 alone, without the post-quantum ML-KEM-768.")]
OrganisationKey = Annotated[
    Path | None,
    typer.Option("--organisation-key", help="The organisation's private key, if it does not lie in an identity folder beside this one."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="File to write.")]
Authority = Annotated[Path, typer.Option("--ca", help="Folder of the consortium's authority.")]
RosterFile = Annotated[Path, typer.Argument(help="Roster file.")]


def split_names(values: list[str]) -> list[str]:
    """`["a,b", "c"]` as `["a", "b", "c"]`: both ways of giving a list work."""
    return [name.strip() for value in values for name in value.split(",") if name.strip()]
