"""The ring of integers modulo 2^k, as NumPy words: what every vector is summed in and how it lies on the wire.

A word of 16, 32 or 64 bits is a machine word and wraps by itself. 24 and 48 bits live in the next machine word, with the upper
bits kept at zero, and are packed to exactly 3 and 6 bytes for the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ConfigError
from secagg.math import packing

Words: TypeAlias = NDArray[np.unsignedinteger[Any]]
"""Ring elements, one per coordinate, of the ring's `dtype`."""

Buffer: TypeAlias = bytes | bytearray | memoryview

WIDTHS = (16, 24, 32, 48, 64)
"""Bits that a ring may have."""

_DTYPES: dict[int, np.dtype[Any]] = {
    16: np.dtype("<u2"),
    24: np.dtype("<u4"),
    32: np.dtype("<u4"),
    48: np.dtype("<u8"),
    64: np.dtype("<u8"),
}
_SIGNED: dict[int, np.dtype[Any]] = {2: np.dtype("<i2"), 4: np.dtype("<i4"), 8: np.dtype("<i8")}
_CHUNK = 1 << 16
"""Words per step where a step makes more than one pass: at most 512 KiB, so that the later passes read the second-level cache."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Z modulo 2^`bits`, `bits` one of 16, 24, 32, 48, 64.

    Raises:
        ConfigError: another width.
    """

    bits: int

    def __post_init__(self) -> None:
        if self.bits not in _DTYPES:
            raise ConfigError(f"no ring of {self.bits} bits: use one of {', '.join(map(str, WIDTHS))}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The machine word that holds an element: uint16, uint32 or uint64, little-endian."""
        return _DTYPES[self.bits]

    @property
    def modulus(self) -> int:
        return 1 << self.bits

    @property
    def mask(self) -> int:
        """The bits of a machine word that an element uses."""
        return self.modulus - 1

    @property
    def fills_word(self) -> bool:
        """Whether an element uses its whole machine word, so that arithmetic wraps by itself."""
        return self.bits == self.dtype.itemsize * 8

    def packed_size(self, n: int) -> int:
        """Bytes of `n` elements on the wire: exactly `bits` / 8 each."""
        return n * (self.bits // 8)

    def zeros(self, n: int) -> Words:
        """`n` times zero."""
        return np.zeros(n, self.dtype)

    def add_into(self, total: Words, words: Words) -> None:
        """`total` += `words` modulo 2^bits, in place."""
        self._check(total, words)
        if self.fills_word:
            np.add(total, words, out=total)
            return
        for part in _parts(len(total)):
            np.add(total[part], words[part], out=total[part])
            self._mask_into(total[part])

    def sub_into(self, total: Words, words: Words) -> None:
        """`total` -= `words` modulo 2^bits, in place."""
        self._check(total, words)
        if self.fills_word:
            np.subtract(total, words, out=total)
            return
        for part in _parts(len(total)):
            np.subtract(total[part], words[part], out=total[part])
            self._mask_into(total[part])

    def reduce_into(self, words: Words) -> None:
        """Reduce machine words to ring elements, in place."""
        self._check(words)
        if not self.fills_word:
            self._mask_into(words)

    def pack(self, words: Words) -> memoryview:
        """The elements as little-endian bytes, exactly `bits` / 8 each; a read-only view of `words` where a word is a machine word.

        Raises:
            ConfigError: words of another dtype or not one-dimensional.
        """
        self._check(words)
        if self.fills_word:
            return np.ascontiguousarray(words).data.cast("B").toreadonly()
        out = bytearray(self.packed_size(len(words)))
        self.pack_into(words, out)
        return memoryview(out).toreadonly()

    def pack_into(self, words: Words, out: bytearray | memoryview) -> None:
        """`pack` into a writable buffer of exactly `packed_size(len(words))` bytes. Raises ConfigError for another length."""
        self._check(words)
        self._check_size(out, len(words))
        if self.fills_word:
            np.frombuffer(out, self.dtype)[:] = words
            return
        packing.pack_into(words, out, self.bits // 8)

    def unpack(self, data: Buffer, n: int) -> Words:
        """`n` elements from their packed bytes; a read-only view of `data` where a word is a machine word, else a new array.

        Raises:
            ConfigError: `data` has not exactly `packed_size(n)` bytes.
        """
        self._check_size(data, n)
        if self.fills_word:
            words: Words = np.frombuffer(data, self.dtype)
            words.flags.writeable = False
            return words
        return packing.unpack(data, n, self.bits // 8, self.dtype)

    def combine_packed(self, total: Words, data: Buffer, sign: int) -> None:
        """`total` ± the elements that are packed in `data`, in place, as adding or taking away what `unpack` gives. `sign` is 1 or −1.

        Raises:
            ConfigError: `total` is not a vector of the ring, or `data` has not exactly `packed_size(len(total))` bytes.
        """
        self._check(total)
        self._check_size(data, len(total))
        combine = np.add if sign > 0 else np.subtract
        if self.fills_word:
            combine(total, np.frombuffer(data, self.dtype), out=total)
        else:
            packing.combine_into(total, data, self.bits // 8, combine)

    def center(self, words: Words) -> NDArray[np.int64]:
        """The signed representative of each element, in [-2^(bits-1), 2^(bits-1)), as a new array."""
        self._check(words)
        signed = _SIGNED[self.dtype.itemsize]
        centered: NDArray[np.int64] = words.view(signed).astype(np.int64)
        if not self.fills_word:
            # Shifting the sign bit up to the top and back down again extends the sign.
            np.left_shift(centered, 64 - self.bits, out=centered)
            np.right_shift(centered, 64 - self.bits, out=centered)
        return centered

    def from_signed(self, values: NDArray[np.int64]) -> Words:
        """The elements congruent to `values`: the inverse of `center` within its range."""
        words: Words = values.astype(np.int64, copy=False).view(np.dtype("<u8")).astype(self.dtype)
        self.reduce_into(words)
        return words

    def _mask_into(self, words: Words) -> None:
        np.bitwise_and(words, np.asarray(self.mask, self.dtype), out=words)

    def _check(self, *arrays: Words) -> None:
        for array in arrays:
            if array.dtype != self.dtype or array.ndim != 1:
                raise ConfigError(
                    f"{array.dtype} of {array.ndim} axes given; elements of the {self.bits}-bit ring are a vector of {self.dtype}"
                )
            if len(array) != len(arrays[0]):
                raise ConfigError(f"vectors of {len(arrays[0])} and {len(array)} elements cannot be added")

    def _check_size(self, data: Buffer, n: int) -> None:
        given = memoryview(data).nbytes
        if given != self.packed_size(n):
            raise ConfigError(f"{given} bytes given; {n} elements of the {self.bits}-bit ring are {self.packed_size(n)} bytes")


def _parts(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK))
