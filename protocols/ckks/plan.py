"""The plan: what a user constructs. It proves that the numbers fit, describes rounds, and makes each party's machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self, get_args

from secagg.crypto.ckks import available
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
from .cipher import Packing
from .messages import Added, Encrypted, Key, Opened, Seed
from .params import Params, opened_size, scheme_of
from .slots import Slots, find

VERSION = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Homomorphic addition by the coordinator, decryption by one key holder.

    Args:
        clients: most clients that ever report in one round.
        clip: L2 bound of an update, in its own units; longer ones are scaled down to it. A tuple gives one bound per scale group.
        bits: precision of one value, as a signed integer.
        max_weight: largest weight of a client, for example its number of examples; 1 averages all alike.
        rotation: rotate by random signs and Hadamard blocks first, which spends the bits better on uneven updates.
        ring_bits: width of a word, at most 48; None takes the narrowest that holds the sum. Three words of 16 bits, two of 24 or one of
            32 or 48 share a coefficient of 60 bits.
        slots: name of a CKKS parameter set, `n4096-q56` or `n4096-q60`: encrypt with SEAL's CKKS, one value in each half of a slot, instead
            of packing. Needs `secagg[ckks]`. The sum is rounded to integers before it leaves the key holder, and is as exact.
        quorum: reports after which the sum is opened at once; None waits for all, or for the deadline.
        submit_seconds, finish_seconds: time for training and reporting, and for decrypting.
        floors: see `secagg.policy.Floors`.
        privacy: noise that the sum carries, see `secagg.privacy.PrivacyTerms`; None: the sum is exact.

    Guarantees:
        The coordinator adds ciphertexts without any key. The key holder decrypts one sum an attempt, over at least `floors.floor`
        organisations, and only what the clients' own seeds add up to. Both learn that sum and nothing else, if neither works with the
        other and none of the clients, which all hold the round's key, works with the coordinator. The key is fresh in every attempt. The
        sum is exact.

    Raises:
        ConfigError: numbers that do not fit or are not safe, with the number that would be.
    """

    PROTOCOL: ClassVar[str] = "ckks"
    CODEC: ClassVar[Codec] = Codec(Key, Encrypted, Seed, Added, Opened)
    STATES: ClassVar[tuple[type, ...]] = (
        *(kind for machine in (client, keyholder, server) for kind in get_args(machine.State)),
        Sum,
        Seed,
        Added,
    )

    clients: int
    clip: float | tuple[float, ...] = 1.0
    bits: int = 16
    max_weight: int = 4096
    rotation: bool = False
    ring_bits: int | None = None
    slots: str | None = None
    quorum: int | None = None
    submit_seconds: float = 600.0
    finish_seconds: float = 60.0
    floors: Floors = field(default_factory=Floors)
    privacy: PrivacyTerms | None = None

    def __post_init__(self) -> None:
        if self.clients < self.floors.floor:
            raise ConfigError(f"clients={self.clients}: fewer than the floor of {self.floors.floor}, so no sum could ever be opened")
        if self.quorum is not None and not self.floors.floor <= self.quorum <= self.clients:
            raise ConfigError(f"quorum={self.quorum}: between the floor of {self.floors.floor} and the {self.clients} clients")
        # The head-room is proved now, before anything is sent.
        if self.slots is None:
            Packing(self.encoding.ring, 1, self.clients)
        else:
            Slots(find(self.slots), self.encoding.ring, 1, self.clients, self.encoding.largest_sum)
            available()

    @property
    def keyholders(self) -> int:
        """Key holders that the roster must have."""
        return 1

    @property
    def encoding(self) -> Encoding:
        return encoding_of(self)

    def staleness_factor(self, age: int) -> int | None:
        """Only updates of the current model are summed."""
        return 1 if age == 0 else None

    def payload_limit(self, description: RoundDescription) -> int:
        """Most bytes of any payload of the round: a ciphertext, or the sealed sum."""
        scheme = scheme_of(description)
        return max(scheme.size, scheme.seeds, opened_size(scheme))

    def describe(self, terms: Terms, roster: Roster) -> RoundDescription:
        servers = keyholders_of(roster, self.keyholders)
        return describe(self, terms, roster, version=VERSION, quorum=self.quorum, servers=servers, parameters=self.slots or "")

    @classmethod
    def from_description(cls, description: RoundDescription) -> Self:
        # > The description is of this protocol and version, and its numbers leave room for the noise (CK-P3).
        check_spoken(description, cls.PROTOCOL, VERSION, check="CK-P3")
        try:
            return cls(slots=description.parameters or None, **numbers_of(description))
        except ConfigError as refused:
            raise InvalidMessage("CK-P3", str(refused), culprits=[description.coordinator]) from refused

    def role(
        self, opened: Round, identity: Identity, *, policy: Policy, ledger: Ledger, entropy: Entropy, tallies: Tallies = Tally.zero
    ) -> Role:
        params = Params.of(opened)
        if identity.member.role != "coordinator":  # which adds, and never loads SEAL
            params.scheme.load()
        match identity.member.role:
            case "client":
                return client.Client(params, opened.ctx, identity, ledger=ledger, entropy=entropy)
            case "keyholder":
                return keyholder.KeyHolder(params, opened, identity, ledger=ledger, entropy=entropy)
            case "coordinator":
                return server.Server(params, opened, identity)
        raise ConfigError(f"{identity.party} is {identity.member.role}: ckks has clients, a key holder and a coordinator")
