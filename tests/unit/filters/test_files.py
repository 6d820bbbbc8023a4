"""Files: whole or not at all, and resumed where they stopped."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.filters.captions import plain
from secagg.cli.app import app
from secagg.errors import ConfigError
from secagg.filters import Policy, Sanitizer, files
from secagg.filters.files import Job, sanitize_file
from secagg.filters.policy import Names

POLICY = Policy(names=Names(model=False))
ROWS = [{"id": str(number), "text": row.text} for number, row in enumerate(plain(9, 60))]


@pytest.fixture(params=["jsonl", "csv", "parquet"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"in.{request.param}"
    if request.param == "jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    elif request.param == "csv":
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, ["id", "text"])
            writer.writeheader()
            writer.writerows(ROWS)
    else:
        pa = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pa.Table.from_pylist(ROWS), path)
    return path


def read(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    rows: list[dict[str, str]] = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    return rows


@pytest.mark.slow
def test_every_row_arrives_sanitised_and_nothing_else_is_left(source: Path, rules: Sanitizer) -> None:
    target = source.with_name("out" + source.suffix)
    report = sanitize_file(Job(source, target), POLICY)
    assert read(target) == [{**row, "text": rules.apply(row["text"]).text} for row in ROWS]
    assert report.captions == len(ROWS)
    assert sorted(path.name for path in source.parent.iterdir()) == [source.name, target.name]


@pytest.mark.slow
@pytest.mark.parametrize("source", ["jsonl", "parquet"], indirect=True)
def test_several_processes_write_what_one_writes_in_the_same_order(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, several = (source.with_name(f"{name}{source.suffix}") for name in ("one", "several"))
    first = sanitize_file(Job(source, one), POLICY)
    second = sanitize_file(Job(source, several, workers=3), POLICY)
    assert one.read_bytes() == several.read_bytes() or read(one) == read(several)
    assert [(row.entity, row.findings, row.distinct, row.rules) for row in first.entities] == [
        (row.entity, row.findings, row.distinct, row.rules) for row in second.entities
    ]


def _die(rows: object) -> None:
    os._exit(9)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["jsonl"], indirect=True)
def test_a_worker_that_dies_ends_the_run_with_a_sentence_and_no_output(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_work", _die)
    target = source.with_name("out.jsonl")
    with pytest.raises(ConfigError, match="a worker process died"):
        sanitize_file(Job(source, target, workers=2), POLICY)
    assert not target.exists()
    monkeypatch.undo()
    sanitize_file(Job(source, target, workers=2), POLICY)
    assert len(read(target)) == len(ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["jsonl", "csv"], indirect=True)
def test_an_interrupted_run_goes_on_where_it_stopped(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, target = source.with_name("whole" + source.suffix), source.with_name("out" + source.suffix)
    expected = sanitize_file(Job(source, whole), POLICY)

    def stop(done: int, size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sanitize_file(Job(source, target), POLICY, stop)
    assert not target.exists()
    part = target.with_name(target.name + ".part")
    part.write_bytes(part.read_bytes() + b"half a li")
    read_again: list[int] = []
    original = files._sanitize_rows

    def counted(sanitizer, audit, column, rows):
        read_again.append(len(rows))
        return original(sanitizer, audit, column, rows)

    monkeypatch.setattr(files, "_sanitize_rows", counted)
    report = sanitize_file(Job(source, target), POLICY)
    assert target.read_bytes() == whole.read_bytes()
    assert sum(read_again) == len(ROWS) - files.BATCH
    assert (report.captions, report.touched) == (expected.captions, expected.touched)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": 1}\n', "byte 26"),
        ("a.jsonl", b'{"text": "13812345678"\n', "not JSON"),
        ("a.csv", b"id,words\n1,x\n", "no column 'text'"),
        ("a.csv", b"id,text\n1\n", "1 cells"),
        ("a.parquet", b"PAR0", "not a Parquet"),
        ("a.txt", b"x", "end in"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_without_its_text(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        sanitize_file(Job(tmp_path / name, (tmp_path / ("out" + name[1:]))), POLICY)
    assert "13812345678" not in str(caught.value)
    assert not (tmp_path / ("out" + name[1:])).exists()


def test_the_command_writes_the_file_and_the_report(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "来电13812345678"}) + "\n", encoding="utf-8")
    (tmp_path / "p.toml").write_text("[names]\nmodel = false\n", encoding="utf-8")
    words = ["sanitize", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"), "--policy", str(tmp_path / "p.toml")]
    done = CliRunner().invoke(app, [*words, "--report", str(tmp_path / "r.html")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8")) == {"text": "来电[PHONE]"}
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "PHONE" in page
    assert "13812345678" not in page + done.output


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["sanitize", str(tmp_path / "none.jsonl"), str(tmp_path / "out.jsonl")]).exit_code == 2
    assert "secagg-audit/1" in CliRunner().invoke(app, ["sanitize", "--schema"]).output
