"""The public numbers of one round, read out of its description and checked against the roster."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.ckks.cipher import Packing
from secagg.errors import InvalidMessage
from secagg.round import Round, RoundDescription
from secagg.types import PartyId

DRAWS = 2
"""Two errors of 21 coins less 21: what the opened sum leaves unknown of each is then as wide as the standard's (σ = 3.2)."""
MIN_HOLDERS, MAX_HOLDERS = 2, 16
MOST_CLIENTS = 1900
"""Beyond, the imprints would no longer prove a part of the key: see docs/spec/ckks-threshold.md."""


@dataclass(frozen=True, slots=True)
class Params:
    """What client, key holder and coordinator need to know; all of it is public.

    `packing.length` counts ring words: the coordinates of the update and the two that carry count and weight.
    """

    clients: tuple[PartyId, ...]
    keyholders: tuple[PartyId, ...]
    coordinator: PartyId
    packing: Packing
    floor: int
    quorum: int
    versions: frozenset[int]
    submit_seconds: float
    finish_seconds: float

    @classmethod
    def of(cls, opened: Round) -> Params:
        """The numbers of a round. Raises InvalidMessage."""
        described = opened.description
        _check_keyholders(opened, described)
        return cls(
            clients=described.cohort,
            keyholders=described.servers,
            coordinator=described.coordinator,
            packing=Packing.of(described, DRAWS),
            floor=described.floors.floor,
            quorum=described.quorum,
            versions=frozenset(item.version for item in described.inputs),
            submit_seconds=described.submit_seconds,
            finish_seconds=described.finish_seconds,
        )


def _check_keyholders(opened: Round, described: RoundDescription) -> None:
    servers, blame = described.servers, [described.coordinator]
    # > There are 2 to 16 key holders, all with that role in the roster (TH-P1).
    if not MIN_HOLDERS <= len(servers) <= MAX_HOLDERS or any(opened.roster.member(name).role != "keyholder" for name in servers):
        raise InvalidMessage("TH-P1", f"{len(servers)} key holders; {MIN_HOLDERS} to {MAX_HOLDERS} of the roster expected", culprits=blame)
    # > They are all the key holders of the roster: a coordinator cannot leave out the honest one (TH-P2).
    if set(servers) != {member.party for member in opened.roster.with_role("keyholder")}:
        raise InvalidMessage("TH-P2", "the round leaves out a key holder of the roster", culprits=blame)
    # > No organisation runs two key holders of a round (TH-P3).
    if opened.organisations(servers) != len(servers):
        raise InvalidMessage("TH-P3", "two key holders belong to one organisation, which would hold two parts of the key", culprits=blame)
