"""Tensors of NumPy or torch seen alike, by what they can do: torch is never imported here, so an install without it works.

bfloat16 and float16 go to float32 exactly. float64 is rounded to the nearest float32.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FLOATS = ("bfloat16", "float16", "float32", "float64")
"""Names of the dtypes that can be averaged. Integers and booleans cannot: a mean of indices or counters means nothing."""

Floats = NDArray[np.float32]

Tensor: TypeAlias = Any
"""A torch tensor or an ndarray."""


def is_torch(tensor: object) -> bool:
    """Whether this is a torch tensor; false, without an import, while torch is not loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(tensor, torch.Tensor)


def refusal(tensor: Tensor) -> str | None:
    """Why this object cannot be averaged, or None."""
    if is_torch(tensor):
        if str(tensor.layout) != "torch.strided" or tensor.is_quantized:
            return f"is a {str(tensor.layout).removeprefix('torch.')} or quantised torch tensor; make it dense floating point first"
        if tensor.is_meta:
            return "is on the meta device and holds no values; load its weights first"
    elif not isinstance(tensor, np.ndarray):
        return f"is a {type(tensor).__name__}, not a torch tensor or ndarray"
    if dtype_name(tensor) not in FLOATS:
        return f"has dtype {dtype_name(tensor)}; only {', '.join(FLOATS)} can be averaged"
    return None


def dtype_name(tensor: Tensor) -> str:
    """`float32` for both kinds of tensor."""
    return _name(tensor.dtype)


@cache
def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")  # a microsecond and more: an adapter has hundreds of tensors, and a few dtypes


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """Its shape as plain integers."""
    return tuple(tensor.shape)


def copy_values(tensor: Tensor, out: Floats) -> None:
    """Write the values, in row-major order, into `out` as float32; `out` never aliases the tensor.

    A float64 beyond float32 becomes infinite, with a warning unless the caller holds `np.errstate(over="ignore")`.
    """
    source = tensor.detach().float().cpu().numpy() if is_torch(tensor) else tensor
    np.copyto(out.reshape(source.shape), source, casting="same_kind" if source.dtype.kind == "f" else "unsafe")


def like(values: Floats, shape: tuple[int, ...], template: Tensor) -> Tensor:
    """A new tensor with these values, of the kind, dtype and device of `template`."""
    shaped = values.reshape(shape)
    if is_torch(template):
        torch = sys.modules["torch"]
        return torch.from_numpy(shaped.copy()).to(dtype=template.dtype, device=template.device)
    return shaped.astype(template.dtype, copy=True)


def is_finite(values: Floats) -> bool:
    """Whether there is no NaN and no infinity. One pass in the usual case: a sum of squares that is finite proves it."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.einsum("i,i->", values, values))) or bool(np.isfinite(values).all())
