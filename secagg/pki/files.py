"""Private and public files: nothing is overwritten by accident, nothing private is readable by others, nothing is half written."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from secagg.errors import ConfigError

PRIVATE_FILE, PRIVATE_FOLDER, PUBLIC_FILE = 0o600, 0o700, 0o644
_READ_LIMIT = 16 << 20
_PRIVATE_LIMIT = 64 << 10


def write_private(path: Path, data: bytes) -> None:
    """Create `path`, mode 0600 from its first byte, whole or not at all. Raises ConfigError if it exists: no key is overwritten."""
    partial = _partial(path)
    try:
        _create(partial, data, PRIVATE_FILE)
        os.link(partial, path)  # unlike rename, link never replaces what another process has put there meanwhile
    except FileExistsError as refused:
        raise ConfigError(f"{path} exists and is not overwritten: move it away first if it is really to be replaced") from refused
    except OSError as refused:
        raise ConfigError(f"cannot write {path}: {refused.strerror}") from refused
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_public(path: Path, data: bytes) -> None:
    """Replace `path` in one step: a reader sees the old bytes or the new ones."""
    partial = _partial(path)
    try:
        _create(partial, data, PUBLIC_FILE)
        partial.replace(path)
    except OSError as refused:
        raise ConfigError(f"cannot write {path}: {refused.strerror}") from refused
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def read_private(path: Path, what: str) -> bytes:
    """The bytes of a private file. Raises ConfigError if it is missing, or if others may read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as refused:
        raise ConfigError(f"cannot read {what} {path}: {refused.strerror}") from refused
    with os.fdopen(descriptor, "rb") as file:
        # The mode is asked of the open file, not of the name, so the file cannot be exchanged between check and use.
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if os.name == "posix" and mode & 0o077:
            raise ConfigError(f"{what} {path} has mode {mode:04o}, so others can read it: run `chmod 600 {path}`, or make new keys")
        return file.read(_PRIVATE_LIMIT)


def read_public(path: Path, what: str) -> bytes:
    """The bytes of a public file. Raises ConfigError if it is missing or too large to be what it is taken for."""
    try:
        if path.stat().st_size > _READ_LIMIT:
            raise ConfigError(f"{path} is too large to be {what}")
        return path.read_bytes()
    except OSError as refused:
        raise ConfigError(f"cannot read {what} {path}: {refused.strerror}") from refused


def make_folder(path: Path, mode: int = PUBLIC_FILE | 0o111) -> None:
    """Make a folder and its parents unless it is there."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as refused:
        raise ConfigError(f"cannot make the folder {path}: {refused.strerror}") from refused


@contextlib.contextmanager
def new_private_folder(path: Path, *, refusal: str) -> Iterator[Path]:
    """A folder, mode 0700, that appears at `path` once everything is in it. Raises ConfigError with `refusal` if `path` holds anything.

    Yields the folder to fill; if filling fails, nothing stays behind.
    """
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise ConfigError(f"{path} {refusal}")
    partial = _partial(path)
    try:
        partial.mkdir(mode=PRIVATE_FOLDER)
        yield partial
        _sync_folder(partial)
        partial.rename(path)  # onto a folder that is not empty this fails, so two runs at once cannot replace each other's keys
    except OSError as refused:
        raise ConfigError(f"cannot write {path}: {refused.strerror}") from refused
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _sync_folder(path.parent)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")


def _create(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)  # whatever the umask says
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system lets a folder be synced
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
