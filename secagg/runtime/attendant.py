"""One party in round after round, without I/O: it turns packets and time into packets, whatever carries them.

    Describe ─▶ checks, ledger, role ─▶ the protocol's own messages ─▶ Publish | Abort | the next Describe

Driven by one caller at a time. `now` is in seconds since 1970 and never goes back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from secagg.control import Abort, Describe, Publish
from secagg.endpoint import Endpoint
from secagg.envelope import Packet, check_round, pack, unpack
from secagg.errors import (
    BudgetExceeded,
    ConfigError,
    InvalidMessage,
    LocalProtocolError,
    PeerError,
    SecAggError,
    SessionAborted,
    UnexpectedMessage,
)
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.receipt import Receipt
from secagg.roles import Plan
from secagg.round import Round, open_round, round_digest
from secagg.runtime.ending import Ending
from secagg.runtime.model import Model
from secagg.tally import Tallies, Tally
from secagg.types import Context, Entropy, PartyId

log = logging.getLogger("secagg.runtime")
BROKE = "this party's privacy budget does not allow the round"
UNFIT = "this party's own set-up does not allow the round"
_EARLY = 64
"""Packets of a round not described yet that are kept for it: enough for what overtakes a description, no more."""


@dataclass(frozen=True, slots=True)
class Published:
    """A round was opened; the receipt is verified."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Refused:
    """This party does not take part in what the coordinator described."""

    error: SecAggError


@dataclass(frozen=True, slots=True)
class Ended:
    """The coordinator has ended the task."""


Event = object
"""`Published`, `Refused`, `Ended`; a client adds `Offer`, `Finished`, `Missed`."""
Plans = Mapping[str, type[Plan]]


def ignore(_: Event) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class Seat:
    """This party's place in the round that is under way."""

    opened: Round
    plan: Plan
    endpoint: Endpoint
    phase: str
    since: float
    model: Model | None = None
    contributed: bool = False

    @property
    def due(self) -> float | None:
        patience = self.endpoint.role.patience
        return None if patience is None else self.since + patience


