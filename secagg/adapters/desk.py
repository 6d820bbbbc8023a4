"""A party's identity and ledger, open from one message to the next where a stack keeps its process.

Reading keys and opening a ledger take longer than a short message's answer. They are read again when a file of the identity changes.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.runtime.home import LEDGER, Home

_FILES = ("roster.pin", "roster.signed", "keys")
_OPEN = 64
"""Parties of one process that are kept open: each holds a few file handles."""


def desk(folder: Path | str) -> tuple[Identity, Ledger]:
    """The party whose identity folder this is. Do not close the ledger. Raises as `Identity.load`."""
    stamps = tuple(_stamp(Path(folder) / name) for name in _FILES)
    record = _stamp(Path(folder) / "state" / LEDGER)[
        1
    ]  # it changes with each use, but a ledger that was put away is not the one that is open
    return _open(str(folder), os.getpid(), (*stamps, (0, record)))


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0  # what is missing is said by whoever reads it
    return found.st_mtime_ns, found.st_ino


@lru_cache(maxsize=_OPEN)
def _open(folder: str, _process: int, _stamps: tuple[tuple[int, int], ...]) -> tuple[Identity, Ledger]:
    """By process: a forked child opens its own."""
    me = Identity.load(folder)
    return me, Home.of(me, None).ledger(None)
