"""The adapter that all parties start from, as the file that `secagg serve` reads."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save
from torch import nn

from secagg.encode.layout import Layout
from secagg.encode.note import written
from secagg.lora.layout import adapter_layout
from secagg.lora.state import adapter_state
from secagg.pki.files import write_public


def save_first(model: nn.Module, path: Path, *, base: bytes | None = None) -> Layout:
    """Write the adapter of `model` to the safetensors file `path`, with its layout in the metadata, and return the layout.

    The layout binds the adapter's configuration and the frozen weights (`adapter_layout`): a hub that serves this file announces it,
    and a company whose callable has another `layout` refuses the round. LoRA's first factor is random, so one party makes this file.

    Args:
        base: `base_hash(model)` where the caller keeps it; computed here otherwise.

    Raises:
        ConfigError: no adapter, a refused initialisation, or a file that cannot be written.
    """
    layout = adapter_layout(model, base=base)
    write_public(path, save(adapter_state(model), metadata=written(layout)))
    return layout
