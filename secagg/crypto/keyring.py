"""Several stream keys in one sealed box: how a process gives them to another one that works for it."""

from __future__ import annotations

from collections.abc import Sequence

from secagg.crypto.expand import KEY
from secagg.crypto.seal import CannotOpen, OpenKey, SealKey
from secagg.types import Secret


def seal_keys(to: SealKey, keys: Sequence[Secret], *, purpose: str, context: bytes) -> bytes:
    """The keys, 32 bytes each, as a box that only the owner of `to` opens, for this purpose and context."""
    return to.seal(Secret(b"".join(key.expose() for key in keys)), purpose=purpose, context=context)


def open_keys(own: OpenKey, box: bytes, *, purpose: str, context: bytes) -> list[Secret]:
    """The keys in a box. Raises CannotOpen."""
    opened = own.open(box, purpose=purpose, context=context).expose()
    if len(opened) % KEY:
        raise CannotOpen(f"a box of {len(opened)} bytes is no row of {KEY}-byte keys")
    return [Secret(opened[start : start + KEY]) for start in range(0, len(opened), KEY)]
