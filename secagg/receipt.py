"""The receipt of a round: proof, for anybody who holds the roster, of which reports were summed and who agreed to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter

from secagg.crypto.derive import digest, frame
from secagg.crypto.sign import BadSignature
from secagg.errors import InvalidMessage
from secagg.identity import Identity
from secagg.roles import Sum
from secagg.roster import Roster
from secagg.round import Round, RoundDescription, round_digest
from secagg.spent import Spent
from secagg.types import PartyId
from secagg.wire.parse import HASH, exactly, parse, parties, party, serialise
from secagg.wire.v1 import common_pb2 as pb

_AGREE, _SIGN = "agreement", "receipt"


def statement(rd: bytes, included: Iterable[PartyId], roots: bytes) -> bytes:
    """What the parties sign when they agree on a set: rd, the digest of the reports, and the sorted names, each after its length."""
    return frame("agreement/set", rd, roots, *(name.encode() for name in sorted(included)))


def sign_agreement(me: Identity, rd: bytes, included: Iterable[PartyId], roots: bytes) -> bytes:
    """One party's signature for the set."""
    return me.signing.sign(_AGREE, statement(rd, included, roots))


def verify_agreement(roster: Roster, name: PartyId, signature: bytes, *, rd: bytes, included: Iterable[PartyId], roots: bytes) -> None:
    """Raises BadSignature unless `name` signed exactly this set in this round."""
    roster.member(name).signing.verify(signature, _AGREE, statement(rd, included, roots))


