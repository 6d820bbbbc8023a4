"""What a protocol shows to the outside: messages, roles that turn messages into messages, and the plan that makes the roles.

A role has no I/O, no clock and no randomness of its own. Whoever drives it (a socket loop, Flower, a test) calls `start` once,
`receive` for each message and `expire` when the time it asked for in `patience` has passed, and carries what comes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from secagg.payload import Payload
from secagg.types import Entropy, PartyId

if TYPE_CHECKING:
    from secagg.encode.encoding import Encoding
    from secagg.identity import Identity
    from secagg.ledger import Ledger
    from secagg.policy import Policy
    from secagg.roster import Roster
    from secagg.round import Round, RoundDescription, Terms
    from secagg.tally import Tallies

Vector = NDArray[np.unsignedinteger]
"""Words of the ring, one per coordinate: uint16, uint32 or uint64."""


class Source(Protocol):
    """A vector whose words are made when they are asked for, so that it need never lie in memory whole. The same words each time."""

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The ring's."""

    @property
    def shape(self) -> tuple[int]:
        """How many words it has."""

    def read_into(self, out: Vector, start: int) -> None:
        """Write words [start, start + len(out)) into `out`. Threads may ask for different ranges at the same time."""

    def encoded(self) -> Vector:
        """All words, in memory."""


def whole(vector: Vector | Source) -> Vector:
    """The vector in memory: for a role that keeps it, or goes over it more than once."""
    return vector if isinstance(vector, np.ndarray) else vector.encoded()


class Message(Protocol):
    """A frozen dataclass; to parse is to validate, so a message that exists is well-formed."""

    KIND: ClassVar[str]
    """`protocol/Name`, unique."""

    @property
    def slot(self) -> str:
        """Which of several messages of this kind it is, for example the client that a receipt is about; usually empty.

        A sender fills each (kind, slot) once a round: the same bytes again get the same answer, other bytes are refused.
        """

    def to_wire(self) -> tuple[bytes, Payload | None]:
        """Canonical body, and the payload if there is one."""

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        """Parse and validate. Raises MalformedMessage."""


class Codec:
    """The messages of one protocol by kind: joins typed messages to bytes."""

    def __init__(self, *kinds: type[Message]) -> None:
        self.kinds: Mapping[str, type[Message]] = {kind.KIND: kind for kind in kinds}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message on its way to one party."""

    recipient: PartyId
    message: Message


@dataclass(frozen=True, slots=True)
class Sum:
    """What a round opens: the sum of the vectors of exactly the parties in `included`.

    `agreement` are the signatures that the parties of the protocol gave for this set, over `statement(…)` of `secagg.receipt`. `blamed` are
    those that are shown to have lied, although the sum is right.
    """

    vector: Vector
    included: tuple[PartyId, ...]
    roots: bytes
    agreement: tuple[tuple[PartyId, bytes], ...]
    blamed: tuple[PartyId, ...] = ()


class Role(Protocol):
    """A small machine over plain states. A client that meets a bad message has failed for good; a server refuses it and goes on."""

    @property
    def phase(self) -> str:
        """Name of the state it is in; `done` and `failed` are final."""

    @property
    def patience(self) -> float | None:
        """Seconds this phase may last before the driver must call `expire`; None: as long as it takes."""

    @property
    def result(self) -> Sum | None:
        """The sum, in the one role that opens it, once `phase` is `done`."""

    @property
    def state(self) -> object:
        """The state it is in, made of `Plan.STATES`: for `secagg.snapshot`."""

    def resume(self, state: object) -> None:
        """Go on, in a new process, from a state that `snapshot.open_state` gave. Raises LocalProtocolError once it has started."""

    def start(self) -> Sequence[Outgoing]:
        """Begin. Raises LocalProtocolError the second time."""

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        """Take one authenticated message. Raises PeerError for one that is not due or fails a check."""

    def expire(self) -> Sequence[Outgoing]:
        """The time of this phase is over. Raises SessionAborted where too few have answered."""


class ClientRole(Role, Protocol):
    """A role that brings a vector."""

    def contribute(self, vector: Vector | Source, *, version: int) -> Sequence[Outgoing]:
        """Hand in the encoded update, trained from model `version`. Raises LocalProtocolError the second time."""


class Plan(Protocol):
    """A protocol with its numbers: makes the description of a round and, from a description, the role of any party in it."""

    PROTOCOL: ClassVar[str]
    CODEC: ClassVar[Codec]
    STATES: ClassVar[tuple[type, ...]]
    """Every class that a state of its roles is made of: all that a snapshot may restore."""

    @property
    def encoding(self) -> Encoding:
        """How an update becomes ring words."""

    def describe(self, terms: Terms, roster: Roster) -> RoundDescription:
        """The description of one round. Raises ConfigError if the roster does not fit the plan."""

    @classmethod
    def from_description(cls, description: RoundDescription) -> Self:
        """The plan that a description states. Raises InvalidMessage where its numbers are not allowed."""

    def role(self, opened: Round, identity: Identity, *, policy: Policy, ledger: Ledger, entropy: Entropy, tallies: Tallies = ...) -> Role:
        """The machine of `identity` in this round; which one follows from its role in the roster.

        A server's running sum lies where `tallies` says.
        """

    def staleness_factor(self, age: int) -> int | None:
        """The public integer factor that a report trained from a model this many versions old gives its weight; None: too old."""
