"""The running sum of a round: one vector in the ring, wherever it lies. What is added to it is added whole or not at all.

A server keeps one and never asks where. `Tally` is the vector in this process; `secagg.runtime.shards` splits it by range over workers,
for which the three things that are ever done to it are plain values: a vector that opens chunk by chunk, keystreams, and reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from secagg.crypto.expand import Stream
from secagg.crypto.many import combine
from secagg.crypto.seal import CannotOpen
from secagg.crypto.stream import PLAIN, commitment, open_stream
from secagg.crypto.tagged import check_stream
from secagg.errors import LocalProtocolError
from secagg.math.ring import Ring, Words
from secagg.payload import Payload, chunk_count
from secagg.threads import spread
from secagg.types import Secret

Mask = tuple[Stream, int]
"""A keystream, and 1 to add it or −1 to take it away."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a vector that travelled is opened, under a key that is used for this one vector only.

    `purpose` names the use of a sealed vector; one that is only tagged, because a mask hides it already, has none.
    """

    key: Secret
    purpose: str = ""
    context: bytes = b""

    def read(self, payload: Payload, indices: range | None = None) -> Iterator[memoryview]:
        """The plain bytes of every chunk, or of those of `indices`; each view is valid until the next. Raises CannotOpen."""
        if self.purpose:
            return open_stream(self.key, payload, purpose=self.purpose, context=self.context, indices=indices)
        return check_stream(self.key, payload, indices=indices)


class Kept:
    """A vector that stays in this process, on its way from one party of the process to another: there is nobody to seal it against.

    It has the size that it would have sealed, and its words belong to whoever it is handed to. It has no bytes: whoever tries to send it on
    gets a LocalProtocolError.
    """

    __slots__ = ("size", "words")

    def __init__(self, words: Words, size: int) -> None:
        self.words, self.size = words, size

    def chunk(self, index: int) -> memoryview:
        raise LocalProtocolError(f"chunk {index} of a vector that stays in its process: it is never sent")

    def __repr__(self) -> str:
        return f"Kept({len(self.words)} words)"


_UNSEALED = bytes(32)
"""The commitment to a vector that does not leave the process: there are no tags."""


def committed(payload: Payload) -> bytes:
    """The commitment that goes with a vector: to its tags, if it travels."""
    return _UNSEALED if isinstance(payload, Kept) else commitment(payload)


class RunningSum(Protocol):
    """What a server does with its sum."""

    @property
    def ring(self) -> Ring: ...

    @property
    def beside(self) -> bool:
        """Whether this process is also the one that its sum goes to."""

    @property
    def empty(self) -> bool:
        """Whether nothing has been added for sure: whoever knows can leave the sum out. A sum that cannot tell says no."""

    @property
    def words(self) -> Words:
        """The sum as it is now, whole: not to be changed, and not to be kept over the next addition."""

    def add(self, opening: Opening, payload: Payload, sign: int = 1) -> None:
        """Add a vector, or take it away. Raises CannotOpen, and then nothing has changed."""

    def apply(self, masks: Sequence[Mask]) -> None:
        """Add every keystream, or take it away."""


Tallies = Callable[[Ring, int], RunningSum]
"""`tallies(ring, length)` gives a sum of so many words, all zero."""


@dataclass(slots=True, eq=False)
class Tally:
    """The sum in this process: one vector of memory, whatever the number of clients, and none before something is added."""

    ring: Ring
    length: int
    held: Words | None = None
    beside: bool = False

    @classmethod
    def zero(cls, ring: Ring, length: int) -> Tally:
        return cls(ring, length)

    @classmethod
    def at_home(cls, ring: Ring, length: int) -> Tally:
        """For a server whose sum goes to a party of the same process."""
        return cls(ring, length, beside=True)

    @classmethod
    def of(cls, ring: Ring, words: Words) -> Tally:
        """The sum so far is in `words`, and goes on there."""
        return cls(ring, len(words), words)

    @property
    def empty(self) -> bool:
        return self.held is None

    @property
    def words(self) -> Words:
        if self.held is None:
            self.held = np.zeros(self.length, self.ring.dtype)
        return self.held

    def add(self, opening: Opening, payload: Payload, sign: int = 1) -> None:
        if not isinstance(payload, Kept):
            self.add_chunks(opening, payload, range(chunk_count(payload.size)), sign)
        elif self.held is None and sign > 0:
            self.held = payload.words
        else:
            (self.ring.add_into if sign > 0 else self.ring.sub_into)(self.words, payload.words)

    def add_chunks(self, opening: Opening, payload: Payload, chunks: range, sign: int) -> None:
        """Add some chunks of a vector, of which the first belongs at word 0. Raises CannotOpen, and then nothing has changed."""
        words, added = self.words, list[int]()

        def combine(index: int, chunk: memoryview, sign: int) -> None:
            start = (index - chunks.start) * words_in_a_chunk(self.ring)
            self.ring.combine_packed(words[start : start + len(chunk) * 8 // self.ring.bits], chunk, sign)

        def work(part: range) -> None:
            indices = chunks[part.start : part.stop]
            for index, chunk in zip(indices, opening.read(payload, indices), strict=True):
                combine(index, chunk, sign)
                added.append(index)

        try:
            spread(work, len(chunks))
        except CannotOpen:
            for index in added:
                combine(index, next(opening.read(payload, range(index, index + 1))), -sign)
            raise

    def apply(self, masks: Sequence[Mask]) -> None:
        self.apply_from(masks, 0)

    def apply_from(self, masks: Sequence[Mask], first: int) -> None:
        """`apply` where word 0 takes word `first` of every keystream."""
        combine(masks, self.words, self.ring, first)

    def __repr__(self) -> str:
        return f"Tally({self.length} words of {self.ring.bits} bits)"


def words_in_a_chunk(ring: Ring) -> int:
    """Words of a full chunk: ranges that begin at multiples of it need no chunk twice."""
    return PLAIN * 8 // ring.bits