class Attendant:
    """An aggregator or key holder; `Client` adds what a client brings."""

    def __init__(
        self,
        me: Identity,
        *,
        plans: Plans,
        policy: Policy,
        ledger: Ledger,
        entropy: Entropy,
        notify: Callable[[Event], None] = ignore,
        tallies: Tallies = Tally.zero,
    ) -> None:
        self.tallies = tallies
        self.me, self.plans, self.policy, self.ledger, self.entropy, self.notify = me, plans, policy, ledger, entropy, notify
        self.coordinator = me.roster.with_role("coordinator")[0].party
        self.seat: Seat | None = None
        self.refused: dict[PartyId, int] = {}
        self._over, self._known = b"", b""
        self._early: list[Packet] = []
        self.values = 0
        """Values of the model in the last round; 0 before the first."""

    def receive(self, packet: Packet, now: float) -> list[Packet]:
        """Take one packet. Never raises for what a peer did: a bad packet is logged and counted, and the answer says so."""
        return self._recorded(lambda: self._receive(packet, now))

    def _receive(self, packet: Packet, now: float) -> list[Packet]:
        try:
            match packet.header.kind:
                case Describe.KIND:
                    return self._describe(packet, now)
                case Publish.KIND:
                    return self._publish(packet)
                case Abort.KIND:
                    return self._abort(packet)
                case Ending.KIND:
                    return self._ending(packet)
            return self._protocol(packet, now)
        except PeerError as refused:
            self._count(refused, packet)
            return []

    def due(self) -> float | None:
        """When `tick` must be called next, if nothing comes before."""
        return self.seat.due if self.seat is not None else None

    def tick(self, now: float) -> list[Packet]:
        """Time has passed."""
        seat = self.seat
        if seat is None or seat.due is None or now < seat.due:
            return []
        seat.since = now  # a phase that goes on after its time is asked again only after as long
        return self._recorded(lambda: self._step(seat, seat.endpoint.expire, now))

    def _recorded(self, act: Callable[[], list[Packet]]) -> list[Packet]:
        """What `act` says, once the ledger holds it. A party that cannot write takes no part: its user and the coordinator hear of it."""
        try:
            with self.ledger.together():
                return act()
        except ConfigError as refused:
            self.notify(Refused(refused))
            # Where its files lie, and what is wrong with them, is nobody else's business.
            return self.abandon("ConfigError", UNFIT)

    def abandon(self, code: str, reason: str) -> list[Packet]:
        """Leave the round under way, secrets and all, and tell the coordinator."""
        seat, self.seat = self.seat, None
        if seat is None:
            return []
        self._over = seat.opened.ctx.rd
        log.warning("%s leaves round %d, attempt %d: %s: %s", self.me.party, seat.opened.ctx.round, seat.opened.ctx.attempt, code, reason)
        return [self._tell(seat.opened.ctx, code, reason)]

    # What a client adds.

    def _check(self, describe: Describe, opened: Round) -> Model | None:
        """Look at a description before anything of it is entered in the ledger; gives the model that came with it."""
        # > Only clients are sent a model (TR-M5).
        if describe.model is not None:
            raise InvalidMessage("TR-M5", "a model was sent to a party that trains none", culprits=[self.coordinator])
        return None

    def _seated(self, seat: Seat, now: float) -> list[Packet]:
        """A round has begun."""
        return []

    def _published(self, receipt: Receipt) -> None:
        """A round was opened."""

    # The coordinator's messages.

    def _describe(self, packet: Packet, now: float) -> list[Packet]:
        body = self._from_coordinator(packet)
        rd = packet.header.rd
        if rd == self._over or (self.seat is not None and self.seat.opened.ctx.rd == rd):
            return []
        describe, header = Describe.from_wire(body, packet.payload), packet.header
        try:
            seat = self._sit(packet, describe, now)
        except (PeerError, LocalProtocolError, BudgetExceeded, ConfigError) as refused:
            return self._decline(refused, Context(rd, header.task, header.round, header.attempt))
        self.seat, self.values = seat, seat.opened.description.values
        early, self._early = self._early, []
        sent = self._step(seat, seat.endpoint.start, now)
        if self.seat is seat:
            sent += self._seated(seat, now)
        for kept in early:
            if kept.header.rd == rd:
                sent += self._receive(kept, now)
        return sent

    def _sit(self, packet: Packet, describe: Describe, now: float) -> Seat:
        opened = open_round(describe.signed, self.me, self.policy, now=now)
        check_round(packet.header, opened.ctx)
        described = opened.description
        made = self.plans.get(described.protocol)
        # > A party takes part only in protocols that it has (TR-C1).
        if made is None:
            spoken = ", ".join(sorted(self.plans)) or "none"
            raise InvalidMessage(
                "TR-C1", f"protocol {described.protocol!r} is not spoken here; spoken: {spoken}", culprits=[self.coordinator]
            )
        plan = made.from_description(described)
        model = self._check(describe, opened)
        self._enter(opened)
        role = plan.role(opened, self.me, policy=self.policy, ledger=self.ledger, entropy=self.entropy, tallies=self.tallies)
        return Seat(opened, plan, Endpoint(role, opened, self.me, made.CODEC), role.phase, now, model)

    def _enter(self, opened: Round) -> None:
        ctx = opened.ctx
        again = self.ledger.latest(ctx.task) == (ctx.round, ctx.attempt)
        self.ledger.enter(ctx)
        # > A server that enters an attempt a second time has lost what it held: it leaves, so that a new attempt begins.
        if again and self.me.member.role != "client":
            raise LocalProtocolError("restarted within this attempt, so what it held is lost")

    def _decline(self, refused: PeerError | LocalProtocolError | BudgetExceeded | ConfigError, ctx: Context) -> list[Packet]:
        self.seat = None
        self._over = ctx.rd
        code, reason = _code(refused)
        log.warning("%s takes no part in round %d, attempt %d: %s", self.me.party, ctx.round, ctx.attempt, refused)
        if code != "RD-C8" and isinstance(refused, InvalidMessage | BudgetExceeded | ConfigError):
            self.notify(Refused(refused))
        return [self._tell(ctx, code, reason)]

    def _publish(self, packet: Packet) -> list[Packet]:
        receipt = Receipt.parse(Publish.from_wire(self._from_coordinator(packet), packet.payload).receipt, self.me.roster)
        # > A receipt is about the round that its envelope names (TR-C3).
        if round_digest(receipt.round.raw) != packet.header.rd:
            raise InvalidMessage("TR-C3", "a receipt of another round than its envelope's", culprits=[self.coordinator])
        receipt.verify(rd=packet.header.rd)
        if self.seat is not None and self.seat.opened.ctx.rd == packet.header.rd:
            self.seat = None
        if self._known == packet.header.rd:
            return []
        self._known = packet.header.rd
        self._published(receipt)
        self.notify(Published(receipt))
        return []

    def _abort(self, packet: Packet) -> list[Packet]:
        told = Abort.from_wire(self._from_coordinator(packet), packet.payload)
        if self.seat is not None and self.seat.opened.ctx.rd == packet.header.rd:
            log.warning("round %d, attempt %d is aborted: %s: %s", packet.header.round, packet.header.attempt, told.code, told.reason)
            self.seat, self._over = None, packet.header.rd
        return []

    def _ending(self, packet: Packet) -> list[Packet]:
        self._ended(Ending.from_wire(self._from_coordinator(packet), packet.payload))
        self.seat = None
        self.notify(Ended())
        return []

    def _ended(self, ending: Ending) -> None:
        """The task is over."""

    def _from_coordinator(self, packet: Packet) -> bytes:
        body = unpack(packet, self.me.roster, me=self.me.party)
        # > Descriptions, receipts and ends come from the coordinator alone (TR-C4).
        if packet.header.sender != self.coordinator:
            raise InvalidMessage(
                "TR-C4", f"{packet.header.kind} from {packet.header.sender}, who is not the coordinator", culprits=[packet.header.sender]
            )
        return body

    # The protocol's messages.

    def _protocol(self, packet: Packet, now: float) -> list[Packet]:
        seat = self.seat
        if seat is None or packet.header.rd != seat.opened.ctx.rd:
            return self._keep(packet, seat)
        return self._step(seat, lambda: seat.endpoint.receive(packet), now)

    def _keep(self, packet: Packet, seat: Seat | None) -> list[Packet]:
        header = packet.header
        ahead = seat is None or (header.round, header.attempt) > (seat.opened.ctx.round, seat.opened.ctx.attempt)
        if ahead and header.rd != self._over and packet.payload is None and len(self._early) < _EARLY:
            self._early.append(packet)
            return []
        raise UnexpectedMessage(f"{header.kind} of a round that is not under way here: replayed or late")

    def _step(self, seat: Seat, act: Callable[[], Sequence[Packet]], now: float) -> list[Packet]:
        try:
            sent = list(act())
        except SessionAborted as aborted:
            return self.abandon("aborted", str(aborted))
        except LocalProtocolError as refused:
            return self.abandon("restarted", str(refused))
        except PeerError as refused:
            if seat.endpoint.phase != "failed":
                raise
            return self.abandon(*_code(refused))
        if seat.endpoint.phase != seat.phase:
            seat.phase, seat.since = seat.endpoint.phase, now
        return sent

    def _count(self, refused: PeerError, packet: Packet) -> None:
        for name in refused.culprits or (packet.header.sender,):
            self.refused[name] = self.refused.get(name, 0) + 1
        log.warning("%s refused %s from %s: %s", self.me.party, packet.header.kind, packet.header.sender, refused)

    def _tell(self, ctx: Context, code: str, reason: str) -> Packet:
        return pack(self.me, ctx, self.coordinator, abort(code, reason))


def _code(refused: PeerError | LocalProtocolError | BudgetExceeded | ConfigError) -> tuple[str, str]:
    """The id of a failed check, or the kind of another error, and what it says apart from that; a budget is its party's own business."""
    if isinstance(refused, BudgetExceeded):
        return "BudgetExceeded", BROKE
    if isinstance(refused, ConfigError):
        return "ConfigError", UNFIT
    return (refused.check, refused.reason) if isinstance(refused, InvalidMessage) else (type(refused).__name__, str(refused))


def abort(code: str, reason: str) -> Abort:
    """An Abort whose text surely passes the reader's checks."""
    return Abort(code[:64], "".join(letter if letter.isprintable() else " " for letter in reason)[:500])
