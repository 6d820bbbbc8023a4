"""L2 norms of the scale groups of a vector: fast where the clip is far, exact where it decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.encode.layout import Run
from secagg.encode.tensors import Floats
from secagg.errors import ConfigError
from secagg.threads import spread

_ROW = 256
_STEP = 1 << 16
_WIDE_STEP = 1 << 15
_LEAST = 16
"""Pieces of a vector that are worth a thread of their own."""

_FAST_ERROR = 2.0**-15
"""A sum of 256 squares in float32, in any order, is off by at most 256 · 2^-24 of itself (Higham 2002, section 4.2); rows are added up in
float64. Norms below the clip by more than this are certainly below it."""

MARGIN = 2.0**-22
"""Scaling in float32 may lengthen a vector by 2^-23 of itself. A clipped vector is made shorter by this much, so that its norm never
passes the clip, which differential privacy counts on."""


def norms(vector: Floats, runs: Sequence[Run], clips: Sequence[float]) -> tuple[float, ...]:
    """The L2 norm of each scale group: to 2^-16 of itself where it is well below its clip, to 2^-40 elsewhere.

    Raises:
        ConfigError: a value is NaN or infinite.
    """
    measured = _measure(vector, runs, len(clips), _fast_square)
    close = {group for group, clip in enumerate(clips) if not certainly_below(measured[group], clip)}
    if close:
        exact = _measure(vector, [run for run in runs if run.group in close], len(clips), _exact_square)
        measured = [exact[group] if group in close else length for group, length in enumerate(measured)]
    return tuple(measured)


def certainly_below(length: float, clip: float) -> bool:
    """Whether a norm that was measured by way of `square_sum` is below `clip` beyond doubt. Never of NaN or infinity."""
    return length <= clip * (1 - _FAST_ERROR)


def _measure(vector: Floats, runs: Sequence[Run], groups: int, square: Callable[[Floats], float]) -> list[float]:
    pieces = [(low, min(low + _STEP, run.stop), run.group) for run in runs for low in range(run.start, run.stop, _STEP)]
    found = [0.0] * len(pieces)

    def work(part: range) -> None:
        with np.errstate(all="ignore"):
            for piece in part:
                found[piece] = square(vector[slice(*pieces[piece][:2])])

    spread(work, len(pieces), least=_LEAST)
    squares = [0.0] * groups
    for (_, _, group), value in zip(pieces, found, strict=True):  # in one order, so that the result does not depend on the threads
        squares[group] += value
    return [sqrt(total) for total in squares]


def square_sum(part: NDArray[np.floating[Any]]) -> float:
    """The sum of the squares. Row by row: rows bound the error, and are too short for a BLAS library to start threads for."""
    rows = len(part) // _ROW * _ROW
    matrix, rest = part[:rows].reshape(-1, _ROW), part[rows:]
    return float(np.vecdot(matrix, matrix).sum(dtype=np.float64)) + float(np.vecdot(rest, rest))


def _fast_square(part: Floats) -> float:
    total = square_sum(part)
    # Squares of very large or very small numbers leave the range of float32, though not that of float64.
    return total if isfinite(total) and total > 1e-30 else _exact_square(part)


def _exact_square(part: Floats) -> float:
    total = 0.0
    wide = np.empty(min(len(part), _WIDE_STEP))
    for low in range(0, len(part), _WIDE_STEP):
        some = wide[: min(_WIDE_STEP, len(part) - low)]
        np.copyto(some, part[low : low + len(some)])
        total += square_sum(some)
    if not isfinite(total):
        raise ConfigError("the vector holds NaN or infinity: Layout.flatten names the tensor")
    return total
