"""The plan: what a user constructs. It proves that the numbers fit, describes rounds, and makes each party's machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self, get_args

from protocols.ckks.cipher import Packing
from secagg.crypto.seal import OpenKey
from secagg.crypto.stream import sealed_size
from secagg.encode.encoding import Encoding
from secagg.errors import ConfigError, InvalidMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.machine import check_spoken, describe, encoding_of, keyholders_of, numbers_of
from secagg.policy import Floors, Policy
from secagg.privacy import PrivacyTerms
from secagg.roles import Codec, Role, Sum
from secagg.roster import Roster
from secagg.round import Round, RoundDescription, Terms
from secagg.tally import Tallies, Tally
from secagg.types import Entropy

from . import client, keyholder, server
from .dealing import SHARE_BYTES
from .messages import Committed, Fixed, Offer, Report, Share
from .params import DRAWS, MAX_HOLDERS, MIN_HOLDERS, MOST_CLIENTS, Params

VERSION = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Homomorphic addition by the coordinator; the key of the sum in parts, one with each of n key holders. Experimental.

    Args:
        clients: most clients that ever report in one round.
        keyholders: how many key holders the roster has; all must answer, and one honest one is enough.
        clip: L2 bound of an update, in its own units; longer ones are scaled down to it. A tuple gives one bound per scale group.
        bits: precision of one value, as a signed integer.
        max_weight: largest weight of a client, for example its number of examples; 1 averages all alike.
        rotation: rotate by random signs and Hadamard blocks first, which spends the bits better on uneven updates.
        ring_bits: width of a word, at most 48; None takes the narrowest that holds the sum. Three words of 16 bits, two of 24 or one of
            32 or 48 share a coefficient of 60 bits; with more than 24 clients one fewer of 16 or 24 bits.
        quorum: reports after which the sum is opened at once; None waits for all, or for the deadline.
        submit_seconds, finish_seconds: time for training and reporting, and for each of the holders' steps.
        floors: see `secagg.policy.Floors`.
        privacy: noise that the sum carries, see `secagg.privacy.PrivacyTerms`; None: the sum is exact.

    Guarantees:
        The coordinator, all key holders but one and `floors.colluders` clients together learn the sum over at least `floors.floor`
        organisations and nothing else of the honest clients, under ring-LWE with the parameters of docs/spec/ckks-threshold.md. One sum
        an attempt; its keys are fresh and gone with it. The sum is exact if nobody lies, else the attempt ends.

    Raises:
        ConfigError: numbers that do not fit or are not safe, with the number that would be.
    """

    PROTOCOL: ClassVar[str] = "ckks-threshold"
    CODEC: ClassVar[Codec] = Codec(Offer, Report, Fixed, Committed, Share)
    STATES: ClassVar[tuple[type, ...]] = (
        *(kind for machine in (client, keyholder, server) for kind in get_args(machine.State)),
        Sum,
        OpenKey,
        server.Reported,
        Committed,
        Share,
    )

    clients: int
    keyholders: int = 3
    clip: float | tuple[float, ...] = 1.0
    bits: int = 16
    max_weight: int = 4096
    rotation: bool = False
    ring_bits: int | None = None
    quorum: int | None = None
    submit_seconds: float = 600.0
    finish_seconds: float = 60.0
    floors: Floors = field(default_factory=Floors)
    privacy: PrivacyTerms | None = None

    def __post_init__(self) -> None:
        if not MIN_HOLDERS <= self.keyholders <= MAX_HOLDERS:
            raise ConfigError(f"keyholders={self.keyholders}: between {MIN_HOLDERS} and {MAX_HOLDERS}, each of another organisation")
        if not self.floors.floor <= self.clients <= MOST_CLIENTS:
            reason = ", beyond which the imprints would no longer prove a part of the key"
            raise ConfigError(f"clients={self.clients}: between the floor of {self.floors.floor} and {MOST_CLIENTS}{reason}")
        if self.quorum is not None and not self.floors.floor <= self.quorum <= self.clients:
            raise ConfigError(f"quorum={self.quorum}: between the floor of {self.floors.floor} and the {self.clients} clients")
        Packing(self.encoding.ring, 1, self.clients, DRAWS)  # proves the head-room now, before anything is sent

    @property
    def encoding(self) -> Encoding:
        return encoding_of(self)

    def staleness_factor(self, age: int) -> int | None:
        """Only updates of the current model are summed."""
        return 1 if age == 0 else None

    def payload_limit(self, description: RoundDescription) -> int:
        """Most bytes of any payload of the round: a ciphertext, or a sealed part of the key."""
        return max(Packing.of(description, DRAWS).size, sealed_size(SHARE_BYTES))

    def describe(self, terms: Terms, roster: Roster) -> RoundDescription:
        servers = keyholders_of(roster, self.keyholders)
        return describe(self, terms, roster, version=VERSION, quorum=self.quorum, servers=servers)

    @classmethod
    def from_description(cls, description: RoundDescription) -> Self:
        # > The description is of this protocol and version, and its numbers leave room for the noise (TH-P4).
        check_spoken(description, cls.PROTOCOL, VERSION, check="TH-P4")
        try:
            return cls(keyholders=len(description.servers), **numbers_of(description))
        except ConfigError as refused:
            raise InvalidMessage("TH-P4", str(refused), culprits=[description.coordinator]) from refused

    def role(
        self, opened: Round, identity: Identity, *, policy: Policy, ledger: Ledger, entropy: Entropy, tallies: Tallies = Tally.zero
    ) -> Role:
        params = Params.of(opened)
        match identity.member.role:
            case "client":
                return client.Client(params, opened.ctx, identity, ledger=ledger, entropy=entropy)
            case "keyholder":
                return keyholder.KeyHolder(params, opened, identity, ledger=ledger, entropy=entropy)
            case "coordinator":
                return server.Server(params, opened, identity)
        raise ConfigError(f"{identity.party} is {identity.member.role}: ckks-threshold has clients, key holders and a coordinator")
