"""A long vector that is authentic but not secret, chunk by chunk: each chunk lies in clear before its AES-256-GMAC tag.

For what a mask hides already, from everybody: the tag costs half of what AES-GCM costs and a twentieth of SHA-256, and nothing is copied.
Layout and nonces are those of `secagg.crypto.stream`, so a chunk that is moved, repeated, dropped or cut off does not fit, and its
`commitment` binds these vectors as well. A key tags one vector only; what it is bound to goes into its derivation.
Source: NIST SP 800-38D, section 3 (GMAC).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secagg.buffers import borrow
from secagg.crypto.seal import CannotOpen
from secagg.crypto.stream import PLAIN, TAG, _nonce, sealed_size
from secagg.payload import CHUNK, Payload, chunk_count
from secagg.threads import spread
from secagg.types import Secret


def tag_stream(key: Secret, fill: Callable[[int, memoryview], None], size: int) -> memoryview:
    """`size` bytes with their tags. `fill(offset, buffer)` writes one chunk where it will stay; threads share the chunks."""
    view = borrow(sealed_size(size))
    count = chunk_count(len(view))

    def tag(indices: range) -> None:
        cipher = AESGCM(key.expose())
        for index in indices:
            start, length = index * CHUNK, min(PLAIN, size - index * PLAIN)
            part = view[start : start + length]
            fill(index * PLAIN, part)
            view[start + length : start + length + TAG] = cipher.encrypt(_nonce(index, count), b"", part)

    spread(tag, count)
    return view


def check_stream(key: Secret, tagged: Payload, *, indices: range | None = None) -> Iterator[memoryview]:
    """What was tagged, all chunks or those of `indices`. Raises CannotOpen at the first bad chunk."""
    cipher, count = AESGCM(key.expose()), chunk_count(tagged.size)
    for index in range(count) if indices is None else indices:
        chunk = tagged.chunk(index)
        part, tag = chunk[:-TAG], chunk[-TAG:]
        try:
            cipher.decrypt(_nonce(index, count), tag, part)
        except (InvalidTag, ValueError) as refused:
            raise CannotOpen(f"chunk {index} of {count} does not fit its tag") from refused
        yield part
