"""A client in round after round: what `Attendant` does, and the model that comes in and the update that goes out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.control import Booked, Describe
from secagg.dp.accountant import Steps
from secagg.dp.budget import Purse
from secagg.dp.noisy import encode_noisy
from secagg.encode.quantise import Quantiser
from secagg.envelope import Packet, pack
from secagg.errors import BudgetExceeded, ConfigError, InvalidMessage, LocalProtocolError
from secagg.math.ring import Words
from secagg.privacy import PrivacyTerms
from secagg.receipt import Receipt, model_digest
from secagg.roles import Source
from secagg.round import Input, Round
from secagg.runtime.attendant import BROKE, Attendant, Refused, Seat
from secagg.runtime.ending import Ending
from secagg.runtime.model import Expectation, Model, float_bytes
from secagg.runtime.payment import counted, look, pay_attempt, pay_training
from secagg.spent import Spent

log = logging.getLogger("secagg.runtime")


@dataclass(frozen=True, slots=True)
class Offer:
    """A model to train from, in one round."""

    task: str
    round: int
    version: int
    digest: bytes
    model: Model
    max_weight: int
    privacy: PrivacyTerms | None = None
    release: str = ""
    """What a training from it is called in the privacy budget: a fresh random name."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The model as it was when the task ended."""

    model: Model


@dataclass(frozen=True, slots=True)
class Missed:
    """A round that was opened without this client, and why as far as it is known."""

    round: int
    reason: str


@dataclass(slots=True)
class _Update:
    offer: Offer
    values: NDArray[np.float32] = field(repr=False)
    weight: int = field(repr=False)
    sent_in: int = 0
    """Round whose batch it went into; 0: still waits for one."""
    terms: bytes = b""
    """What it was encoded under when it was first sent: it is never sent under anything else."""


