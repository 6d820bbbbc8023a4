"""The masks and the arithmetic on them: y = x + PRG(b) ± Σ PRG(K) mod 2^k, added up, and taken away again.

Every mask is a whole keystream of machine words, cut to the ring. Vectors are worked on in pieces that stay in the cache: each piece is
read once, all masks are added to it, and it is written once.
"""

from __future__ import annotations

from collections.abc import Sequence

from secagg.crypto.agree import LowOrderPoint
from secagg.crypto.derive import derive
from secagg.crypto.expand import Stream
from secagg.crypto.pairs import Agreeing, commit
from secagg.crypto.stream import commitment
from secagg.crypto.tagged import tag_stream
from secagg.errors import InvalidMessage
from secagg.masking import masked, piece_of
from secagg.math.ring import Ring
from secagg.payload import Blob
from secagg.roles import Source, Vector
from secagg.tally import Mask, Opening
from secagg.types import Context, PartyId, Secret

SEED = 32
PAIR_KEY = 32
"""Bytes of the key from which a pair's mask comes."""
_PAYLOAD = "pairwise/payload"


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


def tells(place: int, other: int) -> bool:
    """Whether, of two places, this one works out the pair's key and puts it into its box for the other: half of all pairs fall to each."""
    return (place < other) == ((place + other) % 2 == 0)


def pair_keys(agreeing: Agreeing, publics: Sequence[bytes], sid: bytes, one: PartyId, others: Sequence[PartyId]) -> list[Secret]:
    """K_uv with each of these peers, the same from both ends. Raises InvalidMessage."""
    try:
        keys = agreeing.keys(publics, salt=sid, label="pairwise/pair-mask", infos=[(pair_info(one, other),) for other in others])
    except LowOrderPoint as refused:
        other = others[refused.index]
        raise InvalidMessage("PW-C7", f"the mask key of {other} is of low order", culprits=[other]) from refused
    return [key for (key,) in keys]


def pair_sign(place: int, other: int) -> int:
    """The client that comes first in the cohort adds the pair's mask, the other takes it away: in the sum of both it is gone."""
    return 1 if place < other else -1


def _payload_key(key: Secret, context: bytes) -> Secret:
    """`context` names round, session and client: it binds the vector, and even if the client's randomness repeats, no key tags two."""
    return derive(key, salt=context, label=_PAYLOAD)


def opening_of(key: Secret, context: bytes) -> Opening:
    """How a vector that was tagged under `key` opens."""
    return Opening(_payload_key(key, context))


def tag_masked(vector: Vector | Source, masks: Sequence[Mask], ring: Ring, key: Secret, context: bytes) -> tuple[Blob, bytes]:
    """`vector` under every mask, with tags, and the commitment to it. One pass: a piece is made, masked and packed in the cache."""
    size = ring.packed_size(vector.shape[0])
    tagged = Blob(tag_stream(_payload_key(key, context), masked(vector, masks, ring), size, piece=piece_of(ring)))
    return tagged, commitment(tagged)
