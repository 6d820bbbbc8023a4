"""The server: passes on what clients seal for each other, adds masked vectors, and opens the sum of one signed set.

Advertising ─▶ Sharing ─▶ Masking ─▶ Confirming ─▶ Revealing ─▶ Done

A phase ends when everybody has answered, or when its time is over: the server never waits for one client longer than for another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from secagg.crypto.pairs import BOX_OVERHEAD, VOUCHER, cut, open_box, part
from secagg.crypto.seal import CannotOpen
from secagg.crypto.sign import BadSignature
from secagg.errors import InvalidMessage, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.machine import Machine
from secagg.math import shamir
from secagg.receipt import statement
from secagg.roles import Message, Outgoing, Sum
from secagg.round import Round
from secagg.tally import RunningSum, Tallies, Tally
from secagg.types import Entropy, PartyId

from .blame import Doubts
from .intake import (
    Advertising,
    Desk,
    Masking,
    Sharing,
    Upload,
    open_session,
    pass_on,
    take_advert,
    take_complaint,
    take_masked,
    take_shares,
    too_few,
)
from .keys import Session
from .mask import PAIR_KEY
from .messages import Advert, Agreement, Complaint, Confirm, Masked, Reveal, Shares, Survivors
from .opening import Rebuilt, Wanted, counted, masks_to_remove, mend, rebuild
from .params import Params
from .records import bitmap
from .reveal import AGREEMENT, reveal_context, reveal_key, roots_hash


@dataclass(frozen=True, slots=True)
class Confirming:
    """The set is named and the sum stands, still masked: signatures for the set come in."""

    session: Session
    tally: RunningSum
    doubts: Doubts
    wanted: Wanted
    uploads: dict[int, Upload]
    included: tuple[PartyId, ...]
    roots: bytes
    statement: bytes
    signatures: dict[int, bytes] = field(default_factory=dict)
    tags: dict[int, tuple[bytes, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Revealing:
    """The set is signed: shares come in."""

    before: Confirming
    rebuilt: Rebuilt = field(default_factory=Rebuilt)


@dataclass(frozen=True, slots=True)
class Done:
    """The sum is open."""

    total: Sum


@dataclass(frozen=True, slots=True)
class Failed:
    """The round ended without a sum."""


State = Advertising | Sharing | Masking | Confirming | Revealing | Done | Failed


def name_survivors(state: Masking, *, desk: Desk) -> tuple[Confirming, list[Outgoing]]:
    """The set is what has been added. From here on a vector that comes late is deleted unread."""
    params, graph, survivors = desk.params, state.session.graph, tuple(sorted(state.uploads))
    # > The server names no set below the quorum or F, and on a sparse graph none that leaves a run too few (PW-S8).
    if not params.enough(survivors, params.quorum) or graph.fewest_in_a_run(survivors) < params.run:
        raise too_few("PW-S8", "have sent their vector", survivors, desk=desk)
    message = Survivors(bitmap(survivors, params.size), tuple(state.uploads[place].digest for place in survivors))
    included, roots = params.names(survivors), roots_hash(state.session.sid, message)
    alive = frozenset(survivors)
    wanted = Wanted(graph, state.records, alive, state.shared - alive)
    after = Confirming(
        state.session, state.tally, state.doubts, wanted, state.uploads, included, roots, statement(desk.ctx.rd, included, roots)
    )
    return after, [Outgoing(params.clients[place], message) for place in survivors]


def take_confirm(state: Confirming, message: Confirm, place: int, *, desk: Desk) -> None:
    """Keep one signature for the set."""
    name = desk.params.clients[place]
    # > A signature is its sender's, over the set that the server named (PW-S9).
    if message.tags and len(message.tags) != len(state.included) - 1:
        raise InvalidMessage("PW-S9", f"{len(message.tags)} tags from {name}; {len(state.included) - 1} or none expected", culprits=[name])
    try:
        desk.opened.roster.member(name).signing.verify(message.signature, AGREEMENT, state.statement)
    except BadSignature as refused:
        raise InvalidMessage("PW-S9", f"{name} has not signed the set", culprits=[name]) from refused
    state.signatures[place] = message.signature
    state.tags[place] = message.tags


def ask(state: Confirming, *, desk: Desk, ledger: Ledger) -> tuple[Revealing, list[Outgoing]]:
    """Show the signatures, and ask those who signed for their shares."""
    params, signers = desk.params, tuple(sorted(state.signatures))
    # > The server asks for shares only with the signatures of the quorum and of F organisations (PW-S10).
    if not params.enough(signers, params.quorum):
        raise too_few("PW-S10", "have signed the set", signers, desk=desk)
    try:
        ledger.release(desk.ctx, state.included, state.roots, model=params.model, terms=params.terms)
    except InvalidMessage as refused:
        raise SessionAborted(str(refused), answered=params.names(signers), needed=params.quorum) from refused
    present, signatures = bitmap(signers, params.size), tuple(state.signatures[place] for place in signers)
    ranks = {survivor: index for index, survivor in enumerate(sorted(state.uploads))} if state.wanted.graph.complete else {}
    return Revealing(state), [
        Outgoing(params.clients[place], Agreement(present, signatures, _tags_for(place, ranks, signers, state))) for place in signers
    ]


def _tags_for(place: int, ranks: Mapping[int, int], signers: Sequence[int], state: Confirming) -> tuple[bytes, ...]:
    """What the other signers made for one of them; zeros, which convince nobody, of one that made none."""
    if not ranks:
        return ()
    rank, said = ranks[place], state.tags
    return tuple(said[other][rank - (other < place)] if said[other] else bytes(VOUCHER) for other in signers if other != place)


def take_reveal(state: Revealing, message: Reveal, place: int, *, desk: Desk) -> None:
    """Keep one client's shares: which kind each of them is follows from the set, not from what it says."""
    before, name = state.before, desk.params.clients[place]
    owners, tellers = before.wanted.owned(place), before.wanted.tellers(place)
    shares, told = len(owners) * shamir.SHARE, len(tellers) * PAIR_KEY
    key = reveal_key(before.uploads[place].key, before.session.sid)
    # > A box of shares opens under the key of its sender's upload and has one share for each whose box it had, and the key of each
    # > drop-out that told it one (PW-S11).
    try:
        if len(message.box) != shares + told + BOX_OVERHEAD:
            raise CannotOpen(f"it has {len(message.box)} bytes for {len(owners)} shares and {len(tellers)} keys")
        opened = open_box(key, message.box, context=reveal_context(desk.ctx, before.roots, name))
    except CannotOpen as refused:
        raise InvalidMessage("PW-S11", f"the shares of {name} do not open: {refused}", culprits=[name]) from refused
    given, keys = part(opened, shares, told)
    state.rebuilt.add(place, owners, cut(given, shamir.SHARE), dict(zip(tellers, cut(keys, PAIR_KEY), strict=True)))


