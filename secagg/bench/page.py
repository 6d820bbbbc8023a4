"""One HTML page that carries everything it shows, made from a results file alone."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from secagg.bench import plots
from secagg.bench.case import PLAINTEXT
from secagg.bench.record import Measured, Results
from secagg.bench.table import name, tables
from secagg.demo.words import TEMPLATES as STYLE

TEMPLATES = Path(__file__).parent / "templates"


def render(results: Results) -> str:
    """The whole page. Deterministic: the same results give the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = Markup((STYLE / "report.css").read_text("utf-8"))  # noqa: S704  # our own file
    return environment.get_template("page.html").render(r=results, tables=tables(results), figures=_figures(results), style=style)


def write(results: Results, path: Path) -> None:
    """Write the page whole or not at all."""
    scratch = path.with_name(path.name + ".part")
    scratch.write_text(render(results), encoding="utf-8")
    scratch.replace(path)


def markdown(results: Results) -> str:
    """The same tables for `docs/`."""
    here = results.machine
    packages = ", ".join(f"{package} {version}" for package, version in here.versions.items())
    machine = f"{here.processor}, {here.cores} cores, {here.memory / 2**30:.0f} GiB, {here.system}, Python {here.python}; {packages}."
    lines = ["# Results", "", f"Made by `{results.command}` on {results.created[:10]}; no figure is typed by hand. {machine}", ""]
    for table in tables(results):
        lines += [f"## {table.title}", "", _row(table.columns), _row(tuple("---" for _ in table.columns))]
        lines += [_row(row) for row in table.rows]
        lines += ["", *([table.note, ""] if table.note else [])]
    lines += [f"- {note}" for note in results.notes]
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _figures(results: Results) -> list[tuple[str, str, Markup]]:
    """(title, what it shows, figure)."""
    found: list[tuple[str, str, Markup]] = []
    for axis, title, label in (
        ("clients", "As the cohort grows", "clients"),
        ("values", "As the model grows", "values of an update"),
        ("drop", "As clients drop out", "per cent of the clients that drop out"),
    ):
        panels = {panel: series for panel, series in plots.across(results, axis).items() if _grows(series)}
        if panels:
            said = f"Milliseconds of processor time against {label}; the axes are logarithmic."
            found.append((title, said, plots.growth(f"growth-{axis}", said, panels, label, "ms")))
    found += [
        (f"Where the time goes: {name(one.case)}", _said(one), plots.where(f"where-{one.protocol}", _said(one), plots.steps(one)))
        for one in _largest(results)
    ]
    return found


def _grows(series: plots.Series) -> bool:
    return all(len(points) > 1 for points in series.values())


def _said(one: Measured) -> str:
    return f"Processor time of the median party of each role, step by step: {one.case}."


def _largest(results: Results) -> list[Measured]:
    """The largest case without drop-outs and noise of each protocol."""
    found: dict[str, Measured] = {}
    for one in results.cases:
        if one.plays and not one.drop and not one.dp and one.protocol != PLAINTEXT:
            best = found.get(one.protocol)
            if best is None or (one.values, one.clients) >= (best.values, best.clients):
                found[one.protocol] = one
    return list(found.values())
