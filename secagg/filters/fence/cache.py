"""What is worked out once for a vocabulary, on disk: nothing about what is blocked.

A file holds arrays (safetensors: a header and bytes, no code), is named by the digest of everything it was made from, and carries the
digest of its content. It is written beside its place and renamed, so that it is there whole or not at all; one that does not match its
digest is made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import unicodedata
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from secagg.errors import ConfigError

log = logging.getLogger(__name__)

Arrays = dict[str, npt.NDArray[np.generic]]
_FORMAT = "secagg-fence-2"
_TABLES = ("tables/confusables.txt", "tables/drawn.txt", "tables/simplified.txt")
_RULES = ("canonical.py", "fence/alphabet.py", "fence/said.py", "fence/rows.py", "fence/tokens.py", *_TABLES)
_DIGEST = 32


def default_folder() -> Path:
    """`$SECAGG_CACHE/fence`, or `fence` in the user's cache folder."""
    root = os.environ.get("SECAGG_CACHE")
    if root:
        return Path(root) / "fence"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "secagg" / "fence"


def key(*parts: bytes) -> str:
    """The name of what is made from `parts` by these rules: the code that says what a character is, its tables, and Python's Unicode."""
    digest = hashlib.sha256()
    rules = [resources.files("secagg.filters").joinpath(name).read_bytes() for name in _RULES]
    for part in (_FORMAT.encode(), unicodedata.unidata_version.encode(), *rules, *parts):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:40]


def read(folder: Path, name: str) -> Arrays | None:
    """The arrays kept under `name`, or None: not there, or damaged (which is logged)."""
    path = folder / f"{name}.fence"
    try:
        kept = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cache {path}: {error}") from error
    if hashlib.sha256(kept[_DIGEST:]).digest() != kept[:_DIGEST]:
        log.warning("cache %s is damaged: it is made again", path)
        return None
    try:
        return load(kept[_DIGEST:])
    except (SafetensorError, ValueError) as error:
        log.warning("cache %s cannot be read (%s): it is made again", path, type(error).__name__)
        return None


def write(folder: Path, name: str, arrays: Arrays) -> Path:
    """Keep `arrays` under `name`. Raises ConfigError: the folder cannot be written."""
    content = save(arrays)
    path = folder / f"{name}.fence"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name[:8]}-", delete=False) as file:
            try:
                file.write(hashlib.sha256(content).digest() + content)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ConfigError(f"cache {path}: {error}") from error
    return path


def packed(strings: Sequence[bytes | None]) -> Arrays:
    """Byte strings, some of them missing, as two arrays."""
    lengths = np.fromiter((-1 if string is None else len(string) for string in strings), np.int32, len(strings))
    return {"lengths": lengths, "bytes": np.frombuffer(b"".join(string or b"" for string in strings), np.uint8)}


def unpacked(arrays: Arrays) -> list[bytes | None]:
    """The strings of `packed`."""
    content, lengths = arrays["bytes"].tobytes(), arrays["lengths"]
    ends = np.cumsum(np.maximum(lengths, 0)).tolist()
    strings = [content[first:last] for first, last in zip([0, *ends], ends, strict=False)]
    return [None if length < 0 else string for string, length in zip(strings, lengths.tolist(), strict=True)]


def fingerprint(tokens: Iterable[bytes | None], silent: Iterable[int]) -> bytes:
    """What tokens say, and which of them count as saying nothing."""
    digest = hashlib.sha256(json.dumps(sorted(silent)).encode())
    for said in tokens:
        digest.update(b"-" if said is None else b"+%d:%b" % (len(said), said))
    return digest.digest()
