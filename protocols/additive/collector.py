"""The collector: closes the batch, adds the aggregators' shares, and learns the sum and nothing else.

Gathering ──enough receipts, or the deadline──▶ Closing ──m signatures and m shares──▶ Done
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from secagg.crypto.seal import CannotOpen
from secagg.errors import InvalidMessage, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.machine import Machine, Station
from secagg.payload import Payload
from secagg.roles import Message, Outgoing, Sum
from secagg.round import Round
from secagg.tally import RunningSum, Tallies, Tally, committed
from secagg.types import PartyId

from .aggregator import SHARE, share_context, verify_agreed
from .client import verify_receipt
from .messages import Accepted, Agreed, Ahead, Close, Share
from .params import Params
from .split import opening_of

_SHOWN = 10
"""Clients that an error names."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """Counting receipts: which aggregators hold which client's part. Shares that are sent ahead wait, sealed, for their keys."""

    receipts: Mapping[PartyId, frozenset[PartyId]]
    ahead: Mapping[PartyId, Ahead] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Closing:
    """The batch is closed: adding up the shares of the sum. A share that comes before its sender's signature, or its vector, waits."""

    tally: RunningSum
    agreed: Mapping[PartyId, Agreed]
    waiting: Mapping[PartyId, Share]
    added: frozenset[PartyId]
    ahead: Mapping[PartyId, Ahead] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """The sum is open."""

    total: Sum


@dataclass(frozen=True, slots=True)
class Failed:
    """The round ended without a sum."""


State = Gathering | Closing | Done | Failed


@dataclass(frozen=True, slots=True)
class Desk(Station[Params]):
    """Where the collector sits: everything that does not change in a round."""

    tallies: Tallies = Tally.zero

    def complete(self, state: Gathering) -> tuple[PartyId, ...]:
        """The clients whose parts every aggregator holds."""
        everyone = set(self.params.aggregators)
        return tuple(sorted(client for client, holders in state.receipts.items() if holders == everyone))


def check_receipt(message: Accepted, sender: PartyId, *, desk: Desk) -> None:
    """Raises InvalidMessage."""
    # > A receipt is signed by an aggregator of the round, for a client of the cohort (AD-C1).
    if sender not in desk.params.aggregators or message.client not in desk.params.clients:
        raise InvalidMessage("AD-C1", f"{sender} sent a receipt for {message.client} that does not fit the round", culprits=[sender])
    verify_receipt(message, sender, desk.opened.roster, desk.ctx, check="AD-C1")


def count_receipt(state: Gathering, message: Accepted, sender: PartyId, *, desk: Desk) -> Gathering:
    """One aggregator holds one client's part."""
    check_receipt(message, sender, desk=desk)
    holders = state.receipts.get(message.client, frozenset()) | {sender}
    return Gathering({**state.receipts, message.client: holders}, state.ahead)


def close(state: Gathering, *, desk: Desk) -> tuple[Closing, list[Outgoing]]:
    """Ask every aggregator to close, if there is something to open."""
    complete = desk.complete(state)
    found, needed = desk.opened.organisations(complete), desk.params.floor
    # > The collector does not close a batch below the floor F (AD-C2).
    if found < needed:
        raise SessionAborted(
            f"AD-C2: {found} organisations have reported to every aggregator, {needed} needed; {_missing(state, desk)}",
            answered=complete,
            needed=needed,
        )
    tally = desk.tallies(desk.params.ring, desk.params.length)
    return Closing(tally, {}, {}, frozenset(), state.ahead), [Outgoing(name, Close()) for name in desk.params.aggregators]


def _missing(state: Gathering, desk: Desk) -> str:
    """Who has not reported, and who has to some aggregators only: `urban to nobody; energy not to auditor`."""
    gaps = []
    for client in desk.params.clients:
        held = state.receipts.get(client, frozenset())
        lacking = [name for name in desk.params.aggregators if name not in held]
        if lacking:
            gaps.append(f"{client} to nobody" if not held else f"{client} not to {', '.join(lacking)}")
    more = f"; and {len(gaps) - _SHOWN} more" if len(gaps) > _SHOWN else ""
    return "; ".join(gaps[:_SHOWN]) + more


def take_agreed(state: Closing, message: Agreed, sender: PartyId, *, desk: Desk) -> Closing:
    """Keep one signature for the set."""
    # > Every aggregator signs one and the same set, of the cohort and not below the floor (AD-C3).
    verify_agreed(message, sender, desk.params.aggregators, desk.opened, check="AD-C3")
    for name, other in state.agreed.items():
        if (other.included, other.roots) != (message.included, message.roots):
            raise InvalidMessage("AD-C3", f"{sender} and {name} signed different sets", culprits=[sender, name])
    if not set(message.included) <= set(desk.params.clients) or desk.opened.organisations(message.included) < desk.params.floor:
        raise InvalidMessage("AD-C3", f"the set that {sender} signed is not of the cohort or below the floor", culprits=[sender])
    return replace(state, agreed={**state.agreed, sender: message})


def check_share(message: Share | Ahead, sender: PartyId, *, desk: Desk) -> None:
    """Raises InvalidMessage."""
    payload = message.payload
    # > A share comes from an aggregator, and has exactly the round's size and the tags that were committed to, sent ahead or not (AD-C4).
    if sender not in desk.params.aggregators or (payload is not None and payload.size != desk.params.payload_size):
        size = payload.size if payload is not None else 0
        raise InvalidMessage("AD-C4", f"a share of {size} bytes from {sender}; {desk.params.payload_size} expected", culprits=[sender])
    if payload is not None and committed(payload) != message.commitment:
        raise InvalidMessage("AD-C4", f"the share of {sender} is not the one it committed to", culprits=[sender])


