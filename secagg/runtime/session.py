"""`join`: a client's part in a task, from the first model to the last."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from secagg.dp.accountant import Steps
from secagg.dp.budget import Purse
from secagg.encode.layout import Layout
from secagg.envelope import Packet
from secagg.errors import ConfigError, LocalProtocolError, SecAggError, TransportError
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.privacy import PrivacyTerms
from secagg.receipt import Receipt
from secagg.roles import Plan
from secagg.runtime.attendance import Attendance, attend
from secagg.runtime.attendant import Ended, Published, Refused
from secagg.runtime.client import Client, Finished, Missed, Offer
from secagg.runtime.home import Home
from secagg.runtime.limits import Limits
from secagg.runtime.model import Expectation, Model
from secagg.runtime.plans import spoken
from secagg.runtime.presence import Presence

log = logging.getLogger("secagg.runtime")


class Session:
    """A client's connection to the hub; use it as a context manager.

    ```python
    with secagg.join("hub.example:7070", identity=me) as session:
        for model in session.rounds():
            update, examples = train(model)
            session.submit(update, weight=examples)
    ```
    """

    def __init__(self, client: Client, presence: Presence, like: Mapping[str, Any] | None, beside: Attendance | None) -> None:
        self._client, self._presence, self._like, self._beside = client, presence, like, beside
        self._news = threading.Condition()
        self._waiting: Offer | None = None
        self._given: Offer | None = None
        self._newest: Model | None = None
        self._errors: deque[SecAggError] = deque()
        self._receipts: list[Receipt] = []
        self._missed: list[Missed] = []
        self._ended = False

    @property
    def round(self) -> int:
        """Number of the round whose model `rounds()` gave last; 0 before the first."""
        return self._given.round if self._given is not None else 0

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """The verified receipts of the rounds that this session saw published, oldest first."""
        with self._news:
            return tuple(self._receipts)

    @property
    def missed(self) -> tuple[Missed, ...]:
        """The rounds that were opened without this client's update, and what is known of the reason."""
        with self._news:
            return tuple(self._missed)

    @property
    def model(self) -> Mapping[str, Any] | None:
        """The newest model that the hub sent; once the task is over, the final one."""
        return self._restore(self._newest) if self._newest is not None else None

    def rounds(self, timeout: float | None = None) -> Iterator[Mapping[str, Any]]:
        """The input model of each round, until the hub ends the task.

        Arrays are numpy, or the kind, dtype and device of `like` if `join` was given that. A new attempt over the same model is
        not yielded again: the update that was submitted is sent again under the attempt's own keys and fresh randomness.

        Raises:
            InvalidMessage: the hub asked for something that this party's policy refuses.
            ConfigError: the ledger cannot be written, so this party takes part in nothing.
            BudgetExceeded: a round would cost more than is left of this party's privacy budget; it was not joined.
            TransportError: no connection, or no round, within `timeout` seconds; or the hub does not let this party in.
        """
        while (offer := self._next(timeout)) is not None:
            self._given = offer
            yield self._restore(offer.model)

    @property
    def privacy(self) -> PrivacyTerms | None:
        """The privacy terms of the round whose model `rounds()` gave last: train with them; None: its sum is exact."""
        return self._given.privacy if self._given is not None else None

    @property
    def release(self) -> str:
        """What a training from the model that `rounds()` gave last is called in the privacy budget, see `BudgetLedger.spend`."""
        return self._given.release if self._given is not None else ""

    def submit(self, update: Mapping[str, Any], *, weight: int = 1, spent: Sequence[Steps] = ()) -> None:
        """Hand in the update trained from the model that `rounds()` gave last. Returns when it is on its way, not when it is summed.

        An update that comes too late for its round is not an error: `missed` says so, a warning is logged, the next round goes on.
        In a buffered task it goes into the current batch, its weight multiplied by the plan's public staleness factor.

        Args:
            update: same names and shapes as the model.
            weight: how much it counts, for example the number of examples; stays inside the encoded vector.
            spent: the noisy steps of the training, where the round's terms ask for `dp-sgd`: they are paid from the budget before anything
                leaves, unless they stand there already under `release`.

        Raises:
            BudgetExceeded: the steps cost more than the round's terms or this party's budget allow.
            ConfigError: wrong names, shapes or dtypes, NaN or infinity (with the tensor's name), a weight out of range.
            LocalProtocolError: nothing was asked for, or this round has its update.
        """
        offer = self._given
        if offer is None:
            raise LocalProtocolError("no round has begun: take a model from `rounds()` first")
        if isinstance(weight, bool) or not 1 <= weight <= offer.max_weight:
            raise ConfigError(f"weight {weight!r} lies outside 1 … {offer.max_weight} of this round: count examples in larger units")
        values = offer.model.layout.flatten(update)

        def submit(now: float) -> tuple[None, list[Packet]]:
            return None, self._client.submit(offer, values, weight, now, spent)

        self._presence.call(submit)

    def close(self) -> None:
        """Send what is still on its way and leave. Safe to call twice."""
        self._presence.close()
        if self._beside is not None:
            self._beside.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is not None:
                # The others need not wait for an update that will not come. What went wrong here is nobody else's business.
                self._presence.call(lambda _: (None, self._client.abandon("left", "the party has left")))
        finally:
            self.close()

    def _restore(self, model: Model) -> Mapping[str, Any]:
        return model.layout.restore(model.values, self._like)

    def _next(self, timeout: float | None) -> Offer | None:
        """The next round's model, or None when the task is over."""
        until = None if timeout is None else monotonic() + timeout
        with self._news:
            while self._waiting is None and not self._ended and not self._errors:
                left = None if until is None else until - monotonic()
                # Waiting in short steps keeps Ctrl-C working on every platform.
                if not self._news.wait(1.0 if left is None else min(max(left, 0), 1.0)) and left is not None and left <= 0:
                    why = f": {self._presence.trouble}" if self._presence.trouble else " and the connection is up"
                    raise TransportError(f"no round within {timeout:g} seconds{why}")
            if self._errors:
                raise self._errors.popleft()
            offer, self._waiting = self._waiting, None
            return offer

    def _notice(self, event: object) -> None:
        """Called by the client's thread, or by the connection when it is over for good."""
        with self._news:
            match event:
                case Offer():
                    self._waiting, self._newest = event, event.model
                case Published(receipt):
                    self._receipts.append(receipt)
                case Missed():
                    self._missed.append(event)
                case Finished(model):
                    self._newest = model
                case Refused(error):
                    self._errors.append(error)
                case SecAggError():
                    self._errors.append(event)
                case Ended():
                    self._ended, self._waiting = True, None
            self._news.notify_all()


