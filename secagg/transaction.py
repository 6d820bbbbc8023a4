"""One exclusive transaction of a SQLite file: all of it is written, or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def exclusive(database: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK if anything was refused. No other process writes meanwhile.

    Raises:
        sqlite3.Error: the file is held by another, or the disk did not take it; nothing was written.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a commit that failed may have ended the transaction already
            database.execute("ROLLBACK")
        raise
