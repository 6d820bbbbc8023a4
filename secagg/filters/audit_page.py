"""The audit report as one HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from secagg.filters.audit import Report

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "table{"
    "border-collapse:collapse;width:100%;margin:1rem 0}"
    "th,td{text-align:left;padding:.35rem .6rem;"
    "border-bottom:1px solid #d5dae0;vertical-align:top}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    "@media(prefers-color-scheme:dark){body{background:#14171b;color:#e6e9ed}}"
)


def render(report: Report) -> str:
    """The page; every text in it is escaped."""
    kept = report.captions - report.dropped - report.held
    summary = [
        ("Party", report.party or "not named"),
        ("Project", report.project or "not named"),
        ("Captions read", f"{report.captions:,}"),
        ("with a finding", f"{report.touched:,} ({_share(report.touched, report.captions)})"),
        ("kept, dropped, held for review", f"{kept:,}, {report.dropped:,}, {report.held:,}"),
        ("Findings that may be no personal value (estimate)", f"{report.over_redaction:.1%}"),
        ("Software", report.software),
        ("Rules", report.rules),
        ("Policy", report.policy),
    ]
    counts = [
        (row.entity, row.action, f"{row.findings:,}", f"{row.captions:,}", f"{row.distinct:,}", f"{row.doubtful:.1f}", _list(row.rules))
        for row in report.entities
    ]
    contexts = [(row.entity, context) for row in report.entities for context in row.contexts]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Audit of captions</title><style>{_STYLE}</style>'
        f"<h1>What the sanitiser did</h1>{_table(('', ''), summary)}<h2>By entity</h2>"
        + _table(("Entity", "Action", "Findings", "Captions", "Different values", "Doubtful", "Rules"), counts, numbers=range(2, 6))
        + "<h2>Contexts</h2><p>The value and every letter and digit around it are covered.</p>"
        + _table(("Entity", "Context"), contexts)
        + "</html>\n"
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], numbers: Iterable[int] = ()) -> str:
    numeric = set(numbers)

    def cells(tag: str, row: Iterable[str]) -> str:
        return "".join(f"<{tag}{' class=n' if place in numeric else ''}>{escape(cell)}</{tag}>" for place, cell in enumerate(row))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><tr>{cells('th', head)}</tr>{body}</table>"


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0 %"