@dataclass(frozen=True, slots=True)
class Costs:
    """ε at `delta` of one sum with distributed noise.

    Attributes:
        server: for who sees the sum and knows none of the noise in it.
        colluding: for who knows the noise of `colluders` of its clients too, and of all aggregators but one.
        aggregator: for who sees the sum and knows the noise of one aggregator; None where aggregators add none.
        alone: for who knows the noise of all clients but the one in question, and of all aggregators but one.
    """

    server: float
    colluding: float
    colluders: int
    delta: float
    aggregator: float | None
    alone: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """Which reports a released mean is made of.

    Attributes:
        round: the signed description of the round.
        included: the clients whose reports are in the sum, sorted.
        roots: digest of their signed reports.
        agreement: who signed for this set (aggregators, or clients in `pairwise`).
        result: SHA-256 of the released mean (float32, little-endian, in layout order).
        spent: what clients of the set have signed that the round costs them, where it has privacy terms; sorted by party.
        signature: the coordinator's, over everything above.
    """

    round: Round
    included: tuple[PartyId, ...]
    roots: bytes
    agreement: tuple[tuple[PartyId, bytes], ...]
    result: bytes
    signature: bytes
    spent: tuple[Spent, ...] = ()

    @classmethod
    def issue(cls, opened: Round, total: Sum, *, result: bytes, coordinator: Identity, spent: Iterable[Spent] = ()) -> Receipt:
        """The coordinator's receipt for a sum that was opened; of `spent`, what is about clients of the set."""
        of_set = tuple(sorted((one for one in spent if one.party in total.included), key=attrgetter("party")))
        unsigned = cls(opened, total.included, total.roots, total.agreement, result, b"", of_set)
        return replace(unsigned, signature=coordinator.signing.sign(_SIGN, unsigned._signed()))

    def to_bytes(self) -> bytes:
        return serialise(self._wire(self.signature))

    @classmethod
    def parse(cls, raw: bytes, roster: Roster) -> Receipt:
        """Raises MalformedMessage."""
        wire = parse(pb.Receipt, raw)
        return cls(
            Round(RoundDescription.parse(wire.description), wire.description, wire.description_signature, roster),
            parties(wire.included, "included", is_sorted=True),
            exactly(wire.agreed_roots, HASH, "roots"),
            tuple((party(item.party, "signatory"), item.signature) for item in wire.agreement),
            exactly(wire.result, HASH, "result"),
            wire.signature,
            tuple(Spent.of_wire(item) for item in wire.spent),
        )

    def verify(self, *, rd: bytes | None = None) -> None:
        """Check every signature, the roster, the floor, and that all have agreed who must. Raises InvalidMessage.

        Who must: all servers of the description; where it has none, at least its threshold of clients of the set. A protocol with neither
        (a consortium key, plaintext) rests on the coordinator's word, and its name in the description says so.

        Args:
            rd: the round that the reader took part in; another one is refused.
        """
        described, roster = self.round.description, self.round.roster
        # > A receipt belongs to the roster that the reader holds (RC-C1).
        if described.roster_hash != roster.hash:
            raise InvalidMessage("RC-C1", "the receipt is of another roster: take the one of its epoch")
        if rd is not None and round_digest(self.round.raw) != rd:
            raise InvalidMessage("RC-C1", "the receipt is of another round", culprits=[described.coordinator])
        # > Description and receipt carry the coordinator's signature (RC-C2).
        try:
            coordinator = roster.member(described.coordinator).signing
            coordinator.verify(self.round.signature, "round-description", self.round.raw)
            coordinator.verify(self.signature, _SIGN, self._signed())
        except BadSignature as refused:
            raise InvalidMessage("RC-C2", "the coordinator's signature does not hold", culprits=[described.coordinator]) from refused
        self._verify_agreement()
        self._verify_spent()
        # > The set is part of the cohort and not below the floor (RC-C4).
        if not set(self.included) <= set(described.cohort):
            raise InvalidMessage("RC-C4", "the set holds a party that was not in the cohort")
        if self.round.organisations(self.included) < described.floors.floor:
            raise InvalidMessage(
                "RC-C4", f"{self.round.organisations(self.included)} organisations in the sum, {described.floors.floor} needed"
            )

    def _verify_agreement(self) -> None:
        rd, described = round_digest(self.round.raw), self.round.description
        names = [name for name, _ in self.agreement]
        for name, signature in self.agreement:
            # > Each signatory signed exactly this set, and they are all servers, or enough clients of the set (RC-C3).
            try:
                verify_agreement(self.round.roster, name, signature, rd=rd, included=self.included, roots=self.roots)
            except BadSignature as refused:
                raise InvalidMessage("RC-C3", f"the signature of {name} for the set does not hold", culprits=[name]) from refused
        if len(set(names)) != len(names):
            raise InvalidMessage("RC-C3", "a party signed twice for the set")
        if described.servers and set(names) != set(described.servers):
            raise InvalidMessage("RC-C3", f"signed by {', '.join(names) or 'nobody'}; all of {', '.join(described.servers)} needed")
        if not described.servers and (len(names) < described.floors.threshold or not set(names) <= set(self.included)):
            raise InvalidMessage("RC-C3", f"{len(names)} clients of the set signed for it, {described.floors.threshold} needed")

    def _verify_spent(self) -> None:
        rd, terms = round_digest(self.round.raw), self.round.description.privacy
        names = [one.party for one in self.spent]
        # > What clients have signed that they spent is about clients of the set, once each, in rising order (RC-C6).
        if names != sorted(set(names)) or not set(names) <= set(self.included):
            raise InvalidMessage("RC-C6", "what clients state to have spent is not about the clients of the set, once each")
        for one in self.spent:
            one.verify(rd, terms, self.round.roster)

    def costs(self) -> Costs | None:
        """What the sum costs one unit, by who reads it; None where clients added no shares of noise."""
        described = self.round.description
        if described.privacy is None or (noise := described.noise()) is None:
            return None
        shares, colluders, helpers = len(self.included), described.floors.colluders, len(described.servers)
        delta = described.privacy.delta

        def known(clients: int, aggregators: int) -> float:
            left = replace(noise, shares=max(shares - clients, 1), more=noise.more * (helpers - aggregators) if noise.more else 0.0)
            return left.epsilon(delta)

        return Costs(
            server=known(0, 0),
            colluding=known(colluders, helpers - 1),
            colluders=colluders,
            delta=delta,
            aggregator=known(0, 1) if noise.more else None,
            alone=known(shares - 1, helpers - 1),
        )

    def _signed(self) -> bytes:
        return serialise(self._wire(b""))

    def _wire(self, signature: bytes) -> pb.Receipt:
        return pb.Receipt(
            description=self.round.raw,
            description_signature=self.round.signature,
            included=self.included,
            agreed_roots=self.roots,
            agreement=[pb.PartySignature(party=name, signature=given) for name, given in self.agreement],
            result=self.result,
            signature=signature,
            spent=[one.wire() for one in self.spent],
        )


def result_digest(mean: bytes | memoryview) -> bytes:
    """Digest of a released mean: float32, little-endian, in layout order."""
    return digest("receipt/result", mean)


def model_digest(model: bytes | memoryview) -> bytes:
    """Digest of an input model: float32, little-endian, in layout order."""
    return digest("round/model", model)
