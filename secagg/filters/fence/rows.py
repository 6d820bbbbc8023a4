"""From characters to tokens: which tokens would complete a blocked phrase, given what stands before them.

Tokens are sorted by the symbols that they say. A phrase that has begun (a node of the failure chain) is completed by exactly the tokens
that begin with its remainder: a range of the sorted tokens, found by bisection. A token that ends where a `word` phrase does is forbidden
as well, so a text may be cut off after any token.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

from secagg.filters.fence.alphabet import GAP
from secagg.filters.fence.automaton import SHIFT, Automaton
from secagg.filters.fence.said import Ids, Said
from secagg.filters.fence.shapes import PROVINCES, ShapeMachine

NONE: Ids = np.zeros(0, np.int32)
_KEPT = 1 << 14
"""States whose tokens are kept."""


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

    def __init__(self, machine: Automaton | ShapeMachine, said: Said) -> None:
        self.machine = machine
        self._gaps = isinstance(machine, Automaton) and machine.gaps
        self._said = said
        self._known: dict[int, Ids] = {}
        self._edges = array("q", sorted(machine.edges) if isinstance(machine, Automaton) else ())
        self.after(machine.start)
        if isinstance(machine, ShapeMachine):
            self.after(machine.step(machine.start, PROVINCES[0])[0])  # the one state with a long way to go
        self.always: Ids = said.ids[said.having(self.whole)]

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

    def awaited(self, state: int) -> set[str]:
        """Symbols that go on with something begun: what begins with another one completes nothing.

        Where the state's last symbol is a gap, what goes on may also stand behind one more: these are pairs.
        """
        machine = self.machine
        if isinstance(machine, ShapeMachine):
            return machine.awaited(state)
        gapped, awaited = machine.gapped(state), set[str]()
        while state:
            awaited.update(symbol for _, symbol in self._children(machine, state))
            state = machine.fail[state]
        return awaited | {GAP + symbol for symbol in awaited} if gapped else awaited

    def _over(self, state: int) -> bool:
        machine = self.machine
        return machine.complete(state) if isinstance(machine, ShapeMachine) else machine.longest[state] > 0

    def after(self, state: int) -> Ids:
        """Tokens that complete a phrase begun before them."""
        known = self._known.get(state)
        if known is None:
            machine = self.machine
            if len(self._known) >= _KEPT:
                self._known.clear()
            spans = self._shapes(machine, state) if isinstance(machine, ShapeMachine) else self._phrases(machine, state)
            found = [self._said.ids[low:high] for low, high in spans if low < high]
            if isinstance(machine, Automaton) and (link := machine.fail[state]):
                found.append(self.after(link))
            known = self._known[state] = np.unique(np.concatenate(found)) if found else NONE
        return known

    def _phrases(self, machine: Automaton, state: int) -> Iterator[tuple[int, int]]:
        """Each way from a node to the end of a phrase that some token goes."""
        prefixes = () if not state else ("", GAP) if machine.gapped(state) else ("",)
        todo = [(state, prefix, *self._said.beginning(prefix, 0, len(self._said))) for prefix in prefixes]
        while todo:
            node, said, low, high = todo.pop()
            for child, symbol in self._children(machine, node):
                first, last = self._said.beginning(said + symbol, low, high)
                if not machine.phrase_ends[child]:
                    if first < last and (machine.gaps or self._said.longer(last - 1, said + symbol)):
                        todo.append((child, said + symbol, first, last))
                    continue
                yield first, last
                if machine.gaps and said.strip(GAP):
                    yield self._said.saying(said, low, high)

    def _children(self, machine: Automaton, node: int) -> list[tuple[int, str]]:
        first = bisect_left(self._edges, node << SHIFT)
        last = bisect_left(self._edges, (node + 1) << SHIFT, first)
        mask = (1 << SHIFT) - 1
        return [(machine.edges[key], chr(key & mask)) for key in self._edges[first:last]]

    def _shapes(self, machine: ShapeMachine, state: int) -> Iterator[tuple[int, int]]:
        """Only symbols that keep a shape alive are followed; a shape is over with its last symbol."""
        todo = [(machine.begun(state), "", 0, len(self._said))]
        while todo:
            places, said, low, high = todo.pop()
            for symbol in machine.going_on(places):
                first, last = self._said.beginning(said + symbol, low, high)
                if first == last:
                    continue
                following = machine.follow(places, symbol)
                if machine.any_complete(following):
                    yield first, last
                elif following:
                    todo.append((following, said + symbol, first, last))
