"""The decoding fence: the tokens that may come next, before one is chosen.

A state is what the machines know of the text so far, and the bytes of a character that is not finished. While one is unfinished only tokens
that finish it are allowed, so the text stays UTF-8.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from secagg.errors import ConfigError
from secagg.filters.fence.automaton import Automaton
from secagg.filters.fence.cache import fingerprint, key, packed, read, unpacked, write
from secagg.filters.fence.fence import Fence
from secagg.filters.fence.rows import Ids, Piece, Rows, Said, whole
from secagg.filters.fence.shapes import ShapeMachine
from secagg.filters.fence.tokens import Vocabulary

_TOO_MUCH = 0.5
"""A fence that forbids more of the vocabulary than this in every state is a mistake in its lists."""


_IN_PIECES = "".join(map(chr, range(0x3000, 0xA000)))
"""Chinese, Japanese: characters that tokens often hold in pieces."""
_KEPT, _KEPT_ENDINGS = 1 << 16, 1 << 12
"""States whose tokens are kept, and unfinished characters whose endings are."""


_Said = tuple[str, ...]
"""What each machine sees of a text."""
_Endings = tuple[list[int], list[tuple[_Said, list[int]]]]


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
        cache: a folder that keeps what does not depend on what is blocked (`secagg.filters.fence.cache`); nothing is kept without it.

    Raises:
        ConfigError: no end-of-sequence token, one that is none of the vocabulary, or lists that forbid half of the vocabulary.
    """

    def __init__(
        self, fence: Fence, vocabulary: Vocabulary, *, eos: int | Iterable[int], specials: Iterable[int] = (), cache: Path | None = None
    ) -> None:
        self.vocabulary = vocabulary
        self.eos = (eos,) if isinstance(eos, int) else tuple(eos)
        if not self.eos or not all(0 <= index < len(vocabulary.tokens) for index in self.eos):
            raise ConfigError(f"end-of-sequence {self.eos} is not in a vocabulary of {len(vocabulary.tokens)} tokens")
        self._silent = {*self.eos, *specials}
        self._pieces: dict[int, Piece] = {}
        never, bodies = self._read()
        made_of = fingerprint(vocabulary.tokens, self._silent) if cache else b""
        machines = [machine for machine in fence.machines if isinstance(machine, Automaton | ShapeMachine)]
        self._rows = [Rows(machine, _said(machine, bodies, cache, made_of)) for machine in machines]
        for machine in machines:
            machine.symbols(_IN_PIECES)  # a character is worked out on first sight, and these would all be seen in first visits
        held = [row.always for row in self._rows]
        self.always: Ids = np.unique(np.concatenate([np.array(never, np.int64), *held]))
        if sum(map(len, held)) > _TOO_MUCH * len(vocabulary.tokens):
            raise ConfigError(
                f"the lists forbid {sum(map(len, held))} of {len(vocabulary.tokens)} tokens everywhere: take short phrases out"
            )
        starts = tuple(row.machine.start for row in self._rows)
        self.start = State(starts, starts, b"")
        self._allowed: dict[State, Allowed] = {}
        self._known_endings: dict[bytes, _Endings] = {}

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

    def permits(self, state: State, token: int) -> bool:
        """Whether one token may come next."""
        allowed = self.allowed(state)
        listed = bool((allowed.ids == token).any())
        return (
            listed if allowed.only else not listed and 0 <= token < len(self.vocabulary.tokens) and not bool((self.always == token).any())
        )

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
        nearer, endings = self._endings(state.pending)
        kinds = {state.machines, state.alone}
        ids = [*nearer, *self.eos]
        for said, tokens in endings:
            for kind in kinds:
                if self._dead(kind, said):
                    break
            else:
                ids += tokens
        return Allowed(np.array(ids, np.int64), only=True)

    def _endings(self, pending: bytes) -> _Endings:
        """Tokens that may follow an unfinished character: those that leave it so, and the others by what is said with them."""
        known = self._known_endings.get(pending)
        if known is None:
            if len(self._known_endings) >= _KEPT_ENDINGS:
                self._known_endings.clear()
            nearer: list[int] = []
            endings: dict[str, list[int]] = {}
            lead = pending[0]
            missing = 2 + (lead >= 0xE0) + (lead >= 0xF0) - len(pending)
            for head, tokens in self._heads.items():
                if len(head) > missing:
                    continue
                try:
                    text, _ = whole(pending + head)
                except UnicodeDecodeError:
                    continue
                for index in tokens:
                    piece = self._pieces[index]
                    if text:
                        endings.setdefault(text + piece.body, []).append(index)
                    elif not piece.body and not piece.tail:
                        nearer.append(index)
            said = [(tuple(row.machine.symbols(text) for row in self._rows), ids) for text, ids in endings.items()]
            alive = [(symbols, ids) for symbols, ids in said if not any(map(Rows.whole, self._rows, symbols))]
            known = self._known_endings[pending] = nearer, alive
        return known

    def _dead(self, states: tuple[int, ...], said: _Said) -> bool:
        """Whether something is completed that was begun before; what completes a phrase by itself is left out already."""
        for row, at, symbols in zip(self._rows, states, said, strict=True):  # noqa: SIM110  # in every first visit: twice as fast as any()
            if row.touches(at, symbols) and row.dead(at, symbols):
                return True
        return False


def _said(machine: Automaton | ShapeMachine, bodies: list[tuple[str, int]], cache: Path | None, made_of: bytes) -> Said:
    """The tokens in the order of one policy, from the cache if they are there."""
    if cache is None:
        return Said.of(machine, bodies)
    name = key(b"said", made_of, machine.policy.encode())
    kept = read(cache, name)
    if kept is not None:
        return Said([string.decode() for string in unpacked(kept) if string is not None], kept["ids"].astype(np.int64))
    said = Said.of(machine, bodies)
    write(cache, name, {**packed([string.encode() for string in said.strings]), "ids": said.ids})
    return said
