"""A client's signed word that a round's privacy terms stand in its budget: it travels ahead of the update, and the receipt keeps it.

It states what the terms state at most, and not what the client's own accountant found: that would tell how much data it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from secagg.crypto.sign import BadSignature
from secagg.errors import InvalidMessage
from secagg.identity import Identity
from secagg.privacy import PrivacyTerms
from secagg.roster import Roster
from secagg.types import PartyId
from secagg.wire.parse import HASH, exactly, parse, party, serialise
from secagg.wire.v1 import common_pb2 as pb

_SIGN = "privacy/spent"


@dataclass(frozen=True, slots=True)
class Spent:
    """One client's statement about one round; `to_bytes` is what it signed, with the signature."""

    rd: bytes
    party: PartyId
    epsilon: float
    delta: float
    raw: bytes
    signature: bytes

    @classmethod
    def sign(cls, me: Identity, rd: bytes, terms: PrivacyTerms) -> Self:
        """The statement of `me` for the round `rd`."""
        raw = serialise(pb.Spent(rd=rd, party=me.party, epsilon=terms.epsilon, delta=terms.delta))
        return cls(rd, me.party, terms.epsilon, terms.delta, raw, me.signing.sign(_SIGN, raw))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedMessage."""
        return cls.of_wire(parse(pb.SignedSpent, data))

    @classmethod
    def of_wire(cls, signed: pb.SignedSpent) -> Self:
        """Raises MalformedMessage."""
        wire = parse(pb.Spent, signed.spent)
        return cls(exactly(wire.rd, HASH, "rd"), party(wire.party, "party"), wire.epsilon, wire.delta, signed.spent, signed.signature)

    def wire(self) -> pb.SignedSpent:
        return pb.SignedSpent(spent=self.raw, signature=self.signature)

    def to_bytes(self) -> bytes:
        return serialise(self.wire())

    def verify(self, rd: bytes, terms: PrivacyTerms | None, roster: Roster) -> None:
        """Raises InvalidMessage unless its party signed it, for this round and what its terms cost."""
        # > A statement of what was spent is signed by its party, for this round and the ε and δ of its terms (DP-C1).
        if terms is None or (self.rd, self.epsilon, self.delta) != (rd, terms.epsilon, terms.delta):
            raise InvalidMessage("DP-C1", f"{self.party} states to have spent something else than this round costs", culprits=[self.party])
        try:
            roster.member(self.party).signing.verify(self.signature, _SIGN, self.raw)
        except BadSignature as refused:
            raise InvalidMessage("DP-C1", f"what {self.party} states to have spent is not signed by it", culprits=[self.party]) from refused
