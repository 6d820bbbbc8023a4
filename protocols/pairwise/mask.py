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
from secagg.crypto.many import Lanes, combine
from secagg.crypto.pairs import commit
from secagg.crypto.seal import CannotOpen
from secagg.crypto.stream import PLAIN, commitment
from secagg.crypto.tagged import check_stream, tag_stream
from secagg.math.ring import Ring
from secagg.payload import Blob, Payload, chunk_count
from secagg.roles import Vector
from secagg.threads import spread
from secagg.types import Context, PartyId, Secret

SEED = 32
_PAYLOAD = "pairwise/payload"

Mask = tuple[Stream, int]
"""A keystream, and 1 to add it or −1 to take it away."""


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


def tag_masked(vector: Vector, masks: Sequence[Mask], ring: Ring, key: Secret, context: bytes) -> tuple[Blob, bytes]:
    """`vector` under every mask, with tags, and the commitment to it. One pass: a chunk is masked, packed and tagged in the cache."""
    word = ring.bits // 8

    def fill(offset: int, buffer: memoryview) -> None:
        start, count = offset // word, len(buffer) // word
        # A word that fills its machine word is masked where it will stay; others are packed first.
        words: Vector = np.frombuffer(buffer, ring.dtype) if ring.fills_word else np.empty(count, ring.dtype)
        Lanes(masks, ring).combine_into(words, start, vector[start : start + count])
        if not ring.fills_word:
            ring.pack_into(words, buffer)

    tagged = Blob(tag_stream(_payload_key(key, context), fill, ring.packed_size(len(vector))))
    return tagged, commitment(tagged)


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
        checking, added = _payload_key(key, context), list[int]()

        def add(indices: range) -> None:
            for index, chunk in zip(indices, check_stream(checking, tagged, indices=indices), strict=True):
                self._add_chunk(index, chunk, self.ring.add_into)
                added.append(index)

        try:
            spread(add, chunk_count(tagged.size))
        except CannotOpen:
            for index in added:
                self._add_chunk(index, next(check_stream(checking, tagged, indices=range(index, index + 1))), self.ring.sub_into)
            raise

    def apply(self, masks: Sequence[Mask]) -> None:
        """Add every mask, or take it away: piece by piece, so that the sum goes through memory once for all of them."""
        combine(masks, self.words, self.ring)

    def _add_chunk(self, index: int, chunk: memoryview, into: Callable[[Vector, Vector], None]) -> None:
        words, start = self.ring.unpack(chunk, len(chunk) * 8 // self.ring.bits), index * PLAIN * 8 // self.ring.bits
        into(self.words[start : start + len(words)], words)

    def __repr__(self) -> str:
        return f"Tally({len(self.words)} words of {self.ring.bits} bits)"
