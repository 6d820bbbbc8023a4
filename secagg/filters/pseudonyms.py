"""Keyed pseudonyms: the same value becomes the same surrogate within a project, and says nothing about the value without the key."""

from __future__ import annotations

import hmac
from typing import Literal

from secagg.errors import ConfigError
from secagg.filters.canonical import CanonicalMap
from secagg.filters.checksums import mod_11_2
from secagg.filters.reserved import DOMAIN, EN_SYLLABLES, ZH_GIVEN, ZH_SURNAME

_CANONICAL = CanonicalMap("numerals", "han")
SHORTEST_KEY = 16
"""Bytes: with fewer, whoever knows the surrogates could try every key."""


class Pseudonyms:
    """Surrogates under one key and project.

    *Guarantees*: HMAC-SHA-256 over project, entity and the canonical value without separators, so disguises of one value share a surrogate;
    parties share surrogates only if they share the key. A surrogate has the script and the length class of the value where its entity has
    a reserved form (names, phones, identity numbers, e-mail), and is a numbered placeholder otherwise.

    Raises:
        ConfigError: a key shorter than 16 bytes.
    """

    __slots__ = ("_mac",)

    def __init__(self, key: bytes, project: str) -> None:
        if len(key) < SHORTEST_KEY:
            raise ConfigError(
                f"pseudonym key of {len(key)} bytes: use at least {SHORTEST_KEY} random ones, for example `openssl rand -hex 32`"
            )
        self._mac = hmac.new(key, project.encode() + b"\x00", "sha256")

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("pseudonym keys are not pickled: a worker reads the key where its policy says")

    @property
    def mark(self) -> str:
        """Tells two keys or projects apart, and says nothing about either."""
        mac = self._mac.copy()
        mac.update(b"\x00which key")
        return mac.hexdigest()[:16]

    def surrogate(self, entity: str, value: str, *, shape: Literal["plain", "checksum"] = "plain") -> str:
        """What stands in place of `value`. `checksum` gives identity numbers a valid check digit, in a region nobody is given."""
        canonical = "".join(character for character in _CANONICAL.string(value) if character.isalnum())
        mac = self._mac.copy()
        mac.update(f"{entity}\x00{canonical}".encode())
        number = int.from_bytes(mac.digest(), "big")
        digits = sum(map(str.isdigit, canonical))
        match entity:
            case "NAME":
                chinese = "\u4e00" <= canonical[:1] <= "\u9fff"
                return _zh_name(number, len(canonical)) if chinese else _en_name(number, value)
            case "PHONE" if digits >= 11:
                return f"100{number % 10**8:08}"
            case "ID_NUMBER" if digits >= 17:
                return _identity(number, shape)
            case "EMAIL":
                return f"u{number % 16**12:012x}@{DOMAIN}"
        return f"[{entity}-{number % 16**8:08X}]"


def _zh_name(number: int, length: int) -> str:
    given = ""
    for _ in range(min(max(length - 1, 1), 3)):
        number, place = divmod(number, len(ZH_GIVEN))
        given += ZH_GIVEN[place]
    return ZH_SURNAME + given


def _en_name(number: int, value: str) -> str:
    parts = []
    for _ in range(4):
        number, place = divmod(number, len(EN_SYLLABLES))
        parts.append(EN_SYLLABLES[place])
    given = f"X{parts[0]}{parts[1]}"
    return f"{given} X{parts[2]}{parts[3]}" if len(value.split()) > 1 else given


def _identity(number: int, shape: str) -> str:
    body = f"000000{1950 + number % 50}{1 + number // 50 % 12:02}{1 + number // 600 % 28:02}{number // 16800 % 1000:03}"
    good = next(check for check in "0123456789x" if mod_11_2(body + check))
    wrong = "0" if good != "0" else "1"
    return body + (good.upper() if shape == "checksum" else wrong)
