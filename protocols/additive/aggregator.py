"""An aggregator: takes one part of each report, agrees with the others on the set, and gives its share of the sum, once.

Accepting ──Close──▶ Listing ──all lists──▶ Agreeing ──all signatures──▶ Done

One that holds the reports of the whole cohort has nothing more to wait for: it tells its list before the collector asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from secagg.crypto.derive import frame
from secagg.crypto.sign import BadSignature
from secagg.dp.sampler import sampler
from secagg.errors import InvalidMessage, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.machine import Machine
from secagg.payload import Payload
from secagg.receipt import sign_agreement, verify_agreement
from secagg.roles import Message, Outgoing, Vector
from secagg.round import Round
from secagg.tally import Kept, RunningSum, Tallies, Tally, committed
from secagg.types import Context, Entropy, PartyId, Secret

from .client import ACCEPTED
from .messages import Accepted, Agreed, Ahead, Close, Listed, Report, Share
from .params import Params
from .part import Held, Seat, check_report, masks_of, open_part, tally_part, tally_seeds
from .split import SEED, roots_hash, seal_masked

SHARE = "additive/share"
_TOGETHER = 8
"""Seeds that are expanded in one pass over the tally."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A share that the collector has, sealed, ahead of the agreement: the set that it is for, and the key that opens it."""

    roots: bytes
    key: Secret
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Accepting:
    """Reports come in: vectors are added at once, seeds some at a time. What aggregators say that closed earlier waits."""

    tally: RunningSum
    held: Mapping[PartyId, Held]
    lists: Mapping[PartyId, Listed]
    """This aggregator's own is among them once it is told: then the cohort is complete."""
    agreed: Mapping[PartyId, Agreed] = field(default_factory=dict)
    pending: tuple[PartyId, ...] = ()
    """Whose seeds are not in the tally yet."""
    ahead: Sent | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Closed: waiting for every aggregator's list."""

    tally: RunningSum
    held: Mapping[PartyId, Held]
    lists: Mapping[PartyId, Listed]
    agreed: Mapping[PartyId, Agreed]
    pending: tuple[PartyId, ...] = ()
    ahead: Sent | None = None


@dataclass(frozen=True, slots=True)
class Agreeing:
    """The set is known and signed: waiting for every aggregator's signature. Seeds are gone."""

    tally: RunningSum
    included: tuple[PartyId, ...]
    roots: bytes
    agreed: Mapping[PartyId, Agreed]
    ahead: Sent | None = None
    """The share of exactly this set, if the collector has it already."""


@dataclass(frozen=True, slots=True)
class Done:
    """The share is out; the tally is gone, so there can be no other."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The round cannot end here."""


State = Accepting | Listing | Agreeing | Done | Failed


def accept(
    state: Accepting, message: Report, client: PartyId, *, seat: Seat, ledger: Ledger, entropy: Entropy
) -> tuple[Accepting, list[Outgoing]]:
    """Hold one part and sign for it. With the last part of the cohort goes the list, and ahead of its key the share of all the seeds."""
    root = check_report(message, client, seat)
    # > One report a client and round; after a restart too (AD-A7).
    before = ledger.used(seat.ctx, f"part/{client}")
    if client in state.held or (before is not None and before != root):
        raise InvalidMessage("AD-A7", f"{client} has already reported in this round", culprits=[client])
    held = Held(message.report, root, open_part(message, client, seat), message.payload, message.commitment)
    ledger.use(seat.ctx, f"part/{client}", root)
    after = replace(state, held={**state.held, client: held})
    if held.payload is not None:
        tally_part(state.tally, held, client, seat, 1)
    else:
        after = replace(after, pending=(*state.pending, client))
    sent: list[Outgoing] = []
    if len(after.held) == len(seat.params.clients):
        after, sent = tell(after, seat=seat)
    if sent and after.pending:
        after, vector = send_ahead(after, seat=seat, entropy=entropy)
        sent += vector
    elif len(after.pending) >= _TOGETHER:
        tally_seeds(state.tally, dict.fromkeys(after.pending, 1), after.held, seat)
        after = replace(after, pending=())
    signature = seat.me.signing.sign(ACCEPTED, frame(ACCEPTED, seat.ctx.rd, client.encode(), root))
    receipt = Accepted(client, root, signature)
    return after, [Outgoing(client, receipt), Outgoing(seat.params.collector, receipt), *sent]


