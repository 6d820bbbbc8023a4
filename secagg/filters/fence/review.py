"""The review log: when which rule found something, with a keyed hash in place of what was found.

One JSON object a line. The hash is HMAC-SHA-256 over what the fence saw (so two spellings of a phrase have one hash), cut to 16
digits: a reviewer sees that the same thing came up again. Without the key it cannot be looked up in a list of guesses.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from secagg.errors import ConfigError
from secagg.filters.fence import alphabet
from secagg.filters.fence.fence import Hit

_KEY_BYTES = 32


class ReviewLog:
    """Appends to `path`; for the owner alone.

    Args:
        path: the log.
        key: the salt of the hashes: 32 secret bytes; `read_key` keeps them in a file.
        clock: seconds since 1970.

    Raises:
        ConfigError: a short key, or a log that cannot be opened.
    """

    def __init__(self, path: Path | str, key: bytes, *, clock: Callable[[], float] = time.time) -> None:
        if len(key) < _KEY_BYTES:
            raise ConfigError(f"the key of a review log has {len(key)} bytes: use {_KEY_BYTES} random ones")
        self._key, self._clock = key, clock
        self._alphabet = alphabet.robust()
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(f"review log {path}: {error}") from error

    def write(self, hit: Hit, said: str) -> None:
        """One line, in one write."""
        seen = said.translate(self._alphabet).encode("utf-8", "surrogatepass")
        line = {
            "time": round(self._clock(), 3),
            "rule": hit.rule,
            "start": hit.start,
            "characters": hit.end - hit.start,
            "hash": hmac.new(self._key, seen, "sha256").hexdigest()[:16],
        }
        os.write(self._file, json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_key(path: Path | str) -> bytes:
    """The key in a file; drawn and written, for the owner alone, if there is none.

    Raises:
        ConfigError: a file that cannot be read or written, or holds no key.
    """
    path = Path(path)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError(f"key {path}: {error}") from error
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise ConfigError(f"key {path}: {error}") from error
    if len(key) != _KEY_BYTES:
        raise ConfigError(f"key {path}: {len(key)} bytes, {_KEY_BYTES} are needed")
    return key
