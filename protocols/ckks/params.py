"""The public numbers of one round, read out of its description and checked against the roster."""

from __future__ import annotations

from dataclasses import dataclass

from secagg.crypto.derive import digest
from secagg.crypto.stream import sealed_size
from secagg.errors import InvalidMessage
from secagg.payload import Payload, chunks
from secagg.round import Round, RoundDescription
from secagg.types import PartyId

from .cipher import Packing
from .scheme import Packed, Scheme
from .slots import Slots


@dataclass(frozen=True, slots=True)
class Params:
    """What client, key holder and coordinator need to know; all of it is public.

    `scheme.length` counts ring words: the coordinates of the update and the two that carry count and weight.
    """

    clients: tuple[PartyId, ...]
    keyholder: PartyId
    coordinator: PartyId
    scheme: Scheme
    floor: int
    quorum: int
    versions: frozenset[int]
    submit_seconds: float
    finish_seconds: float

    @classmethod
    def of(cls, opened: Round) -> Params:
        """The numbers of a round. Raises InvalidMessage."""
        described = opened.description
        blame, servers = [described.coordinator], described.servers
        # > There is one key holder, with that role in the roster (CK-P1).
        if len(servers) != 1 or opened.roster.member(servers[0]).role != "keyholder":
            raise InvalidMessage("CK-P1", f"{len(servers)} servers; one key holder of the roster expected", culprits=blame)
        # > It is of another organisation than the coordinator, which would else hold key and ciphertexts (CK-P2).
        if opened.organisations((servers[0], described.coordinator)) != 2:
            raise InvalidMessage("CK-P2", "key holder and coordinator belong to one organisation", culprits=blame)
        return cls(
            clients=described.cohort,
            keyholder=servers[0],
            coordinator=described.coordinator,
            scheme=scheme_of(described),
            floor=described.floors.floor,
            quorum=described.quorum,
            versions=frozenset(item.version for item in described.inputs),
            submit_seconds=described.submit_seconds,
            finish_seconds=described.finish_seconds,
        )


def scheme_of(described: RoundDescription) -> Scheme:
    """The cipher of a round: slots under the parameter set that it names, or else packing. Raises ConfigError."""
    return Slots.of(described.parameters, described) if described.parameters else Packed(Packing.of(described))


def opened_size(scheme: Scheme) -> int:
    """Bytes of the sealed sum."""
    return sealed_size(scheme.ring.packed_size(scheme.length))


def payload_digest(payload: Payload) -> bytes:
    """Digest of a ciphertext, chunk by chunk."""
    return digest("ckks/payload", *chunks(payload))
