"""Residues below 2^30 as they travel: 30 bits each, not 32.

n residues, with zeros to a multiple of 16, are sixteen rows. Each word of 32 bits holds a residue of one of the first fifteen rows in its
lower bits; the bits of a residue of the last row are spread over the upper two of the fifteen words in its column, the lowest in the first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secagg.payload import Payload, join

_ROWS = 16
_BITS = 30
_MASK = np.uint32((1 << _BITS) - 1)


class CannotDecrypt(Exception):
    """What was to be decrypted is not the sum of the ciphertexts named; the caller names its check and culprit."""


def packed_residues(count: int) -> int:
    """Bytes of so many residues."""
    return 4 * (_ROWS - 1) * _columns(count)


def pack_residues(residues: NDArray[np.uint32]) -> memoryview:
    """Residues below 2^30, packed; little-endian."""
    columns, body = _columns(len(residues)), _ROWS - 1
    if len(residues) < body * columns:
        residues = np.concatenate([residues, np.zeros(_ROWS * columns - len(residues), np.uint32)])
    rows, last = residues[: body * columns].reshape(body, columns), np.zeros(columns, np.uint32)
    last[: len(residues) - body * columns] = residues[body * columns :]
    words = np.empty((body, columns), np.uint32)
    for index, row in enumerate(rows):
        spread = np.right_shift(last, np.uint32(2 * index), out=words[index])
        spread <<= np.uint32(_BITS)  # all but two bits fall out
        spread |= row
    return words.astype("<u4", copy=False).reshape(-1).data.cast("B")


def unpack_residues(payload: Payload, count: int) -> NDArray[np.uint32]:
    """The inverse of `pack_residues`. Raises CannotDecrypt for another size, or something in place of the zeros at the end."""
    if payload.size != packed_residues(count):
        raise CannotDecrypt(f"{payload.size} bytes where {packed_residues(count)} are expected")
    words = np.frombuffer(join(payload), "<u4").reshape(_ROWS - 1, -1)
    found = np.zeros((_ROWS, words.shape[1]), np.uint32)
    np.bitwise_and(words, _MASK, out=found[:-1])
    for shift, row in enumerate(words):
        found[-1] |= (row >> np.uint32(_BITS)) << np.uint32(2 * shift)
    residues = found.reshape(-1)
    if residues[count:].any():
        raise CannotDecrypt("something after its last residue")
    return residues[:count]


def _columns(count: int) -> int:
    return -(-count // _ROWS)
