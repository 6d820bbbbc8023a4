"""The coordinator in one task, without I/O: it describes an attempt, collects, and publishes or aborts.

open ─▶ Describe to all ─▶ the collector's messages ─▶ a Sum ─▶ publish ─▶ Publish to all
                                                    └▶ SessionAborted ─▶ Abort to all
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from secagg.control import Abort, Booked, Describe, Publish
from secagg.endpoint import Endpoint
from secagg.envelope import Packet, check_round, pack, unpack
from secagg.errors import InvalidMessage, LocalProtocolError, PeerError, SessionAborted
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.payload import Payload
from secagg.policy import Policy
from secagg.receipt import Receipt
from secagg.roles import Plan, Sum
from secagg.round import Round, RoundDescription, sign_round
from secagg.runtime.attendant import abort
from secagg.spent import Spent
from secagg.tally import Tallies, Tally
from secagg.types import Entropy, PartyId

log = logging.getLogger("secagg.runtime")


class Coordinator:
    """Driven by one caller at a time, like `Attendant`. Between attempts it refuses everything."""

    def __init__(
        self, me: Identity, plan: Plan, *, policy: Policy, ledger: Ledger, entropy: Entropy, tallies: Tallies = Tally.zero
    ) -> None:
        self.tallies = tallies
        self.me, self.plan, self.policy, self.ledger, self.entropy = me, plan, policy, ledger, entropy
        self.opened: Round | None = None
        self.total: Sum | None = None
        self.failure: SessionAborted | None = None
        self.left: dict[PartyId, str] = {}
        self._spent: dict[PartyId, Spent] = {}
        self.closed_at: float | None = None
        """When the first phase, in which clients train and report, was over."""
        self._endpoint: Endpoint | None = None
        self._model: Payload | None = None
        self._phase, self._since, self._last = "", 0.0, float("inf")

    @property
    def open(self) -> bool:
        """Whether an attempt is under way."""
        return self._endpoint is not None and self.total is None and self.failure is None

    def begin(self, description: RoundDescription, model: Payload, now: float) -> list[Packet]:
        """Begin an attempt. Raises InvalidMessage or LocalProtocolError if the ledger or the plan refuses it."""
        opened = sign_round(description, self.me)
        self.me.roster.check_valid((*description.cohort, *description.servers, self.me.party), now)
        self.ledger.enter(opened.ctx)
        role = self.plan.role(opened, self.me, policy=self.policy, ledger=self.ledger, entropy=self.entropy, tallies=self.tallies)
        self.opened, self.total, self.failure, self.left, self.closed_at, self._model = opened, None, None, {}, None, model
        self._endpoint, self._spent = Endpoint(role, opened, self.me, self.plan.CODEC), {}
        self._phase, self._since = role.phase, now
        # Whatever the protocol's own deadlines are, no attempt lasts longer than its two periods and a little more.
        self._last = now + description.submit_seconds + 4 * description.finish_seconds
        sent = [packet for name in (*description.servers, *description.cohort) for packet in self.describe(name)]
        return sent + self._step(self._endpoint, self._endpoint.start, now)

    def describe(self, name: PartyId) -> list[Packet]:
        """The description for one party: again for one that comes back during the attempt."""
        opened = self.opened
        if opened is None or self.total is not None or self.failure is not None:
            return []
        described = opened.description
        if name not in described.cohort and name not in described.servers:
            return []
        return [pack(self.me, opened.ctx, name, Describe(opened.signed(), self._model if name in described.cohort else None))]

    def receive(self, packet: Packet, now: float) -> list[Packet]:
        """Take one packet. A bad one is logged and counted against its sender; the attempt goes on for the rest."""
        try:
            endpoint, opened = self._endpoint, self.opened
            if endpoint is None or opened is None or not self.open:
                return []
            if packet.header.kind == Abort.KIND:
                return self._leave(packet, opened)
            if packet.header.kind == Booked.KIND:
                return self._book(packet, opened)
            return self._step(endpoint, lambda: endpoint.receive(packet), now)
        except PeerError as refused:
            log.warning("refused %s from %s: %s", packet.header.kind, packet.header.sender, refused)
            for name in refused.culprits:
                self.left.setdefault(name, str(refused))
            return []

    def due(self) -> float | None:
        """When `tick` must be called next, if nothing comes before."""
        if self._endpoint is None or not self.open:
            return None
        patience = self._endpoint.role.patience
        return self._last if patience is None else min(self._since + patience, self._last)

    def tick(self, now: float) -> list[Packet]:
        """Time has passed."""
        due = self.due()
        if due is None or now < due or self._endpoint is None:
            return []
        if now >= self._last:
            return self.stop(SessionAborted("the attempt took longer than its two periods allow"))
        self._since = now
        return self._step(self._endpoint, self._endpoint.expire, now)

    def publish(self, result: bytes) -> tuple[Receipt, list[Packet]]:
        """Sign the receipt of the sum that was opened, for everybody of the attempt."""
        if self.opened is None or self.total is None:
            raise LocalProtocolError("there is no sum to publish")
        described = self.opened.description
        receipt = Receipt.issue(self.opened, self.total, result=result, coordinator=self.me, spent=self._spent.values())
        message = Publish(receipt.to_bytes())
        sent = [pack(self.me, self.opened.ctx, name, message) for name in (*described.servers, *described.cohort)]
        self._endpoint = self._model = None
        return receipt, sent

    def stop(self, failure: SessionAborted) -> list[Packet]:
        """End the attempt without a sum and say so to everybody."""
        opened, self.failure, self._endpoint, self._model = self.opened, failure, None, None
        if opened is None:
            return []
        log.warning("round %d, attempt %d is aborted: %s", opened.ctx.round, opened.ctx.attempt, failure)
        return abort_packets(self.me, opened, str(failure))

    def _leave(self, packet: Packet, opened: Round) -> list[Packet]:
        """A party leaves the attempt. The sum does without a client; without a server it does not open."""
        header = packet.header
        check_round(header, opened.ctx)
        told = Abort.from_wire(unpack(packet, self.me.roster, me=self.me.party), packet.payload)
        # > A party ends its own part in a round and nobody else's (TR-C6).
        if not opened.takes_part(header.sender):
            raise InvalidMessage("TR-C6", f"{header.sender} takes no part in this round", culprits=[header.sender])
        self.left[header.sender] = f"{told.code}: {told.reason}"
        log.warning("%s left round %d, attempt %d: %s: %s", header.sender, header.round, header.attempt, told.code, told.reason)
        described = opened.description
        if header.sender in described.servers:
            return self.stop(SessionAborted(f"{header.sender} left: {told.code}: {told.reason}", needed=len(described.servers)))
        staying = tuple(name for name in described.cohort if name not in self.left)
        if opened.organisations(staying) < described.floors.floor:
            gone = "; ".join(f"{name} left: {why}" for name, why in sorted(self.left.items()))
            return self.stop(SessionAborted(f"too few can still report: {gone}", answered=staying, needed=described.floors.floor))
        return []

    def _book(self, packet: Packet, opened: Round) -> list[Packet]:
        """Keep a client's statement of what the round costs it, for the receipt. The sum does not wait for it."""
        check_round(packet.header, opened.ctx)
        spent = Spent.parse(Booked.from_wire(unpack(packet, self.me.roster, me=self.me.party), packet.payload).spent)
        # > A client states what it spent for itself alone (DP-C2).
        if spent.party != packet.header.sender or spent.party not in opened.description.cohort:
            raise InvalidMessage("DP-C2", f"{packet.header.sender} states what {spent.party} spent", culprits=[packet.header.sender])
        spent.verify(opened.ctx.rd, opened.description.privacy, self.me.roster)
        self._spent[spent.party] = spent
        return []

    def _step(self, endpoint: Endpoint, act: Callable[[], Sequence[Packet]], now: float) -> list[Packet]:
        try:
            with self.ledger.together():
                sent = list(act())
        except SessionAborted as aborted:
            for name in aborted.culprits:
                self.left.setdefault(name, str(aborted))
            return self.stop(aborted)
        if endpoint.phase != self._phase:
            self._phase, self._since = endpoint.phase, now
            self.closed_at = self.closed_at if self.closed_at is not None else now
        self.total = endpoint.result
        for name in self.total.blamed if self.total is not None else ():
            log.warning("the sum is right, but %s is shown to have lied in this round", name)
            self.left.setdefault(name, "shown to have lied in this round, which changed nothing in the sum")
        return sent


def abort_packets(me: Identity, opened: Round, reason: str) -> list[Packet]:
    """The coordinator's Abort for everybody of an attempt."""
    described = opened.description
    message = abort("aborted", reason)
    return [pack(me, opened.ctx, name, message) for name in (*described.servers, *described.cohort)]
