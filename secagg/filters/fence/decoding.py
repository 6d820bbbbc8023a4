"""The decoding fence: the tokens that may come next, before one is chosen.

A state is what the machines know of the text so far, and the bytes of a character that is not finished. While one is unfinished only tokens
that finish it are allowed, so the text stays UTF-8.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from secagg.errors import ConfigError
from secagg.filters.fence.automaton import Automaton
from secagg.filters.fence.fence import Fence
from secagg.filters.fence.rows import Ids, Piece, Rows, whole
from secagg.filters.fence.shapes import ShapeMachine
from secagg.filters.fence.tokens import Vocabulary

_TOO_MUCH = 0.5
"""A fence that forbids more of the vocabulary than this in every state is a mistake in its lists."""


_KEPT = 1 << 16
"""States whose tokens are kept."""


class State(NamedTuple):
    """Machine states, with the prompt before the text and without, and the bytes of an unfinished character."""

    machines: tuple[int, ...]
    alone: tuple[int, ...]
    pending: bytes


@dataclass(frozen=True, slots=True)
class Allowed:
    """`ids` are the tokens that are forbidden beside those that always are; or, if `only`, the tokens that are allowed."""

    ids: Ids
    only: bool


class DecodingFence:
    """Which tokens a fence forbids, state by state; made once for a vocabulary.

    Args:
        fence: what is blocked.
        vocabulary: what the tokens say.
        eos: ids that end the text; allowed in every state, so a step always has an allowed token.
        specials: further special tokens that may be generated; all others are forbidden.

    Raises:
        ConfigError: no end-of-sequence token, one that is none of the vocabulary, or lists that forbid half of the vocabulary.
    """

    def __init__(self, fence: Fence, vocabulary: Vocabulary, *, eos: int | Iterable[int], specials: Iterable[int] = ()) -> None:
        self.vocabulary = vocabulary
        self.eos = (eos,) if isinstance(eos, int) else tuple(eos)
        if not self.eos or not all(0 <= index < len(vocabulary.tokens) for index in self.eos):
            raise ConfigError(f"end-of-sequence {self.eos} is not in a vocabulary of {len(vocabulary.tokens)} tokens")
        self._silent = {*self.eos, *specials}
        self._pieces: dict[int, Piece] = {}
        never, bodies = self._read()
        self._rows = [Rows(machine, bodies) for machine in fence.machines if isinstance(machine, Automaton | ShapeMachine)]
        held = [row.always for row in self._rows]
        self.always: Ids = np.unique(np.concatenate([np.array(never, np.int64), *held]))
        if sum(map(len, held)) > _TOO_MUCH * len(vocabulary.tokens):
            raise ConfigError(
                f"the lists forbid {sum(map(len, held))} of {len(vocabulary.tokens)} tokens everywhere: take short phrases out"
            )
        starts = tuple(row.machine.start for row in self._rows)
        self.start = State(starts, starts, b"")
        self._allowed: dict[State, Allowed] = {}

    def _read(self) -> tuple[list[int], list[tuple[str, int]]]:
        """Tokens that are never allowed, or only after an unfinished character; and the whole characters of the others."""
        never, bodies = [], []
        self._heads: dict[bytes, list[int]] = {}
        for index, said in enumerate(self.vocabulary.tokens):
            if index in self._silent:
                continue
            try:
                if said is None:
                    raise ValueError
                piece = Piece(said)
            except ValueError:  # a special token, or bytes that are never UTF-8
                never.append(index)
                continue
            if piece.head:
                self._heads.setdefault(piece.head, []).append(index)
                never.append(index)
            else:
                bodies.append((piece.body, index))
            if piece.head or piece.tail:
                self._pieces[index] = piece
        return never, bodies

    def advance(self, state: State, token: int) -> State:
        """The state after one more token, allowed or not."""
        said = self.vocabulary.tokens[token] if 0 <= token < len(self.vocabulary.tokens) and token not in self._silent else None
        if said is None:
            return state
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(state.pending + said)
        after = tuple(row.advance(at, text)[0] for row, at in zip(self._rows, state.machines, strict=True))
        same = state.alone == state.machines
        alone = after if same else tuple(row.advance(at, text)[0] for row, at in zip(self._rows, state.alone, strict=True))
        return State(after, alone, decoder.getstate()[0])

    def prompted(self, ids: Iterable[int]) -> State:
        """The state after a prompt: what is generated may complete no phrase that the prompt begins, nor hold one by itself."""
        state = self.start
        for token in ids:
            state = self.advance(state, token)
        return State(state.machines, self.start.machines, state.pending)

    def allowed(self, state: State) -> Allowed:
        """What may come next; kept once worked out."""
        known = self._allowed.get(state)
        if known is None:
            if len(self._allowed) >= _KEPT:
                self._allowed.clear()
            known = self._allowed[state] = self._finishing(state) if state.pending else self._completing(state)
        return known

    def forbidden(self, state: State) -> set[int]:
        """Every token that may not come next."""
        allowed = self.allowed(state)
        if allowed.only:
            return set(range(len(self.vocabulary.tokens))) - set(allowed.ids.tolist())
        return {*self.always.tolist(), *allowed.ids.tolist()}

    def _completing(self, state: State) -> Allowed:
        pairs = {(row, at) for states in (state.machines, state.alone) for row, at in enumerate(states)}
        return Allowed(np.unique(np.concatenate([self._rows[row].after(at) for row, at in pairs])), only=False)

    def _finishing(self, state: State) -> Allowed:
        """Tokens that finish the character, or come nearer, and complete no phrase."""
        lead = state.pending[0]
        missing = 2 + (lead >= 0xE0) + (lead >= 0xF0) - len(state.pending)
        ids = [index for head, tokens in self._heads.items() if len(head) <= missing for index in self._behind(state, head, tokens)]
        return Allowed(np.array([*ids, *self.eos], np.int64), only=True)

    def _behind(self, state: State, head: bytes, tokens: list[int]) -> list[int]:
        """Those of the tokens with one head that are allowed."""
        try:
            text, _ = whole(state.pending + head)
        except UnicodeDecodeError:
            return []
        if not text:
            return [index for index in tokens if not self._pieces[index].body and not self._pieces[index].tail]
        kinds = {state.machines, state.alone}
        return [index for index in tokens if not any(self._dead(kind, text + self._pieces[index].body) for kind in kinds)]

    def _dead(self, states: tuple[int, ...], text: str) -> bool:
        return any(row.advance(at, text)[1] for row, at in zip(self._rows, states, strict=True))
