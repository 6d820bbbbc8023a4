"""Aho–Corasick [AC75] over symbols: which phrases end here, and how much of one may have begun.

A node is a prefix of a phrase. Edges stand in one dictionary keyed by (node, symbol), failure links and lengths in flat arrays, so 65,000
phrases take tens of megabytes. Phrases of the `word` policy begin and end with a gap, and a gap after a gap changes nothing.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from secagg.errors import ConfigError
from secagg.filters.fence.alphabet import GAP, Alphabet

SHIFT = 21
"""Bits of a code point."""
_SYMBOL = (1 << SHIFT) - 1
_FEW = 64
"""First symbols up to this many are searched for before the machine runs: most texts have none of them."""


class Spot(NamedTuple):
    """A phrase in a whole text: the symbol at which it was found (their number, if at the end), and where it starts and ends."""

    at: int
    start: int
    end: int
    rule: int


class Found(NamedTuple):
    """A phrase that has just ended: `length` counted symbols back from here, of which the last `tail` are its right boundary."""

    length: int
    tail: int
    rule: int


class Automaton:
    """Phrases as a deterministic machine.

    Args:
        phrases: (phrase, index of its rule).
        alphabet: what a character is to the policy.
        gaps: the `word` policy; phrases stand between gaps.

    `latin` says that no phrase is found in a text that `alphabet.CHINESE` matches.

    Raises:
        ConfigError: a phrase without a letter or digit: it would be found everywhere.
    """

    def __init__(self, phrases: Iterable[tuple[str, int]], alphabet: Alphabet, *, gaps: bool) -> None:
        self.alphabet = alphabet
        self.gaps = gaps
        self.edges: dict[int, int] = {}
        self.fail = array("i", [0])
        self.depth = array("i", [0])
        self.longest = array("i", [0])
        """Length of the longest phrase that ends in a node or in a suffix of it; 0 if none does: the node is alive."""
        self.rule = array("i", [-1])
        self._gapped = bytearray([0])
        self._parents = array("i", [-1])
        self._labels = array("i", [0])
        self._latin = True
        for phrase, rule in phrases:
            self._add(phrase, rule)
        self._link()
        self.latin = self._latin and self.alphabet.name in {"solid", "short", "word"}
        self.start = self.edges.get(ord(GAP), 0) if gaps else 0
        self._first = _any_of(chr(key & _SYMBOL) for key in self.edges if key >> SHIFT == self.start)

    def _add(self, phrase: str, rule: int) -> None:
        symbols = self.symbols(phrase)
        if not symbols.strip(GAP):
            raise ConfigError(f"a phrase of {len(phrase)} characters has no letter or digit: it would be found everywhere; take it out")
        self._latin = self._latin and any(c.isascii() and c.isalnum() for c in symbols)
        if self.gaps:
            symbols = f"{GAP}{GAP.join(symbols.split())}{GAP}"
        node = 0
        for symbol in map(ord, symbols):
            key = node << SHIFT | symbol
            child = self.edges.get(key)
            if child is None:
                child = len(self.fail)
                self.edges[key] = child
                self.fail.append(0)
                self.depth.append(self.depth[node] + 1)
                self.longest.append(0)
                self.rule.append(-1)
                self._gapped.append(symbol == ord(GAP))
                self._parents.append(node)
                self._labels.append(symbol)
            node = child
        self.longest[node] = len(symbols)
        self.rule[node] = rule

    def _link(self) -> None:
        """Failure links, shallow nodes first."""
        self.phrase_ends = bytes(map(bool, self.longest))
        for node in sorted(range(1, len(self.fail)), key=self.depth.__getitem__):
            parent, symbol = self._parents[node], self._labels[node]
            if not parent:
                continue
            link = self._next(self.fail[parent], symbol)
            self.fail[node] = link
            if not self.longest[node] and self.longest[link]:
                self.longest[node], self.rule[node] = self.longest[link], self.rule[link]
        del self._parents, self._labels

    def _next(self, node: int, symbol: int) -> int:
        get = self.edges.get
        while (target := get(node << SHIFT | symbol)) is None:
            if not node:
                return 0
            node = self.fail[node]
        return target

    @property
    def policy(self) -> str:
        """The policy whose alphabet it reads."""
        return self.alphabet.name

    def symbols(self, text: str) -> str:
        """What the policy sees of `text`."""
        return text.translate(self.alphabet)

    def step(self, state: int, symbol: str) -> tuple[int, bool]:
        """The next state, and whether the symbol counts (a gap after a gap does not)."""
        if symbol == GAP and self._gapped[state]:
            return state, False
        return self._next(state, ord(symbol)), True

    def found(self, state: int) -> Found | None:
        """The longest phrase that ends here."""
        length = self.longest[state]
        if not length:
            return None
        return Found(length - 1, 1, self.rule[state]) if self.gaps else Found(length, 0, self.rule[state])

    def live(self, state: int) -> int:
        """Counted symbols of the longest beginning of a phrase that ends here, without its left boundary."""
        return self.depth[state] - self.gaps if state else 0

    def gapped(self, state: int) -> bool:
        """Whether the state's last symbol is a gap."""
        return bool(self._gapped[state])

    def suspects(self, symbols: str) -> bool:
        """Whether any phrase is found."""
        return next(self.spots(symbols), None) is not None

    def spots(self, symbols: str) -> Iterator[Spot]:
        """Every place in a whole text where a phrase ends, with the longest that does: one dictionary look-up a symbol, or two."""
        if self._first is not None and self._first.search(symbols) is None:
            return
        if self.gaps:
            yield from self._words(symbols)
            return
        get, fail, longest, state = self.edges.get, self.fail, self.longest, 0
        for at, symbol in enumerate(map(ord, symbols)):
            while (target := get(state << 21 | symbol)) is None and state:
                state = fail[state]
            if target is None:
                continue
            state = target
            if length := longest[state]:
                yield Spot(at, at + 1 - length, at + 1, self.rule[state])

    def _words(self, symbols: str) -> Iterator[Spot]:
        """`spots` where phrases stand between gaps."""
        get, fail, longest, gapped, state = self.edges.get, self.fail, self.longest, self._gapped, self.start
        counted: list[int] = []
        for at, symbol in enumerate(map(ord, symbols + GAP)):
            if symbol == 32 and gapped[state]:
                continue
            counted.append(at)
            while (target := get(state << 21 | symbol)) is None:
                if not state:
                    target = 0
                    break
                state = fail[state]
            state = target
            if length := longest[state]:
                yield Spot(at, counted[1 - length], counted[-2] + 1, self.rule[state])


def _any_of(symbols: Iterable[str]) -> re.Pattern[str] | None:
    """A search for any of a few symbols."""
    few = sorted(set(symbols))
    return re.compile("[" + "".join(map(re.escape, few)) + "]") if 0 < len(few) <= _FEW else None
