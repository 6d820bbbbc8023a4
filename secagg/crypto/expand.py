"""AES-256 in counter mode as a long run of uniform words: masks, shares that are seeds, and the coins of stochastic rounding.

A stream is seekable: any range can be written, retried or spread over threads on its own. OpenSSL works outside the GIL.
Source: NIST SP 800-38A, section 6.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from secagg.types import Entropy, Secret

KEY = 32
"""Bytes of a stream's key."""

LIMIT = 1 << 60
"""Bytes of one stream: far below the 2^68 at which the counter would repeat."""

_BLOCK = 16
_STEP = 1 << 18
"""Bytes made at a time: they and the words they are added to stay in the second-level cache."""

_ZEROS = memoryview(bytes(_STEP))
_scratch: list[NDArray[np.uint8]] = []
"""Buffers that no call is using. Taking and giving back are single list operations, so threads may share it."""


class WordRing(Protocol):
    """What a stream must know of a ring: its machine word and the bits of it that count."""

    @property
    def bits(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def mask(self) -> int: ...


class Stream:
    """The keystream of AES-256-CTR under `key`, from a zero counter.

    The key must serve this one stream only: derive it with `secagg.crypto.derive.derive` under a label that names the purpose
    (mask, share, rounding) and with the round as salt. There is no nonce because there is no second stream under the key.

    Guarantees:
        Indistinguishable from uniform bytes to whoever lacks the key. Byte i is the same whatever range it is asked for in.
        Calls do not change the stream: threads may use one Stream at the same time.

    Raises:
        ValueError: a key that has not 32 bytes.
    """

    __slots__ = ("_key",)

    def __init__(self, key: Secret) -> None:
        if len(key) != KEY:
            raise ValueError(f"a key of {len(key)} bytes; AES-256 takes {KEY}")
        self._key = key

    @classmethod
    def fresh(cls, entropy: Entropy) -> Stream:
        """A stream under a key from `entropy` that nobody keeps: for coins that need not be told to anyone, such as those of rounding."""
        return cls(Secret(entropy(KEY)))

    def fill(self, buffer: bytearray | memoryview | NDArray[Any], offset: int = 0) -> None:
        """Write keystream bytes `offset` … `offset` + len(buffer) into a writable, contiguous buffer."""
        target = memoryview(buffer).cast("B")
        cipher = self._seek(offset, len(target))
        for start in range(0, len(target), _STEP):
            part = target[start : start + _STEP]
            cipher.update_into(_ZEROS[: len(part)], part)

    def add_into(self, words: NDArray[Any], offset_words: int = 0, *, ring: WordRing, sign: Literal[1, -1] | int = 1) -> None:
        """Add (`sign` = 1) or subtract (`sign` = −1) the stream's words to `words` modulo the ring, in place.

        Word i of the stream is its i-th machine word of the ring's dtype, cut to the ring; `words[0]` meets word `offset_words`.
        Works through the range in cache-sized steps, without a second vector: several threads may each take a part of a vector.

        Raises:
            ValueError: `words` is not a vector of the ring's dtype, or `sign` is neither 1 nor −1.
        """
        if words.dtype != ring.dtype or words.ndim != 1 or sign not in (1, -1):
            raise ValueError(f"{words.ndim}-dimensional {words.dtype} and sign {sign}; a vector of {ring.dtype} and 1 or -1 expected")
        size = ring.dtype.itemsize
        cipher = self._seek(offset_words * size, len(words) * size)
        combine = np.add if sign == 1 else np.subtract
        mask = None if ring.bits == 8 * size else np.asarray(ring.mask, ring.dtype)
        with _buffer() as buffer:
            for start in range(0, len(words), _STEP // size):
                part = words[start : start + _STEP // size]
                drawn = buffer[: len(part) * size]
                cipher.update_into(_ZEROS[: len(drawn)], drawn.data)
                combine(part, drawn.view(ring.dtype), out=part)
                if mask is not None:
                    np.bitwise_and(part, mask, out=part)

    def _seek(self, offset: int, length: int) -> CipherContext:
        if offset < 0 or offset + length > LIMIT:
            raise ValueError(f"bytes {offset} to {offset + length}; a stream has {LIMIT}")
        block, skipped = divmod(offset, _BLOCK)
        cipher = Cipher(AES256(self._key.expose()), CTR(block.to_bytes(_BLOCK, "big"))).encryptor()
        if skipped:
            cipher.update_into(_ZEROS[:skipped], bytearray(_BLOCK))
        return cipher

    def __repr__(self) -> str:
        return "Stream(<redacted>)"


@contextmanager
def _buffer() -> Iterator[NDArray[np.uint8]]:
    try:
        buffer = _scratch.pop()
    except IndexError:
        buffer = np.empty(_STEP, np.uint8)
    try:
        yield buffer
    finally:
        _scratch.append(buffer)
