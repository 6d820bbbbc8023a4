"""`secagg demo`: three companies teach one model together on this machine, and a report shows what came of it."""

from __future__ import annotations

import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from secagg.cli.options import Json
from secagg.cli.output import DONE, FAILED, begin
from secagg.errors import ConfigError


def demo(
    task: Annotated[
        str, typer.Option(help="`scenes`: captions for street scenes drawn from the seed; `text`: incident texts in --data.")
    ] = "scenes",
    data: Annotated[Path | None, typer.Option(help="Folder of CSV files for --task text.")] = None,
    protocol: Annotated[str, typer.Option(help="Protocol of the secure rounds.")] = "additive",
    rounds: Annotated[int | None, typer.Option(help="Rounds of training; by default as many as the task needs.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of data and training; keys and shares are always fresh.")] = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for report.html, results.json and the parties' logs.")] = Path(
        "secagg-demo"
    ),
    quick: Annotated[
        bool, typer.Option("--quick", help="Three rounds of one variant: shows that everything works; scores are not judged.")
    ] = False,
    peer: Annotated[
        bool, typer.Option("--peer", help="Peer mode: every company runs an aggregator beside its client, and the hub has none.")
    ] = False,
    threshold: Annotated[
        bool,
        typer.Option("--threshold", help="With --protocol ckks: every company holds a part of the key; only all together decrypt."),
    ] = False,
    sanitise: Annotated[
        bool, typer.Option("--sanitise/--no-sanitise", help="Take personal values out of the captions before training on them.")
    ] = True,
    dp: Annotated[
        float | None,
        typer.Option("--dp", help="A private run: train under this ε, beside the same training without noise, and meter what it tells."),
    ] = None,
    dp_noise: Annotated[
        str,
        typer.Option(help="`local`: DP-SGD in each company hides a record; `distributed`: noise in the sum hides a company's update."),
    ] = "local",
    lang: Annotated[str, typer.Option(help="Language of the output and the report: en or zh.")] = "en",
    as_json: Json = False,
) -> None:
    """Three companies, two aggregators and a hub as processes of this machine: train in secure rounds, compare, write a report."""
    from rich.console import Console

    from secagg.demo.options import Options
    from secagg.demo.words import Words

    output, words = begin(as_json), Words.of(lang)
    if threshold and protocol not in ("ckks", "ckks-threshold"):
        raise ConfigError(f"--threshold: parts of a key are for --protocol ckks; {protocol} has no key that decrypts")
    protocol = "ckks-threshold" if threshold else protocol
    with output.progress(words("live.noise")) if dp is not None else nullcontext():
        options = Options(
            out=out,
            task=task,
            data=data,
            protocol=protocol,
            rounds=rounds,
            seed=seed,
            quick=quick,
            peer=peer,
            sanitise=sanitise,
            dp=dp,
            dp_noise=dp_noise,
        )
    console = Console(stderr=as_json, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = 160  # a log keeps long lines whole
    try:
        from secagg.demo.show import show
    except ImportError as missing:
        raise typer.BadParameter(f"the demo needs {missing.name}: run `pip install 'secagg[demo]'`") from missing
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends like Ctrl-C: every process first, then the folder with the keys
    results = show(options, console, words)
    output.record(results.model_dump(mode="json"))
    raise typer.Exit(DONE if results.passed else FAILED)
