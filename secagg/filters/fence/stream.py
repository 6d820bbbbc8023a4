"""The streaming filter: text goes in as it is generated, and comes out as soon as no blocked phrase can still claim it.

```
 emitted for good │ held: the longest beginning of a phrase, or a phrase that another overlaps │ next chunk
```
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from secagg.errors import LocalProtocolError
from secagg.filters.fence.alphabet import GAP
from secagg.filters.fence.fence import Fence, Hit


class StreamFilter:
    """One text, in chunks.

    Args:
        fence: what is blocked, and what is put in its place.
        seen: is told of every hit and the characters that it covers, for a review log; nothing else may keep them.

    Guarantees:
        The output does not depend on how the text was cut into chunks; nothing that was emitted is part of a phrase found later; and what
        is held back is no longer than the longest beginning of a phrase that the text ends with, with what overlaps it.

    Raises:
        LocalProtocolError: text after `flush`.
    """

    def __init__(
        self,
        fence: Fence,
        *,
        seen: Callable[[Hit, str], None] | None = None,
    ) -> None:
        self.hits: list[Hit] = []
        self.refused = False
        self._fence = fence
        self._seen = seen
        self._machines = fence.machines
        self._states = [machine.start for machine in self._machines]
        self._totals = [0] * len(self._machines)
        self._before: list[list[int]] = [[] for _ in self._machines]
        """Per machine: symbols counted before each held character."""
        self._held: list[str] = []
        self._base = 0
        self._spans: list[tuple[int, int]] = []
        self._done = False

    @property
    def holding(self) -> int:
        """Characters held back."""
        return len(self._held)

    def feed(self, chunk: str) -> str:
        """What may be emitted now that `chunk` has come."""
        if self._done and not self.refused:
            raise LocalProtocolError("text after the end of the stream: use a new filter")
        if self.refused:
            return ""
        for character in chunk:
            self._read(character)
        return self._release()

    def flush(self) -> str:
        """The rest, once the text has ended."""
        if self._done:
            return ""
        for index in range(len(self._machines)):
            self._step(index, GAP)
        self._done = True
        return self._emit(self._base + len(self._held))

    def _read(self, character: str) -> None:
        self._held.append(character)
        for index, machine in enumerate(self._machines):
            self._before[index].append(self._totals[index])
            for symbol in machine.symbols(character):
                self._step(index, symbol)

    def _step(self, index: int, symbol: str) -> None:
        machine = self._machines[index]
        before = self._states[index]
        state, counts = machine.step(before, symbol)
        self._states[index] = state
        self._totals[index] += counts
        if (found := machine.found(state)) is None or (state == before and not counts):
            return
        total = self._totals[index]
        start, end = self._place(index, total - found.length), self._place(index, total - found.tail - 1) + 1
        self.hits.append(Hit(self._fence.names[found.rule], start, end))
        if self._seen is not None:
            self._seen(self.hits[-1], "".join(self._held[start - self._base : end - self._base]))
        while self._spans and start < self._spans[-1][1]:
            other = self._spans.pop()
            start, end = min(start, other[0]), max(end, other[1])
        self._spans.append((start, end))

    def _place(self, index: int, symbol: int) -> int:
        """The character that the counted symbol came from."""
        return self._base + bisect_right(self._before[index], symbol) - 1

    def _release(self) -> str:
        free = self._base + len(self._held)
        for index, machine in enumerate(self._machines):
            if live := machine.live(self._states[index]):
                free = min(free, self._place(index, self._totals[index] - live))
        for start, end in self._spans:
            if start < free < end:
                free = start
        return self._emit(free)

    def _emit(self, free: int) -> str:
        if free == self._base:
            return ""
        out, at = [], self._base
        while self._spans and self._spans[0][1] <= free:
            start, end = self._spans.pop(0)
            out += self._held[at - self._base : start - self._base]
            if self._fence.action == "refuse":
                self._refuse()
                return "".join(out) + self._fence.refusal
            out.append(self._fence.mark)
            at = end
        out += self._held[at - self._base : free - self._base]
        count = free - self._base
        del self._held[:count]
        for before in self._before:
            del before[:count]
        self._base = free
        return "".join(out)

    def _refuse(self) -> None:
        self.refused = self._done = True
        self._held.clear()
