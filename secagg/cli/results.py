"""What rounds leave on disk: receipts, means and the current model, each file whole or absent.

| file                          | is                                                                                  |
|-------------------------------|-------------------------------------------------------------------------------------|
| `round-0001.receipt`          | the signed receipt of round 1: `secagg receipt verify` checks it                      |
| `round-0001-mean.safetensors` | the mean change that round 1 opened (hub only)                                       |
| `model.safetensors`           | the model after the newest round; its metadata say of which task and round           |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secagg.cli import tensors
from secagg.cli.tensors import State
from secagg.errors import ConfigError
from secagg.pki.files import make_folder, write_public
from secagg.receipt import Receipt

MODEL = "model.safetensors"


class ResultFolder:
    """One party's results of one task."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder)

    def keep_receipt(self, receipt: Receipt) -> Path:
        """Write one receipt."""
        path = self.folder / f"round-{receipt.round.description.round:04d}.receipt"
        write_public(path, receipt.to_bytes())
        return path

    def keep_mean(self, number: int, task: str, mean: Mapping[str, Any]) -> Path:
        """Write the mean of one round."""
        path = self.folder / f"round-{number:04d}-mean.safetensors"
        tensors.write(path, mean, {"task": task, "round": str(number)})
        return path

    def keep_model(self, number: int, task: str, model: Mapping[str, Any]) -> Path:
        """Replace the current model."""
        path = self.folder / MODEL
        tensors.write(path, model, {"task": task, "round": str(number)})
        return path

    def newest(self, task: str, first: State) -> tuple[int, State]:
        """The number of the last round whose model is here and that model; (0, `first`) before round 1.

        Raises:
            ConfigError: the folder holds the model of another task, or one that does not fit `first`.
        """
        path = self.folder / MODEL
        if not path.exists():
            return 0, first
        try:
            notes, model = tensors.read_notes(path), tensors.read(path)
        except ConfigError as refused:
            raise ConfigError(f"{refused}. Moved away, the hub goes on from the model that its state folder holds") from refused
        if notes.get("task") != task or not notes.get("round", "").isdigit():
            raise ConfigError(f"{path} is of task {notes.get('task')!r}, not {task!r}: give each task a [results] folder of its own")
        if {name: values.shape for name, values in model.items()} != {name: values.shape for name, values in first.items()}:
            raise ConfigError(f"{path} has other tensors than the first model: give the task another name and [results] folder")
        return int(notes["round"]), model
