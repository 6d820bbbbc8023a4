"""The masks and the arithmetic on them: y = x + PRG(b) ± Σ PRG(K) mod 2^k, added up, and taken away again.

Every mask is a whole keystream of machine words, cut to the ring. Vectors are worked on in pieces that stay in the cache: each piece is
read once, all masks are added to it, and it is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from secagg.crypto.derive import derive
from secagg.crypto.expand import Stream
from secagg.crypto.many import Lanes
from secagg.crypto.pairs import commit
from secagg.crypto.seal import CannotOpen
from secagg.crypto.stream import commitment
from secagg.crypto.tagged import check_stream, tag_stream
from secagg.math.ring import Ring
from secagg.payload import Blob, Payload
from secagg.roles import Vector
from secagg.types import Context, PartyId, Secret

SEED = 32
_PAYLOAD = "pairwise/payload"
_PIECE = 1 << 17
"""Words that one call of `each` works on: half a chunk of 32-bit words, so that two threads share each chunk."""

Mask = tuple[Stream, int]
"""A keystream, and 1 to add it or −1 to take it away."""

Each = Callable[[Callable[[slice], None], Sequence[slice]], object]
"""`each(work, pieces)` calls `work` for every piece, in any order, perhaps on several threads, and returns when all are done."""


def serially(work: Callable[[slice], None], pieces: Sequence[slice]) -> None:
    """One piece after another."""
    for piece in pieces:
        work(piece)


def mask_seed(seed: Secret, ctx: Context, client: PartyId) -> Secret:
    """The private mask key that the key seed of a client stands for in this round."""
    return derive(seed, salt=ctx.rd, label="pairwise/mask-key", info=(client.encode(),))


def self_mask(seed: Secret, sid: bytes, client: PartyId) -> Stream:
    """PRG(b_u): the mask that a client puts on its own vector."""
    return Stream(derive(seed, salt=sid, label="pairwise/self-mask", info=(client.encode(),)))


def commit_self_mask(seed: Secret, ctx: Context, client: PartyId) -> bytes:
    """What a client commits to before anybody holds a share of it."""
    return commit(seed, "pairwise/commitment", ctx.rd, client.encode())


def pair_info(one: PartyId, other: PartyId) -> tuple[bytes, bytes]:
    """What a pair's mask key is bound to, the same from both ends."""
    first, second = sorted((one, other))
    return first.encode(), second.encode()


def pair_sign(place: int, other: int) -> int:
    """The client that comes first in the cohort adds the pair's mask, the other takes it away: in the sum of both it is gone."""
    return 1 if place < other else -1


def _payload_key(key: Secret, context: bytes) -> Secret:
    """`context` names round, session and client: it binds the vector, and even if the client's randomness repeats, no key tags two."""
    return derive(key, salt=context, label=_PAYLOAD)


def tag_masked(
    vector: Vector, masks: Sequence[Mask], ring: Ring, key: Secret, context: bytes, *, each: Each = serially
) -> tuple[Blob, bytes]:
    """`vector` under every mask, with tags, and the commitment to it. One pass: a piece is masked, packed and tagged in the cache."""
    word = ring.bits // 8
    # On one thread the chunks follow each other, so the ciphers are set up once; threads take pieces in no order.
    through = Lanes(masks, ring) if each is serially else None

    def fill(offset: int, buffer: memoryview) -> None:
        start, count = offset // word, len(buffer) // word
        # A word that fills its machine word is masked where it will stay; others are packed first.
        words: Vector = np.frombuffer(buffer, ring.dtype) if ring.fills_word else np.empty(count, ring.dtype)

        def work(piece: slice) -> None:
            np.copyto(words[piece], vector[start + piece.start : start + piece.stop])
            (through or Lanes(masks, ring)).combine_into(words[piece], start + piece.start)

        each(work, _pieces(count))
        if not ring.fills_word:
            ring.pack_into(words, buffer)

    tagged = Blob(tag_stream(_payload_key(key, context), fill, ring.packed_size(len(vector))))
    return tagged, commitment(tagged)


def _pieces(count: int, size: int = _PIECE) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """The running sum in the ring: one vector of memory, whatever the number of clients. Adding an upload is all or nothing."""

    ring: Ring
    words: Vector

    @classmethod
    def zero(cls, ring: Ring, length: int) -> Tally:
        return cls(ring, np.zeros(length, ring.dtype))

    def add_tagged(self, key: Secret, tagged: Payload, context: bytes) -> None:
        """Add a tagged vector. Raises CannotOpen, and then nothing has changed."""
        done = 0
        try:
            for chunk in check_stream(_payload_key(key, context), tagged):
                done += self._add_chunk(chunk, done, self.ring.add_into)
        except CannotOpen:
            self._take_back(key, tagged, context, done)
            raise

    def apply(self, masks: Sequence[Mask], *, each: Each = serially) -> None:
        """Add every mask, or take it away: piece by piece, so that the sum goes through memory once for all of them."""

        def work(piece: slice) -> None:
            Lanes(masks, self.ring).combine_into(self.words[piece], piece.start)

        each(work, _pieces(len(self.words), 8 * _PIECE))

    def _add_chunk(self, chunk: memoryview, start: int, combine: Callable[[Vector, Vector], None]) -> int:
        words = self.ring.unpack(chunk, len(chunk) * 8 // self.ring.bits)
        combine(self.words[start : start + len(words)], words)
        return len(words)

    def _take_back(self, key: Secret, tagged: Payload, context: bytes, until: int) -> None:
        done = 0
        opened = check_stream(_payload_key(key, context), tagged)
        while done < until:
            done += self._add_chunk(next(opened), done, self.ring.sub_into)

    def __repr__(self) -> str:
        return f"Tally({len(self.words)} words of {self.ring.bits} bits)"
