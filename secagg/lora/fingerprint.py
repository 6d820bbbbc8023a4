"""Digests of what must be the same at every party: the frozen weights, and the adapter that training starts from."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper, TrainableTokensWrapper
from torch import nn

from secagg.errors import ConfigError
from secagg.lora.state import Tensors, live_tensors, peft_config, unwrap

_BASE_LABEL = b"secagg/v1/lora/base-weights"
_ADAPTER_LABEL = b"secagg/v1/lora/adapter"
_CHUNK = 16 << 20


def _part(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _update(hasher: hashlib._Hash, name: str, tensor: torch.Tensor) -> None:
    """Name, dtype and shape with their lengths, then the values as little-endian bytes, a chunk at a time."""
    flat = tensor.detach().reshape(-1)
    header = (name.encode(), str(tensor.dtype).encode(), struct.pack(f"<{tensor.dim()}Q", *tensor.shape))
    hasher.update(b"".join(map(_part, header)) + struct.pack("<Q", flat.numel() * flat.element_size()))
    step = max(1, _CHUNK // max(1, flat.element_size()))
    for start in range(0, flat.numel(), step):
        # A device copy of one chunk at a time: the base may be larger than the memory that is left.
        values: npt.NDArray[np.uint8] = flat[start : start + step].cpu().contiguous().view(torch.uint8).numpy()
        hasher.update(values.data)


def _digest(label: bytes, tensors: Iterator[tuple[str, torch.Tensor]]) -> bytes:
    hasher = hashlib.sha256(_part(label))
    for name, tensor in tensors:
        _update(hasher, name, tensor)
    return hasher.digest()


def adapter_digest(state: Tensors) -> bytes:
    """SHA-256 (32 bytes) over names, dtypes, shapes and values: two parties compare it to know that they start from one adapter."""
    return _digest(_ADAPTER_LABEL, ((name, state[name]) for name in sorted(state)))


def base_hash(model: nn.Module) -> bytes:
    """SHA-256 (32 bytes) over the frozen base weights: names, dtypes, shapes, values, persistent buffers included.

    The same for the bare model and for the model with any adapter on it, trained or not: adapter tensors, trained copies
    (`modules_to_save`) and trained biases are left out, and peft's prefixes are taken off the names. One pass over the
    weights (about 0.5 s a GB); compute it once and keep it, since nothing of it changes while an adapter trains.

    Raises:
        ConfigError: an adapter is merged into the weights, so that they are not the base's.
    """
    inner = unwrap(model) if _has_adapter(model) else model
    _refuse_merged(inner)
    return _digest(_BASE_LABEL, iter(sorted(_base_tensors(inner).items())))


def _has_adapter(model: nn.Module) -> bool:
    return any(getattr(module, "peft_config", None) for module in model.modules())


def _refuse_merged(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, BaseTunerLayer) and module.merged:
            raise ConfigError(f"an adapter is merged into {name}: call model.unmerge_adapter() before hashing the base weights")


def _base_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict less everything that peft added, by the names of the bare model."""
    trained = {tensor.data_ptr() for tensor in live_tensors(model).values() if tensor.numel()} if _has_adapter(model) else set()
    wraps = {path: inside for path, module in model.named_modules() if (inside := _inside(module))}
    prefix = _prefix(model)
    tensors = {}
    for key, tensor in model.state_dict().items():
        # Outside the prefix lies what belongs to peft as a whole: prompts, VeRA's shared projections.
        name = _bare_name(key, wraps) if key.startswith(prefix) else None
        if name is not None and tensor.data_ptr() not in trained:
            tensors[name.removeprefix(prefix)] = tensor
    return tensors


def _prefix(model: nn.Module) -> str:
    """What peft puts before the bare model's names: the model itself, and the tuner around it where layers are replaced."""
    if not isinstance(model, PeftModel):
        return ""
    return "base_model." if peft_config(model).is_prompt_learning else "base_model.model."


def _inside(module: nn.Module) -> str:
    """Where a peft wrapper keeps the layer that it wraps; empty for any other module."""
    if isinstance(module, AuxiliaryTrainingWrapper):  # trained tokens keep the embedding inside a tuner layer of their own
        return "token_adapter" if isinstance(module, TrainableTokensWrapper) else "original_module"
    return "base_layer" if isinstance(module, BaseTunerLayer) and hasattr(module, "base_layer") else ""


def _bare_name(key: str, wraps: Mapping[str, str]) -> str | None:
    """`key` without the names of wrappers, or None for a tensor that a wrapper keeps beside the layer it wraps."""
    parts = key.split(".")
    kept, path = [], ""
    for position, piece in enumerate(parts):
        if path not in wraps:
            kept.append(piece)
        elif piece != wraps[path]:
            return None
        path = ".".join(parts[: position + 1])
    return ".".join(kept)
