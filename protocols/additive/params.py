"""The public numbers of one round, read out of its description and checked against the roster."""

from __future__ import annotations

from dataclasses import dataclass

from secagg.crypto.stream import sealed_size
from secagg.errors import InvalidMessage
from secagg.math.ring import Ring
from secagg.round import Round, RoundDescription
from secagg.types import PartyId

MIN_AGGREGATORS, MAX_AGGREGATORS = 2, 16


@dataclass(frozen=True, slots=True)
class Params:
    """What client, aggregator and collector need to know; all of it is public.

    `aggregators[0]` is the leader: it gets the long share, the others get seeds.
    `length` counts ring words: the coordinates of the update and the two that carry count and weight.
    """

    aggregators: tuple[PartyId, ...]
    clients: tuple[PartyId, ...]
    collector: PartyId
    ring: Ring
    length: int
    floor: int
    quorum: int
    versions: frozenset[int]
    submit_seconds: float
    finish_seconds: float

    @classmethod
    def of(cls, opened: Round) -> Params:
        """The numbers of a round. Raises InvalidMessage."""
        described = opened.description
        _check_aggregators(opened, described)
        return cls(
            aggregators=described.servers,
            clients=described.cohort,
            collector=described.coordinator,
            ring=described.encoding.ring,
            length=described.values + described.encoding.extra,
            floor=described.floors.floor,
            quorum=described.quorum,
            versions=frozenset(item.version for item in described.inputs),
            submit_seconds=described.submit_seconds,
            finish_seconds=described.finish_seconds,
        )

    @property
    def leader(self) -> PartyId:
        return self.aggregators[0]

    @property
    def payload_size(self) -> int:
        """Bytes of a sealed vector: nothing longer is ever read."""
        return sealed_size(self.ring.packed_size(self.length))


def _check_aggregators(opened: Round, described: RoundDescription) -> None:
    servers = described.servers
    # > There are 2 to 16 aggregators, all with that role in the roster (AD-P1).
    if not MIN_AGGREGATORS <= len(servers) <= MAX_AGGREGATORS or any(opened.roster.member(name).role != "aggregator" for name in servers):
        raise InvalidMessage("AD-P1", f"{len(servers)} aggregators; 2 to 16 of the roster expected", culprits=[described.coordinator])
    # > They are all the aggregators of the roster: a coordinator cannot leave out the honest one (AD-P4).
    if set(servers) != {member.party for member in opened.roster.with_role("aggregator")}:
        raise InvalidMessage("AD-P4", "the round leaves out an aggregator of the roster", culprits=[described.coordinator])
    # > No organisation runs two aggregators of a round (AD-P2).
    if opened.organisations(servers) != len(servers):
        raise InvalidMessage(
            "AD-P2", "two aggregators belong to one organisation, which would hold two shares", culprits=[described.coordinator]
        )