def open_sum(state: Revealing, *, final: bool, desk: Desk) -> Done | None:
    """Every seed is there: take the masks out of the sum. None if it would not be one, and somebody may still say why."""
    before, params = state.before, desk.params
    masks = masks_to_remove(state.rebuilt, before.wanted, before.session.sid, params, desk.ctx, doubts=before.doubts)
    # > While the count is wrong and a survivor that a drop-out told a key is still to answer, the server waits for it.
    if not final and counted(before.tally, masks, params) != len(before.included):
        return None
    before.tally.apply(masks)
    # On a sparse graph the receipt carries t of the signatures: its reader's work must not grow with the cohort.
    shown = sorted(before.signatures)[: None if before.wanted.graph.complete else params.threshold]
    agreement = tuple((params.clients[place], before.signatures[place]) for place in shown)
    blamed = params.names(before.doubts.guilty(params.colluders))
    return Done(Sum(before.tally.words, before.included, before.roots, agreement, blamed))


class Server(Machine[State]):
    """The server's machine. A bad message is refused and the round goes on for the rest."""

    NAME: ClassVar = "server"
    STATES: ClassVar = State

    def __init__(
        self,
        params: Params,
        opened: Round,
        me: Identity,
        *,
        ledger: Ledger,
        entropy: Entropy,
        tallies: Tallies = Tally.zero,
    ) -> None:
        self._desk = Desk(me, params, opened, tallies)
        self._places = {name: place for place, name in enumerate(params.clients)}
        self._ledger, self._entropy = ledger, entropy
        super().__init__(Advertising())

    @property
    def patience(self) -> float | None:
        params = self._desk.params
        match self._state:
            case Advertising() | Sharing():
                return params.finish_seconds / 2
            case Masking():
                return params.submit_seconds
            case Confirming() | Revealing():
                return params.finish_seconds
        return None

    @property
    def result(self) -> Sum | None:
        return self._state.total if isinstance(self._state, Done) else None

    @property
    def blamed(self) -> tuple[PartyId, ...]:
        """Those whose guilt is shown: they stand against more than c others."""
        match self._state:
            case Masking(doubts=doubts) | Confirming(doubts=doubts) | Revealing(before=Confirming(doubts=doubts)):
                return self._desk.params.names(doubts.guilty(self._desk.params.colluders))
            case Done(total=total):
                return total.blamed
        return ()

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        place, desk = self._places.get(sender), self._desk
        match self._state, message:
            case Advertising() as state, Advert() as advert if place is not None and place not in state.records:
                take_advert(state, advert, place, desk=desk)
            case Sharing() as state, Shares() as shares if place in state.records and place not in state.boxes:
                take_shares(state, shares, place, desk=desk)
            case Masking() as state, Masked() as masked if place in state.shared and place not in state.uploads.keys() | state.left.keys():
                take_masked(state, masked, place, desk=desk)
            case Masking() as state, Complaint() as said if place in state.shared and place not in state.uploads.keys() | state.left.keys():
                take_complaint(state, said, place, desk=desk)
            case Confirming() as state, Confirm() as signed if place in state.uploads and place not in state.signatures:
                take_confirm(state, signed, place, desk=desk)
            case Revealing() as state, Reveal() as shown if place in state.before.signatures and place not in state.rebuilt.holders:
                take_reveal(state, shown, place, desk=desk)
            case _:
                raise UnexpectedMessage(f"{type(message).__name__} is not due in {self.phase}", culprits=[sender])
        return self._advance(final=self._complete())

    def expire(self) -> Sequence[Outgoing]:
        return self._advance(final=True)

    def _complete(self) -> bool:
        """Whether everybody whom this phase waits for has answered."""
        match self._state:
            case Advertising(records=records):
                return len(records) == self._desk.params.size
            case Sharing(records=records, boxes=boxes):
                return len(boxes) == len(records)
            case Masking(shared=shared, uploads=uploads, left=left):
                return len(uploads) + len(left) == len(shared)
            case Confirming(uploads=uploads, signatures=signatures):
                return len(signatures) == len(uploads)
            case Revealing(before=before, rebuilt=rebuilt):
                return len(rebuilt.holders) == len(before.signatures)
        return False

    def _advance(self, *, final: bool) -> list[Outgoing]:
        """End the phase if it is `final`; the last one also as soon as every seed is rebuilt."""
        try:
            match self._state:
                case Advertising() as state if final:
                    self._state, outgoing = open_session(state, desk=self._desk)
                case Sharing() as state if final:
                    self._state, outgoing = pass_on(state, desk=self._desk)
                case Masking() as state if final:
                    self._state, outgoing = name_survivors(state, desk=self._desk)
                case Confirming() as state if final:
                    self._state, outgoing = ask(state, desk=self._desk, ledger=self._ledger)
                case Revealing() as state:
                    self._state, outgoing = self._finish(state, final=final), []
                case _:
                    return []
        except SessionAborted:
            self._state = Failed()
            raise
        return outgoing

    def _finish(self, state: Revealing, *, final: bool) -> Revealing | Done:
        desk, wanted, doubts = self._desk, state.before.wanted, state.before.doubts
        if not rebuild(state.rebuilt, wanted, desk.params, desk.ctx):
            if not final:
                return state
            lost = mend(state.rebuilt, wanted, doubts, desk.params, desk.ctx)
            # > Without a seed that fits its advert there is no sum: the round ends, and says who contradicts whom (PW-S13).
            if lost:
                what = f"gave shares, which do not rebuild the seeds of {', '.join(desk.params.names(lost))}"
                blame = doubts.describe(desk.params.clients, desk.params.colluders)
                guilty = desk.params.names(doubts.guilty(desk.params.colluders))
                raise too_few("PW-S13", what, tuple(state.rebuilt.holders), desk=desk, blame=blame, culprits=guilty)
        # Survivors that a drop-out told a key, and that have not answered yet, may have something to add.
        others = state.before.signatures.keys() - state.rebuilt.holders.keys()
        waiting = not final and bool(wanted.dropped) and any(map(wanted.tellers, others))
        if waiting and state.rebuilt.doubtful:
            return state
        done = open_sum(state, final=not waiting, desk=desk)
        return done if done is not None else replace(state, rebuilt=replace(state.rebuilt, doubtful=True))
