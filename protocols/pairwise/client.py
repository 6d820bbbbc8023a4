"""The client: its masked vector, and the machine that allows its steps in one order only.

Ready ─▶ Advertised ─▶ Shared ─▶ Keyed ─vector─▶ Uploaded ─▶ Confirmed ─▶ Done
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from secagg.crypto.derive import digest, frame
from secagg.crypto.expand import Stream
from secagg.errors import ConfigError, LocalProtocolError, PeerError, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.roles import Message, Outgoing, Source, Sum, Vector, whole
from secagg.tally import Mask
from secagg.types import Context, Entropy, PartyId, Secret

from .keys import (
    Advertised,
    Failed,
    Keyed,
    Ready,
    Seat,
    Shared,
    advertise,
    open_inbox,
    share_keys,
)
from .mask import SEED, pair_sign, self_mask, tag_masked
from .messages import Adverts, Agreement, Inbox, Masked, Survivors
from .params import Params
from .reveal import Confirmed, Done, Uploaded, confirm, reveal

UPLOAD = "pairwise/upload"


State = Ready | Advertised | Shared | Keyed | Uploaded | Confirmed | Done | Failed


@dataclass(frozen=True, slots=True)
class Kept:
    """All that a client goes on from: its state, and a vector that came before its turn."""

    state: State
    vector: Vector | None = field(repr=False)
    version: int


def check_vector(vector: Vector | Source, version: int, params: Params) -> None:
    """Raises ConfigError."""
    if vector.shape != (params.length,) or vector.dtype != params.ring.dtype:
        raise ConfigError(
            f"the vector has shape {vector.shape} and dtype {vector.dtype}; this round sums {params.length} words of {params.ring.dtype}"
        )
    if version != params.version:
        raise ConfigError(f"trained from model version {version}; this round takes {params.version}")


def upload(state: Keyed, vector: Vector | Source, version: int, *, seat: Seat, entropy: Entropy) -> tuple[Uploaded, list[Outgoing]]:
    """y = x + PRG(b) ± Σ PRG(K) over the circle, with tags under a key sealed to the server. [BIK+17, Fig. 4, Round 2]"""
    params, session = seat.params, state.session
    key = Secret(entropy(SEED))
    context = upload_context(seat.ctx, session.sid, seat.me.party)
    payload, committed = tag_masked(vector, masks_of(state, seat=seat), params.ring, key, context)
    sealed = seat.me.roster.member(params.server).sealing.seal(key, purpose=UPLOAD, context=context)
    message = Masked(version, sealed, committed, payload)
    signed = upload_digest(message, seat.ctx, session.sid, seat.me.party)
    told = {place: state.masks[place] for place in sorted(state.told)}
    return Uploaded(session, state.held, told, state.vouchers, key, signed), [Outgoing(params.server, message)]


def masks_of(state: Keyed, *, seat: Seat) -> list[Mask]:
    """The self-mask, and one mask per peer whose box has come."""
    name, sid = seat.me.party, state.session.sid
    masks: list[Mask] = [(self_mask(state.seeds.self_mask, sid, name), 1)]
    return masks + [(Stream(key), pair_sign(seat.place, place)) for place, key in state.masks.items()]


def upload_context(ctx: Context, sid: bytes, client: PartyId) -> bytes:
    """What a sealed upload is bound to."""
    return frame("pairwise/upload-context", ctx.rd, sid, client.encode())


def upload_digest(message: Masked, ctx: Context, sid: bytes, client: PartyId) -> bytes:
    """32 bytes for one upload; the envelope's signature covers all that goes into them."""
    return digest(
        "pairwise/upload", ctx.rd, sid, client.encode(), message.version.to_bytes(8, "little"), message.sealed, message.commitment
    )


