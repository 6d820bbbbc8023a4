"""The plan: what a user constructs. It proves that the numbers fit, describes rounds, and makes each party's machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil
from typing import ClassVar, Self, get_args

from secagg.encode.encoding import Encoding
from secagg.errors import ConfigError, InvalidMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.machine import check_spoken, cohort_of, describe, encoding_of, numbers_of
from secagg.math.ring import Ring
from secagg.policy import Floors, Policy
from secagg.privacy import PrivacyTerms
from secagg.roles import Codec, Role, Sum
from secagg.roster import Roster
from secagg.round import Round, RoundDescription, Terms
from secagg.tally import Tallies, Tally
from secagg.types import Entropy

from . import client, server
from .blame import Doubts
from .client import Client
from .degree import numbers, spot_checks
from .graph import Graph
from .intake import Upload
from .keys import Pair, Peer, Seeds, Session, Voucher
from .messages import Advert, Adverts, Agreement, Complaint, Confirm, Inbox, Masked, Reveal, Shares, Survivors
from .opening import Rebuilt, Wanted
from .params import Params, colluding, organisations_of
from .records import Record
from .server import Server

VERSION = 1
COMPLETE = 64
"""Clients up to which everybody is everybody's neighbour."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One server and masks that cancel.

    Args:
        clients: most clients that ever take part in one round.
        threshold: clients whose shares rebuild a secret, and who must stay to the end (t); None takes ⌊2n/3⌋ + 1 or more of the n clients
            of a round. A number asks for the complete graph in any cohort.
        dropout: in cohorts beyond 64 clients, the part of them that may drop out: the sparse graph is made for it. Where none can be,
            because too many may drop out or collude, the graph is complete there too.
        clip: L2 bound of an update, in its own units; longer ones are scaled down to it. A tuple gives one bound per scale group.
        bits: precision of one value, as a signed integer.
        max_weight: largest weight of a client, for example its number of examples; 1 averages all alike.
        rotation: rotate by random signs and Hadamard blocks first, which spends the bits better on uneven updates.
        ring_bits: width of a word on the wire; None takes the narrowest that holds the sum.
        submit_seconds, finish_seconds: time for training and sending, and for each shorter phase.
        floors: see `secagg.policy.Floors`; the clients of `floors.colluders` organisations may act together with the server. c counts all
            clients of those that have the most in the round.
        privacy: noise that the sum carries, see `secagg.privacy.PrivacyTerms`; None: the sum is exact.

    Guarantees:
        The server and c clients together learn the sum over one set of at least `floors.floor` organisations, and nothing else about the
        vectors of the others, even if they send what they like: every client checks the thresholds and signs the set before it gives a
        share. In cohorts beyond 64 clients this holds with probability 1 − 2^-40 over the order in which the clients stand, which a
        server that picks among many adverts could influence: there the setting is semi-malicious. The sum is right if the server follows
        the protocol. Clients may drop out at any time: as long as enough stay the sum is exactly that of the survivors.

    Raises:
        ConfigError: numbers that do not fit or are not safe, with the number that would be.
    """

    PROTOCOL: ClassVar[str] = "pairwise"
    CODEC: ClassVar[Codec] = Codec(Advert, Adverts, Shares, Inbox, Masked, Complaint, Survivors, Confirm, Agreement, Reveal)
    STATES: ClassVar[tuple[type, ...]] = (
        *(kind for machine in (client, server) for kind in get_args(machine.State)),
        client.Kept,
        *(Seeds, Pair, Peer, Voucher, Session, Graph),
        *(Record, Upload, Doubts, Wanted, Rebuilt, Tally, Ring, Sum),
    )

    clients: int
    threshold: int | None = None
    dropout: float = 0.1
    clip: float | tuple[float, ...] = 1.0
    bits: int = 16
    max_weight: int = 4096
    rotation: bool = False
    ring_bits: int | None = None
    submit_seconds: float = 600.0
    finish_seconds: float = 60.0
    floors: Floors = field(default_factory=Floors)
    privacy: PrivacyTerms | None = None

    def __post_init__(self) -> None:
        if self.clients < self.floors.floor:
            raise ConfigError(f"clients={self.clients}: fewer than the floor of {self.floors.floor}, so no sum could ever be opened")
        if not 0 < self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout}: between 0 and 1, the part of a large cohort that may drop out")
        self.encoding  # noqa: B018  # proves the head-room now, before anything is sent
        self.thresholds(self.clients)

    @property
    def encoding(self) -> Encoding:
        return encoding_of(self)

    def staleness_factor(self, age: int) -> int | None:
        """Clients sum in step: only the round's own model counts."""
        return 1 if age == 0 else None

    def thresholds(self, cohort: int, colluders: int | None = None) -> tuple[int, int]:
        """Threshold and quorum of a round with so many clients, of whom c collude; `floors.colluders` if not given. Raises ConfigError."""
        colluders = self.floors.colluders if colluders is None else colluders
        if cohort > COMPLETE and self.threshold is None:
            quorum = cohort - ceil(self.dropout * cohort)
            try:
                spot_checks(cohort, quorum, colluders)
                return numbers(cohort, quorum, colluders).threshold, quorum
            except ConfigError:
                pass  # no sparse graph is safe with so many colluders or drop-outs: everybody is everybody's neighbour
        least = (cohort + colluders) // 2 + 1
        threshold = self.threshold if self.threshold is not None else max(2 * cohort // 3 + 1, least, self.floors.threshold)
        if not max(colluders + 1, least) <= threshold <= cohort:
            raise ConfigError(
                f"threshold={threshold} for {cohort} clients of whom {colluders} may collude with the server:"
                f" between {max(colluders + 1, least)} (2t > n + c) and {cohort} expected"
            )
        return threshold, threshold

    def describe(self, terms: Terms, roster: Roster) -> RoundDescription:
        # Of fewer than the floor no sum is ever opened: such a round is described with a threshold that every party refuses (PW-P2).
        clients = cohort_of(self, terms, roster)
        colluders = colluding(organisations_of(roster, clients), self.floors.colluders)
        threshold, quorum = self.thresholds(max(len(clients), self.floors.floor, self.threshold or 0), colluders)
        floors = replace(self.floors, threshold=threshold)
        return replace(describe(self, terms, roster, version=VERSION, quorum=None, floors=floors), quorum=quorum)

    @classmethod
    def from_description(cls, description: RoundDescription) -> Self:
        n, quorum = len(description.cohort), description.quorum
        # > The description is of this protocol and version (PW-P4).
        check_spoken(description, cls.PROTOCOL, VERSION, check="PW-P4")
        complete = 2 * description.floors.threshold > n + description.floors.colluders
        try:
            return cls(threshold=None, dropout=0.1 if complete else (n - quorum) / n, **numbers_of(description))
        except ConfigError as refused:
            raise InvalidMessage("PW-P4", str(refused), culprits=[description.coordinator]) from refused

    def role(
        self, opened: Round, identity: Identity, *, policy: Policy, ledger: Ledger, entropy: Entropy, tallies: Tallies = Tally.zero
    ) -> Role:
        params = Params.of(opened)
        match identity.member.role:
            case "client":
                return Client(params, opened.ctx, identity, ledger=ledger, entropy=entropy)
            case "coordinator":
                return Server(params, opened, identity, ledger=ledger, entropy=entropy, tallies=tallies)
        raise ConfigError(f"{identity.party} is {identity.member.role}: pairwise has clients and a coordinator")