def send_ahead(state: Accepting, *, seat: Seat, entropy: Entropy) -> tuple[Accepting, list[Outgoing]]:
    """Seal the share of the whole cohort while the clients' long parts still travel: in most rounds it is the one that is asked for.

    Sealed, it says nothing to whoever lacks the key, and the key leaves only in `share`, for the set that everybody signed. If that is
    another one, the key is never given, and a share of that set follows.
    """
    roots, key, to = roots_hash(batch_of(state.held)), Secret(entropy(SEED)), seat.params.collector
    masks = masks_of(dict.fromkeys(state.pending, 1), state.held, seat)
    context = share_context(seat.ctx, seat.me.party, to, roots)
    tally, ring, length = state.tally, seat.params.ring, seat.params.length
    # Nothing but seeds: then the sum so far takes no memory, and its zeros are never read from there.
    before: Vector = np.broadcast_to(np.zeros(1, ring.dtype), (length,)) if tally.empty else tally.words
    payload, commitment = seal_masked(noisy(before, seat, entropy), masks, ring, key, context)
    return replace(state, ahead=Sent(roots, key, commitment)), [Outgoing(to, Ahead(roots, commitment, payload))]


def batch_of(held: Mapping[PartyId, Held]) -> tuple[tuple[PartyId, bytes], ...]:
    """The reports that are held: sorted pairs of client and root."""
    return tuple(sorted((client, part.root) for client, part in held.items()))


def tell(state: Accepting, *, seat: Seat) -> tuple[Accepting, list[Outgoing]]:
    """Tell the other aggregators which reports are held."""
    own = Listed(batch_of(state.held))
    return replace(state, lists={**state.lists, seat.me.party: own}), [Outgoing(name, own) for name in seat.others]


def close(state: Accepting, *, seat: Seat) -> tuple[Listing, list[Outgoing]]:
    """Take no more reports, and tell the list unless it was told when the cohort was complete."""
    after, outgoing = (state, []) if seat.me.party in state.lists else tell(state, seat=seat)
    return Listing(after.tally, after.held, after.lists, after.agreed, after.pending, after.ahead), outgoing


def check_list(message: Listed, sender: PartyId, seat: Seat) -> None:
    """Raises InvalidMessage."""
    # > A list is from another aggregator of the round and names clients of the cohort (AD-A8).
    if sender not in seat.others or any(client not in seat.params.clients for client, _ in message.entries):
        raise InvalidMessage("AD-A8", f"the list of {sender} does not fit the round", culprits=[sender])


def agree(state: Listing, *, seat: Seat, ledger: Ledger) -> tuple[Agreeing, list[Outgoing]]:
    """All lists are here: sum what every aggregator holds under the same root, if that is enough."""
    batch = tuple(sorted(set.intersection(*(set(listed.entries) for listed in state.lists.values()))))
    included = tuple(client for client, _ in batch)
    # > No set below the floor F, counted in organisations, is ever summed (AD-A9).
    found = seat.opened.organisations(included)
    if found < seat.params.floor:
        raise SessionAborted(
            f"AD-A9: {found} organisations have reported, {seat.params.floor} needed", answered=included, needed=seat.params.floor
        )
    roots = roots_hash(batch)
    # > The set is on disk before it is signed: in one attempt no other is ever signed.
    ledger.use(seat.ctx, "batch", roots)
    own = Agreed(included, roots, sign_agreement(seat.me, seat.ctx.rd, included, roots))
    outgoing = [Outgoing(name, own) for name in (*seat.others, seat.params.collector)]
    agreed = {**state.agreed, seat.me.party: own}
    if state.ahead is not None and state.ahead.roots == roots:
        return Agreeing(state.tally, included, roots, agreed, state.ahead), outgoing
    # What this aggregator alone holds leaves the tally, or never enters it.
    signed = {client: 1 for client in state.pending if client in included}
    for client in state.held.keys() - set(included) - set(state.pending):
        held = state.held[client]
        if held.payload is None:
            signed[client] = -1
        else:
            tally_part(state.tally, held, client, seat, -1)
    tally_seeds(state.tally, signed, state.held, seat)
    return Agreeing(state.tally, included, roots, agreed), outgoing


def verify_agreed(message: Agreed, sender: PartyId, aggregators: tuple[PartyId, ...], opened: Round, *, check: str) -> None:
    """The aggregator's signature for its set. Raises InvalidMessage."""
    # > Each signature is its sender's, over the set it sent (AD-A11).
    try:
        if sender not in aggregators:
            raise BadSignature(f"{sender} is no aggregator of the round")
        verify_agreement(opened.roster, sender, message.signature, rd=opened.ctx.rd, included=message.included, roots=message.roots)
    except BadSignature as refused:
        raise InvalidMessage(check, f"{sender} has not signed the set it sent", culprits=[sender]) from refused


def share(state: Agreeing, *, seat: Seat, ledger: Ledger, entropy: Entropy) -> tuple[Done, list[Outgoing]]:
    """Every aggregator has signed the same set: seal this one's share of the sum to the collector."""
    for name, agreed in state.agreed.items():
        # > All m signatures are over one and the same set (AD-A10).
        if (agreed.included, agreed.roots) != (state.included, state.roots):
            raise InvalidMessage("AD-A10", f"{name} signed another set", culprits=[name])
    described = seat.opened.description
    ledger.release(seat.ctx, state.included, state.roots, model=described.inputs[0].model, terms=described.substance)
    to = seat.params.collector
    context = share_context(seat.ctx, seat.me.party, to, state.roots)
    payload: Payload | None = None
    if state.ahead is not None:
        key, commitment = state.ahead.key, state.ahead.commitment
    else:
        key, words = Secret(entropy(SEED)), noisy(state.tally.words, seat, entropy)
        if state.tally.beside:
            payload = Kept(words, seat.params.payload_size)
            commitment = committed(payload)
        else:
            payload, commitment = seal_masked(words, [], state.tally.ring, key, context)
    sealed = seat.me.roster.member(to).sealing.seal(key, purpose=SHARE, context=context)
    return Done(), [Outgoing(to, Share(state.roots, sealed, commitment, payload))]


