"""The secrets: what a client deals, what a key holder adds up, and the public half of all ciphertexts.

    client i      s_i = Σ_h s_ih            s_ih uniform modulo q, from the seed that i deals to key holder h
    ciphertext    c_i = Δ·m_i + e_i − a·s_i a is hashed from the round's description, the same for everybody
    holder h      S_h = Σ_i s_ih            over the set that all have signed
    the sum       Σ c_i + a·Σ_h S_h = Δ·Σ m_i + Σ e_i
    imprint       k_ih = e'_ih − b·s_ih     two polynomials, b hashed like a
    a part        Σ_i k_ih + b·S_h = Σ_i e'_ih    small for S_h, and for nothing else

Polynomials stand in the transformed domain throughout: there, too, uniform is uniform.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from protocols.ckks.cipher import DEGREE, PRIMES, Key, Packing, encrypt_with, phases, uniform_groups
from protocols.ckks.residues import CannotDecrypt, pack_residues
from secagg.crypto.derive import derive, digest
from secagg.crypto.expand import Stream
from secagg.math.ring import Ring
from secagg.types import Context, PartyId, Secret

from .params import DRAWS, MOST_CLIENTS

IMPRINT = Packing(Ring(32), 2 * DEGREE, MOST_CLIENTS, DRAWS)
"""Two polynomials, all of whose coefficients travel: with one, a part that is wrong by a small multiple of 1/b would pass."""
IMPRINT_BYTES = IMPRINT.size
SHARE_BYTES = 2 * 4 * DEGREE
"""Bytes of a part of the key: its residues modulo p1, then those modulo p2, four bytes each."""

_ONE = Packing(Ring(48), DEGREE, 1)
"""A single polynomial."""


def public_half(ctx: Context, packing: Packing) -> Iterator[Key]:
    """a, group by group: public coins from the round's description, expanded by AES in counter mode as FrodoKEM expands its matrix."""
    return uniform_groups(Secret(digest("ckks-threshold/ring-element", ctx.rd)), packing)


def dealt_key(seed: Secret, ctx: Context, client: PartyId, holder: PartyId) -> Key:
    """s_ih: the part of one client's secret that one key holder is dealt."""
    info = (client.encode(), holder.encode())
    return next(uniform_groups(derive(seed, salt=ctx.rd, label="ckks-threshold/secret", info=info), _ONE))


def imprint_half(ctx: Context) -> Iterator[Key]:
    """b, made like a under another label."""
    return uniform_groups(Secret(digest("ckks-threshold/imprint-element", ctx.rd)), IMPRINT)


def imprint(seed: Secret, dealt: Key, ctx: Context, client: PartyId, holder: PartyId) -> bytes:
    """What binds a client to the secret that it deals, and shows nothing of it: zeros encrypted under it, with errors from its seed."""
    coins = Stream(derive(seed, salt=ctx.rd, label="ckks-threshold/imprint", info=(client.encode(), holder.encode())))
    return bytes(pack_residues(encrypt_with(dealt, np.zeros(IMPRINT.length, np.uint32), IMPRINT, imprint_half(ctx), coins)))


def imprint_digest(raw: bytes) -> bytes:
    """What a report's root says of an imprint."""
    return digest("ckks-threshold/imprint", raw)


def leaves(imprints: NDArray[np.uint32], part: Key, ctx: Context, parties: int) -> bool:
    """Whether `part` is the sum of the secrets whose imprints add up to `imprints`."""
    (phase,) = phases(part, imprints, IMPRINT, imprint_half(ctx))
    return int(np.abs(phase).max()) <= IMPRINT.noise * parties


def share_bytes(part: Key) -> memoryview:
    """A part of the key as it is sealed."""
    return np.concatenate(part).astype("<u4").reshape(-1).data.cast("B")


def read_share(plain: bytes) -> Key:
    """The inverse of `share_bytes`. Raises CannotDecrypt for a wrong size or residues out of range."""
    if len(plain) != SHARE_BYTES:
        raise CannotDecrypt(f"a part of {len(plain)} bytes, {SHARE_BYTES} expected")
    one, two = np.frombuffer(plain, "<u4").astype(np.uint64).reshape(2, DEGREE, 1)
    for values, prime in zip((one, two), PRIMES, strict=True):
        if int(values.max()) >= prime:
            raise CannotDecrypt(f"a residue that is not below {prime}")
    return one, two