def vector_of(state: Closing, message: Share, sender: PartyId) -> Payload | None:
    """The sealed vector that came with a share or ahead of it; None while it has not come. Raises InvalidMessage."""
    ahead = state.ahead.get(sender)
    if message.payload is not None or ahead is None:
        return message.payload
    # > A share without a vector is the one that was sent ahead, for the same set and under the same tags (AD-C6).
    if (message.roots, message.commitment) != (ahead.roots, ahead.commitment):
        raise InvalidMessage("AD-C6", f"{sender} gives the key of another share than it sent ahead", culprits=[sender])
    return ahead.payload


def add_share(state: Closing, message: Share, payload: Payload, sender: PartyId, *, desk: Desk) -> Closing:
    """Open one aggregator's share and add it: all of it or nothing."""
    # > A share is for the set that its sender signed, and opens with the collector's key (AD-C5).
    if message.roots != state.agreed[sender].roots:
        raise InvalidMessage("AD-C5", f"the share of {sender} is for another set than it signed", culprits=[sender])
    context = share_context(desk.ctx, sender, desk.me.party, message.roots)
    try:
        key = desk.me.opening.open(message.sealed, purpose=SHARE, context=context)
        state.tally.add(opening_of(key, context), payload)
    except CannotOpen as refused:
        raise InvalidMessage("AD-C5", f"the share of {sender} does not open: {refused}", culprits=[sender]) from refused
    waiting = {name: share for name, share in state.waiting.items() if name != sender}
    ahead = {name: sent for name, sent in state.ahead.items() if name != sender}
    return replace(state, added=state.added | {sender}, waiting=waiting, ahead=ahead)


def open_sum(state: Closing, *, desk: Desk) -> Done:
    """All m shares are in: the sum."""
    agreed = [state.agreed[name] for name in desk.params.aggregators]
    signatures = tuple((name, message.signature) for name, message in zip(desk.params.aggregators, agreed, strict=True))
    return Done(Sum(state.tally.words, agreed[0].included, agreed[0].roots, signatures))


class Collector(Machine[State]):
    """The collector's machine, usually in the hub."""

    NAME: ClassVar = "collector"
    STATES: ClassVar = State

    def __init__(self, params: Params, opened: Round, me: Identity, *, tallies: Tallies = Tally.zero) -> None:
        self._desk = Desk(me, params, opened, tallies)
        super().__init__(Gathering({}))

    @property
    def patience(self) -> float | None:
        match self._state:
            case Gathering():
                return self._desk.params.submit_seconds
            case Closing():
                return self._desk.params.finish_seconds
        return None

    @property
    def result(self) -> Sum | None:
        return self._state.total if isinstance(self._state, Done) else None

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        desk = self._desk
        match self._state, message:
            case Gathering() as state, Accepted() as accepted:
                self._state = count_receipt(state, accepted, sender, desk=desk)
                complete = desk.complete(self._state)
                if len(complete) >= desk.params.quorum and desk.opened.organisations(complete) >= desk.params.floor:
                    return self._close(self._state)
                return []
            case ((Closing() | Done()), Accepted() as accepted):
                check_receipt(accepted, sender, desk=desk)
                return []  # it crossed with our Close: the aggregators' lists decide
            case Closing() as state, Agreed() as agreed:
                self._advance(take_agreed(state, agreed, sender, desk=desk), sender)
                return []
            case (Gathering() | Closing()) as state, Ahead() as sent if sender not in self._heard(state):
                check_share(sent, sender, desk=desk)
                after = replace(state, ahead={**state.ahead, sender: sent})
                if isinstance(after, Closing):
                    self._advance(after, sender)
                else:
                    self._state = after
                return []
            case Closing() as state, Share() as share if sender not in state.waiting.keys() | state.added:
                check_share(share, sender, desk=desk)
                self._advance(replace(state, waiting={**state.waiting, sender: share}), sender)
                return []
        raise UnexpectedMessage(f"{type(message).__name__} is not due in {self.phase}", culprits=[sender])

    def expire(self) -> Sequence[Outgoing]:
        match self._state:
            case Gathering() as state:
                return self._close(state)
            case Closing() as state:
                self._state = Failed()
                raise SessionAborted(
                    "not every aggregator gave its share in time", answered=sorted(state.added), needed=len(self._desk.params.aggregators)
                )
        return []

    def _close(self, state: Gathering) -> list[Outgoing]:
        try:
            self._state, outgoing = close(state, desk=self._desk)
        except SessionAborted:
            self._state = Failed()
            raise
        return outgoing

    @staticmethod
    def _heard(state: Gathering | Closing) -> frozenset[PartyId]:
        """Whose vectors are here."""
        return frozenset(state.ahead) | (state.added if isinstance(state, Closing) else frozenset())

    def _advance(self, state: Closing, sender: PartyId) -> None:
        if sender in state.waiting and sender in state.agreed:
            share = state.waiting[sender]
            if (payload := vector_of(state, share, sender)) is not None:
                state = add_share(state, share, payload, sender, desk=self._desk)
        done = state.added == frozenset(self._desk.params.aggregators)
        self._state = open_sum(state, desk=self._desk) if done else state
