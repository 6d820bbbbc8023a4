"""Bytes that two parties derive on their own and compare: every part after its length, numbers as 8 bytes little-endian."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from secagg.errors import ConfigError

_NUMBER = 8


class Writer:
    """Collects parts after a label that separates this use from all others."""

    __slots__ = ("_parts",)

    def __init__(self, label: bytes) -> None:
        self._parts: list[bytes] = []
        self.block(label)

    def number(self, value: int) -> Self:
        self._parts.append(value.to_bytes(_NUMBER, "little"))
        return self

    def numbers(self, values: Iterable[int]) -> Self:
        listed = list(values)
        self.number(len(listed))
        for value in listed:
            self.number(value)
        return self

    def block(self, part: bytes) -> Self:
        self.number(len(part))
        self._parts.append(bytes(part))
        return self

    def text(self, part: str) -> Self:
        try:
            return self.block(part.encode("utf-8"))
        except UnicodeEncodeError as refused:
            raise ConfigError(f"the name {part!r} is no valid Unicode text") from refused

    def finish(self) -> bytes:
        return b"".join(self._parts)


class Reader:
    """Takes the parts apart again. Raises ConfigError where the bytes end early, go on, or are not what was asked for."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes, label: bytes) -> None:
        self._data, self._at = bytes(data), 0
        if self.block() != label:
            raise ConfigError(f"the bytes do not start with the label {label.decode()!r}")

    def number(self, most: int = (1 << 63) - 1) -> int:
        value = int.from_bytes(self._take(_NUMBER), "little")
        if value > most:
            raise ConfigError(f"a number in the bytes is {value}; at most {most} is allowed there")
        return value

    def numbers(self, most: int) -> tuple[int, ...]:
        return tuple(self.number() for _ in range(self.number(most)))

    def block(self) -> bytes:
        return self._take(self.number(len(self._data)))

    def text(self) -> str:
        try:
            return self.block().decode("utf-8")
        except UnicodeDecodeError as refused:
            raise ConfigError("a name in the bytes is not UTF-8") from refused

    def finish(self) -> None:
        if self._at != len(self._data):
            raise ConfigError(f"{len(self._data) - self._at} bytes follow the end")

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise ConfigError("the bytes end early")
        self._at += size
        return taken
