"""Parquet files through pyarrow: a batch of rows at a time, other columns as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from secagg.errors import ConfigError
from secagg.filters.audit import Report
from secagg.filters.files import BATCH, Job, Progress, Rows, Workers
from secagg.filters.policy import Policy


def sanitize_parquet(job: Job, policy: Policy, progress: Progress) -> Report:
    """As `files.sanitize_file`; an interrupted run starts anew. Raises ConfigError."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigError("Parquet files need pyarrow: pip install 'secagg[filters]'") from error
    part = job.target.with_name(job.target.name + ".part")
    try:
        file = pq.ParquetFile(job.source)
    except (pa.ArrowInvalid, OSError):
        raise ConfigError(f"{job.source}: not a Parquet file") from None
    schema, whole = file.schema_arrow, file.metadata.num_rows
    if job.column not in schema.names or not pa.types.is_string(schema.field(job.column).type):
        raise ConfigError(f"{job.source}: no text column {job.column!r} among {', '.join(schema.names)}; name the column with --column")
    workers = Workers(job, policy, os.urandom(32))
    done = 0
    try:
        with pq.ParquetWriter(part, schema) as writer:
            for rows, count in workers.run(_batches(file, job)):
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                done += count
                progress(done, whole)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        workers.close()
    part.replace(job.target)
    return workers.audit.report()


def _batches(file: Any, job: Job) -> Iterator[tuple[Rows, int]]:  # noqa: ANN401  # pyarrow has no types
    for batch in file.iter_batches(batch_size=BATCH):
        rows: Rows = batch.to_pylist()
        if any(row[job.column] is None for row in rows):
            raise ConfigError(f"{job.source}: {job.column!r} is null in a row; fill it, or filter the row out")
        yield rows, len(rows)
