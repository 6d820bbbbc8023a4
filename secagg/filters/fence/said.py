"""Tokens in the order of what they say to one policy, and where those stand that begin with a few symbols.

All of it is flat, bytes and arrays of numbers, so that 150,000 tokens take five megabytes a policy. The order of UTF-8 is that of code
points, so strings of bytes are searched by bisection as strings of symbols would be.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np
import numpy.typing as npt

from secagg.filters.fence.alphabet import GAP
from secagg.filters.fence.automaton import Automaton
from secagg.filters.fence.shapes import ShapeMachine

Ids = npt.NDArray[np.int32]
_LAST = b"\xff"
"""Greater than any byte of UTF-8."""


class Said(Sequence[bytes]):
    """What tokens say to one policy, in order, with their ids; it does not depend on what is blocked, so it can be kept.

    Args:
        text: all of them, one after the other.
        lengths: bytes of each.
        ids: the token of each.
    """

    def __init__(self, text: bytes, lengths: npt.NDArray[np.int32], ids: Ids) -> None:
        self.text, self.lengths, self.ids = text, lengths, ids
        self._ends = array("i", [0])
        self._ends.frombytes(np.cumsum(lengths, dtype=np.int32).tobytes())
        self._index()

    @classmethod
    def of(cls, machine: Automaton | ShapeMachine, tokens: Sequence[int], body: Callable[[int], str]) -> Said:
        """Of tokens and what says their whole characters."""
        strings = [seen(machine, body(token)).encode() for token in tokens]
        order = sorted(range(len(strings)), key=strings.__getitem__)
        lengths = np.fromiter((len(strings[at]) for at in order), np.int32, len(order))
        return cls(b"".join(strings[at] for at in order), lengths, np.array(tokens, np.int32)[order])

    def _index(self) -> None:
        """Where each first symbol begins, and within it each second one: nearly all searches end there."""
        self._ones: dict[int, int] = {}
        self._blocks, self._seconds, self._starts = array("i"), array("i"), array("i")
        before, last = b"", "\0\0"
        for at, string in enumerate(self):
            if string == before:
                continue
            before = string
            near = f"{string[:8].decode('utf-8', 'ignore')}\0\0"[:2]  # two symbols are at most eight bytes
            if near == last:
                continue
            if near[0] != last[0]:
                self._ones[ord(near[0])] = len(self._blocks)
                self._blocks.append(len(self._seconds))
            self._seconds.append(ord(near[1]))
            self._starts.append(at)
            last = near
        self._blocks.append(len(self._seconds))
        self._starts.append(len(self))

    def having(self, true: Callable[[str], bool]) -> list[int]:
        """The places of tokens of whose symbols something is true; asked once for those that say the same."""
        places: list[int] = []
        before, having = b"", False
        for at, string in enumerate(self):
            if string != before:
                before, having = string, true(string.decode())
            if having:
                places.append(at)
        return places

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        if isinstance(at, slice):
            return [self[index] for index in range(*at.indices(len(self)))]
        return self.text[self._ends[at] : self._ends[at + 1]]

    def __iter__(self) -> Iterator[bytes]:
        return (self.text[first:last] for first, last in pairwise(self._ends))

    def beginning(self, symbols: str, low: int, high: int) -> tuple[int, int]:
        """Where the tokens stand that begin with `symbols`, out of those from `low` to `high`."""
        if not symbols:
            return low, high
        if len(symbols) > 2:
            prefix = symbols.encode()
            low = bisect_left(self, prefix, low, high)
            return low, bisect_left(self, prefix + _LAST, low, high)
        block = self._ones.get(ord(symbols[0]))
        if block is None:
            return low, low
        first, last = self._blocks[block], self._blocks[block + 1]
        if len(symbols) == 1:
            return self._starts[first], self._starts[last]
        second = ord(symbols[1])
        place = bisect_left(self._seconds, second, first, last)
        if place == last or self._seconds[place] != second:
            return low, low
        return self._starts[place], self._starts[place + 1]

    def saying(self, symbols: str, low: int, high: int) -> tuple[int, int]:
        """Where the tokens stand that say `symbols` and nothing more."""
        string = symbols.encode()
        return bisect_left(self, string, low, high), bisect_right(self, string, low, high)

    def longer(self, at: int, symbols: str) -> bool:
        """Whether the token at a place, which begins with `symbols`, goes on."""
        return self._ends[at + 1] - self._ends[at] > len(symbols.encode())


def seen(machine: Automaton | ShapeMachine, text: str) -> str:
    """What a machine sees of a token: where gaps count, one gap for many."""
    symbols = machine.symbols(text)
    if not (isinstance(machine, Automaton) and machine.gaps and GAP * 2 in symbols):
        return symbols
    return "".join(symbol for at, symbol in enumerate(symbols) if symbol != GAP or symbols[at - 1 : at] != GAP)
