"""All parties of one round around one table: each message goes through its bytes, in an order that a seed decides.

Time is virtual: when nothing is under way, the party with the least patience left expires. Nothing here knows a protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.errors import PeerError, SecAggError, SessionAborted
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.roles import Plan, Sum, Vector
from secagg.roster import Roster
from secagg.round import Input, Round, Terms, open_round, sign_round
from secagg.testing.entropy import InsecureEntropy
from secagg.types import Entropy, PartyId

NOW = 1_800_000_000.0
"""The moment at which rounds at the table take place; consortia made for it are valid then."""

Fault = Callable[[Packet], Iterable[Packet]]
"""What arrives instead of a packet: nothing, the packet, several, or damaged ones."""


def deliver(packet: Packet) -> list[Packet]:
    """The network without faults."""
    return [packet]


def terms(*, values: int, round: int = 1, attempt: int = 1, nonce: bytes = bytes(16), task: str = "table") -> Terms:
    """The terms of a made-up round over `values` coordinates."""
    return Terms(
        task=task,
        round=round,
        attempt=attempt,
        layout=bytes(32),
        values=values,
        base_model=bytes(32),
        inputs=(Input(0, bytes(32)),),
        nonce=nonce,
        submit_seconds=60,
        finish_seconds=10,
    )


@dataclass
class Table:
    """One round of `plan` among `identities`; `play` runs it to its end.

    Attributes:
        heard: every packet that was delivered, in order.
        refused: what roles refused, with the party that refused.
        gone: parties that say and hear nothing any more; add to it at any time.
    """

    plan: Plan
    opened: Round
    endpoints: dict[PartyId, Endpoint]
    dice: InsecureEntropy
    fault: Fault = deliver
    gone: set[PartyId] = field(default_factory=set)
    heard: list[Packet] = field(default_factory=list)
    refused: list[tuple[PartyId, SecAggError]] = field(default_factory=list)
    under_way: list[Packet] = field(default_factory=list)
    watch: Callable[[Table, Packet], None] | None = None

    @classmethod
    def lay(
        cls,
        plan: Plan,
        roster: Roster,
        identities: Iterable[Identity],
        of: Terms,
        *,
        seed: int = 0,
        entropy: Entropy | None = None,
        ledgers: Mapping[PartyId, Ledger] | None = None,
        policy: Policy | None = None,
        fault: Fault = deliver,
    ) -> Table:
        """Describe the round, let everybody check the description, and make the roles. Starts none of them."""
        members = {identity.party: identity for identity in identities}
        description = plan.describe(of, roster)
        signed = sign_round(description, members[description.coordinator]).signed()
        endpoints: dict[PartyId, Endpoint] = {}
        dice = InsecureEntropy(seed)
        for name in (description.coordinator, *description.servers, *description.cohort):
            me, limits = members[name], policy or Policy()
            ledger = (ledgers or {}).get(name) or Ledger()
            opened = open_round(signed, me, limits, now=NOW)
            ledger.enter(opened.ctx)
            understood = type(plan).from_description(opened.description)
            role = understood.role(opened, me, policy=limits, ledger=ledger, entropy=entropy or dice)
            endpoints[name] = Endpoint(role, opened, me, plan.CODEC)
        return cls(plan, opened, endpoints, dice, fault)

    @property
    def result(self) -> Sum | None:
        """The sum, once the coordinator has opened it."""
        return self.endpoints[self.opened.description.coordinator].result

    def play(self, vectors: Mapping[PartyId, Vector], *, limit: int = 100_000) -> Sum | SessionAborted:
        """Run to the end: the sum, or why there is none."""
        for name, endpoint in self.endpoints.items():
            self._do(name, endpoint.start)
        order = list(vectors)
        self.dice.shuffle(order)
        for name in order:
            self._do(name, lambda name=name: self.endpoints[name].contribute(vectors[name], version=0))  # type: ignore[misc]
        for _ in range(limit):
            if (total := self.result) is not None:
                return total
            if (aborted := self._step()) is not None:
                return aborted
        raise AssertionError(f"the round did not end in {limit} steps")

    def hear(self, packet: Packet) -> None:
        """Deliver one packet to its recipient."""
        name = packet.header.recipient
        if name in self.gone or name not in self.endpoints:
            return
        self.heard.append(packet)
        if self.watch is not None:
            self.watch(self, packet)
        self._do(name, lambda: self.endpoints[name].receive(packet))

    def _step(self) -> SessionAborted | None:
        if self.under_way:
            packet = self.under_way.pop(self.dice.below(len(self.under_way)))
            for arrived in self.fault(packet):
                self.hear(arrived)
            return None
        return self._expire()

    def _expire(self) -> SessionAborted | None:
        """Nothing is under way: the least patient party's time runs out. The coordinator's abort is the round's."""
        coordinator = self.opened.description.coordinator
        waiting = {
            name: end.role.patience for name, end in self.endpoints.items() if name not in self.gone and end.role.patience is not None
        }
        if coordinator not in waiting:
            said = [error for party, error in self.refused if party == coordinator and isinstance(error, SessionAborted)]
            return said[-1] if said else SessionAborted("the coordinator is gone")
        name = min(waiting, key=lambda party: (waiting[party], party != coordinator))
        before = len(self.refused)
        self._do(name, self.endpoints[name].expire)
        ended = [error for party, error in self.refused[before:] if party == coordinator and isinstance(error, SessionAborted)]
        return ended[0] if ended else None

    def _do(self, name: PartyId, act: Callable[[], list[Packet]]) -> None:
        if name in self.gone:
            return
        try:
            packets = act()
        except (PeerError, SessionAborted) as refused:
            self.refused.append((name, refused))
            return
        if name not in self.gone:
            self.under_way.extend(packets)
