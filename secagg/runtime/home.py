"""Where a party keeps what must survive a restart: its folder, its ledger, its spool."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secagg.encode.layout import Layout
from secagg.errors import ConfigError, SecAggError
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.payload import Blob
from secagg.receipt import result_digest
from secagg.runtime.claim import Claim
from secagg.runtime.limits import Limits
from secagg.runtime.model import Model, float_bytes
from secagg.runtime.spool import Spool

LEDGER = "ledger.sqlite"
DIGEST = 32


@dataclass(frozen=True, slots=True)
class Home:
    """A party's folder on disk; None for an identity that lives in memory."""

    folder: Path | None

    @classmethod
    def of(cls, me: Identity, state: Path | None) -> Home:
        """`state`, or the folder `state` beside the identity's files. Raises ConfigError if it cannot be made."""
        folder = state if state is not None else (me.folder / "state" if me.folder is not None else None)
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as refused:
                raise ConfigError(f"cannot make the folder {folder} for the ledger of {me.party}: {refused.strerror}") from refused
        return cls(folder)

    def ledger(self, given: Ledger | None) -> Ledger:
        """The ledger given, or the one in the folder."""
        if given is not None:
            return given
        return Ledger(self.folder / LEDGER) if self.folder is not None else Ledger()

    def spool(self, limits: Limits) -> Spool:
        """Room for payloads, in the folder, which is this process's own until the room is closed.

        Raises ConfigError if another process uses the folder.
        """
        claim = Claim(self.folder) if self.folder is not None else None
        return Spool(self.folder, spool_from=limits.spool_from, claim=claim)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task has come: the round to run next, and the model versions that still count, newest first."""

    round: int
    versions: tuple[tuple[int, bytes], ...]
    model: Model


class Record:
    """The coordinator's record of one task: its progress, and the signed description of an attempt that is open.

    So is what a round has opened, until it is in a published model. All are public to the parties of the task. Each is replaced in one
    step and synced, so a reader finds the old or the new.
    """

    def __init__(self, home: Home, task: str) -> None:
        # A task's name may hold any character; a file's may not.
        name = hashlib.sha256(task.encode()).hexdigest()[:16]
        self._task = task
        self._base = None if home.folder is None else home.folder / f"task-{name}"

    def save(self, progress: Progress) -> None:
        """Record the progress; no attempt is open. The model is written only when it is a new one."""
        if self._base is None:
            return
        newest = progress.versions[0][0]
        model = self._model(self._base, newest)
        if not model.exists():
            _replace(model, progress.model.to_bytes())
        versions = [[version, digest.hex()] for version, digest in progress.versions]
        head = {"task": self._task, "round": progress.round, "versions": versions}
        _replace(self._base.with_suffix(".json"), json.dumps(head).encode())
        self._base.with_suffix(".open").unlink(missing_ok=True)
        for old in self._base.parent.glob(f"{self._base.name}-*.model"):
            if old != model:
                old.unlink(missing_ok=True)

    def keep_mean(self, round: int, mean: NDArray[np.float32], digest: bytes) -> None:
        """Record what a round has opened, before anybody hears of it, until a model that was made with it is published.

        The round does not wait for the disk: the file outlives the process, and after a power cut its digest says whether it is whole.
        """
        if self._base is not None:
            _replace(self._mean(self._base, round), digest, float_bytes(mean), sync=False)

    def drop_means(self, *, but: int = 0) -> None:
        """Forget what rounds have opened, of round `but` excepted."""
        if self._base is not None:
            for old in self._base.parent.glob(f"{self._base.name}-*.mean"):
                if old != self._mean(self._base, but):
                    old.unlink(missing_ok=True)

    def mean(self, round: int) -> NDArray[np.float32] | None:
        """What `round` has opened, if no model has been published since. Raises ConfigError if the file is damaged."""
        if self._base is None or not (path := self._mean(self._base, round)).exists():
            return None
        kept = path.read_bytes()
        digest, values = kept[:DIGEST], kept[DIGEST:]
        if len(values) % 4 or result_digest(values) != digest:
            raise ConfigError(f"{path} is damaged: move it away to go on without the mean of round {round}")
        return np.frombuffer(values, "<f4")

    @staticmethod
    def _mean(base: Path, round: int) -> Path:
        return base.with_name(f"{base.name}-{round}.mean")

    def open(self, signed: bytes) -> None:
        """Record the attempt that is about to begin."""
        if self._base is not None:
            _replace(self._base.with_suffix(".open"), signed)

    def load(self, layout: Layout) -> Progress | None:
        """The progress recorded before a restart. Raises ConfigError if it is of another layout or damaged."""
        if self._base is None or not self._base.with_suffix(".json").exists():
            return None
        path = self._base.with_suffix(".json")
        try:
            head = json.loads(path.read_bytes())
            versions = tuple((int(version), bytes.fromhex(digest)) for version, digest in head["versions"])
            model = Model.parse(Blob(self._model(self._base, versions[0][0]).read_bytes()), limit=layout.size)
            number = int(head["round"])
        except (SecAggError, OSError, ValueError, KeyError, TypeError, IndexError) as refused:
            raise ConfigError(f"{path} is damaged or of another model: give the task another name, or move the file away") from refused
        if model.layout.digest != layout.digest or model.digest != versions[0][1]:
            raise ConfigError(f"{path} holds this task with other tensors: give the task another name, or move the file away")
        return Progress(number, versions, model)

    @staticmethod
    def _model(base: Path, version: int) -> Path:
        return base.with_name(f"{base.name}-{version}.model")

    def interrupted(self) -> bytes | None:
        """The signed description of the attempt that was open when the process died."""
        if self._base is None or not self._base.with_suffix(".open").exists():
            return None
        return self._base.with_suffix(".open").read_bytes()


_PIECE = 1 << 18
"""Bytes of one write. Linux now and then takes ten times as long, 40 ms for 16 MB, for a file that is written in one go."""


def _replace(path: Path, *parts: bytes | memoryview, sync: bool = True) -> None:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                for start in range(0, len(part), _PIECE):
                    file.write(part[start : start + _PIECE])
            file.flush()
            if sync:
                os.fsync(file.fileno())
        partial.replace(path)
    except OSError as refused:
        raise ConfigError(f"cannot write {path}: {refused.strerror}") from refused
    finally:
        partial.unlink(missing_ok=True)
