"""`secagg sanitize`: a file of captions in, the same without personal values out, and a report of what was done."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from secagg.cli.output import begin
from secagg.errors import ConfigError


def sanitize(
    source: Annotated[Path | None, typer.Argument(help="JSONL, CSV or Parquet.")] = None,
    target: Annotated[Path | None, typer.Argument(help="The output, in the same format. It appears when it is whole.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Policy file; without one, everything found is redacted.")] = None,
    column: Annotated[str, typer.Option(help="The column, or JSON key, that holds the text.")] = "text",
    report: Annotated[Path | None, typer.Option(help="Audit report: .html or .json.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 1,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of the report, and do nothing else.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Find personal values in captions, Chinese and English, and redact, mask or replace them as a policy says."""
    out = begin(as_json)
    from secagg.filters.audit import Report
    from secagg.filters.audit_page import render
    from secagg.filters.files import Job, sanitize_file
    from secagg.filters.policy import Policy, read_policy

    if schema:
        typer.echo(json.dumps(Report.model_json_schema(), indent=1))
        return
    if source is None or target is None:
        raise ConfigError("name a file to read and a file to write: secagg sanitize captions.jsonl clean.jsonl")
    if report is not None and report.suffix not in {".html", ".json"}:
        raise ConfigError(f"--report {report}: a report ends in .html or .json")
    now = {"text": ""}

    def advance(done: int, whole: int) -> None:
        now["text"] = f"{done / whole:.0%}" if whole else ""

    with out.progress(f"sanitising {source.name}", lambda: now["text"]):
        made = sanitize_file(Job(source, target, column, workers), read_policy(policy) if policy else Policy(), advance)
    if report is not None:
        page = render(made) if report.suffix == ".html" else made.model_dump_json(indent=1)
        _write(report, page)
    rows = [(row.entity, row.action, row.findings, row.captions, f"{row.doubtful:.1f}") for row in made.entities]
    out.table(f"{target}", ["entity", "action", "findings", "captions", "doubtful"], rows)
    out.say(f"{made.captions} captions, {made.touched} with a finding, {made.dropped} dropped, {made.held} held for review")
    out.record(made.model_dump())


def _write(path: Path, text: str) -> None:
    """The report, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)  # noqa: PTH105  # beside the write, to be read as one step
