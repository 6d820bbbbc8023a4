"""The plan: what a user constructs. It proves that the numbers fit, describes rounds, and makes each party's machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self, get_args

from secagg.encode.encoding import Encoding
from secagg.errors import ConfigError, InvalidMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.machine import check_spoken, describe, encoding_of, numbers_of
from secagg.math.ring import Ring
from secagg.policy import Floors, Policy
from secagg.privacy import PrivacyTerms
from secagg.roles import Codec, Role, Sum
from secagg.roster import Member, Roster
from secagg.round import Round, RoundDescription, Terms
from secagg.tally import Tallies, Tally
from secagg.types import Entropy, PartyId

from . import aggregator, client, collector
from .messages import Accepted, Agreed, Ahead, Close, Listed, Report, Share
from .params import MAX_AGGREGATORS, MIN_AGGREGATORS, Params
from .part import Held

VERSION = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Secret sharing to m ≥ 2 aggregators.

    Args:
        clients: most clients that ever report in one round.
        aggregators: how many parties hold a share (m). All of them are needed to open the sum.
        clip: L2 bound of an update, in its own units; longer ones are scaled down to it. A tuple gives one bound per scale group.
        bits: precision of one value, as a signed integer.
        max_weight: largest weight of a client, for example its number of examples; 1 averages all alike.
        rotation: rotate by random signs and Hadamard blocks first, which spends the bits better on uneven updates.
        ring_bits: width of a word on the wire; None takes the narrowest that holds the sum.
        quorum: reports after which the batch closes at once; None waits for all, or for the deadline.
        staleness: factors by the age of the input model, newest first; more than one makes rounds buffered.
        submit_seconds, finish_seconds: time for training and reporting, and for agreeing and adding.
        floors: see `secagg.policy.Floors`.
        privacy: noise that the sum carries, see `secagg.privacy.PrivacyTerms`; None: the sum is exact.

    Guarantees:
        Private while one aggregator is honest, even if the others, the collector and `floors.colluders` clients act together:
        they learn the sum over at least `floors.floor` organisations, and nothing else. Correct if the aggregators follow the
        protocol. A client that drops out costs nothing; an aggregator that does ends the attempt.

    Raises:
        ConfigError: numbers that do not fit or are not safe, with the number that would be.
    """

    PROTOCOL: ClassVar[str] = "additive"
    CODEC: ClassVar[Codec] = Codec(Report, Accepted, Close, Listed, Agreed, Ahead, Share)

    STATES: ClassVar[tuple[type, ...]] = (
        *(kind for machine in (client, aggregator, collector) for kind in get_args(machine.State)),
        Held,
        aggregator.Sent,
        Tally,
        Ring,
        Sum,
        Agreed,
        Listed,
        Ahead,
        Share,
    )

    clients: int
    aggregators: int = 2
    clip: float | tuple[float, ...] = 1.0
    bits: int = 16
    max_weight: int = 4096
    rotation: bool = False
    ring_bits: int | None = None
    quorum: int | None = None
    staleness: tuple[int, ...] = (1,)
    submit_seconds: float = 600.0
    finish_seconds: float = 60.0
    floors: Floors = field(default_factory=Floors)
    privacy: PrivacyTerms | None = None

    def __post_init__(self) -> None:
        if not MIN_AGGREGATORS <= self.aggregators <= MAX_AGGREGATORS:
            raise ConfigError(
                f"aggregators={self.aggregators}: between {MIN_AGGREGATORS} and {MAX_AGGREGATORS}, each of another organisation"
            )
        if self.clients < self.floors.floor:
            raise ConfigError(f"clients={self.clients}: fewer than the floor of {self.floors.floor}, so no sum could ever be opened")
        if self.quorum is not None and not self.floors.floor <= self.quorum <= self.clients:
            raise ConfigError(f"quorum={self.quorum}: between the floor of {self.floors.floor} and the {self.clients} clients")
        if not self.staleness or min(self.staleness) < 1:
            raise ConfigError(f"staleness={self.staleness}: integer factors of at least 1, newest first")
        self.encoding  # noqa: B018  # proves the head-room now, before anything is sent

    @property
    def encoding(self) -> Encoding:
        return encoding_of(self, factor=max(self.staleness), aggregators=self.aggregators)

    def staleness_factor(self, age: int) -> int | None:
        """The public factor of a report whose input model is `age` versions old; None: too old."""
        return self.staleness[age] if 0 <= age < len(self.staleness) else None

    def describe(self, terms: Terms, roster: Roster) -> RoundDescription:
        servers = tuple(member.party for member in self._aggregators(roster, terms.beside))
        return describe(self, terms, roster, version=VERSION, quorum=self.quorum, servers=servers)

    def _aggregators(self, roster: Roster, beside: Sequence[PartyId]) -> Sequence[Member]:
        """All aggregators of the roster; the leader, who gets the long share, is the one beside the hub if there is one."""
        coordinator = roster.with_role("coordinator")[0]

        def far(member: Member) -> tuple[bool, bool]:
            return member.party not in beside, member.organisation != coordinator.organisation

        members = sorted(roster.with_role("aggregator"), key=far)
        if len(members) != self.aggregators:
            raise ConfigError(f"the roster has {len(members)} aggregators, the plan {self.aggregators}: make the two agree")
        return members

    @classmethod
    def from_description(cls, description: RoundDescription) -> Self:
        # > The description is of this protocol and version (AD-P3).
        check_spoken(description, cls.PROTOCOL, VERSION, check="AD-P3")
        try:
            return cls(aggregators=len(description.servers), **numbers_of(description))
        except ConfigError as refused:
            raise InvalidMessage("AD-P3", str(refused), culprits=[description.coordinator]) from refused

    def role(
        self, opened: Round, identity: Identity, *, policy: Policy, ledger: Ledger, entropy: Entropy, tallies: Tallies = Tally.zero
    ) -> Role:
        params = Params.of(opened)
        match identity.member.role:
            case "client":
                return client.Client(params, opened.ctx, identity, ledger=ledger, entropy=entropy)
            case "aggregator":
                return aggregator.Aggregator(params, opened, identity, ledger=ledger, entropy=entropy, tallies=tallies)
            case "coordinator":
                return collector.Collector(params, opened, identity, tallies=tallies)
        raise ConfigError(f"{identity.party} is {identity.member.role}: additive has clients, aggregators and a coordinator")
