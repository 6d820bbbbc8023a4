"""One party runs once: a folder with a ledger is used by one process at a time.

Started twice, a party would take the connection from itself again and again, and the second of its reports would be refused as a slot
used twice. The lock ends with its process, however that ends, and children of the process do not inherit it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from pathlib import Path

from secagg.errors import ConfigError

log = logging.getLogger("secagg.runtime")
_guard = threading.Lock()
_held: dict[Path, tuple[int, int]] = {}
"""Descriptor and number of claims by file. The system drops a process's lock when it closes any descriptor of the file: there is one."""


class Claim:
    """This process's right to `folder` until `release`; claims of one process do not exclude each other."""

    def __init__(self, folder: Path) -> None:
        self._file, self._released = (folder / "in-use").resolve(), False
        with _guard:
            descriptor, count = _held.get(self._file, (-1, 0))
            if count == 0:
                descriptor = _lock(self._file)
            _held[self._file] = descriptor, count + 1

    def release(self) -> None:
        """Let another process use the folder. Safe to call twice."""
        with _guard:
            if self._released:
                return
            self._released = True
            descriptor, count = _held.pop(self._file)
            if count > 1:
                _held[self._file] = descriptor, count - 1
            elif descriptor >= 0:
                os.close(descriptor)


def _lock(file: Path) -> int:
    """The descriptor that holds the lock; -1 where the file system has no locks."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as refused:
        raise ConfigError(f"cannot write {file}: {refused.strerror}. Give this party a state folder it may write to") from refused
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as taken:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise ConfigError(
            f"{file.parent} is in use by process {holder}: a party runs once at a time. End that process first, or give this one an"
            " identity and a state folder of its own"
        ) from taken
    except OSError as without:
        os.close(descriptor)
        log.warning("%s cannot be locked (%s): see to it that this party runs once at a time", file.parent, without.strerror)
        return -1
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        log.debug("the number of this process does not fit on the disk; the lock holds without it")
    return descriptor
