"""The few types that every layer shares: who, from what randomness, in which round, and what must stay secret."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NewType, NoReturn

PartyId = NewType("PartyId", str)
"""Name of a party in the roster: 1 to 64 characters, lower-case letters, digits, `.`, `_` and `-`."""

Entropy = Callable[[int], bytes]
"""`entropy(n)` gives n bytes. Production code passes `os.urandom`; nothing below `secagg.runtime` has a default."""

_PARTY_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def is_party_id(text: str) -> bool:
    """Whether `text` can name a party."""
    return _PARTY_ID.fullmatch(text) is not None


class Secret:
    """Bytes that must not be seen: they print as `<redacted>`, do not pickle or hash, and compare in constant time.

    `expose()` is for `secagg.crypto` and the sharing code only; a test greps for any other caller.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)

    def expose(self) -> bytes:
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a hash of a secret would leak equality through dicts

    def __repr__(self) -> str:
        return "<redacted>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret does not pickle: seal a role's state with secagg.snapshot instead")


@dataclass(frozen=True, slots=True)
class Context:
    """The one round that every signature, key and associated data is bound to."""

    rd: bytes
    """SHA-256 of the round description as it travelled, 32 bytes: salts every key derivation."""
    task: str
    round: int
    attempt: int
