"""Public random matrices: the same at every party, from a public seed, on any machine and library version."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import torch


def public_matrix(seed: bytes, label: str, rows: int, columns: int) -> torch.Tensor:
    """A float64 matrix, independent entries uniform in (-sqrt(3/columns), sqrt(3/columns)): each row has expected norm 1.

    SHAKE-256 of seed, label and shape, read as odd 32-bit integers: integer arithmetic and one correctly rounded product, so the
    matrix is equal to the last bit everywhere. Public numbers: never a mask, a share or noise.
    """
    header = b"".join(struct.pack("<Q", len(part)) + part for part in (b"secagg/v1/lora/public", seed, label.encode()))
    stream = hashlib.shake_256(header + struct.pack("<QQ", rows, columns)).digest(4 * rows * columns)
    whole = np.frombuffer(stream, dtype="<i4").astype(np.float64)
    return torch.from_numpy(((whole + 0.5) * (2.0**-31 * (3.0 / columns) ** 0.5)).reshape(rows, columns))
