"""Who shares secrets and masks with whom: everybody with everybody, or each with the k nearest on a circle that the adverts decide.

The circle is a Harary graph H(k, n): the order comes from the session id, which hashes all adverts, so a party knows its place only
once nobody can change an advert any more. Source: Bell et al., CCS 2020, section 3.2; Harary, The maximum connectivity of a graph (1962).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from secagg.crypto.derive import derive
from secagg.crypto.expand import Stream
from secagg.types import Context, Secret


@dataclass(frozen=True)
class Graph:
    """The neighbourhoods of one session. A client is named by its place in the cohort.

    Attributes:
        members: those who take part, in rising order.
        degree: neighbours of each; at least len(members) − 1 makes the graph complete.
        order: the members as they stand on the circle; not used in the complete graph.
    """

    members: tuple[int, ...]
    degree: int
    order: tuple[int, ...]

    @classmethod
    def of(cls, members: Sequence[int], degree: int, sid: bytes, ctx: Context) -> Graph:
        """The graph of the session `sid`: the same for everybody who saw the same adverts."""
        if degree >= len(members) - 1:
            return cls(tuple(members), degree, ())
        # One uniform 64-bit word a member, sorted: two words are alike with probability below n² / 2^65, and then the cohort decides.
        words = np.zeros(len(members), np.dtype("<u8"))
        Stream(derive(Secret(sid), salt=ctx.rd, label="pairwise/circle")).fill(words)
        placed = np.asarray(members)[np.argsort(words, kind="stable")]
        return cls(tuple(members), degree, tuple(placed.tolist()))

    @property
    def complete(self) -> bool:
        """Whether everybody is everybody's neighbour."""
        return not self.order

    def circle(self, place: int) -> tuple[int, ...]:
        """The neighbours of a member and itself, in rising order: those who hold shares of its secrets."""
        if self.complete:
            return self.members
        at, n, half = self._at[place], len(self.order), self.degree // 2
        return tuple(sorted(self.order[(at + step) % n] for step in range(-half, half + 1)))

    def fewest_in_a_run(self, survivors: Sequence[int]) -> int:
        """The fewest survivors in any k/2 consecutive places of the circle; all of them in the complete graph."""
        if self.complete:
            return len(survivors)
        alive = np.isin(np.asarray(self.order), np.asarray(survivors)).astype(np.int64)
        run = self.degree // 2
        total = np.concatenate(([0], np.cumsum(np.concatenate((alive, alive[: run - 1])))))
        return int((total[run:] - total[:-run]).min())

    @cached_property
    def _at(self) -> dict[int, int]:
        return {place: index for index, place in enumerate(self.order)}
