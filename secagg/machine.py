"""What every role and every plan has in common, so that a protocol's files hold only the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from secagg.encode.encoding import Encoding
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError
from secagg.identity import Identity
from secagg.policy import Floors
from secagg.privacy import PrivacyTerms
from secagg.roles import Outgoing, Sum
from secagg.roster import Roster
from secagg.round import Round, RoundDescription, Terms
from secagg.types import Context, PartyId

P = TypeVar("P")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Station(Generic[P]):
    """Where a role stands: everything that does not change in a round. A protocol adds what follows from its own numbers, `params`."""

    me: Identity
    params: P
    opened: Round

    @property
    def ctx(self) -> Context:
        return self.opened.ctx


class Machine(Generic[S]):
    """The shell of a role: the state it is in, one start, and going on from a state that was kept. Implements part of `secagg.roles.Role`.

    A machine that is under way has left the state in which it was made, or has been started.
    """

    NAME: ClassVar[str]
    """What errors call it, for example `client`."""
    STATES: ClassVar[UnionType]
    """Every state that it can be in."""

    def __init__(self, state: S) -> None:
        self._state = state
        self._started = False

    @property
    def phase(self) -> str:
        return type(self._state).__name__.lower()

    @property
    def patience(self) -> float | None:
        return None

    @property
    def result(self) -> Sum | None:
        return None

    @property
    def state(self) -> S:
        return self._state

    def resume(self, state: object) -> None:
        if self._started or not isinstance(state, self.STATES):
            raise LocalProtocolError(f"a fresh {self.NAME} goes on from one of its own states, not from {type(state).__name__}")
        self._started, self._state = True, state

    def start(self) -> Sequence[Outgoing]:
        if self._started:
            raise LocalProtocolError(f"this {self.NAME} has started already")
        self._started = True
        return self._begin()

    def _begin(self) -> Sequence[Outgoing]:
        """What is said before anything is heard."""
        return []


class Numbers(Protocol):
    """The numbers that every plan has."""

    PROTOCOL: ClassVar[str]

    @property
    def clients(self) -> int: ...

    @property
    def clip(self) -> float | tuple[float, ...]: ...

    @property
    def bits(self) -> int: ...

    @property
    def max_weight(self) -> int: ...

    @property
    def rotation(self) -> bool: ...

    @property
    def ring_bits(self) -> int | None: ...

    @property
    def floors(self) -> Floors: ...

    @property
    def encoding(self) -> Encoding: ...

    @property
    def submit_seconds(self) -> float: ...

    @property
    def finish_seconds(self) -> float: ...

    @property
    def privacy(self) -> PrivacyTerms | None: ...


def encoding_of(plan: Numbers, *, factor: int = 1, aggregators: int = 0) -> Encoding:
    """How updates become ring words under the plan's numbers and privacy terms; `factor` is the largest that a weight is multiplied by,
    `aggregators` how many there are that add noise where the terms ask for it.

    Raises ConfigError for numbers that leave no head-room.
    """
    exact = Encoding(
        clip=plan.clip,
        bits=plan.bits,
        rotation=plan.rotation,
        max_weight=plan.max_weight * factor,
        max_parties=plan.clients,
        ring_bits=plan.ring_bits,
    )
    return exact if plan.privacy is None else plan.privacy.encoding(exact, plan.floors, aggregators=aggregators)


def keyholders_of(roster: Roster, wanted: int) -> tuple[PartyId, ...]:
    """The key holders of the roster, in its order. Raises ConfigError if they are not as many as the plan wants."""
    holders = roster.with_role("keyholder")
    if len(holders) != wanted:
        raise ConfigError(f"the roster has {len(holders)} key holders, the plan {wanted}: make the two agree")
    return tuple(member.party for member in holders)


def cohort_of(plan: Numbers, terms: Terms, roster: Roster) -> tuple[PartyId, ...]:
    """The clients of a round: those that the terms name, or all of the roster. Raises ConfigError for more than the plan has room for."""
    cohort = terms.cohort or tuple(member.party for member in roster.with_role("client"))
    if len(cohort) > plan.clients:
        raise ConfigError(f"{len(cohort)} clients in the cohort; this plan has head-room for {plan.clients}: raise `clients`")
    return cohort


def describe(
    plan: Numbers,
    terms: Terms,
    roster: Roster,
    *,
    version: int,
    quorum: int | None,
    servers: tuple[PartyId, ...] = (),
    floors: Floors | None = None,
    parameters: str = "",
) -> RoundDescription:
    """The description of one round: what the coordinator decides, and the plan's numbers. Raises ConfigError as `cohort_of` does.

    Args:
        version: of the protocol.
        quorum: clients after which the round goes on; None: all of the cohort.
        servers: the parties that the protocol needs beside the coordinator, in its order.
        floors: other floors than the plan's own.
        parameters: name of the protocol's parameter set.
    """
    cohort = cohort_of(plan, terms, roster)
    return RoundDescription(
        protocol=plan.PROTOCOL,
        version=version,
        task=terms.task,
        round=terms.round,
        attempt=terms.attempt,
        roster_hash=roster.hash,
        coordinator=roster.with_role("coordinator")[0].party,
        cohort=cohort,
        servers=servers,
        floors=floors or plan.floors,
        encoding=plan.encoding,
        layout=terms.layout,
        values=terms.values,
        base_model=terms.base_model,
        inputs=terms.inputs,
        quorum=min(quorum or len(cohort), len(cohort)),
        submit_seconds=terms.submit_seconds or plan.submit_seconds,
        finish_seconds=terms.finish_seconds or plan.finish_seconds,
        nonce=terms.nonce,
        parameters=parameters,
        privacy=plan.privacy,
    )


def numbers_of(description: RoundDescription) -> dict[str, Any]:
    """The arguments of a plan that every protocol's description states in the same fields."""
    encoding = description.encoding
    return {
        "clients": encoding.max_parties,
        "clip": encoding.clip,
        "bits": encoding.bits,
        "max_weight": encoding.max_weight,
        "rotation": encoding.rotation,
        "ring_bits": encoding.ring_bits,
        "submit_seconds": description.submit_seconds,
        "finish_seconds": description.finish_seconds,
        "floors": description.floors,
        "privacy": description.privacy,
    }


def check_spoken(description: RoundDescription, protocol: str, version: int, *, check: str) -> None:
    """Raises InvalidMessage for a description of another protocol or version."""
    if (description.protocol, description.version) != (protocol, version):
        raise InvalidMessage(
            check,
            f"{description.protocol} version {description.version}; this party speaks {protocol} version {version}",
            culprits=[description.coordinator],
        )
