"""From characters to tokens: which tokens would complete a blocked phrase, given what stands before them.

Tokens are sorted by the symbols that they say. A phrase that has begun (a node of the failure chain) is completed by exactly the tokens
that begin with its remainder: a range of the sorted tokens, found by bisection. A token that ends where a `word` phrase does is forbidden
as well, so a text may be cut off after any token.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secagg.filters.fence.alphabet import GAP
from secagg.filters.fence.automaton import SHIFT, Automaton
from secagg.filters.fence.shapes import PROVINCES, ShapeMachine

Ids = npt.NDArray[np.int64]
_LAST = "\U0010ffff"
_NEAR = 2
"""Beginnings of tokens up to this many symbols are looked up: a first visit asks for many, and few tokens stand behind longer ones."""


class Piece:
    """A token as text: bytes that end a character begun before, whole characters, bytes that begin one."""

    __slots__ = ("body", "head", "tail")

    def __init__(self, said: bytes) -> None:
        self.head = self.tail = b""
        try:
            self.body = said.decode()
        except UnicodeDecodeError:
            self._cut(said)

    def _cut(self, said: bytes) -> None:
        head = 0
        while head < len(said) and said[head] & 0xC0 == 0x80:
            head += 1
        self.head = said[:head]
        self.body, self.tail = whole(said[head:])


def whole(said: bytes) -> tuple[str, bytes]:
    """The characters of `said`, and the bytes of one that is not finished; UnicodeDecodeError if it can never be UTF-8.

    An incremental decoder will not do: it takes the beginning of a surrogate for something that can be finished.
    """
    try:
        return said.decode(), b""
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            raise
        return said[: error.start].decode(), said[error.start :]


class Said(NamedTuple):
    """Tokens in the order of the symbols that they say to one policy; whatever is blocked, so it can be kept."""

    strings: list[str]
    ids: Ids

    @classmethod
    def of(cls, machine: Automaton | ShapeMachine, bodies: list[tuple[str, int]]) -> Said:
        """Of whole characters and the tokens that they are."""
        squeeze = _squeeze if isinstance(machine, Automaton) and machine.gaps else str
        said = sorted((squeeze(machine.symbols(body)), index) for body, index in bodies)
        return cls([symbols for symbols, _ in said], np.array([index for _, index in said], np.int64))


class Rows:
    """Forbidden tokens by the state of one machine.

    `always` are tokens that hold a whole phrase; `after(state)` are those that complete one that has begun, kept once worked out.
    """

    def __init__(self, machine: Automaton | ShapeMachine, said: Said) -> None:
        self.machine = machine
        self._gaps = isinstance(machine, Automaton) and machine.gaps
        self._strings, self._ids = said
        self._known: dict[int, Ids] = {}
        self._edges = array("q", sorted(machine.edges) if isinstance(machine, Automaton) else ())
        self._near = _spans(self._strings)
        self.after(machine.start)
        if isinstance(machine, ShapeMachine):
            self.after(machine.step(machine.start, PROVINCES[0])[0])  # the one state with a long way to go
        whole = [at for at, symbols in enumerate(self._strings) if self.whole(symbols)]
        self.always: Ids = self._ids[whole]

    def whole(self, symbols: str) -> bool:
        """Whether `symbols` hold a phrase by themselves, wherever they stand."""
        return self.machine.suspects(symbols) and self.dead(0, symbols)

    def advance(self, state: int, text: str) -> tuple[int, bool]:
        """The state after `text`, and whether a phrase stands in it or at its end."""
        machine, dead = self.machine, False
        symbols = machine.symbols(text)
        for symbol in symbols:
            state, _ = machine.step(state, symbol)
            dead = dead or self._over(state)
        return state, dead or bool(self._gaps and symbols and machine.found(machine.step(state, GAP)[0]))

    def dead(self, state: int, symbols: str) -> bool:
        """Whether a phrase is completed by `symbols` after `state`, or stands at their end."""
        machine = self.machine
        for symbol in symbols:
            state, _ = machine.step(state, symbol)
            if self._over(state):
                return True
        return bool(self._gaps and symbols and machine.found(machine.step(state, GAP)[0]))

    def touches(self, state: int, symbols: str) -> bool:
        """Whether `symbols` can end otherwise after `state` than after nothing; if not, they complete nothing that was begun."""
        machine, first, stop = self.machine, symbols[:1], 0
        if isinstance(machine, ShapeMachine):
            return first in machine.awaited(state)
        if first == GAP and machine.gapped(state):
            first, stop = symbols[1:2], machine.start
        while first and state != stop:
            if state << SHIFT | ord(first) in machine.edges:
                return True
            state = machine.fail[state]
        return False

    def _over(self, state: int) -> bool:
        machine = self.machine
        return machine.complete(state) if isinstance(machine, ShapeMachine) else machine.longest[state] > 0

    def after(self, state: int) -> Ids:
        """Tokens that complete a phrase begun before them."""
        known = self._known.get(state)
        if known is None:
            machine = self.machine
            spans = self._shapes(machine, state) if isinstance(machine, ShapeMachine) else self._phrases(machine, state)
            found = [self._ids[low:high] for low, high in spans if low < high]
            if isinstance(machine, Automaton) and (link := machine.fail[state]):
                found.append(self.after(link))
            known = self._known[state] = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
        return known

    def _span(self, prefix: str, low: int, high: int) -> tuple[int, int]:
        """Where the tokens stand that begin with `prefix`, out of those from `low` to `high`."""
        if 0 < len(prefix) <= _NEAR:
            return self._near.get(prefix, (low, low))
        low = bisect_left(self._strings, prefix, low, high)
        return low, bisect_left(self._strings, prefix + _LAST, low, high)

    def _phrases(self, machine: Automaton, state: int) -> Iterator[tuple[int, int]]:
        """Each way from a node to the end of a phrase that some token goes."""
        prefixes = () if not state else ("", GAP) if machine.gapped(state) else ("",)
        todo = [(state, prefix, *self._span(prefix, 0, len(self._strings))) for prefix in prefixes]
        while todo:
            node, said, low, high = todo.pop()
            for child, symbol in self._children(machine, node):
                first, last = self._span(said + symbol, low, high)
                if not machine.phrase_ends[child]:
                    if first < last and (machine.gaps or len(self._strings[last - 1]) > len(said) + 1):
                        todo.append((child, said + symbol, first, last))
                    continue
                yield first, last
                if machine.gaps and said.strip(GAP):
                    yield bisect_left(self._strings, said, low, high), bisect_right(self._strings, said, low, high)

    def _children(self, machine: Automaton, node: int) -> list[tuple[int, str]]:
        first = bisect_left(self._edges, node << SHIFT)
        last = bisect_left(self._edges, (node + 1) << SHIFT, first)
        mask = (1 << SHIFT) - 1
        return [(machine.edges[key], chr(key & mask)) for key in self._edges[first:last]]

    def _shapes(self, machine: ShapeMachine, state: int) -> Iterator[tuple[int, int]]:
        """Only symbols that keep a shape alive are followed; a shape is over with its last symbol."""
        todo = [(machine.begun(state), "", 0, len(self._strings))]
        while todo:
            places, said, low, high = todo.pop()
            for symbol in machine.going_on(places):
                first, last = self._span(said + symbol, low, high)
                if first == last:
                    continue
                following = machine.follow(places, symbol)
                if machine.any_complete(following):
                    yield first, last
                elif following:
                    todo.append((following, said + symbol, first, last))


def _squeeze(symbols: str) -> str:
    """One gap for many."""
    if GAP * 2 not in symbols:
        return symbols
    return "".join(symbol for at, symbol in enumerate(symbols) if symbol != GAP or symbols[at - 1 : at] != GAP)


def _spans(strings: list[str]) -> dict[str, tuple[int, int]]:
    """Where those with each short beginning stand in sorted strings."""
    spans: dict[str, tuple[int, int]] = {}
    for length in range(1, _NEAR + 1):
        begin, first = "", 0
        for at, string in enumerate([*strings, ""]):
            if string[:length] != begin:
                if len(begin) == length:
                    spans[begin] = first, at
                begin, first = string[:length], at
    return spans
