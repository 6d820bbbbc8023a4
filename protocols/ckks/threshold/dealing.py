"""The secrets: what a client deals, what a key holder adds up, and the public half of all ciphertexts.

    client i      s_i = Σ_h s_ih            s_ih uniform modulo q, from the seed that i deals to key holder h
    ciphertext    c_i = Δ·m_i + e_i − a·s_i a is hashed from the round's description, the same for everybody
    holder h      S_h = Σ_i s_ih            over the set that all have signed
    the sum       Σ c_i + a·Σ_h S_h = Δ·Σ m_i + Σ e_i

Polynomials stand in the transformed domain throughout: there, too, uniform is uniform.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from protocols.ckks.cipher import DEGREE, PRIMES, Key, Packing, uniform_groups
from protocols.ckks.residues import CannotDecrypt
from secagg.crypto.derive import derive, digest
from secagg.math.ring import Ring
from secagg.types import Context, PartyId, Secret

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