class Client(Attendant):
    """One update at a time: it goes into the round it was trained for, into every new attempt of that round, and in a buffered
    task into a later batch that still takes its model version."""

    def __init__(self, *args: Any, expectation: Expectation | None = None, purse: Purse | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expectation, self.purse = expectation or Expectation(), purse
        self._offered: Offer | None = None
        self._update: _Update | None = None
        self._missed: set[int] = set()

    def submit(self, offer: Offer, values: NDArray[np.float32], weight: int, now: float, spent: Sequence[Steps] = ()) -> list[Packet]:
        """Take the update trained from `offer` and send it as soon as there is a round for it; `spent` are its training's noisy steps.

        Raises:
            LocalProtocolError: there is an update for this offer already.
            ConfigError: noisy steps that the round's terms ask for are missing, or not asked for, or have less noise.
            BudgetExceeded: they cost more than the terms or this party's budget allow. Nothing was spent and nothing is sent.
        """
        if self._update is not None and self._update.offer.round == offer.round:
            raise LocalProtocolError(f"round {offer.round} has this client's update already")
        pay_training(offer.privacy, spent, self.purse, release=offer.release, task=offer.task, round=offer.round)
        self._update = _Update(offer, values, weight)
        seat = self.seat
        if seat is not None and not seat.contributed and (given := self._may_join(self._update, seat)) is not None:
            return self._contribute(self._update, given, seat, now)
        if seat is not None and not seat.contributed and not _holds(offer.privacy, seat.opened.description.privacy):
            self._miss(offer.round, "the privacy terms of the round are no longer those that it trained under")
            self._update = None
        elif seat is not None and seat.opened.ctx.round > offer.round and not seat.contributed:
            self._miss(offer.round, "the update came after its batch was closed")
            self._update = None
        return []

    # What `Attendant` asks of a client.

    def _check(self, describe: Describe, opened: Round) -> Model | None:
        described = opened.description
        if describe.model is None:
            raise InvalidMessage("TR-M2", "the description came without its model", culprits=[self.coordinator])
        model = Model.parse(describe.model, limit=described.values)
        self.expectation.check(model, described)
        # > Before it trains, a client looks whether what the round would spend is left of its budget; if not, it does not take part and
        # > says only that.
        look(described, self.purse, self.policy.privacy)
        return model

    def _seated(self, seat: Seat, now: float) -> list[Packet]:
        if seat.model is None:
            return []
        ctx, described = seat.opened.ctx, seat.opened.description
        first = described.inputs[0]
        most = described.encoding.max_weight // first.factor
        release = self.entropy(16).hex()
        offer = Offer(ctx.task, ctx.round, first.version, first.model, seat.model, most, described.privacy, release)
        seat.model = None
        sent = self._resume(seat, now)
        if self._offered is None or (self._offered.round, self._offered.digest) != (offer.round, offer.digest):
            self._offered = offer
            self.notify(offer)
        return sent

    def _published(self, receipt: Receipt) -> None:
        number = receipt.round.ctx.round
        if self.me.party in receipt.included:
            if self._update is not None and self._update.sent_in == number:
                self._update = None
        elif self.me.party in receipt.round.description.cohort:
            sent = self._update is not None and self._update.sent_in == number
            late = "the update had not reached every server when the batch was closed"
            self._miss(number, late if sent else "no update had come when the batch was closed")
            if sent:
                self._update = None

    def _ended(self, ending: Ending) -> None:
        if ending.model is None:
            return
        model = Model.parse(ending.model, limit=self.policy.max_values)
        # > The last model is the one whose digest the coordinator signed (TR-M6).
        if model_digest(float_bytes(model.values)) != ending.digest:
            raise InvalidMessage("TR-M6", "the final model is not the one that was signed for", culprits=[self.coordinator])
        self.notify(Finished(model))

    # Which round an update may go into.

    def _resume(self, seat: Seat, now: float) -> list[Packet]:
        update = self._update
        if update is None:
            return []
        if (given := self._may_join(update, seat)) is not None:
            return self._contribute(update, given, seat, now)
        if not update.sent_in:
            self._miss(update.offer.round, "the update came after its batch was closed, and no later batch takes its model version")
        self._update = None
        return []

    def _may_join(self, update: _Update, seat: Seat) -> Input | None:
        """The input of the round that the update was trained from, if it may go into this round."""
        described, ctx = seat.opened.description, seat.opened.ctx
        found = described.input(update.offer.version)
        if found is None or found.model != update.offer.digest or update.offer.task != ctx.task:
            return None
        # Sent once, an update is sent again only under the same encoding and factors: two sums of it under different clips would show it.
        if update.terms and update.terms != described.substance:
            return None
        if not _holds(update.offer.privacy, described.privacy):
            return None
        if update.offer.round == ctx.round:
            return found
        # > An update goes into a later round only where the description takes several model versions, and only once.
        return found if len(described.inputs) > 1 and update.sent_in in (0, ctx.round) else None

    def _contribute(self, update: _Update, given: Input, seat: Seat, now: float) -> list[Packet]:
        if seat.phase in ("done", "failed"):
            return []
        opened, terms = seat.opened, seat.opened.description.privacy
        try:
            quantiser = Quantiser(opened.description.encoding, update.offer.model.layout, opened.ctx.rd)
            words = self._encode(quantiser, update, given, opened)
        except BudgetExceeded as refused:
            self.notify(Refused(refused))
            return self.abandon("BudgetExceeded", BROKE)
        except ConfigError:
            # Neither the hub nor a log is told more: the reason may name the weight.
            return self.abandon("ConfigError", "the update does not fit the terms of this round")
        update.sent_in, update.terms, seat.contributed = opened.ctx.round, opened.description.substance, True
        booked = [] if terms is None else [self._booked(opened, terms)]
        return booked + self._step(seat, lambda: seat.endpoint.contribute(words, version=given.version), now)

    def _encode(self, quantiser: Quantiser, update: _Update, given: Input, opened: Round) -> Words | Source:
        """The words of `update`, with fresh noise where the round adds shares of it: each attempt is a release of its own, and is paid."""
        noise, terms = opened.description.noise(), opened.description.privacy
        if noise is None or terms is None:
            return quantiser.prepare(update.values, update.weight * given.factor, entropy=self.entropy)
        words = encode_noisy(quantiser, update.values, noise, entropy=self.entropy)
        # > What an attempt costs is on disk before anything of the update leaves.
        pay_attempt(counted(opened.description, self.policy.privacy) or noise, terms, opened.ctx, self.purse)
        return words

    def _booked(self, opened: Round, terms: PrivacyTerms) -> Packet:
        return pack(self.me, opened.ctx, self.coordinator, Booked(Spent.sign(self.me, opened.ctx.rd, terms).to_bytes()))

    def _miss(self, number: int, reason: str) -> None:
        if number in self._missed:
            return
        self._missed.add(number)
        log.warning("%s is not part of round %d: %s", self.me.party, number, reason)
        self.notify(Missed(number, reason))


def _holds(trained: PrivacyTerms | None, now: PrivacyTerms | None) -> bool:
    """Whether an update that was trained under the terms of its offer is what a round of these terms says that it sums."""
    return now is None or now.distributed or trained == now
