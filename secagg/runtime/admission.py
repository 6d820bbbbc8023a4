"""Which packets a hub and a party let in, decided from the envelope before a byte of the payload is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from secagg import control
from secagg.crypto.stream import sealed_size
from secagg.envelope import Packet, unpack
from secagg.errors import InvalidMessage, UnexpectedMessage
from secagg.roles import Plan
from secagg.round import Round, RoundDescription
from secagg.runtime.attendant import Attendant
from secagg.runtime.ending import Ending
from secagg.runtime.model import size_limit
from secagg.types import PartyId
from secagg.wire.parse import parse
from secagg.wire.v1 import common_pb2 as pb

_SPARE = 4
"""Payloads that a party may send in an attempt beyond one to each server: repetitions after a restart."""


@runtime_checkable
class StatesLimit(Protocol):
    """A plan whose payloads are longer than one sealed vector of ring words says how long they are."""

    def payload_limit(self, description: RoundDescription) -> int:
        """Most bytes of any payload of the round."""


def payload_limit(plan: Plan, described: RoundDescription) -> int:
    """Most bytes of a payload of the round: one sealed vector, unless the plan says otherwise."""
    if isinstance(plan, StatesLimit):
        return plan.payload_limit(described)
    encoding = described.encoding
    return sealed_size(encoding.ring.packed_size(described.values + encoding.extra))


class Promised:
    """A payload that is announced and not here: it has a size and no bytes."""

    def __init__(self, size: int) -> None:
        self.size = size

    def chunk(self, index: int) -> memoryview:
        raise IndexError(f"chunk {index} of a payload that has not come")


class HubAdmission:
    """What the hub carries: packets of the attempt under way between its parties, within its sizes."""

    def __init__(self, plan: Plan, under_way: Callable[[], Round | None]) -> None:
        self._plan, self._under_way = plan, under_way
        self._rd = b""
        self._taken: dict[PartyId, int] = {}

    def check(self, packet: Packet, size: int) -> None:
        """Raises PeerError for a packet that is not carried."""
        header, opened, blame = packet.header, self._under_way(), [packet.header.sender]
        # > Only packets of the attempt under way are carried; what is replayed, late or of another task is refused (TR-A1).
        if opened is None or header.rd != opened.ctx.rd:
            raise InvalidMessage(
                "TR-A1", f"{header.kind} of round {header.round}, attempt {header.attempt} is not under way", culprits=blame
            )
        # > Packets are carried between parties of the round only (TR-A2).
        if not opened.takes_part(header.sender) or not opened.takes_part(header.recipient):
            raise InvalidMessage("TR-A2", f"{header.sender} and {header.recipient} are not both parties of the round", culprits=blame)
        limit = payload_limit(self._plan, opened.description)
        if opened.ctx.rd != self._rd:
            self._rd, self._taken = opened.ctx.rd, {}
        taken = self._taken.get(header.sender, 0) + size
        # > No payload is longer than the encoding and the layout imply, and no party sends more of them than the round has use for (TR-A3).
        if size > limit or taken > limit * (len(opened.description.servers) + _SPARE):
            raise InvalidMessage("TR-A3", f"{size} bytes with {header.kind}; {limit} is the most in this round", culprits=blame)
        self._taken[header.sender] = taken


class PartyAdmission:
    """What a party takes from the hub: what the coordinator signed, and payloads that its round implies."""

    def __init__(self, attendant: Attendant) -> None:
        self._attendant = attendant

    def check(self, packet: Packet, size: int) -> None:
        """Raises PeerError for a packet that is not taken."""
        limit = self._limit(packet, size) if size else 0
        # > A party takes no payload longer than its round and its policy imply (TR-A4).
        if size > limit:
            raise InvalidMessage(
                "TR-A4", f"{size} bytes with {packet.header.kind}; {limit} is the most here", culprits=[packet.header.sender]
            )

    def _limit(self, packet: Packet, size: int) -> int:
        attendant, kind = self._attendant, packet.header.kind
        match kind:
            case control.Describe.KIND:
                return size_limit(min(self._described(packet, size).values, attendant.policy.max_values))
            case Ending.KIND:
                return size_limit(attendant.values or attendant.policy.max_values)
        seat = attendant.seat
        if seat is None or seat.opened.ctx.rd != packet.header.rd:
            raise UnexpectedMessage(f"{kind} of a round that is not under way here: replayed or late", culprits=[packet.header.sender])
        return payload_limit(seat.plan, seat.opened.description)

    def _described(self, packet: Packet, size: int) -> RoundDescription:
        promised = Packet(packet.header, packet.envelope, Promised(size))
        body = unpack(promised, self._attendant.me.roster, me=self._attendant.me.party)
        if packet.header.sender != self._attendant.coordinator:
            raise UnexpectedMessage(f"a description from {packet.header.sender}", culprits=[packet.header.sender])
        return RoundDescription.parse(parse(pb.SignedDescription, body).description)
