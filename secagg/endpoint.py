"""One role in one round, spoken to in bytes: what a transport, an FL framework or a test carries packets for.

It signs and encodes what the role says, verifies and decodes what reaches it, and makes delivery idempotent: the same bytes
again get the same packets back, other bytes in a slot that is filled are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secagg.crypto.derive import digest
from secagg.envelope import Header, Packet, check_round, pack, unpack
from secagg.errors import InvalidMessage, MalformedMessage, UnexpectedMessage
from secagg.identity import Identity
from secagg.roles import ClientRole, Codec, Outgoing, Role, Source, Sum, Vector
from secagg.round import Round
from secagg.types import PartyId

_Slot = tuple[PartyId, str, str]


@dataclass(frozen=True, slots=True)
class _Answered:
    digest: bytes
    replies: tuple[Packet, ...]


class Endpoint:
    """Give it packets, carry the packets it returns. Not thread-safe: one caller at a time."""

    def __init__(self, role: Role, opened: Round, me: Identity, codec: Codec) -> None:
        self.role = role
        self.round = opened
        self._me = me
        self._codec = codec
        self._answered: dict[_Slot, _Answered] = {}

    @property
    def phase(self) -> str:
        return self.role.phase

    @property
    def result(self) -> Sum | None:
        return self.role.result

    def start(self) -> list[Packet]:
        """The packets that begin the round."""
        return self._pack(self.role.start())

    def contribute(self, vector: Vector | Source, *, version: int) -> list[Packet]:
        """Hand a client role its vector."""
        role: ClientRole = self.role  # type: ignore[assignment]  # only clients are given vectors
        return self._pack(role.contribute(vector, version=version))

    def expire(self) -> list[Packet]:
        """The role's patience is over."""
        return self._pack(self.role.expire())

    def receive(self, packet: Packet) -> list[Packet]:
        """Take one packet. Raises PeerError, after which nothing in the role has changed for a server, and a client has failed."""
        header = packet.header
        check_round(header, self.round.ctx)
        body = unpack(packet, self.round.roster, me=self._me.party)
        # > Only parties of the round are heard in it (EV-C4).
        if not self.round.takes_part(header.sender):
            raise InvalidMessage("EV-C4", f"{header.sender} takes no part in this round", culprits=[header.sender])
        slot, received = (header.sender, header.kind, header.slot), digest("endpoint/slot", header.body_hash)
        if (before := self._answered.get(slot)) is not None:
            # > One message a slot: the same again gets the same answer, another is refused (EV-C5).
            if before.digest != received:
                raise InvalidMessage("EV-C5", f"a second, different {header.kind} from {header.sender}", culprits=[header.sender])
            return list(before.replies)
        replies = self._pack(self._deliver(header, body, packet))
        self._answered[slot] = _Answered(received, tuple(replies))
        return replies

    def _deliver(self, header: Header, body: bytes, packet: Packet) -> Sequence[Outgoing]:
        kind = self._codec.kinds.get(header.kind)
        if kind is None:
            raise UnexpectedMessage(f"{header.kind} is no message of this protocol", culprits=[header.sender])
        try:
            message = kind.from_wire(body, packet.payload)
        except MalformedMessage as refused:
            raise MalformedMessage(str(refused), culprits=[header.sender]) from refused
        if message.slot != header.slot:
            raise MalformedMessage(f"{header.kind} in the slot {header.slot!r} is about {message.slot!r}", culprits=[header.sender])
        return self.role.receive(header.sender, message)

    def _pack(self, outgoing: Sequence[Outgoing]) -> list[Packet]:
        return [pack(self._me, self.round.ctx, item.recipient, item.message) for item in outgoing]
