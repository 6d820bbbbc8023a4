"""AES-256 in counter mode as a stream of uniform ring words: what a 32-byte key stands for when it is a share, a mask or a rounding coin.

The stream is cut into segments of 128 KiB. Block k of segment i is AES(key, i ‖ k + 2), with i in 12 bytes and k + 2 in 4, big-endian:
counter mode (NIST SP 800-38A, section 6.5) whose counters jump at each segment. They are the counters that AES-GCM gives its plaintext
under the nonce i, so a segment can be made by encrypting zeros with AES-GCM and forgetting the tag: on processors with wide AES
instructions OpenSSL does that twice as fast as plain counter mode. Which is faster here is found out once; the bytes are the same.

Zeros and buffers are reused and small enough for the L2 cache: no allocation, no second pass over memory. The stream is seekable, so
ranges are independent: each can be retried, streamed or given to a thread of its own.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from secagg.errors import ConfigError
from secagg.types import Entropy, Secret

KEY = 32
"""Bytes of a key."""
SEGMENT = 1 << 17
"""Bytes of keystream that have consecutive counters."""
SPARE = 16
"""Bytes after a drawn range that are overwritten with what means nothing: AES-GCM puts its tag there."""
LIMIT = 1 << 60
"""Bytes of one stream."""
_FIRST = 2
"""Counter of a segment's first block: AES-GCM keeps 0 and 1 for itself (NIST SP 800-38D, section 7.1)."""
_AES_BLOCK = 16
_ZEROS = memoryview(bytes(SEGMENT))

Words = NDArray[np.unsignedinteger[Any]]
Cut = tuple[bytes, memoryview, memoryview]


class Stream:
    """The keystream of one 32-byte key. Each key makes one stream only, so there is no nonce beside the segments' numbers.

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

    @property
    def key(self) -> Secret:
        """The key: whoever has it has the stream."""
        return self._key

    def fill(self, buffer: bytearray | memoryview | NDArray[Any], offset: int = 0) -> None:
        """Write the keystream bytes [offset, offset + len(buffer)) into `buffer`, which is writable and contiguous."""
        out = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # ndarray is a buffer; the protocol is typed from Python 3.12 on
        straight = max(len(out) - SPARE, 0)
        reader, last = self.reader(offset, len(out)), memoryview(bytearray(2 * SPARE))
        reader.read(out, straight)
        reader.read(last, len(out) - straight)
        out[straight:] = last[: len(out) - straight]

    def draw(self, room: memoryview, size: int, offset: int = 0) -> None:
        """Write the keystream bytes [offset, offset + size) into `room`, which has SPARE bytes more: those are scribbled over."""
        self.reader(offset, size).read(room, size)

    def reader(self, offset: int, length: int) -> Reader:
        """Whoever reads on from `offset`, at most `length` bytes. Raises ConfigError for a range outside of the stream."""
        if offset < 0 or offset + length > LIMIT:
            raise ConfigError(f"bytes {offset} to {offset + length} of a stream that has {LIMIT}")
        return Reader(self._key, offset)

    def __repr__(self) -> str:
        return "Stream(<redacted>)"


class Reader:
    """Reads one stream onwards. One caller at a time."""

    __slots__ = ("_at", "_counter", "_key", "_whole")

    def __init__(self, key: Secret, offset: int) -> None:
        self._key, self._at = key, offset
        self._whole = AESGCM(key.expose()) if wide() else None
        self._counter: CipherContext | None = None

    @property
    def left(self) -> int:
        """Bytes until the end of the segment: ranges that end there are the fastest."""
        return SEGMENT - self._at % SEGMENT

    def read(self, room: memoryview, size: int) -> None:
        """Write the next `size` bytes into `room`, which has SPARE bytes more."""
        done = 0
        while done < size:
            segment, within = divmod(self._at, SEGMENT)
            length = min(SEGMENT - within, size - done)
            if self._whole is not None and within == 0:
                self._whole.encrypt_into(segment.to_bytes(12, "big"), _ZEROS[:length], None, room[done : done + length + SPARE])
            else:
                self._count(segment, within).update_into(_ZEROS[:length], room[done : done + length])
            self._at, done = self._at + length, done + length

    def read_cuts(self, cuts: Sequence[Cut], room: memoryview, size: int) -> None:
        """As `read`, with all worked out between two segments that `cut_up` found for this room, size and place in the stream."""
        if self._whole is None or not cuts:
            self.read(room, size)
            return
        encrypt_into = self._whole.encrypt_into
        for nonce, zeros, place in cuts:
            encrypt_into(nonce, zeros, None, place)
        self._at += size

    def _count(self, segment: int, within: int) -> CipherContext:
        """The counter mode that goes on at byte `within` of a segment."""
        block, skip = divmod(within, _AES_BLOCK)
        nonce = segment.to_bytes(12, "big") + (_FIRST + block).to_bytes(4, "big")
        if self._counter is None:
            self._counter = Cipher(algorithms.AES(self._key.expose()), modes.CTR(nonce)).encryptor()
        else:
            self._counter.reset_nonce(nonce)
        if skip:
            self._counter.update_into(_ZEROS[:skip], bytearray(skip))
        return self._counter

    def __repr__(self) -> str:
        return "Reader(<redacted>)"


def cut_up(room: memoryview, size: int, offset: int) -> list[Cut]:
    """How any stream's bytes [offset, offset + size) come into `room`, which has SPARE bytes more: nonce, zeros and place of each segment.

    Worked out once for many streams, and so that threads hold the interpreter's lock as briefly as can be. Empty where a stream has to
    go another way: the range begins within a segment, or counter mode is faster here.
    """
    if offset % SEGMENT or not wide():
        return []
    starts = range(0, size, SEGMENT)
    lengths = [min(SEGMENT, size - start) for start in starts]
    return [
        (((offset + start) // SEGMENT).to_bytes(12, "big"), _ZEROS[:length], room[start : start + length + SPARE])
        for start, length in zip(starts, lengths, strict=True)
    ]


@functools.cache
def wide() -> bool:
    """Whether AES-GCM makes a segment faster than counter mode on this machine. Asked once, a fraction of a millisecond."""
    room = memoryview(bytearray(SEGMENT + SPARE))
    whole = AESGCM(bytes(KEY))
    counter = Cipher(algorithms.AES(bytes(KEY)), modes.CTR(bytes(_AES_BLOCK))).encryptor()

    def fastest(make: Callable[[], object]) -> float:
        took = []
        for _ in range(5):
            began = time.perf_counter()
            make()
            took.append(time.perf_counter() - began)
        return min(took)

    gcm = fastest(lambda: whole.encrypt_into(bytes(12), _ZEROS, None, room))
    return gcm < fastest(lambda: counter.update_into(_ZEROS, room))