def noisy(words: Vector, seat: Seat, entropy: Entropy) -> Vector:
    """An aggregator's share of the sum, with noise of its own where the terms ask for it."""
    described = seat.opened.description
    if described.privacy is None or not (variance := described.privacy.aggregator_variance(described.encoding, described.values)):
        return words
    # > Where the terms state it, each aggregator adds fresh Skellam noise of that variance to the coordinates of its share, and tells
    # > nobody.
    kept = words.copy()  # a share that went ahead may be of no use: then the next has noise of its own, not that of both
    sampler("skellam", variance).add_into(kept[: described.values], seat.params.ring, entropy=entropy)
    return kept


def share_context(ctx: Context, aggregator: PartyId, collector: PartyId, roots: bytes) -> bytes:
    """What a sealed share is bound to."""
    return frame("additive/share-context", ctx.rd, aggregator.encode(), collector.encode(), roots)


class Aggregator(Machine[State]):
    """The aggregator's machine. A bad report is refused and the round goes on; a disagreement between aggregators ends it."""

    NAME: ClassVar = "aggregator"
    STATES: ClassVar = State

    def __init__(
        self, params: Params, opened: Round, me: Identity, *, ledger: Ledger, entropy: Entropy, tallies: Tallies = Tally.zero
    ) -> None:
        self._seat = Seat(me, params, opened)
        self._ledger, self._entropy = ledger, entropy
        super().__init__(Accepting(tallies(params.ring, params.length), {}, {}))

    @property
    def patience(self) -> float | None:
        params = self._seat.params
        match self._state:
            case Accepting():
                return params.submit_seconds + params.finish_seconds
            case Listing() | Agreeing():
                return params.finish_seconds
        return None

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        seat = self._seat
        match self._state, message:
            case Accepting() as state, Report() as report:
                self._state, outgoing = accept(state, report, sender, seat=seat, ledger=self._ledger, entropy=self._entropy)
                return outgoing
            case Accepting() as state, Close() if sender == seat.params.collector:
                listing, outgoing = close(state, seat=seat)
                return [*outgoing, *self._advance(listing)]
            case Accepting() as state, Listed() as listed:
                check_list(listed, sender, seat)
                self._state = replace(state, lists={**state.lists, sender: listed})
                return []
            case Listing() as state, Listed() as listed:
                check_list(listed, sender, seat)
                return self._advance(replace(state, lists={**state.lists, sender: listed}))
            case (Listing() | Agreeing()) as state, Agreed() as agreed:
                verify_agreed(agreed, sender, seat.params.aggregators, seat.opened, check="AD-A11")
                return self._advance(replace(state, agreed={**state.agreed, sender: agreed}))
            case Accepting() as state, Agreed() as agreed if seat.me.party in state.lists:  # it overtook the collector's Close
                verify_agreed(agreed, sender, seat.params.aggregators, seat.opened, check="AD-A11")
                self._state = replace(state, agreed={**state.agreed, sender: agreed})
                return []
        raise UnexpectedMessage(f"{type(message).__name__} is not due in {self.phase}", culprits=[sender])

    def expire(self) -> Sequence[Outgoing]:
        state = self._state
        answered = {Accepting: "lists", Listing: "lists", Agreeing: "agreed"}.get(type(state))
        if answered is None:
            return []
        names = tuple(getattr(state, answered))
        self._state = Failed()
        raise SessionAborted(
            f"the other aggregators or the collector did not answer in {type(state).__name__}",
            answered=names,
            needed=len(self._seat.params.aggregators),
        )

    def _advance(self, state: Listing | Agreeing) -> list[Outgoing]:
        """Go as far as what has arrived allows. Aggregators that disagree end the round for this one."""
        outgoing: list[Outgoing] = []
        everyone, self._state = set(self._seat.params.aggregators), state
        try:
            if isinstance(state, Listing) and state.lists.keys() == everyone:
                state, outgoing = agree(state, seat=self._seat, ledger=self._ledger)
                self._state = state
            if isinstance(state, Agreeing) and state.agreed.keys() == everyone:
                self._state, shares = share(state, seat=self._seat, ledger=self._ledger, entropy=self._entropy)
                outgoing = [*outgoing, *shares]
        except (InvalidMessage, SessionAborted):
            self._state = Failed()
            raise
        return outgoing
