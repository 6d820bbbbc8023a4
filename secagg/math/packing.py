"""Words of 24 and 48 bits between machine words and bytes without gaps.

Read as machine words that lie 3 or 6 bytes apart, packed words overlap: each has the beginning of the next in its upper bytes. Reading
them so and cutting off the upper bytes is one pass, an order of magnitude faster than byte after byte. Writing them so, from the first
to the last, lets each word overwrite what the one before left in its place. NumPy copies vectors in that order, though it does not
promise to: a process finds out once, and without it words are written unit after unit.
"""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.unsignedinteger[Any]]
Buffer: TypeAlias = bytes | bytearray | memoryview

_UNITS: dict[int, np.dtype[Any]] = {3: np.dtype("u1"), 6: np.dtype("<u2")}
"""The largest unit that packed words of so many bytes are made of: three each."""
_PIECE = 1 << 16
"""Words of a piece that stays in the cache between two passes."""


def pack_into(words: Words, out: bytearray | memoryview, width: int) -> None:
    """Write the lower `width` bytes of each word, 3 of 4 or 6 of 8, one after another. `out` has exactly as many bytes as that makes."""
    if not len(words):
        return
    if in_order():
        _write(words, out, width)
    else:
        write_units(words, out, width)


def unpack(data: Buffer, count: int, width: int, dtype: np.dtype[Any]) -> Words:
    """The words that `pack_into` wrote: a new array of `dtype`, upper bytes zero."""
    words: Words = np.empty(count, dtype)
    if not count:
        return words
    packed, mask = _overlapping(data, count - 1, width, dtype), np.asarray((1 << 8 * width) - 1, dtype)
    for start in range(0, count - 1, _PIECE):
        part = words[start : min(start + _PIECE, count - 1)]
        np.copyto(part, packed[start : start + len(part)])
        np.bitwise_and(part, mask, out=part)
    words[-1] = int.from_bytes(memoryview(data).cast("B")[(count - 1) * width : count * width], "little")
    return words


def combine_into(total: Words, data: Buffer, width: int, combine: np.ufunc) -> None:
    """`total` becomes `combine(total, words)`, add or subtract, for the words that `pack_into` wrote, modulo 2^(8·width)."""
    last = len(total) - 1
    if last < 0:
        return
    packed, mask = _overlapping(data, last, width, total.dtype), np.asarray((1 << 8 * width) - 1, total.dtype)
    for start in range(0, last, _PIECE):
        part = total[start : min(start + _PIECE, last)]
        combine(part, packed[start : start + len(part)], out=part)
        np.bitwise_and(part, mask, out=part)
    rest = unpack(memoryview(data).cast("B")[last * width :], 1, width, total.dtype)
    total[last:] = combine(total[last:], rest) & mask


@functools.cache
def in_order() -> bool:
    """Whether NumPy writes overlapping words from the first to the last, whatever their alignment. Asked once, a tenth of a millisecond."""
    for width, dtype in ((3, np.dtype("<u4")), (6, np.dtype("<u8"))):
        words: Words = (np.arange(1, 1500, dtype=np.uint64) * 0x9E3779B97F4A7C15).astype(dtype)
        for shift in range(4):
            one, other = (memoryview(bytearray(len(words) * width + shift))[shift:] for _ in range(2))
            _write(words, one, width)
            write_units(words, other, width)
            if one != other:
                return False
    return True


def _write(words: Words, out: bytearray | memoryview, width: int) -> None:
    last = len(words) - 1
    np.copyto(_overlapping(out, last, width, words.dtype), words[:last])
    memoryview(out).cast("B")[last * width :] = int(words[last]).to_bytes(words.dtype.itemsize, "little")[:width]


def write_units(words: Words, out: bytearray | memoryview, width: int) -> None:
    """`pack_into`, unit after unit: in whatever order NumPy works."""
    unit = _UNITS[width]
    target, each = np.frombuffer(out, unit).reshape(-1, 3), words.dtype.itemsize // unit.itemsize
    for start in range(0, len(words), _PIECE):
        source = np.ascontiguousarray(words[start : start + _PIECE]).view(unit).reshape(-1, each)
        for place in range(3):
            target[start : start + len(source), place] = source[:, place]


def _overlapping(data: Buffer, count: int, width: int, dtype: np.dtype[Any]) -> Words:
    """The first `count` packed words as machine words `width` bytes apart. At least one more follows them in `data`."""
    return np.ndarray((count,), dtype, buffer=data, strides=(width,))
