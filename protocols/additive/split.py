"""The sharing itself: a vector becomes one long share and m − 1 seeds, and shares are added up again.

share_j = AES-CTR(HKDF(seed_j, salt = rd, info = client, report, j)) for j ≥ 2;  share_1 = x − Σ share_j  mod 2^k.
Any m − 1 of them are uniform and independent of x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secagg.crypto.derive import derive, digest
from secagg.crypto.expand import Stream
from secagg.crypto.seal import CannotOpen
from secagg.crypto.stream import commitment, open_stream, seal_stream
from secagg.math.ring import Ring
from secagg.payload import Blob, Payload
from secagg.roles import Vector
from secagg.types import Context, PartyId, Secret

SEED = 32
_PAYLOAD = "additive/payload"


def mask(seed: Secret, ctx: Context, client: PartyId, report: bytes, index: int) -> Stream:
    """The keystream that is share `index` of this report."""
    key = derive(seed, salt=ctx.rd, label="additive/share", info=(client.encode(), report, bytes([index])))
    return Stream(key)


def part_hash(ctx: Context, client: PartyId, report: bytes, index: int, *, sealed: bytes, committed: bytes) -> bytes:
    """Hash of the part for aggregator `index`: what is sealed, and the commitment to the payload."""
    return digest("additive/part", ctx.rd, client.encode(), report, bytes([index]), sealed, committed)


def root_hash(ctx: Context, client: PartyId, report: bytes, version: int, parts: tuple[bytes, ...]) -> bytes:
    """One hash for the whole report: aggregators sum it only if all of them hold a part under this root."""
    return digest("additive/root", ctx.rd, client.encode(), report, version.to_bytes(8, "little"), *parts)


def roots_hash(entries: tuple[tuple[PartyId, bytes], ...]) -> bytes:
    """Hash of a sorted batch of (client, root)."""
    return digest("additive/batch", *(piece for client, root in entries for piece in (client.encode(), root)))


def _payload_key(secret: Secret, context: bytes) -> Secret:
    """`context` names round, both ends and report: even if the client's randomness repeats, no key seals two vectors."""
    return derive(secret, salt=context, label=_PAYLOAD)


def seal_masked(vector: Vector, masks: list[Stream], ring: Ring, key: Secret, context: bytes) -> tuple[Blob, bytes]:
    """`vector` minus every mask, sealed, with its commitment. One pass: a chunk is masked, packed and sealed in cache."""
    word = ring.bits // 8

    def fill(offset: int, buffer: memoryview) -> None:
        start, count = offset // word, len(buffer) // word
        words = np.frombuffer(buffer, ring.dtype) if ring.fills_word else np.empty(count, ring.dtype)
        np.copyto(words, vector[start : start + count])
        for stream in masks:
            stream.add_into(words, start, ring=ring, sign=-1)
        if not ring.fills_word:
            ring.pack_into(words, buffer)

    sealed = Blob(seal_stream(_payload_key(key, context), fill, ring.packed_size(len(vector)), purpose=_PAYLOAD, context=context))
    return sealed, commitment(sealed)


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """A running sum in the ring: constant memory, whatever the number of reports. Adding is all or nothing."""

    ring: Ring
    words: Vector

    @classmethod
    def zero(cls, ring: Ring, length: int) -> Tally:
        return cls(ring, np.zeros(length, ring.dtype))

    def add_mask(self, stream: Stream, sign: int) -> None:
        """Add or take away a share that is a seed."""
        stream.add_into(self.words, 0, ring=self.ring, sign=sign)

    def add_sealed(self, key: Secret, sealed: Payload, context: bytes, sign: int) -> None:
        """Add or take away a sealed vector. Raises CannotOpen, and then nothing has changed."""
        done = 0
        try:
            for chunk in open_stream(_payload_key(key, context), sealed, purpose=_PAYLOAD, context=context):
                done += self._add_chunk(chunk, done, sign)
        except CannotOpen:
            self._take_back(key, sealed, context, sign, done)
            raise

    def _add_chunk(self, chunk: memoryview, start: int, sign: int) -> int:
        words = self.ring.unpack(chunk, len(chunk) * 8 // self.ring.bits)
        part = self.words[start : start + len(words)]
        if sign > 0:
            self.ring.add_into(part, words)
        else:
            self.ring.sub_into(part, words)
        return len(words)

    def _take_back(self, key: Secret, sealed: Payload, context: bytes, sign: int, until: int) -> None:
        done = 0
        opened = open_stream(_payload_key(key, context), sealed, purpose=_PAYLOAD, context=context)
        while done < until:
            done += self._add_chunk(next(opened), done, -sign)

    def __repr__(self) -> str:
        return f"Tally({len(self.words)} words of {self.ring.bits} bits)"
