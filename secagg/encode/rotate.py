"""A random rotation that spreads every update evenly over its coordinates: signs, then Hadamard blocks of 2^16.

    y = H · D · x     D: one random sign per coordinate;  H: the Hadamard matrix over √p, so that H is its own inverse

A coordinate of y is a sum of p terms ±x_i/√p with independent signs: by Hoeffding it passes t·‖x‖/√p with probability at most
2·exp(−t²/2), whatever x is. Blocks need no padding: what does not fill a block is covered by one more block over the *last* p
coordinates, which overlaps the one before. Each step is an isometry, so the whole is one, and is undone from the last step on.

A block is 16 · 16 · 16 · 16: four products with the 16 × 16 Hadamard matrix, each small enough to stay in cache and on one core.
Source: Ailon and Chazelle, The fast Johnson-Lindenstrauss transform (2009); Suresh et al., Distributed mean estimation (2017).
"""

from __future__ import annotations

import hashlib
import hmac
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.expand import Stream
from secagg.encode.tensors import Floats
from secagg.errors import ConfigError
from secagg.types import Secret

BLOCK = 1 << 16
"""Largest block, in coordinates: 256 KiB, a share of a second-level cache."""

SEED = 32

_LABEL = b"secagg/v1/rotation"
_RADIX = 16
_ROWS = 256
"""Rows of one matrix product: 65,536 multiplications, below the size at which BLAS libraries start threads."""

_SIGN = np.uint32(0x80000000)
_WORD = 32


def _hadamard(order: int) -> Floats:
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < order:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return np.ascontiguousarray(matrix)


_MATRICES = {order: _hadamard(order) for order in (2, 4, 8, 16)}


def deviation(values: int, log2_failure: float) -> float:
    """t such that none of `values` unit sub-Gaussian variables passes t, but with probability 2^log2_failure."""
    return sqrt(2 * (log(2 * values) - log2_failure * log(2)))


def block_of(size: int) -> int:
    """Coordinates of one block of a rotation of `size` coordinates."""
    return min(BLOCK, 1 << (size.bit_length() - 1))


class Rotation:
    """The rotation of vectors of `size` coordinates that the 32-byte `seed` (public, the same for all parties) gives.

    `spans` are the ranges of coordinates that are rotated apart from each other, in order.
    """

    __slots__ = ("_signs", "block", "size", "spans")

    def __init__(self, size: int, seed: bytes) -> None:
        if size < 1 or len(seed) != SEED:
            raise ConfigError(f"a rotation of {size} values under a seed of {len(seed)} bytes; at least 1 value and {SEED} bytes expected")
        self.size = size
        self.block = block_of(size)
        starts = [index * self.block for index in range(size // self.block)]
        self.spans = tuple(zip(starts, [*starts[1:], size], strict=True))
        # The signs are public; the key only separates this use of the seed from every other.
        self._signs = Stream(Secret(hmac.digest(seed, _LABEL, hashlib.sha256)))

    def forward(self, span: int, values: Floats, spare: Floats) -> None:
        """Rotate, in place, the values of one span; `spare` is scratch of at least the same length."""
        for step, part in self._steps(span, values):
            self._sign_and_scale(step, part, spare)
            _transform(part, spare[: self.block])

    def inverse(self, span: int, values: Floats, spare: Floats) -> None:
        """Undo `forward`."""
        for step, part in reversed(self._steps(span, values)):
            _transform(part, spare[: self.block])
            self._sign_and_scale(step, part, spare)

    def _steps(self, span: int, values: Floats) -> list[tuple[int, Floats]]:
        steps = [(span, values[: self.block])]
        if len(values) > self.block:
            steps.append((len(self.spans), values[-self.block :]))
        return steps

    def _sign_and_scale(self, step: int, values: Floats, spare: Floats) -> None:
        """D/√p of one block: bit 31 − s of the i-th word of the keystream belongs to value s · (p / 32) + i."""
        rows = min(_WORD, self.block)
        words = np.empty(self.block // rows, np.uint32)
        self._signs.fill(words, step * words.nbytes)
        masks = spare[: self.block].view(np.uint32).reshape(rows, -1)
        np.left_shift(words, np.arange(rows, dtype=np.uint32)[:, None], out=masks)
        np.bitwise_and(masks, _SIGN, out=masks)
        bits: NDArray[np.uint32] = values.view(np.uint32).reshape(rows, -1)
        np.bitwise_xor(bits, masks, out=bits)
        np.multiply(values, np.float32(1 / sqrt(self.block)), out=values)


def _transform(values: Floats, spare: Floats) -> None:
    """The Hadamard matrix times `values`, without 1/√p, in place."""
    source, target = values, spare
    stride = 1
    while stride < len(values):
        radix = min(_RADIX, len(values) // stride)
        _butterflies(source, target, radix, stride)
        source, target = target, source
        stride *= radix
    if source is not values:
        np.copyto(values, source)


def _butterflies(source: Floats, target: Floats, radix: int, stride: int) -> None:
    """One factor of the matrix: mix the values that lie `stride` apart, `radix` at a time."""
    matrix = _MATRICES[radix]
    if stride == 1:
        rows = min(_ROWS, len(source) // radix)
        np.matmul(source.reshape(-1, rows, radix), matrix, out=target.reshape(-1, rows, radix))
        return
    columns = min(_ROWS, stride)
    shape = (-1, radix, stride // columns, columns)
    np.matmul(matrix, source.reshape(shape).transpose(0, 2, 1, 3), out=target.reshape(shape).transpose(0, 2, 1, 3))
