"""Captions in files: JSONL, CSV and Parquet, a batch at a time, in several processes, never half-written.

The output is written beside its place under the name `….part` and moved there when it is whole. JSONL and CSV go on where an interrupted
run stopped: after every batch the part file is flushed and `….part.state` says how far both files go. Parquet files have their index at
the end and start anew. Memory is a few batches, however long the file; a line is at most 16 MiB.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from secagg.errors import ConfigError
from secagg.filters.audit import Audit, Report
from secagg.filters.policy import Policy
from secagg.filters.sanitizer import Sanitizer

BATCH = 500
LINE_LIMIT = 1 << 24
Progress = Callable[[int, int], None]
"""Bytes (or rows of Parquet) done, and of how many."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """One file to sanitise. `column` holds the text; other columns pass as they are."""

    source: Path
    target: Path
    column: str = "text"
    workers: int = 1


def sanitize_file(job: Job, policy: Policy, progress: Progress = lambda _done, _whole: None) -> Report:
    """Sanitise a file into another. Rows that the policy drops or holds are left out.

    Raises:
        ConfigError: a file, line or column that cannot be read; names it. The output is not touched; the next run goes on from there.
    """
    kind = job.source.suffix.lower()
    if kind not in {".jsonl", ".csv", ".parquet"}:
        raise ConfigError(f"{job.source}: files end in .jsonl, .csv or .parquet")
    if job.target.suffix.lower() != kind:
        raise ConfigError(f"{job.target}: the output has the format of the input, {kind}")
    if not job.source.is_file():
        raise ConfigError(f"{job.source}: no such file")
    if job.target.resolve() == job.source.resolve():
        raise ConfigError(f"{job.target}: the output would replace the input; name another file")
    if kind == ".parquet":
        from secagg.filters.parquet import sanitize_parquet

        return sanitize_parquet(job, policy, progress)
    return _sanitize_lines(job, policy, progress, kind)


class Workers:
    """Sanitises batches of rows in order, in this process or in several."""

    def __init__(self, job: Job, policy: Policy, salt: bytes) -> None:
        self.audit, self._job = Audit(policy, salt=salt), job
        self._sanitizer = Sanitizer(policy)
        self._pool: ProcessPoolExecutor | None = None
        if job.workers > 1:
            context, setting = multiprocessing.get_context("spawn"), (policy, job.column, salt)
            self._pool = ProcessPoolExecutor(job.workers, mp_context=context, initializer=_prepare, initargs=setting)

    def run(self, batches: Iterator[tuple[Rows, Any]]) -> Iterator[tuple[Rows, Any]]:
        """Kept rows of each batch, in order, with the mark that came with it."""
        if self._pool is None:
            for rows, mark in batches:
                yield _sanitize_rows(self._sanitizer, self.audit, self._job.column, rows), mark
            return
        waiting: deque[tuple[Future[tuple[Rows, dict[str, Any]]], Any]] = deque()
        try:
            for rows, mark in batches:
                waiting.append((self._pool.submit(_work, rows), mark))
                if len(waiting) > 2 * self._job.workers:
                    yield self._take(*waiting.popleft())
            while waiting:
                yield self._take(*waiting.popleft())
        except BrokenProcessPool:
            raise ConfigError(
                f"{self._job.source}: a worker process died, as when memory runs out: use fewer --workers; nothing was lost"
            ) from None

    def _take(self, result: Future[tuple[Rows, dict[str, Any]]], mark: Any) -> tuple[Rows, Any]:  # noqa: ANN401  # the caller's mark
        rows, counts = result.result()
        self.audit.merge(counts)
        return rows, mark

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


_worker: dict[str, Any] = {}


def _prepare(policy: Policy, column: str, salt: bytes) -> None:
    _worker.update(sanitizer=Sanitizer(policy), policy=policy, column=column, salt=salt)


def _work(rows: Rows) -> tuple[Rows, dict[str, Any]]:
    audit = Audit(_worker["policy"], salt=_worker["salt"])
    return _sanitize_rows(_worker["sanitizer"], audit, _worker["column"], rows), audit.state()


def _sanitize_rows(sanitizer: Sanitizer, audit: Audit, column: str, rows: Rows) -> Rows:
    kept = []
    for row in rows:
        text = row[column]
        done = sanitizer.apply(text)
        audit.add(text, done)
        if done.outcome == "kept":
            kept.append({**row, column: done.text})
    return kept


def _sanitize_lines(job: Job, policy: Policy, progress: Progress, kind: str) -> Report:
    part, state_path = job.target.with_name(job.target.name + ".part"), job.target.with_name(job.target.name + ".part.state")
    size = job.source.stat().st_size
    identity = _identity(job, policy, size)
    state = _load_state(state_path, part, identity) or {
        "identity": identity,
        "read": 0,
        "written": 0,
        "salt": os.urandom(32).hex(),
        "audit": None,
    }
    workers = Workers(job, policy, bytes.fromhex(state["salt"]))
    if state["audit"] is not None:
        workers.audit.restore(state["audit"])
    try:
        with job.source.open("rb") as source, _opened(part, state["written"]) as out:
            reader = _jsonl(source, state["read"], job) if kind == ".jsonl" else _csv(source, state["read"], job)
            for rows, mark in workers.run(reader):
                out.write(_written(rows, kind, mark["columns"] if kind == ".csv" else [], head=kind == ".csv" and out.tell() == 0))
                out.flush()
                state |= {"read": mark["read"], "written": out.tell(), "audit": workers.audit.state()}
                _save_state(state_path, state)
                progress(mark["read"], size)
            os.fsync(out.fileno())
    finally:
        workers.close()
    part.replace(job.target)
    state_path.unlink(missing_ok=True)
    return workers.audit.report()


def _opened(part: Path, written: int) -> IO[bytes]:
    """The part file, cut to what is known to be whole. New files are for the owner alone."""
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
    out = os.fdopen(descriptor, "r+b")
    out.truncate(written)
    out.seek(written)
    return out


def _identity(job: Job, policy: Policy, size: int) -> str:
    """A state of another input, column or policy is not gone on from."""
    stamp = f"{job.source.resolve()}|{size}|{job.source.stat().st_mtime_ns}|{job.column}|{policy.model_dump_json()}"
    return hashlib.sha256(stamp.encode()).hexdigest()


def _load_state(path: Path, part: Path, identity: str) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = part.is_file() and state.get("identity") == identity and part.stat().st_size >= state["written"]
    return state if whole else None


def _save_state(path: Path, state: dict[str, Any]) -> None:
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(state, file)
    new.replace(path)


def _jsonl(source: IO[bytes], start: int, job: Job) -> Iterator[tuple[Rows, dict[str, Any]]]:
    source.seek(start)
    rows: Rows = []
    while line := source.readline(LINE_LIMIT + 1):
        where = f"{job.source}, line ending at byte {source.tell()}"
        if len(line) > LINE_LIMIT:
            raise ConfigError(f"{where}: longer than {LINE_LIMIT} bytes")
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise ConfigError(f"{where}: not JSON in UTF-8") from None  # the error of json quotes the line
        if not isinstance(row, dict) or not isinstance(row.get(job.column), str):
            raise ConfigError(f"{where}: no text in {job.column!r}; name the column that holds it with --column")
        rows.append(row)
        if len(rows) == BATCH:
            yield rows, {"read": source.tell()}
            rows = []
    if rows:
        yield rows, {"read": source.tell()}


def _csv(source: IO[bytes], start: int, job: Job) -> Iterator[tuple[Rows, dict[str, Any]]]:
    columns = next(csv.reader([_record(source, job)]), [])
    columns[:1] = [column.lstrip("\ufeff") for column in columns[:1]]
    if job.column not in columns:
        raise ConfigError(f"{job.source}: no column {job.column!r} among {', '.join(columns)}; name the column with --column")
    mark = {"columns": columns}
    if start:
        source.seek(start)
    rows: Rows = []
    while record := _record(source, job):
        cells = next(csv.reader(io.StringIO(record, newline="")), [])
        if not cells:
            continue
        if len(cells) != len(columns):
            raise ConfigError(f"{job.source}, record ending at byte {source.tell()}: {len(cells)} cells, the header has {len(columns)}")
        rows.append(dict(zip(columns, cells, strict=True)))
        if len(rows) == BATCH:
            yield rows, {"read": source.tell(), **mark}
            rows = []
    if rows or not start:
        yield rows, {"read": source.tell(), **mark}


def _record(source: IO[bytes], job: Job) -> str:
    """One CSV record: lines until the quotes are even. "" at the end of the file."""
    record = b""
    while line := source.readline(LINE_LIMIT + 1):
        record += line
        if len(record) > LINE_LIMIT:
            raise ConfigError(
                f"{job.source}, record ending at byte {source.tell()}: longer than {LINE_LIMIT} bytes, or a quote is not closed"
            )
        if record.count(b'"') % 2 == 0:
            break
    try:
        return record.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{job.source}, record ending at byte {source.tell()}: not UTF-8") from None  # the error quotes the record


def _written(rows: Rows, kind: str, columns: list[str], *, head: bool) -> bytes:
    if kind == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "surrogatepass")
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    if head:
        writer.writerow(columns)
    writer.writerows([row[column] for column in columns] for row in rows)
    return out.getvalue().encode()
