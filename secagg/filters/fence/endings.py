"""Tokens that may follow the bytes of an unfinished character: those that finish it, by what is said with them.

A character that was begun has one or two thousand endings in a large vocabulary. Only those are read on from a state whose first symbol
goes on with something that the state has begun; the others complete nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from secagg.filters.fence.alphabet import GAP
from secagg.filters.fence.rows import Piece, Rows, whole
from secagg.filters.fence.said import Ids, seen


@dataclass(frozen=True, slots=True)
class Allowed:
    """`ids` are the tokens that are forbidden beside those that always are; or, if `only`, the tokens that are allowed."""

    ids: Ids
    only: bool
    shared: bool = False
    """Whether the array is kept elsewhere too, and takes no room of its own."""


class Endings:
    """What may follow `pending`.

    Args:
        pending: the bytes of the character so far.
        heads: tokens by the bytes with which they finish a character begun before.
        pieces: what these tokens are.
        rows: one a machine; endings that hold a phrase by themselves are left out.
        free: tokens that are allowed here whatever was said.
    """

    def __init__(
        self, pending: bytes, heads: Mapping[bytes, Sequence[int]], pieces: Mapping[int, Piece], rows: Sequence[Rows], free: Iterable[int]
    ) -> None:
        nearer, texts = _finished(pending, heads, pieces)
        self._rows = rows
        self._said: list[tuple[str, ...]] = []
        self._bounds = [0]
        self._by_first: list[dict[str, list[int]]] = [{} for _ in rows]
        ids: list[int] = []
        for text, tokens in texts.items():
            said = tuple(seen(row.machine, text) for row in rows)
            if any(map(Rows.whole, rows, said)):
                continue
            for firsts, symbols in zip(self._by_first, said, strict=True):
                firsts.setdefault(symbols[:1], []).append(len(self._said))
                if symbols[:1] == GAP and len(symbols) > 1:  # a gap after a gap changes nothing
                    firsts.setdefault(symbols[:2], []).append(len(self._said))
            self._said.append(said)
            ids += tokens
            self._bounds.append(len(ids))
        self.free = Allowed(np.array([*ids, *nearer, *free], np.int32), only=True, shared=True)
        """All that may follow where nothing was begun."""

    def allowed(self, states: Iterable[Sequence[int]]) -> Allowed:
        """What completes no phrase begun in any of `states`; `free` itself if that is everything."""
        dead = {ending for kind in states for index, at in enumerate(kind) for ending in self._completing(index, at)}
        if not dead:
            return self.free
        kept = np.ones(len(self.free.ids), np.bool_)
        for ending in dead:
            kept[self._bounds[ending] : self._bounds[ending + 1]] = False
        return Allowed(self.free.ids[kept], only=True)

    def _completing(self, index: int, state: int) -> Iterable[int]:
        row, firsts = self._rows[index], self._by_first[index]
        for symbol in row.awaited(state):
            for ending in firsts.get(symbol, ()):
                if row.dead(state, self._said[ending][index]):
                    yield ending


def _finished(pending: bytes, heads: Mapping[bytes, Sequence[int]], pieces: Mapping[int, Piece]) -> tuple[list[int], dict[str, list[int]]]:
    """Tokens that leave the character unfinished, and the others by the whole characters that stand with them."""
    nearer: list[int] = []
    texts: dict[str, list[int]] = {}
    lead = pending[0]
    missing = 2 + (lead >= 0xE0) + (lead >= 0xF0) - len(pending)
    for head, tokens in heads.items():
        if len(head) > missing:
            continue
        try:
            text, _ = whole(pending + head)
        except UnicodeDecodeError:
            continue
        for index in tokens:
            piece = pieces[index]
            if text:
                texts.setdefault(text + piece.body, []).append(index)
            elif not piece.body and not piece.tail:
                nearer.append(index)
    return nearer, texts
