"""The decoding fence: the tokens that may come next, before one is chosen.

A state is what the machines know of the text so far, and the bytes of a character that is not finished. While one is unfinished only tokens
that finish it are allowed, so the text stays UTF-8.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from secagg.errors import ConfigError
from secagg.filters.fence.automaton import Automaton
from secagg.filters.fence.cache import fingerprint, key, read, write
from secagg.filters.fence.endings import Allowed, Endings
from secagg.filters.fence.fence import Fence
from secagg.filters.fence.rows import NONE, Piece, Rows
from secagg.filters.fence.said import Ids, Said
from secagg.filters.fence.shapes import ShapeMachine
from secagg.filters.fence.tokens import Vocabulary

_TOO_MUCH = 0.5
"""A fence that forbids more of the vocabulary than this in every state is a mistake in its lists."""


_IN_PIECES = "".join(map(chr, range(0x3000, 0xA000)))
"""Chinese, Japanese: characters that tokens often hold in pieces."""
_KEPT, _KEPT_IDS, _KEPT_ENDINGS = 1 << 16, 1 << 22, 1 << 8
"""States whose tokens are kept, how many tokens these may be together, and unfinished characters whose endings are kept."""


class State(NamedTuple):
    """Machine states, with the prompt before the text and without, and the bytes of an unfinished character."""

    machines: tuple[int, ...]
    alone: tuple[int, ...]
    pending: bytes


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
        self._rows = [Rows(machine, self._said(machine, bodies, cache, made_of)) for machine in machines]
        for machine in machines:
            machine.symbols(_IN_PIECES)  # a character is worked out on first sight, and these would all be seen in first visits
        held = [row.always for row in self._rows]
        self.always: Ids = np.unique(np.concatenate([np.array(never, np.int32), *held]))
        if sum(map(len, held)) > _TOO_MUCH * len(vocabulary.tokens):
            raise ConfigError(
                f"the lists forbid {sum(map(len, held))} of {len(vocabulary.tokens)} tokens everywhere: take short phrases out"
            )
        starts = tuple(row.machine.start for row in self._rows)
        self.start = State(starts, starts, b"")
        self._allowed: dict[State, Allowed] = {}
        self._known_endings: dict[bytes, Endings] = {}
        self._held = 0

    def _read(self) -> tuple[list[int], list[int]]:
        """Tokens that are never allowed, or only after an unfinished character; and the others."""
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
                bodies.append(index)
            if piece.head or piece.tail:
                self._pieces[index] = piece
        return never, bodies

    def _said(self, machine: Automaton | ShapeMachine, bodies: list[int], cache: Path | None, made_of: bytes) -> Said:
        """The tokens in the order of one policy, from the cache if they are there."""
        if cache is None:
            return Said.of(machine, bodies, self._body)
        name = key(b"said", made_of, machine.policy.encode())
        kept = read(cache, name)
        if kept is not None:
            return Said(kept["bytes"].tobytes(), kept["lengths"].astype(np.int32), kept["ids"].astype(np.int32))
        said = Said.of(machine, bodies, self._body)
        write(cache, name, {"bytes": np.frombuffer(said.text, np.uint8), "lengths": said.lengths, "ids": said.ids})
        return said

    def _body(self, token: int) -> str:
        """The whole characters of a token."""
        piece = self._pieces.get(token)
        return (self.vocabulary.tokens[token] or b"").decode() if piece is None else piece.body

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
            known = self._finishing(state) if state.pending else self._completing(state)
            self._held += 0 if known.shared else len(known.ids)
            if len(self._allowed) >= _KEPT or self._held > _KEPT_IDS:
                self._allowed.clear()
                self._held = 0
            self._allowed[state] = known
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
        found = [ids for row, at in pairs if len(ids := self._rows[row].after(at))]
        if len(found) < 2:  # none, or those of one machine, which keeps them anyway
            return Allowed(found[0] if found else NONE, only=False, shared=True)
        return Allowed(np.unique(np.concatenate(found)), only=False)

    def _finishing(self, state: State) -> Allowed:
        """Tokens that finish the character, or come nearer, and complete no phrase."""
        endings = self._known_endings.get(state.pending)
        if endings is None:
            if len(self._known_endings) >= _KEPT_ENDINGS:
                self._known_endings.clear()
            endings = Endings(state.pending, self._heads, self._pieces, self._rows, self.eos)
            self._known_endings[state.pending] = endings
        return endings.allowed({state.machines, state.alone})
