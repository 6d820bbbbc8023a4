"""Who is to blame when two parties contradict each other.

A doubt is a pair of which at least one lies: a client says that the box another made for it does not open, or a share that one gave back
does not fit what the other dealt. Two honest parties never make a doubt, so whoever stands in doubts with more than c others is guilty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Doubts:
    """Pairs of places in the cohort, with what they contradict each other about; it grows as contradictions show."""

    pairs: dict[tuple[int, int], str] = field(default_factory=dict)

    def add(self, one: int, other: int, about: str) -> None:
        """One of the two lies about a box or a share."""
        self.pairs[min(one, other), max(one, other)] = about

    def guilty(self, colluders: int) -> tuple[int, ...]:
        """Those who stand against more than `colluders` others: at least one of these is honest, so they themselves are not."""
        count: dict[int, int] = {}
        for pair in self.pairs:
            for place in pair:
                count[place] = count.get(place, 0) + 1
        return tuple(sorted(place for place, against in count.items() if against > colluders))

    def describe(self, clients: Sequence[str], colluders: int) -> str:
        """A sentence for an error; empty where there is no doubt."""
        if not self.pairs:
            return ""
        guilty = self.guilty(colluders)
        if guilty:
            return f"; to blame: {', '.join(clients[place] for place in guilty)}"
        named = ", ".join(f"{clients[one]} or {clients[other]}" for one, other in sorted(self.pairs))
        return f"; to blame is one of each: {named}"
