"""Personal numbers by their shape: mobile numbers, resident identity numbers, licence plates, as one small machine.

A shape is a row of character classes. It begins where no letter or digit stands right before it, goes on over gaps (blanks, dashes, dots),
and is found when something that is no digit or Latin letter follows, or the text ends. The machine is the subset construction, made state
by state as texts ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

from secagg.errors import ConfigError
from secagg.filters.fence.alphabet import BREAK, GAP, shape
from secagg.filters.fence.automaton import Found, Spot

_D = "0123456789"
_L = "abcdefghijklmnopqrstuvwxyz"
PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_OTHER = "*"
"""Any letter that no shape has."""
_KNOWN = frozenset(_D + _L + PROVINCES + GAP + BREAK)

SHAPES: dict[str, tuple[tuple[str, ...], ...]] = {
    "mobile": (("1", "3456789", *[_D] * 9), ("8", "6", "1", "3456789", *[_D] * 9)),
    "identity": ((_D[1:], *[_D] * 5, "12", "09", _D, _D, "01", _D, "0123", *[_D] * 4, _D + "x"),),
    "plate": (
        *((PROVINCES, _L, *(_L if at in letters else _D for at in range(5))) for n in range(3) for letters in combinations(range(5), n)),
        (PROVINCES, _L, "abcdefghjk", _D + _L, *[_D] * 4),
        (PROVINCES, _L, *[_D] * 5, "abcdefghjk"),
    ),
}
"""Name to the rows of classes that have it: Chinese mobile numbers (with 86 or without), GB 11643 identity numbers, GA 36 plates (at most
two letters among the five, or new energy)."""

_Places = frozenset[tuple[int, int]]
_State = tuple[_Places, bool, Found | None]


class ShapeMachine:
    """The chosen shapes as a deterministic machine.

    Raises:
        ConfigError: a shape that there is none of.
    """

    start = 0
    policy = "shape"

    def __init__(self, names: Sequence[tuple[str, int]]) -> None:
        self.alphabet = shape()
        self._rows: list[tuple[tuple[str, ...], int]] = []
        for name, rule in names:
            if name not in SHAPES:
                raise ConfigError(f"shape {name!r} is unknown: use {', '.join(sorted(SHAPES))}")
            self._rows += [(row, rule) for row in SHAPES[name]]
        self._states: list[_State] = [(frozenset(), False, None)]
        self._ids: dict[_State, int] = {self._states[0]: 0}
        self._steps: dict[tuple[int, str], tuple[int, bool]] = {}
        self._awaited: dict[int, set[str]] = {}
        self._suspect = re.compile(r"[0-9](?:[^0-9]?[0-9]){3}|[" + PROVINCES + r"] *[a-z]")

    def symbols(self, text: str) -> str:
        """What the machine sees of `text`."""
        return text.translate(self.alphabet)

    def step(self, state: int, symbol: str) -> tuple[int, bool]:
        """The next state, and whether the symbol counts (gaps and breaks do not)."""
        key = (state, symbol if symbol in _KNOWN else _OTHER)
        known = self._steps.get(key)
        if known is None:
            known = self._steps[key] = self._make(*key)
        return known

    def _make(self, state: int, symbol: str) -> tuple[int, bool]:
        places, joined, _ = self._states[state]
        solid = symbol not in (GAP, BREAK)
        inner = symbol in _D or symbol in _L
        ended = None
        if not inner:
            complete = [row for row, at in places if at == len(self._rows[row][0])]
            if complete:
                longest = max(complete, key=lambda row: len(self._rows[row][0]))
                ended = Found(len(self._rows[longest][0]) + solid, int(solid), self._rows[longest][1])
        anew = set() if joined and inner else {(row, 0) for row in range(len(self._rows))}
        following = self.follow(places if symbol == GAP else places | anew, symbol)
        return self._number((following, inner, ended)), solid

    def begun(self, state: int) -> _Places:
        """The shapes that have begun, and how far each has come."""
        return self._states[state][0]

    def going_on(self, places: _Places) -> set[str]:
        """Symbols after which some of `places` is still there."""
        going = {symbol for row, at in places if at < len(self._rows[row][0]) for symbol in self._rows[row][0][at]}
        return going | {GAP} if places else going

    def awaited(self, state: int) -> set[str]:
        """Symbols after which a shape that has begun is still there."""
        known = self._awaited.get(state)
        if known is None:
            known = self._awaited[state] = self.going_on(self.begun(state))
        return known

    def follow(self, places: _Places, symbol: str) -> _Places:
        """`places` after `symbol`, none begun anew."""
        rows = self._rows
        if symbol == GAP:
            return frozenset((row, at) for row, at in places if at < len(rows[row][0]))
        return frozenset((row, at + 1) for row, at in places if at < len(rows[row][0]) and symbol in rows[row][0][at])

    def any_complete(self, places: _Places) -> bool:
        """Whether one of `places` is the end of its shape."""
        return any(at == len(self._rows[row][0]) for row, at in places)

    def complete(self, state: int) -> bool:
        """Whether a shape stands here whole, whatever follows."""
        return self.any_complete(self._states[state][0])

    def _number(self, state: _State) -> int:
        if state not in self._ids:
            self._ids[state] = len(self._states)
            self._states.append(state)
        return self._ids[state]

    def found(self, state: int) -> Found | None:
        """The shape that has just been completed."""
        return self._states[state][2]

    def live(self, state: int) -> int:
        """Counted symbols of the longest shape that may have begun."""
        return max((at for _, at in self._states[state][0]), default=0)

    def suspects(self, symbols: str) -> bool:
        """Whether there is enough of a number to look closely."""
        return self._suspect.search(symbols) is not None

    def spots(self, symbols: str) -> Iterator[Spot]:
        """Every place in a whole text where a shape is found; the end of the text is a gap."""
        if not self.suspects(symbols):
            return
        counted: list[int] = []
        state = self.start
        for at, symbol in enumerate(symbols + GAP):
            before = state
            state, counts = self.step(state, symbol)
            if counts:
                counted.append(at)
            if (found := self.found(state)) is not None and (counts or state != before):
                yield Spot(at, counted[-found.length], counted[-found.tail - 1] + 1, found.rule)