class Client:
    """The client's machine. It waits for no other client: the server ends each phase, and the vector may come before its turn or after."""

    def __init__(self, params: Params, ctx: Context, me: Identity, *, ledger: Ledger, entropy: Entropy) -> None:
        self._seat = Seat(me, params, ctx)
        self._ledger, self._entropy = ledger, entropy
        self._state: State = Ready()
        self._pending: tuple[Vector | Source, int] | None = None

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
    def state(self) -> Kept:
        if self._pending is None:
            return Kept(self._state, None, 0)
        # What is kept must not depend on an update that somebody else holds; nor is it encoded twice.
        vector, version = self._pending = whole(self._pending[0]), self._pending[1]
        return Kept(self._state, vector, version)

    def resume(self, state: object) -> None:
        """The ledger keeps an old state from saying anything else than was said from it before."""
        if not isinstance(self._state, Ready) or not isinstance(state, Kept) or not isinstance(state.state, State):
            raise LocalProtocolError(f"a fresh client goes on from one of its own states, not from {type(state).__name__}")
        self._state = state.state
        self._pending = (state.vector, state.version) if state.vector is not None else None

    def start(self) -> Sequence[Outgoing]:
        if not isinstance(self._state, Ready):
            raise LocalProtocolError("this client has started already")
        after, outgoing = advertise(seat=self._seat, entropy=self._entropy)
        # > Keys, shares, upload and set are on disk before they are sent: after a crash the same slot takes nothing else.
        self._use("advert", after.record)
        self._state = after
        return outgoing

    def contribute(self, vector: Vector | Source, *, version: int) -> Sequence[Outgoing]:
        """Hand in the vector; it must not change until the upload is out."""
        if self._pending is not None or not isinstance(self._state, Advertised | Shared | Keyed):
            raise LocalProtocolError(f"a vector is not due in phase {self.phase!r}")
        check_vector(vector, version, self._seat.params)
        self._pending = vector, version
        return self._upload()

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        # > Only the server's message can end a client's round; anybody else's is refused and changes nothing.
        if sender != self._seat.params.server:
            raise UnexpectedMessage(f"{sender} is not the server of this round", culprits=[sender])
        try:
            return self._receive(message)
        except (PeerError, LocalProtocolError):
            self._state, self._pending = Failed(), None
            raise

    def expire(self) -> Sequence[Outgoing]:
        raise LocalProtocolError("a client of pairwise waits for the server's word: it has no time to expire")

    def _receive(self, message: Message) -> Sequence[Outgoing]:
        seat = self._seat
        match self._state, message:
            case Advertised() as state, Adverts() as adverts:
                shared, outgoing = share_keys(state, adverts, seat=seat, entropy=self._entropy)
                self._use("shares", shared.session.sid, *(box for item in outgoing for box in getattr(item.message, "boxes", ())))
                self._state = shared
                return outgoing
            case Shared() as state, Inbox() as inbox:
                self._state, outgoing = open_inbox(state, inbox, seat=seat)
                return [*outgoing, *self._upload()]
            case Uploaded() as state, Survivors() as survivors:
                confirmed, outgoing = confirm(state, survivors, seat=seat)
                self._use("survivors", confirmed.roots)
                self._state = confirmed
                return outgoing
            case Confirmed() as state, Agreement() as agreement:
                done, outgoing = reveal(state, agreement, seat=seat, entropy=self._entropy)
                included, params = seat.params.names(state.survivors), seat.params
                self._ledger.release(seat.ctx, included, state.roots, model=params.model, terms=params.terms)
                self._state = done
                return outgoing
        raise UnexpectedMessage(f"{type(message).__name__} is not due in {self.phase}", culprits=[seat.params.server])

    def _upload(self) -> Sequence[Outgoing]:
        """Mask and send, once the keys and the vector are both there."""
        if self._pending is None or not isinstance(self._state, Keyed):
            return []
        (vector, version), seat = self._pending, self._seat
        after, outgoing = upload(self._state, vector, version, seat=seat, entropy=self._entropy)
        self._use("upload", after.digest)
        self._state, self._pending = after, None
        return outgoing

    def _use(self, slot: str, *said: bytes) -> None:
        self._ledger.use(self._seat.ctx, f"pairwise/{slot}", digest("pairwise/slot", *said))
