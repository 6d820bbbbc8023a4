"""The sharing itself: a vector becomes one long share and m − 1 seeds, and shares are added up again.

share_j = AES-CTR(HKDF(seed_j, salt = rd, info = client, report, j)) for j ≥ 2;  share_1 = x − Σ share_j  mod 2^k.
Any m − 1 of them are uniform and independent of x.
"""

from __future__ import annotations

from collections.abc import Sequence

from secagg.crypto.derive import derive, digest
from secagg.crypto.expand import Stream
from secagg.crypto.stream import commitment, seal_stream
from secagg.masking import masked, piece_of
from secagg.math.ring import Ring
from secagg.payload import Blob
from secagg.roles import Source, Vector
from secagg.tally import Mask, Opening
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


def opening_of(secret: Secret, context: bytes) -> Opening:
    """How a vector that was sealed under `secret` opens."""
    return Opening(_payload_key(secret, context), _PAYLOAD, context)


def seal_masked(vector: Vector | Source, masks: Sequence[Mask], ring: Ring, key: Secret, context: bytes) -> tuple[Blob, bytes]:
    """`vector` plus or minus every mask, sealed, with its commitment. One pass: a piece is made, masked, packed and sealed in the cache."""
    fill, payload_key, size = masked(vector, masks, ring), _payload_key(key, context), ring.packed_size(vector.shape[0])
    sealed = Blob(seal_stream(payload_key, fill, size, purpose=_PAYLOAD, context=context, piece=piece_of(ring)))
    return sealed, commitment(sealed)
