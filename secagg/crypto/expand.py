"""AES-256-CTR as a stream of uniform ring words: what a 32-byte key stands for when it is a share, a mask or the coins of rounding.

OpenSSL writes the keystream of a reused block of zeros into a reused buffer, small enough for the L2 cache: no allocation, no second
pass over memory, and the interpreter lock is free while it works. The stream is seekable, so ranges are independent: each can be
retried, streamed or given to a thread of its own. Source: NIST SP 800-38A, section 6.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from secagg.errors import ConfigError
from secagg.types import Entropy, Secret

KEY = 32
"""Bytes of a key."""
BLOCK = 1 << 18
"""Bytes of keystream made at a time."""
LIMIT = 1 << 60
"""Bytes of one stream: far below the 2^68 at which the counter would come round."""
_AES_BLOCK = 16
_ZEROS = memoryview(bytes(BLOCK))

_idle: list[NDArray[np.uint8]] = []
"""Buffers of BLOCK bytes that no call is using. Taking one and giving it back are single list operations: threads may share them."""

Words = NDArray[np.unsignedinteger[Any]]


class RingLike(Protocol):
    """What the stream needs to know of `secagg.math.ring.Ring`."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def add_into(self, total: Words, words: Words) -> None: ...

    def sub_into(self, total: Words, words: Words) -> None: ...


class Stream:
    """The keystream of one 32-byte key. Each key makes one stream only, so the nonce is zero.

    Deriving a fresh key is the caller's part: `secagg.crypto.derive.derive`, salted with the round, under a label that names the purpose.

    Guarantees:
        Indistinguishable from uniform bytes to whoever lacks the key. Byte i is the same in whatever range it is asked for. Calls change
        nothing in the stream: threads may use one Stream at the same time.

    Raises:
        ConfigError: a key that has not 32 bytes.
    """

    __slots__ = ("_key",)

    def __init__(self, key: Secret) -> None:
        if len(key) != KEY:
            raise ConfigError(f"a keystream needs a {KEY}-byte key, not {len(key)} bytes")
        self._key = key

    @classmethod
    def fresh(cls, entropy: Entropy) -> Stream:
        """A stream under a key from `entropy` that nobody else learns: for coins that need not be told to anyone, as those of rounding."""
        return cls(Secret(entropy(KEY)))

    def fill(self, buffer: bytearray | memoryview | NDArray[Any], offset: int = 0) -> None:
        """Write the keystream bytes [offset, offset + len(buffer)) into `buffer`, which is writable and contiguous."""
        out = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # ndarray is a buffer; the protocol is typed from Python 3.12 on
        cipher = self._seek(offset, len(out))
        for start in range(0, len(out), BLOCK):
            part = out[start : start + BLOCK]
            cipher.update_into(_ZEROS[: len(part)], part)

    def add_into(self, words: Words, offset_words: int = 0, *, ring: RingLike, sign: int = 1) -> None:
        """words ±= stream, in place: word i takes stream word `offset_words` + i, a whole machine word, masked to the ring.

        Raises:
            ConfigError: `words` is not a vector of the ring's dtype, or `sign` is neither 1 nor −1.
        """
        if words.dtype != ring.dtype or words.ndim != 1 or sign not in (1, -1):
            raise ConfigError(f"{words.ndim}-dimensional {words.dtype} and sign {sign}: a vector of {ring.dtype} and 1 or -1 expected")
        size = ring.dtype.itemsize
        combine = ring.add_into if sign == 1 else ring.sub_into
        cipher = self._seek(offset_words * size, words.size * size)
        with _buffer() as buffer:
            for start in range(0, words.size, BLOCK // size):
                part = words[start : start + BLOCK // size]
                drawn = buffer[: part.size * size]
                cipher.update_into(_ZEROS[: drawn.size], drawn.data)
                combine(part, drawn.view(ring.dtype))

    def _seek(self, offset: int, length: int) -> CipherContext:
        if offset < 0 or offset + length > LIMIT:
            raise ConfigError(f"bytes {offset} to {offset + length} of a stream that has {LIMIT}")
        first, skip = divmod(offset, _AES_BLOCK)
        cipher = Cipher(algorithms.AES(self._key.expose()), modes.CTR(first.to_bytes(_AES_BLOCK, "big"))).encryptor()
        if skip:
            cipher.update_into(_ZEROS[:skip], bytearray(skip))
        return cipher

    def __repr__(self) -> str:
        return "Stream(<redacted>)"


@contextmanager
def _buffer() -> Iterator[NDArray[np.uint8]]:
    try:
        buffer = _idle.pop()
    except IndexError:
        buffer = np.empty(BLOCK, np.uint8)
    try:
        yield buffer
    finally:
        _idle.append(buffer)
