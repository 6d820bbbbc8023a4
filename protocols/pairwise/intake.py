"""The server's first half: adverts, boxes and masked vectors come in. What a phase collects grows in place, by messages that passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from secagg.crypto.agree import low_order
from secagg.crypto.seal import CannotOpen
from secagg.crypto.stream import commitment
from secagg.errors import InvalidMessage, SessionAborted
from secagg.machine import Station
from secagg.roles import Outgoing
from secagg.tally import RunningSum, Tallies, Tally
from secagg.types import PartyId, Secret

from .blame import Doubts
from .client import UPLOAD, upload_context, upload_digest
from .graph import Graph
from .keys import Session, inbox_for
from .mask import SEED, opening_of
from .messages import Advert, Adverts, Complaint, Masked, Shares
from .params import Params
from .records import Record, bitmap, session_id, verify_records


@dataclass(frozen=True, slots=True)
class Upload:
    """What is kept of a vector that has been added: the key that its sender's shares will come under, and its signed digest."""

    key: Secret
    digest: bytes


@dataclass(frozen=True, slots=True)
class Advertising:
    """Adverts come in; `keys` are all those advertised so far."""

    records: dict[int, Record] = field(default_factory=dict)
    keys: dict[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Boxes come in, by sender and recipient."""

    session: Session
    records: dict[int, Record]
    boxes: dict[int, dict[int, bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Masking:
    """Vectors come in and are added at once; or complaints, by sender and accused."""

    session: Session
    records: dict[int, Record]
    shared: frozenset[int]
    tally: RunningSum
    doubts: Doubts
    uploads: dict[int, Upload] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desk(Station[Params]):
    """Where the server sits: everything that does not change in a round."""

    tallies: Tallies = Tally.zero


def too_few(
    check: str, what: str, answered: Sequence[int], *, desk: Desk, blame: str = "", culprits: Sequence[PartyId] = ()
) -> SessionAborted:
    """The round ends: of the quorum not enough have answered."""
    params = desk.params
    return SessionAborted(
        f"{check}: {len(answered)} clients {what}; {params.quorum}, of at least {params.floor} organisations, are needed{blame}",
        answered=params.names(tuple(answered)),
        needed=params.quorum,
        culprits=culprits,
    )


def take_advert(state: Advertising, message: Advert, place: int, *, desk: Desk) -> None:
    """Keep one client's keys."""
    name, record = desk.params.clients[place], Record(message.record)
    # > An advert is signed by its sender for this round (PW-S1).
    verify_records({place: record}, desk.params, desk.opened.roster, desk.ctx, check="PW-S1")
    keys = (record.channel, record.mask)
    # > No advert has a key that was advertised before, the same key twice, or one of low order: its whole circle would abort (PW-S12).
    if keys[0] == keys[1] or any(key in state.keys for key in keys) or any(low_order(key) for key in keys):
        raise InvalidMessage("PW-S12", f"a key in the advert of {name} is not its own, or of low order", culprits=[name])
    state.keys.update(dict.fromkeys(keys, place))
    state.records[place] = record


def open_session(state: Advertising, *, desk: Desk) -> tuple[Sharing, list[Outgoing]]:
    """Name the session and send everybody its circle's adverts."""
    params, members = desk.params, tuple(sorted(state.records))
    # > The server opens no session of fewer clients than the quorum, or of fewer organisations than F (PW-S2).
    if not params.enough(members, params.quorum):
        raise too_few("PW-S2", "have advertised", members, desk=desk)
    records = {place: state.records[place] for place in members}
    digests = tuple(record.digest(desk.ctx, params.clients[place]) for place, record in records.items())
    present = bitmap(members, params.size)
    sid = session_id(desk.ctx, present, digests)
    graph = Graph.of(members, params.degree, sid, desk.ctx)
    outgoing = [
        Outgoing(params.clients[place], Adverts(present, digests, tuple(records[other].raw for other in graph.circle(place))))
        for place in members
    ]
    return Sharing(Session(sid, graph), records), outgoing


def take_shares(state: Sharing, message: Shares, place: int, *, desk: Desk) -> None:
    """Keep one client's boxes for its circle."""
    others = [other for other in state.session.graph.circle(place) if other != place]
    # > There is one box for every other member of the sender's circle (PW-S3).
    if len(message.boxes) != len(others):
        name = desk.params.clients[place]
        raise InvalidMessage("PW-S3", f"{len(message.boxes)} boxes from {name}; {len(others)} expected", culprits=[name])
    state.boxes[place] = dict(zip(others, message.boxes, strict=True))


def pass_on(state: Sharing, *, desk: Desk) -> tuple[Masking, list[Outgoing]]:
    """Give everybody who has shared the boxes that were made for it."""
    params, shared = desk.params, tuple(sorted(state.boxes))
    # > The server goes on only with shares of at least the quorum and of F organisations (PW-S4).
    if not params.enough(shared, params.quorum):
        raise too_few("PW-S4", "have shared their keys", shared, desk=desk)
    outgoing = [Outgoing(params.clients[place], inbox_for(place, state.session.graph, state.boxes)) for place in shared]
    tally = desk.tallies(params.ring, params.length)
    return Masking(state.session, state.records, frozenset(shared), tally, Doubts()), outgoing


def take_masked(state: Masking, message: Masked, place: int, *, desk: Desk) -> None:
    """Add one vector: all of it, or nothing."""
    params, sid, name = desk.params, state.session.sid, desk.params.clients[place]
    # > An upload has exactly the round's size and starts from the round's model (PW-S5).
    if message.payload.size != params.payload_size or message.version != params.version:
        raise InvalidMessage(
            "PW-S5",
            f"{message.payload.size} bytes from {name}; {params.payload_size} of version {params.version} expected",
            culprits=[name],
        )
    context = upload_context(desk.ctx, sid, name)
    # > The vector has the tags that were committed to, and they fit, all of them, under the key that was sealed for this round (PW-S6).
    try:
        if commitment(message.payload) != message.commitment:
            raise CannotOpen("it is not the one that was committed to")
        key = desk.me.opening.open(message.sealed, purpose=UPLOAD, context=context)
        if len(key) != SEED:
            raise CannotOpen("the key has another length")
        state.tally.add(opening_of(key, context), message.payload)
    except CannotOpen as refused:
        raise InvalidMessage("PW-S6", f"the vector of {name} is not authentic: {refused}", culprits=[name]) from refused
    state.uploads[place] = Upload(key, upload_digest(message, desk.ctx, sid, name))


def take_complaint(state: Masking, message: Complaint, place: int, *, desk: Desk) -> None:
    """A client has left and says whose box did not open: one of the two lies."""
    params, name = desk.params, desk.params.clients[place]
    accused = params.clients.index(message.accused) if message.accused in params.clients else place
    # > A complaint is about another member of the sender's circle that has shared (PW-S7).
    if accused == place or accused not in state.shared or accused not in state.session.graph.circle(place):
        raise InvalidMessage("PW-S7", f"{name} complains about {message.accused}, whose box it never had", culprits=[name])
    state.doubts.add(place, accused, "box")
    state.left[place] = accused
