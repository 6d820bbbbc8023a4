"""L2 norms of the scale groups of a vector, in one pass, with a stated error."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, sqrt

import numpy as np

from secagg.encode.layout import Run
from secagg.encode.tensors import Floats
from secagg.errors import ConfigError

_ROW = 256
_STEP = 1 << 16

MARGIN = 2.0**-15
"""A sum of 256 squares in float32, in any order, is off by at most 256 · 2^-24 of itself (Higham 2002, section 4.2); rows are added up
in float64. The norm is then off by less than 2^-16, the products that scale by it by less than 2^-22: shrinking by this margin more keeps
the clipped norm at or below the clip, which differential privacy counts on."""


def norms(vector: Floats, runs: Sequence[Run], groups: int) -> tuple[float, ...]:
    """The L2 norm of each scale group. Raises ConfigError if a value is NaN or infinite."""
    squares = [0.0] * groups
    with np.errstate(all="ignore"):
        for start, stop, group in runs:
            for low in range(start, stop, _STEP):
                squares[group] += _square(vector[low : min(low + _STEP, stop)])
    return tuple(sqrt(square) for square in squares)


def _square(part: Floats) -> float:
    rows = len(part) // _ROW * _ROW
    matrix = part[:rows].reshape(-1, _ROW)
    total = float(np.vecdot(matrix, matrix).sum(dtype=np.float64)) + float(np.vecdot(part[rows:], part[rows:]))
    if isfinite(total) and total > 1e-30:
        return total
    # Squares of very large or very small numbers leave the range of float32, though not that of float64.
    wide = part.astype(np.float64)
    total = float(np.vecdot(wide, wide))
    if not isfinite(total):
        raise ConfigError("the vector holds NaN or infinity: Layout.flatten names the tensor")
    return total
