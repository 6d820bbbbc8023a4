"""What a client advertises, as the fixed bytes that it signs; sets of clients as bitmaps; the session's id over all adverts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from secagg.crypto.derive import digest, frame
from secagg.crypto.sign import SIGNATURE_BYTES, VerifyKey, first_bad
from secagg.errors import InvalidMessage
from secagg.identity import Identity
from secagg.roster import Roster
from secagg.types import Context, PartyId

from .params import Params

KEY, COMMITMENT, NONCE = 32, 32, 16
_UNSIGNED = 2 * KEY + COMMITMENT + NONCE
RECORD = _UNSIGNED + SIGNATURE_BYTES
"""Bytes of a record: channel key, mask key, commitment to the self-mask, nonce, signature."""
_SIGN = "pairwise/advert"


@dataclass(frozen=True, slots=True)
class Record:
    """One client's keys for one round, as 176 bytes."""

    raw: bytes

    @property
    def channel(self) -> bytes:
        """X25519 key under which shares travel to this client and from it."""
        return self.raw[:KEY]

    @property
    def mask(self) -> bytes:
        """X25519 key from which its pair masks come; its secret is what a drop-out's shares give back."""
        return self.raw[KEY : 2 * KEY]

    @property
    def commitment(self) -> bytes:
        """Hash of the self-mask's seed."""
        return self.raw[2 * KEY : 2 * KEY + COMMITMENT]

    @classmethod
    def sign(cls, me: Identity, ctx: Context, *, channel: bytes, mask: bytes, commitment: bytes, nonce: bytes) -> Record:
        """This party's record for the round."""
        unsigned = channel + mask + commitment + nonce
        return cls(unsigned + me.signing.sign(_SIGN, _statement(ctx, me.party, unsigned)))

    def signed(self, roster: Roster, name: PartyId, ctx: Context) -> tuple[VerifyKey, bytes, bytes]:
        """Key, signature and message: what must fit if `name` signed this record for this round."""
        return roster.member(name).signing, self.raw[_UNSIGNED:], _statement(ctx, name, self.raw[:_UNSIGNED])

    def digest(self, ctx: Context, name: PartyId) -> bytes:
        """32 bytes that stand for this record in the list of all adverts."""
        return digest("pairwise/record", ctx.rd, name.encode(), self.raw)


def verify_records(records: Mapping[int, Record], params: Params, roster: Roster, ctx: Context, *, check: str) -> None:
    """Raises InvalidMessage unless each of these clients, by place, signed its record for this round."""
    names = [params.clients[place] for place in records]
    bad = first_bad([record.signed(roster, name, ctx) for name, record in zip(names, records.values(), strict=True)], _SIGN)
    if bad is not None:
        raise InvalidMessage(check, f"the advert of {names[bad]} is not signed by it for this round", culprits=[names[bad]])


def _statement(ctx: Context, name: PartyId, unsigned: bytes) -> bytes:
    return frame("pairwise/record", ctx.rd, name.encode(), unsigned)


def session_id(ctx: Context, present: bytes, digests: Sequence[bytes]) -> bytes:
    """`sid`: the hash of who advertised what. Clients that were shown different lists share no key."""
    return digest("pairwise/session", ctx.rd, present, b"".join(digests))


def bitmap(places: Iterable[int], size: int) -> bytes:
    """The set as bits: place i is bit i mod 8 of byte i div 8."""
    bits = np.zeros(size, np.uint8)
    bits[list(places)] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def places(raw: bytes, size: int, *, check: str, culprit: PartyId) -> tuple[int, ...]:
    """The set that `bitmap` wrote, in rising order. Raises InvalidMessage for another length or a bit beyond the last place."""
    bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
    if len(raw) != -(-size // 8) or bits[size:].any():
        raise InvalidMessage(check, f"a bitmap of {len(raw)} bytes; one over {size} places expected", culprits=[culprit])
    return tuple(np.flatnonzero(bits).tolist())
