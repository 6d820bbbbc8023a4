"""The findings as tables: column names and rows of text, for a terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secagg.bench import findings
from secagg.bench.case import PLAINTEXT, Case
from secagg.bench.findings import LATENCY
from secagg.bench.record import Results, Row, merged


@dataclass(frozen=True, slots=True)
class Table:
    """A title, columns, rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, which are set to the right."""
        return all(row[column][:1].isdigit() or row[column][:1] in {"", "+", "-", "≤"} for row in self.rows)


def tables(results: Results) -> list[Table]:
    """Everything that was found, most asked first; empty tables are left out."""
    found = [
        cost_table(results),
        row_table(results.rows),
        growth_table(results),
        link_table(results),
        limit_table(results),
        failed_table(results),
    ]
    return [table for table in found if table.rows]


def cost_table(results: Results) -> Table:
    """A line for each case."""
    times = ("client ms", "× plain", "servers ms", "× plain", "round ms", "× plain", "±")
    columns = ("clients", "values", "gone", "protocol", *times, "B up/value", "client memory", "server memory")
    rows = []
    for cost in findings.costs(results):
        case = cost.case
        rows.append(
            (
                str(case.clients),
                _power(case.values),
                f"{case.drop} %" if case.drop else "",
                name(case),
                _ms(cost.client),
                _times(cost.client_ratio, case),
                _ms(cost.server),
                _times(cost.server_ratio, case),
                _ms(cost.path),
                _times(cost.path_ratio, case),
                f"{50 * cost.spread:.0f} %",
                f"{cost.up_per_value:.3f}",
                _vectors(cost.peak_client),
                _vectors(cost.peak_server),
            )
        )
    note = (
        "Client: processor time of the median client, training excluded. Servers: the hub and, where there are any, aggregators or key"
        " holders, added up. Round: every party on a machine of its own, one phase after the other. Memory: in float32 vectors of the"
        f" update's length. ±: half the spread of {results.repeats} rounds. Plain: the same round in the clear over the same runtime."
    )
    return Table("What a round costs", columns, tuple(rows), note)


def row_table(rows: Sequence[Row]) -> Table:
    """Ours against limits, goals and peers."""
    columns = ("benchmark", "work", "ms", "against", "ms", "ratio", "goal", "")
    lines = [
        (
            row.benchmark,
            row.work,
            f"{row.milliseconds:.2f}",
            row.against,
            "" if row.limit is None else f"{row.limit:.2f}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.goal is None else f"≤ {row.goal:g}",
            {True: "met", False: "missed", None: ""}[row.met],
        )
        for row in rows
    ]
    return Table("Against limits, goals and peers", columns, tuple(lines))


def growth_table(results: Results) -> Table:
    """Exponents."""
    rows = [
        (line.protocol, line.what, line.against, line.at, f"{line.exponent:+.2f}", f"{line.points[0][0]:g} … {line.points[-1][0]:g}")
        for line in findings.growths(results)
    ]
    note = "An exponent of 0 is flat, of 1 linear; fixed costs flatten it where the work is small."
    return Table("How costs grow", ("protocol", "what", "against", "at", "exponent", "from … to"), tuple(rows), note)


def link_table(results: Results) -> Table:
    """Estimates for slower links."""
    columns = ("clients", "values", "protocol", "legs", *(f"{rate / 1e6:g} Mbit/s" for rate in findings.LINKS))
    rows = []
    for line in findings.linked(results):
        cells = [f"{took:.2f} s{_beside(ratio, line.case)}" for took, ratio in zip(line.seconds, line.ratios, strict=True)]
        rows.append((str(line.case.clients), _power(line.case.values), name(line.case), str(line.legs), *cells))
    note = (
        "Estimated from measured bytes, messages and computation. Every party, the hub too, has such a link, and"
        f" {LATENCY * 1000:.0f} ms pass there and back; the model travels down as float32. In brackets: the ratio to the same round in the"
        " clear over the same link."
    )
    return Table("Over slower links", columns, tuple(rows), note)


def limit_table(results: Results) -> Table:
    """What the machine allows."""
    if not results.limits:
        return Table("", (), ())
    best = merged(results.limits)
    rows = (
        ("AES-256-CTR keystream", f"{best.keystream / 1e9:.2f} GB/s"),
        ("memory copy", f"{best.copy_rate / 1e9:.2f} GB/s"),
        ("TLS 1.3 socket on loopback", f"{best.tls / 1e6:.0f} MB/s"),
        ("X25519 agreements", f"{best.agreements:,.0f} /s"),
        ("Ed25519 verifications", f"{best.verifications:,.0f} /s"),
    )
    return Table("What this machine allows, one core", ("limit", "best of the run"), rows)


def failed_table(results: Results) -> Table:
    """Cases that could not run."""
    rows = [(str(one.case), one.failed) for one in results.cases if one.failed]
    return Table("Not measured", ("case", "why"), tuple(rows))


def change_table(before: Results, after: Results) -> Table:
    """Two files beside each other, the largest change first."""
    found = sorted(findings.changes(before, after), key=lambda change: abs(change.ratio - 1), reverse=True)
    rows = [(str(change.case), change.what, f"{change.before:.3f}", f"{change.after:.3f}", f"{change.ratio:.2f}") for change in found]
    return Table("Before and after", ("case", "what", "before", "after", "after / before"), tuple(rows))


def name(case: Case) -> str:
    """How a protocol is called in tables."""
    shown = "plaintext" if case.protocol == PLAINTEXT else case.protocol
    return f"{shown} + DP" if case.dp else shown


def _power(values: int) -> str:
    return f"{values:.0e}".replace("e+0", "e")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def _times(ratio: float | None, case: Case) -> str:
    return "" if ratio is None or case.protocol == PLAINTEXT else f"{ratio:.2f}"


def _beside(ratio: float | None, case: Case) -> str:
    shown = _times(ratio, case)
    return f" ({shown})" if shown else ""


def _vectors(vectors: float | None) -> str:
    return "" if vectors is None else f"{vectors:.1f}"
