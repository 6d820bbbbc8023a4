"""`secagg receipt`: check, with nothing but the roster, what a released mean is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secagg.cli.options import Json
from secagg.cli.output import Output, begin

if TYPE_CHECKING:
    from secagg.receipt import Receipt
    from secagg.roster import Roster

app = typer.Typer(no_args_is_help=True, help="Receipts: signed proof of which updates a released mean is made of.")


@app.callback()
def group() -> None:
    """Nothing of its own; it keeps `verify` a word of the command, so that others can stand beside it."""


@app.command()
def verify(
    files: Annotated[list[Path], typer.Argument(help="Receipt files.")],
    roster: Annotated[Path | None, typer.Option(help="Signed roster of the receipts' epoch.")] = None,
    identity: Annotated[
        Path | None, typer.Option(help="Identity folder: use the roster of the receipt's epoch that it has pinned.")
    ] = None,
    agreed: Annotated[str, typer.Option("--hash", help="Hash that the roster must have, in words or hexadecimal.")] = "",
    mean: Annotated[Path | None, typer.Option(help="The released mean (safetensors): check that it is the one of the receipt.")] = None,
    as_json: Json = False,
) -> None:
    """Check every signature, the floor and the roster of receipts. Exit status 3 if one does not hold."""
    from secagg.errors import ConfigError

    out = begin(as_json)
    trusted = _rosters(out, roster, identity, agreed)
    if mean is not None and len(files) != 1:
        raise ConfigError("--mean goes with one receipt: name the one of its round")
    for path in files:
        receipt = _verified(path, trusted)
        if mean is not None:
            _check_mean(receipt, mean, path)
        _report(out, path, receipt, mean)


def _rosters(out: Output, path: Path | None, identity: Path | None, agreed: str) -> list[Roster]:
    """What the receipts may be checked against."""
    from secagg.cli.show import words
    from secagg.errors import ConfigError
    from secagg.pki import folder as folders
    from secagg.pki import rosters

    if identity is not None and path is None:
        return folders.pinned_rosters(identity)
    if path is None or identity is not None:
        raise ConfigError("name what the receipts are checked against: either --roster FILE, or --identity FOLDER for its pinned roster")
    signed = rosters.read(path)
    wanted = rosters.from_spoken(agreed) if agreed else signed.roster.hash
    if wanted is None:
        raise ConfigError("--hash: neither 16 words of five letters nor 64 hexadecimal digits")
    trusted = rosters.verify(signed, wanted, path)
    if not agreed:
        out.warn(f"{path} was taken as it is. Compare its hash with a party you trust, or give it with --hash:\n{words(trusted.hash)}")
    return [trusted]


def _verified(path: Path, trusted: list[Roster]) -> Receipt:
    from secagg.errors import InvalidMessage, MalformedMessage
    from secagg.pki.files import read_public
    from secagg.receipt import Receipt

    raw = read_public(path, "a receipt")
    try:
        parsed = [Receipt.parse(raw, roster) for roster in trusted]
        receipt = next((one for one in parsed if one.round.description.roster_hash == one.round.roster.hash), parsed[0])
        receipt.verify()
    except InvalidMessage as refused:
        raise InvalidMessage(refused.check, f"{path}: {refused.reason}", culprits=refused.culprits) from refused
    except MalformedMessage as refused:
        raise MalformedMessage(f"{path} is no receipt: {refused}", culprits=refused.culprits) from refused
    return receipt


def _check_mean(receipt: Receipt, mean: Path, path: Path) -> None:
    import numpy as np

    from secagg.cli import tensors
    from secagg.encode.layout import Layout
    from secagg.errors import InvalidMessage
    from secagg.receipt import result_digest

    state = tensors.read(mean)
    values = np.ascontiguousarray(Layout.of(state).flatten(state), "<f4")
    # > A mean belongs to the receipt that holds its digest (RC-C5).
    if result_digest(values.tobytes()) != receipt.result:
        raise InvalidMessage("RC-C5", f"{mean} is not the mean that {path} is about")


def _report(out: Output, path: Path, receipt: Receipt, mean: Path | None) -> None:
    from secagg.wire.parse import HASH

    described = receipt.round.description
    rows = [
        ("task, round, attempt", f"{described.task}, {described.round}, {described.attempt}"),
        ("protocol", described.protocol),
        ("in the sum", ", ".join(receipt.included)),
        ("organisations", f"{receipt.round.organisations(receipt.included)}, floor {described.floors.floor}"),
        ("agreed by", ", ".join(name for name, _ in receipt.agreement)),
        ("input model", described.inputs[0].model.hex()),
        ("base model", described.base_model.hex() if described.base_model != bytes(HASH) else "not stated"),
        ("result", receipt.result.hex() + (f" = {mean}" if mean is not None else "")),
        ("roster", f"{receipt.round.roster.consortium}, epoch {receipt.round.roster.epoch}"),
    ]
    rows += _privacy(receipt)
    out.table(f"{path}: holds", ["what", "value"], rows)
    out.record(
        {
            "receipt": str(path),
            "valid": True,
            "task": described.task,
            "round": described.round,
            "attempt": described.attempt,
            "protocol": described.protocol,
            "included": list(receipt.included),
            "agreed_by": [name for name, _ in receipt.agreement],
            "result": receipt.result.hex(),
            "roster": receipt.round.roster.hash.hex(),
            "mean": mean and str(mean),
            "privacy": _privacy_record(receipt),
        }
    )


def _privacy(receipt: Receipt) -> list[tuple[str, str]]:
    terms, costs = receipt.round.description.privacy, receipt.costs()
    if terms is None:
        return [("privacy", "none: the sum is exact")]
    rows = [("privacy", str(terms)), ("booked by", ", ".join(one.party for one in receipt.spent) or "nobody")]
    if costs is not None:
        rows.append(("ε for the server alone", f"{costs.server:.4g} at δ = {costs.delta:g}"))
        if costs.aggregator is not None:
            rows.append(("ε with one aggregator", f"{costs.aggregator:.4g} at δ = {costs.delta:g}"))
        rows.append((f"ε with {costs.colluders} colluding", f"{costs.colluding:.4g} at δ = {costs.delta:g}"))
        rows.append(("ε with all other clients", f"{costs.alone:.4g} at δ = {costs.delta:g}"))
    return rows


def _privacy_record(receipt: Receipt) -> dict[str, object] | None:
    from dataclasses import asdict

    terms, costs = receipt.round.description.privacy, receipt.costs()
    if terms is None:
        return None
    return asdict(terms) | {"booked_by": [one.party for one in receipt.spent], "costs": costs and asdict(costs)}