def join(
    address: str,
    *,
    identity: Identity,
    policy: Policy | None = None,
    like: Mapping[str, Any] | None = None,
    layout: Layout | None = None,
    base_model: bytes | None = None,
    ledger: Ledger | None = None,
    budget: Purse | None = None,
    plans: Sequence[type[Plan]] | None = None,
    aggregator: Identity | None = None,
    state: Path | None = None,
    limits: Limits | None = None,
) -> Session:
    """Dial the hub at `address` (`host:port`) as a client and return at once; it dials again by itself whenever the connection breaks.

    Args:
        identity: a client of the roster; its `folder` holds the TLS files.
        policy: what this party insists on, whatever the hub asks for.
        like: a state dict with the names, shapes and dtypes that this party trains; other layouts are refused, and models come as its kind.
        layout: the exact layout that this party trains, where it binds facts (an adapter's configuration) that must agree too.
        base_model: SHA-256 of the frozen weights that this party holds; a round over another base is refused. None: not compared.
        budget: what rounds with privacy terms are paid from; needed where the policy asks for privacy.
        ledger: durable record of this party; by default `ledger.sqlite` in `state`, in memory if there is no folder at all.
        plans: plan classes of the protocols it speaks; by default those installed (entry points `secagg.protocols`) that the policy allows.
        aggregator: peer mode: an aggregator of the same organisation that attends beside this client, over a connection of its own.
        state: folder for the ledger and spool files; by default `identity.folder / "state"`.

    Raises:
        ConfigError: identity or TLS files do not fit.
    """
    if identity.member.role != "client":
        raise ConfigError(f"{identity.party} is {identity.member.role} in the roster: `attend` is for servers, `serve` for the coordinator")
    if policy is not None and policy.privacy is not None and budget is None:
        raise ConfigError("the policy asks for privacy: give the budget that its rounds are paid from, `Purse(BudgetLedger(file), data)`")
    chosen, bounds, home = policy or Policy(), limits or Limits(), Home.of(identity, state)
    expectation = Expectation(Layout.of(like) if like is not None else None, layout, base_model)
    client = Client(
        identity,
        plans=spoken(plans, chosen),
        policy=chosen,
        ledger=home.ledger(ledger),
        entropy=os.urandom,
        expectation=expectation,
        purse=budget,
    )
    beside = attend(address, identity=aggregator, policy=policy, plans=plans, limits=limits) if aggregator is not None else None
    presence = Presence(address, client, home.spool(bounds), bounds)
    session = Session(client, presence, like, beside)
    presence.start(session._notice)  # its other half
    return session
