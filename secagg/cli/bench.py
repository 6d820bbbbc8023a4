"""`secagg bench`: what privacy costs on this machine, in minutes."""

from __future__ import annotations

import importlib
import importlib.util
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secagg.cli.options import Json
from secagg.cli.output import DONE, FAILED, Output, begin
from secagg.errors import ConfigError

if TYPE_CHECKING:
    from secagg.bench.case import Case
    from secagg.bench.record import Results
    from secagg.bench.table import Table

app = typer.Typer()

_Numbers = Annotated[str, typer.Option(help="Comma-separated; by default those of --quick or --full.")]
_Out = Annotated[Path, typer.Option("--out", "-o", help="Results file; one that is there is gone on with. The page lies beside it.")]


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full/--quick", help="Every case, for hours; or a selection, for three minutes.")] = False,
    protocols: Annotated[
        str,
        typer.Option(help="Comma-separated names; by default all there are, `ckks:n4096-q56` (SEAL's slots) too."),
    ] = "",
    clients: _Numbers = "",
    values: _Numbers = "",
    drops: _Numbers = "",
    dp: Annotated[bool, typer.Option("--dp", help="Each case once more with distributed noise in the sum.")] = False,
    repeats: Annotated[int, typer.Option(min=1, help="Timed rounds of each case; 0 is none.")] = 3,
    memory: Annotated[bool, typer.Option("--memory/--no-memory", help="Trace memory in one more round of each case.")] = True,
    peers: Annotated[
        bool, typer.Option("--peers", help="Also the other benchmarks, with the peers that are installed. Needs the source tree.")
    ] = False,
    out: _Out = Path("secagg-bench.json"),
    as_json: Json = False,
) -> None:
    """Measure what privacy costs: every protocol, and plaintext beside it. Shows tables, writes the results file and an HTML page."""
    if context.invoked_subcommand is not None:
        return
    from secagg.bench.campaign import Campaign

    output = begin(as_json)
    cases = _cases(full, protocols, clients, values, drops, dp=dp)
    command = shlex.join(["secagg", *sys.argv[1:]])
    campaign = Campaign(cases, repeats, out, command, memory=memory)
    now = {"text": ""}

    def tell(done: int, count: int, what: str) -> None:
        now["text"] = f"{done} of {count}: {what}" if what else ""

    with output.progress("measuring", lambda: now["text"]):
        results = campaign.run(tell)
    if peers:
        results = _with_rows(results, output, full=full)
        results.save(out)
    _show(output, results, out)
    missed = [row for row in results.rows if row.met is False]
    raise typer.Exit(FAILED if missed else DONE)


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(help="Results file.")],
    markdown: Annotated[Path | None, typer.Option(help="Also write the tables to this Markdown file.")] = None,
    as_json: Json = False,
) -> None:
    """Show a results file again, and write its page again."""
    from secagg.bench.record import load

    output, results = begin(as_json), load(file)
    _show(output, results, file)
    if markdown is not None:
        from secagg.bench.page import markdown as tables

        markdown.write_text(tables(results), encoding="utf-8")
        output.say(f"{markdown} has the tables.")


@app.command("compare")
def compare(
    before: Annotated[Path, typer.Argument(help="Results file.")],
    after: Annotated[Path, typer.Argument(help="Another one.")],
    worst: Annotated[
        float | None, typer.Option(help="Fail if a ratio to plaintext has grown by more than this factor, or a size at all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Two files beside each other: ratios to plaintext, which compare between machines, and exact sizes."""
    from secagg.bench import findings
    from secagg.bench.record import load
    from secagg.bench.table import change_table

    output, old, new = begin(as_json), load(before), load(after)
    found = findings.changes(old, new)
    if not found:
        raise ConfigError(f"{before} and {after} have no case in common: measure the same --clients, --values and --drops")
    _print(output, change_table(old, new))
    for change in found:
        output.record(
            {"case": str(change.case), "what": change.what, "before": change.before, "after": change.after, "ratio": change.ratio}
        )
    grown = [change for change in found if worst is not None and change.ratio > (worst if "plaintext" in change.what else 1.0)]
    for change in grown:
        output.warn(f"{change.case}: {change.what} has grown from {change.before:.3f} to {change.after:.3f}")
    raise typer.Exit(FAILED if grown else DONE)


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of a results file."""
    from secagg.bench.record import schema as text

    typer.echo(text())


def _cases(full: bool, protocols: str, clients: str, values: str, drops: str, *, dp: bool) -> list[Case]:
    from secagg.bench import case
    from secagg.cli.plans import installed

    names = [name.strip() for name in protocols.split(",") if name.strip()] or case.offered(installed())
    wanted = (case.CLIENTS, case.VALUES, case.DROPS) if full else (case.QUICK_CLIENTS, case.QUICK_VALUES, case.QUICK_DROPS)
    found = case.grid(
        names,
        _numbers("--clients", clients, wanted[0]),
        _numbers("--values", values, wanted[1]),
        _numbers("--drops", drops, wanted[2]),
        names if dp else (),
    )
    unknown = [name for name in names if name.partition(":")[0] not in installed() and name != case.PLAINTEXT]
    if unknown:
        raise ConfigError(f"--protocols: {unknown[0]} is not installed; there are {', '.join(installed())}")
    return found


def _numbers(option: str, text: str, default: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return tuple(int(float(part)) for part in text.split(",")) if text else default
    except ValueError:
        raise ConfigError(f"{option}={text!r}: numbers with commas between them, for example 3,10,32") from None


def _with_rows(results: Results, output: Output, *, full: bool) -> Results:
    """The rows of `benchmarks/`, which comes with the source."""
    if importlib.util.find_spec("benchmarks") is None:
        raise ConfigError("--peers runs what lies in benchmarks/: start it in the source tree, with `python -m secagg.cli bench --peers`")
    now = {"text": ""}
    with output.progress("measuring against limits and peers:", lambda: now["text"]):
        found, notes = importlib.import_module("benchmarks.suite").rows(full=full, tell=lambda text: now.update(text=text))
    return results.model_copy(update={"rows": tuple(found), "notes": (*results.notes, *notes)})


def _show(output: Output, results: Results, path: Path) -> None:
    from secagg.bench.table import tables

    for table in tables(results):
        _print(output, table)
    output.record(results.model_dump(mode="json"))
    try:
        from secagg.bench.page import write
    except ImportError as missing:
        output.warn(f"no page: it needs {missing.name}: run `pip install 'secagg[demo]'`")
        return
    page = path.with_suffix(".html")
    write(results, page)
    output.say(f"\n{path} holds the numbers, {page} shows them.")


def _print(output: Output, table: Table) -> None:
    output.table(table.title, table.columns, table.rows)
    if table.note:
        output.say(table.note + "\n")
