"""Named tensors in safetensors files, read as float32: the command line sums in float32 whatever a file holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.encode import note
from secagg.encode.layout import Layout
from secagg.encode.tensors import copy_values, refusal, shape_of
from secagg.errors import ConfigError
from secagg.pki.files import write_public

State = dict[str, NDArray[np.float32]]
_DAMAGED = "{} is no safetensors file, or a damaged one: write it with `safetensors.numpy.save_file` or `safetensors.torch.save_file`"
_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


def read(path: Path) -> State:
    """The tensors in a safetensors file; bfloat16 and float16 convert exactly. Raises ConfigError naming the file and the tensor."""
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except OSError as refused:
        raise ConfigError(f"cannot read the model {path}: {refused.strerror}") from refused
    except SafetensorError as refused:
        raise ConfigError(_DAMAGED.format(path)) from refused
    state = {name: _array(path, name, entry) for name, entry in entries}
    if not state:
        raise ConfigError(f"{path} holds no tensors")
    return dict(sorted(state.items()))


def read_notes(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file. Raises ConfigError naming the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            return dict(file.metadata() or {})
    except OSError as refused:
        raise ConfigError(f"cannot read the model {path}: {refused.strerror or refused}") from refused
    except SafetensorError as refused:
        raise ConfigError(_DAMAGED.format(path)) from refused


def read_layout(path: Path, state: State) -> Layout:
    """The layout that the file's metadata notes for `state`, or that of its tensors alone. Raises ConfigError naming the file."""
    try:
        return note.found(read_notes(path), state)
    except ConfigError as refused:
        raise ConfigError(f"{path}: {refused}") from refused


def write(path: Path, state: Mapping[str, Any], notes: Mapping[str, str]) -> None:
    """Replace `path` in one step; `notes` go into the file's metadata."""
    from safetensors.numpy import save

    write_public(path, save(as_float32(state), metadata=dict(notes)))


def as_float32(state: Mapping[str, Any]) -> State:
    """Fresh float32 arrays with the values of NumPy or torch tensors. Raises ConfigError naming a tensor that has none to give."""
    floats: State = {}
    for name, tensor in state.items():
        if (reason := refusal(tensor)) is not None:
            raise ConfigError(f"{name!r} {reason}")
        floats[name] = np.empty(shape_of(tensor), np.float32)
        with np.errstate(over="ignore"):  # what becomes infinite is named where the update is encoded
            copy_values(tensor, floats[name])
    return floats


def add(model: State, change: Mapping[str, Any], rate: float) -> State:
    """`model + rate · change`, tensor by tensor."""
    step = as_float32(change)
    return {name: values + np.float32(rate) * step[name] for name, values in model.items()}


def change(trained: Mapping[str, Any], model: State) -> State:
    """`trained − model`. Raises ConfigError for missing, unknown or misshapen tensors, by name."""
    floats = as_float32(trained)
    faults = [f"{name!r} is missing" for name in model if name not in floats]
    faults += [f"{name!r} is unknown" for name in floats if name not in model]
    faults += [
        f"{name!r} has shape {floats[name].shape}, not {values.shape}"
        for name, values in model.items()
        if name in floats and floats[name].shape != values.shape
    ]
    if faults:
        raise ConfigError("; ".join(faults[:5]) + (f" and {len(faults) - 5} more" if len(faults) > 5 else ""))
    return {name: floats[name] - values for name, values in model.items()}


def _array(path: Path, name: str, entry: Mapping[str, Any]) -> NDArray[np.float32]:
    kind, shape, raw = entry["dtype"], tuple(entry["shape"]), bytes(entry["data"])
    if kind == "BF16":  # the upper half of a float32
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if kind not in _DTYPES:
        raise ConfigError(f"{path}: tensor {name!r} has dtype {kind}; only {', '.join([*_DTYPES, 'BF16'])} can be averaged")
    return np.frombuffer(raw, _DTYPES[kind]).astype(np.float32).reshape(shape)
