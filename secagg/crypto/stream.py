"""AES-256-GCM of a long vector, chunk by chunk, under a key that is used for this one vector only.

Chunk i has the nonce (i, last): a chunk that is moved, repeated, dropped or cut off does not open (the STREAM construction,
Hoang, Reyhanitabar, Rogaway and Vizár 2015). The commitment is a hash of the tags: who does not hold the key can neither
change a chunk under its tag nor make another tag, so signing 32 bytes authenticates the vector without hashing it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secagg.buffers import borrow
from secagg.crypto.derive import frame
from secagg.crypto.seal import CannotOpen
from secagg.payload import CHUNK, Payload, chunk_count
from secagg.threads import spread
from secagg.types import Secret

TAG = 16
_PIECE = 1 << 18
"""Plaintext bytes that are made and encrypted before the next: they stay in the second-level cache."""
PLAIN = CHUNK - TAG
"""Plaintext bytes of a full chunk: a multiple of 24, so no ring word of 2, 3, 4, 6 or 8 bytes straddles two chunks."""


def sealed_size(size: int) -> int:
    """Bytes after sealing `size` plaintext bytes."""
    return size + TAG * -(-size // PLAIN)


def plain_size(size: int) -> int:
    """Plaintext bytes inside a sealed vector of `size` bytes."""
    return size - TAG * chunk_count(size)


def _nonce(index: int, count: int) -> bytes:
    return struct.pack(">QI", index, index == count - 1)


def seal_stream(
    key: Secret, fill: Callable[[int, memoryview], None], size: int, *, purpose: str, context: bytes, piece: int = _PIECE
) -> memoryview:
    """Encrypt `size` bytes. `fill(offset, buffer)` writes a piece of the plaintext, so that little of it lies in memory at a time.

    Pieces end at multiples of `piece` bytes, and where the chunks of a thread do: `fill` is called for different pieces at the same time.
    """
    bound = frame(purpose, context)
    # Uninitialised: every byte is written below.
    view = borrow(sealed_size(size))
    count = chunk_count(len(view))

    def seal(indices: range) -> None:
        aes, plain = algorithms.AES(key.expose()), memoryview(bytearray(min(piece, size)))
        at, stop = indices.start * PLAIN, min(indices.stop * PLAIN, size)
        index, cipher = indices.start - 1, None
        while at < stop:
            part = plain[: min(piece - at % piece, stop - at)]
            fill(at, part)
            # A piece may go on in the next chunk.
            while part:
                if cipher is None:
                    index += 1
                    cipher, shift = Cipher(aes, modes.GCM(_nonce(index, count))).encryptor(), index * TAG
                    cipher.authenticate_additional_data(bound)
                edge = min((index + 1) * PLAIN, size)
                taken, part = part[: edge - at], part[edge - at :]
                cipher.update_into(taken, view[at + shift : at + shift + len(taken)])
                at += len(taken)
                if at == edge:
                    cipher.finalize()
                    view[at + shift : at + shift + TAG] = cipher.tag
                    cipher = None
        plain[:] = bytes(len(plain))

    spread(seal, count)
    return view


def open_stream(key: Secret, sealed: Payload, *, purpose: str, context: bytes, indices: range | None = None) -> Iterator[memoryview]:
    """Decrypt chunk by chunk into one reused buffer, all of them or those of `indices`: each view is valid until the next.

    Raises CannotOpen at the first bad chunk.
    """
    cipher, bound = AESGCM(key.expose()), frame(purpose, context)
    count = chunk_count(sealed.size)
    plain = memoryview(bytearray(min(PLAIN, max(sealed.size - TAG, 0))))
    for index in range(count) if indices is None else indices:
        chunk = sealed.chunk(index)
        try:
            length = cipher.decrypt_into(_nonce(index, count), chunk, bound, plain[: len(chunk) - TAG])
        except (InvalidTag, ValueError) as refused:
            raise CannotOpen(f"chunk {index} of {count} of a sealed {purpose} does not open") from refused
        yield plain[:length]


def commitment(sealed: Payload) -> bytes:
    """SHA-256 over the size and every chunk's tag, 32 bytes."""
    hasher = hashes.Hash(hashes.SHA256())
    hasher.update(frame("stream/tags", struct.pack("<Q", sealed.size)))
    for index in range(chunk_count(sealed.size)):
        hasher.update(bytes(sealed.chunk(index)[-TAG:]))
    return hasher.finalize()
