"""The adapter to disk, and back to see that it is there."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from secagg.errors import ConfigError
from secagg.lora.state import adapter_state, aliases, live_tensors, unwrap


def save_adapter(model: nn.Module, folder: Path | str) -> None:
    """Write the adapter of `model` as peft does, so that `PeftModel.from_pretrained` reads it, from inside any wrappers.

    peft asked to save a model that Opacus wraps finds no tensor under the names that it expects, and writes an empty file without a word.

    Guarantees:
        `folder` holds all of the adapter, read back and equal to what is in the model; or it is as it was.

    Raises:
        ConfigError: no adapter, a file that does not read back, or a folder that cannot be written or is there already.
    """
    folder, inner = Path(folder), unwrap(model)
    if folder.exists():
        raise ConfigError(f"{folder} is there already: name a new folder, so that no adapter is lost")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
            made = Path(work) / "adapter"
            inner.save_pretrained(str(made), save_embedding_layers=False)  # type: ignore[operator]  # peft's method
            _check(inner, made / "adapter_model.safetensors")
            shutil.move(made, folder)
    except OSError as failed:
        raise ConfigError(f"{folder} cannot be written: {failed}") from failed


def _check(model: nn.Module, file: Path) -> None:
    """The file holds every tensor of the adapter, bit for bit. Tied weights stand there once."""
    if not file.is_file():
        raise ConfigError(f"peft wrote no {file.name}: the adapter cannot be saved")
    live, found = live_tensors(model), load_file(file)
    tied = aliases(live)
    expected = {name: tensor.detach().cpu() for name, tensor in live.items() if name not in tied}
    if not adapter_state(model) or (missing := sorted(expected.keys() - found.keys())):
        raise ConfigError(
            f"{file.name} lacks {len(missing)} of the adapter's {len(expected)} tensors ({', '.join(missing[:3])}): not saved"
        )
    if wrong := [name for name, tensor in expected.items() if not torch.equal(found[name], tensor)]:
        raise ConfigError(f"{wrong[0]} does not read back as it is in the model: not saved")
