"""From characters to tokens: which tokens would complete a blocked phrase, given what stands before them.

Tokens are sorted by the symbols that they say. A phrase that has begun (a node of the failure chain) is completed by exactly the tokens
that begin with its remainder: a range of the sorted tokens, found by bisection. A token that ends where a `word` phrase does is forbidden
as well, so a text may be cut off after any token.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from secagg.filters.fence.alphabet import GAP
from secagg.filters.fence.automaton import SHIFT, Automaton
from secagg.filters.fence.shapes import PROVINCES, ShapeMachine

Ids = npt.NDArray[np.int64]
_LAST = "\U0010ffff"


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


class Rows:
    """Forbidden tokens by the state of one machine.

    `always` are tokens that hold a whole phrase; `after(state)` are those that complete one that has begun, kept once worked out.
    """

    def __init__(self, machine: Automaton | ShapeMachine, bodies: list[tuple[str, int]]) -> None:
        self.machine = machine
        self._gaps = isinstance(machine, Automaton) and machine.gaps
        said = [(self._squeeze(machine.symbols(body)), index) for body, index in bodies]
        said.sort()
        self._strings = [symbols for symbols, _ in said]
        self._ids: Ids = np.array([index for _, index in said], np.int64)
        self._known: dict[int, Ids] = {}
        self._edges = np.array(sorted(machine.edges), np.int64) if isinstance(machine, Automaton) else np.zeros(0, np.int64)
        self.after(machine.start)
        if isinstance(machine, ShapeMachine):
            self.after(machine.step(machine.start, PROVINCES[0])[0])  # the one state with a long way to go
        self.always: Ids = np.array([index for symbols, index in said if machine.suspects(symbols) and self.dead(0, symbols)], np.int64)

    def _squeeze(self, symbols: str) -> str:
        if not self._gaps or GAP * 2 not in symbols:
            return symbols
        return "".join(symbol for at, symbol in enumerate(symbols) if symbol != GAP or symbols[at - 1 : at] != GAP)

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
                    if first < last:
                        todo.append((child, said + symbol, first, last))
                    continue
                yield first, last
                if machine.gaps and said.strip(GAP):
                    yield bisect_left(self._strings, said, low, high), bisect_right(self._strings, said, low, high)

    def _children(self, machine: Automaton, node: int) -> list[tuple[int, str]]:
        first, last = np.searchsorted(self._edges, [node << SHIFT, (node + 1) << SHIFT])
        mask = (1 << SHIFT) - 1
        return [(machine.edges[key], chr(key & mask)) for key in self._edges[first:last].tolist()]

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
