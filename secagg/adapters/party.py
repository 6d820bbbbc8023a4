"""One party of a round inside a stack that calls it once for each message, perhaps each time in a new process.

Between two messages nothing of it lives but `keep()`: the round's signed description, and the role's state sealed under a key that
only this party has. The stack may store that where it likes. An older state that it gives back opens, but says nothing new: the
ledger on the party's own disk holds what was said.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from secagg.adapters.bag import open_bag, pack_bag
from secagg.control import Describe
from secagg.dp.accountant import Steps
from secagg.dp.budget import Purse
from secagg.encode.layout import Layout
from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.errors import ConfigError
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.payload import Blob
from secagg.policy import Policy
from secagg.privacy import PrivacyTerms
from secagg.receipt import Receipt
from secagg.roles import Plan
from secagg.round import open_round
from secagg.runtime.attendant import Attendant, Published, Refused, Seat
from secagg.runtime.client import Client, Offer
from secagg.runtime.home import Home
from secagg.runtime.model import Expectation, Model
from secagg.runtime.plans import spoken
from secagg.snapshot import open_state, seal_state
from secagg.types import Entropy

Train = Callable[[Mapping[str, NDArray[np.float32]]], tuple[Mapping[str, Any], int] | tuple[Mapping[str, Any], int, Sequence[Steps]]]
"""`train(model)` gives (update, weight): what is to be averaged, under the model's names, and how much it counts. Where `Party.privacy`
asks for `dp-sgd`, it gives the noisy steps that it took as well. Under privacy terms every update counts 1, whatever its weight."""

Submit = Callable[[Offer], tuple[NDArray[np.float32], int] | None]

_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Kept:
    """A party between two messages."""

    role: object
    since: float
    contributed: bool


class Party:
    """A client, an aggregator or a key holder of the roster; use it as a context manager, one for each message.

    Args:
        me: its keys; they stay in this process.
        kept: what `keep()` gave after the message before; empty at first.
        policy: what this party insists on, whatever the coordinator asks for.
        budget: what rounds with privacy terms are paid from; a client whose policy asks for privacy needs it. What a round would spend and
            the budget has not, ends the round for this party before it trains.
        layout: the exact layout that this party trains; None: it takes what comes, under its policy.
        base_model: SHA-256 of the frozen weights that it holds; None: not compared.
        state: folder for the ledger; by default `me.folder / "state"`.
        ledger: its durable record, instead of the one in `state`. Without a folder and a ledger it forgets what it said as the object
            goes: for tests only.

    Guarantees: what `keep()` gives shows no secret, opens for this party and round only, and given back twice it makes the party say
    the same or nothing.
    """

    def __init__(
        self,
        me: Identity,
        kept: bytes = b"",
        *,
        plans: Sequence[type[Plan]] | None = None,
        policy: Policy | None = None,
        budget: Purse | None = None,
        layout: Layout | None = None,
        base_model: bytes | None = None,
        state: Path | None = None,
        ledger: Ledger | None = None,
        entropy: Entropy = os.urandom,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.me, self.receipts, self.refused = me, list[Receipt](), list[Refused]()
        self._owns, self._clock, self._entropy = ledger is None, clock, entropy
        chosen, self._budget, self.privacy = policy or Policy(), budget, None
        if chosen.privacy is not None and budget is None and me.member.role == "client":
            raise ConfigError(f"the policy of {me.party} asks for privacy: give the budget that its rounds are paid from as well")
        self._ledger, self._offer = Home.of(me, state).ledger(ledger), None
        parts: dict[str, Any] = {"plans": spoken(plans, chosen), "policy": chosen, "ledger": self._ledger, "entropy": entropy}
        if me.member.role == "client":
            expectation = Expectation(exact=layout, base_model=base_model)
            self.agent: Attendant = Client(me, notify=self._notice, expectation=expectation, purse=budget, **parts)
        else:
            self.agent = Attendant(me, notify=self._notice, **parts)
        if kept:
            self.agent.seat = self._take_up(kept)

    def answer(self, bag: bytes | memoryview, train: Train | None = None, *, model: Mapping[str, Any] | None = None) -> bytes:
        """Take one bag and give the one to carry back.

        Args:
            train: called at most once, if a round begins; only clients need it. What it raises leaves this method, and the round goes
                on without this party.
            model: the round's model, where the stack carries it and the bag does not; the description's digest of it is checked.

        Raises:
            MalformedMessage: these bytes are no bag. What is wrong inside one is refused packet by packet and logged.
            ConfigError: the update does not fit the model, or the weight the round, or the noisy steps its privacy terms.
            BudgetExceeded: the steps cost more than the terms or the budget allow; nothing was sent.
        """
        packets = open_bag(bag)
        return pack_bag(self.take([with_model(one, model) for one in packets] if model is not None else packets, train))

    def take(self, packets: Iterable[Packet], train: Train | None = None, *, submit: Submit | None = None) -> list[Packet]:
        """`answer`, for those who carry packets themselves; `submit` instead of `train` gives values in layout order, or None."""
        sent: list[Packet] = []
        for packet in packets:
            sent += self.agent.receive(packet, self._clock())
            sent += self._contribute(train, submit)
        due = self.agent.due()
        if due is not None and due <= self._clock():
            sent += self.agent.tick(self._clock())
        return sent

    def keep(self) -> bytes:
        """All that the next call needs; empty where no round is under way."""
        seat = self.agent.seat
        if seat is None or seat.phase in ("done", "failed"):
            return b""
        signed, kept = seat.opened.signed(), Kept(seat.endpoint.role.state, seat.since, seat.contributed)
        sealed = seal_state(kept, me=self.me, ctx=seat.opened.ctx, entropy=self._entropy)
        return len(signed).to_bytes(_LENGTH, "little") + signed + sealed

    def close(self) -> None:
        """Let go of the ledger, if it was not given."""
        if self._owns:
            self._ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _take_up(self, kept: bytes) -> Seat:
        until = _LENGTH + int.from_bytes(kept[:_LENGTH], "little")
        opened = open_round(kept[_LENGTH:until], self.me, self.agent.policy, now=self._clock())
        made = self.agent.plans.get(opened.description.protocol)
        if made is None:
            raise ConfigError(f"a round of {opened.description.protocol!r} is under way, which is not spoken here any more")
        plan = made.from_description(opened.description)
        state = open_state(kept[until:], (*made.STATES, Kept), me=self.me, ctx=opened.ctx)
        if not isinstance(state, Kept):
            raise ConfigError(f"the kept state of {self.me.party} is a {type(state).__name__}: was it written by another version?")
        role = plan.role(opened, self.me, policy=self.agent.policy, ledger=self._ledger, entropy=self._entropy)
        role.resume(state.role)
        return Seat(opened, plan, Endpoint(role, opened, self.me, made.CODEC), role.phase, state.since, contributed=state.contributed)

    def _contribute(self, train: Train | None, submit: Submit | None) -> list[Packet]:
        offer, self._offer = self._offer, None
        if offer is None or not isinstance(self.agent, Client):
            return []
        if submit is not None:
            given = submit(offer)
            return [] if given is None else self.agent.submit(offer, *given, self._clock())
        if train is None:
            raise ConfigError(f"a round begins and {self.me.party} was given no way to train for it: pass `train`")
        self.privacy, layout, release = offer.privacy, offer.model.layout, self._release(offer)
        if release is None:
            return self.agent.abandon("restarted", "this attempt was trained for before, and its update may have left")
        update, weight, *noisy = train(layout.restore(offer.model.values))
        if offer.privacy is not None:
            weight = 1
        if isinstance(weight, bool) or not 1 <= weight <= offer.max_weight:
            raise ConfigError(f"weight {weight!r} lies outside 1 … {offer.max_weight} of this round: count examples in larger units")
        named, spent = replace(offer, release=release), tuple(step for steps in noisy for step in steps)
        return self.agent.submit(named, layout.flatten(update), weight, self._clock(), spent)

    def _release(self, offer: Offer) -> str | None:
        """What a training is called in the budget; None: one for this attempt is paid already, and is not made a second time.

        Nothing of a training outlives this object, so one that is asked for again would be another release.
        """
        seat = self.agent.seat
        name = offer.release if seat is None else seat.opened.ctx.rd.hex()
        by_steps = offer.privacy is not None and not offer.privacy.distributed
        return None if by_steps and self._budget is not None and self._budget.paid(name) else name

    def _notice(self, event: object) -> None:
        match event:
            case Offer():
                self._offer = event
            case Published(receipt):
                self.receipts.append(receipt)
            case Refused():
                self.refused.append(event)

    _offer: Offer | None
    privacy: PrivacyTerms | None
    """Privacy terms of the round that is trained for: look at them in `train`."""


def with_model(packet: Packet, model: Mapping[str, Any]) -> Packet:
    """A description that came without its model, with the model that the stack brought."""
    if packet.header.kind != Describe.KIND or packet.payload is not None or not packet.header.payload_size:
        return packet
    layout = Layout.of(model)
    return Packet(packet.header, packet.envelope, Blob(Model(layout, layout.flatten(model)).to_bytes()))
