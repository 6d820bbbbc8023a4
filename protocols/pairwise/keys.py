"""The client's first half: it advertises keys, shares its two seeds with its circle, and opens what the circle shared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from secagg.crypto.agree import AgreementKey, LowOrderPoint
from secagg.crypto.derive import frame
from secagg.crypto.pairs import Agreeing, cut, join, open_box, seal_box
from secagg.crypto.seal import CannotOpen
from secagg.errors import InvalidMessage
from secagg.identity import Identity
from secagg.math import shamir
from secagg.roles import Outgoing
from secagg.types import Context, Entropy, PartyId, Secret

from .graph import Graph
from .mask import SEED, commit_self_mask, mask_seed
from .messages import Advert, Adverts, Complaint, Inbox, Shares
from .params import Params
from .records import NONCE, Record, bitmap, places, session_id


@dataclass(frozen=True, slots=True)
class Seat:
    """Where this client sits: everything that does not change in a round."""

    me: Identity
    params: Params
    ctx: Context

    @property
    def place(self) -> int:
        return self.params.clients.index(self.me.party)


@dataclass(frozen=True, slots=True)
class Seeds:
    """What a client shares: from one seed comes its mask key, from the other the mask of its own."""

    key: Secret
    self_mask: Secret


@dataclass(frozen=True, slots=True)
class Pair:
    """One holder's share of each seed of one party. Of the two, at most one is ever sent."""

    key: Secret
    self_mask: Secret


@dataclass(frozen=True, slots=True)
class Peer:
    """Another member of the circle: the key that opens its box, and its public mask key."""

    opening: Secret
    mask: bytes


@dataclass(frozen=True, slots=True)
class Session:
    """The list of adverts that this client has accepted, and the graph that follows from it."""

    sid: bytes
    graph: Graph


@dataclass(frozen=True, slots=True)
class Ready:
    """Nothing sent yet."""


@dataclass(frozen=True, slots=True)
class Advertised:
    """The keys are out."""

    seeds: Seeds
    channel: Secret
    record: bytes


@dataclass(frozen=True, slots=True)
class Shared:
    """The seeds are shared; the channel key is gone, one key per peer is left to open its box with."""

    session: Session
    seeds: Seeds
    own: Pair
    peers: Mapping[int, Peer]


@dataclass(frozen=True, slots=True)
class Keyed:
    """All keys are there: what is missing is the vector. `held` are the shares of everybody whose box has come, and of this client."""

    session: Session
    seeds: Seeds
    masks: Mapping[int, bytes]
    held: Mapping[int, Pair]


@dataclass(frozen=True, slots=True)
class Failed:
    """A message was bad: nothing more is said in this round."""


def advertise(*, seat: Seat, entropy: Entropy) -> tuple[Advertised, list[Outgoing]]:
    """Two fresh seeds, a fresh channel key, and the signed record of what may be known of them. [BIK+17, Fig. 4, Round 0]"""
    seeds, channel = Seeds(Secret(entropy(SEED)), Secret(entropy(SEED))), Secret(entropy(SEED))
    record = Record.sign(
        seat.me,
        seat.ctx,
        channel=Agreeing(AgreementKey(channel)).public(),
        mask=Agreeing(AgreementKey(mask_seed(seeds.key, seat.ctx, seat.me.party))).public(),
        commitment=commit_self_mask(seeds.self_mask, seat.ctx, seat.me.party),
        nonce=entropy(NONCE),
    )
    return Advertised(seeds, channel, record.raw), [Outgoing(seat.params.server, Advert(record.raw))]


def share_keys(state: Advertised, message: Adverts, *, seat: Seat, entropy: Entropy) -> tuple[Shared, list[Outgoing]]:
    """Split both seeds among the circle, a box for each. [BIK+17, Fig. 4, Round 1]"""
    session = open_session(message, seat=seat)
    circle = session.graph.circle(seat.place)
    records = check_records(state, message, circle, session, seat=seat)
    indices = [place + 1 for place in circle]
    keys = shamir.share(state.seeds.key, seat.params.threshold, indices, entropy)
    selves = shamir.share(state.seeds.self_mask, seat.params.threshold, indices, entropy)
    agreeing, peers, boxes = Agreeing(AgreementKey(state.channel)), dict[int, Peer](), list[bytes]()
    for place, record in records.items():
        name = seat.params.clients[place]
        outward, inward = _channel(agreeing, record, seat.me.party, name, session.sid)
        plain = join((keys[place + 1], selves[place + 1]))
        boxes.append(seal_box(outward, plain, context=_box_context(seat.ctx, session.sid, seat.me.party, name)))
        peers[place] = Peer(inward, record.mask)
    own = Pair(keys[seat.place + 1], selves[seat.place + 1])
    return Shared(session, state.seeds, own, peers), [Outgoing(seat.params.server, Shares(tuple(boxes)))]


def open_session(message: Adverts, *, seat: Seat) -> Session:
    """The list of all adverts as this client is shown it. Raises InvalidMessage."""
    params, blame = seat.params, [seat.params.server]
    members = places(message.present, params.size, check="PW-C1", culprit=params.server)
    # > The list of adverts names clients of the cohort, with a digest each; this client is among them (PW-C1).
    if len(message.digests) != len(members) or seat.place not in members:
        raise InvalidMessage("PW-C1", f"{len(message.digests)} digests for {len(members)} clients, or without this one", culprits=blame)
    # > No session begins with fewer clients than the quorum or fewer organisations than F (PW-C2).
    if not params.enough(members, params.quorum):
        raise InvalidMessage(
            "PW-C2",
            f"{len(members)} clients have advertised; {params.quorum}, of at least {params.floor} organisations, are needed",
            culprits=blame,
        )
    sid = session_id(seat.ctx, message.present, message.digests)
    return Session(sid, Graph.of(members, params.degree, sid, seat.ctx))


def check_records(state: Advertised, message: Adverts, circle: Sequence[int], session: Session, *, seat: Seat) -> dict[int, Record]:
    """The records of the rest of the circle, by place. Raises InvalidMessage."""
    params, blame = seat.params, [seat.params.server]
    digests = dict(zip(session.graph.members, message.digests, strict=True))
    # > The records are those of this client's circle, each with the digest that the list has for it (PW-C3).
    if len(message.records) != len(circle):
        raise InvalidMessage("PW-C3", f"{len(message.records)} adverts; the circle has {len(circle)}", culprits=blame)
    records = {place: Record(raw) for place, raw in zip(circle, message.records, strict=True)}
    for place, record in records.items():
        if record.digest(seat.ctx, params.clients[place]) != digests[place]:
            raise InvalidMessage("PW-C3", f"the advert of {params.clients[place]} is not the one in the list", culprits=blame)
    own = records.pop(seat.place)
    # > This client's own advert is in the list, unchanged (PW-C4).
    if own.raw != state.record:
        raise InvalidMessage("PW-C4", "the list holds another advert than this client sent", culprits=blame)
    for place, record in records.items():
        # > Every member of the circle has signed its advert for this round (PW-C5).
        record.verify(seat.me.roster, params.clients[place], seat.ctx, check="PW-C5")
    keys = [key for record in (own, *records.values()) for key in (record.channel, record.mask)]
    # > No key stands twice in a circle (PW-C6).
    if len(set(keys)) != len(keys):
        raise InvalidMessage("PW-C6", "two adverts of the circle share a key", culprits=blame)
    return records


def open_inbox(state: Shared, message: Inbox, *, seat: Seat) -> tuple[Keyed | Failed, list[Outgoing]]:
    """Open every box: from now on this client holds shares of its circle. [BIK+17, Fig. 4, Round 2, first half]"""
    params, others = seat.params, tuple(state.peers)
    found = tuple(others[index] for index in places(message.present, len(others), check="PW-C8", culprit=params.server))
    holders = (*found, seat.place)
    least = params.enough(holders, params.threshold) if state.session.graph.complete else len(holders) >= params.threshold
    # > At least t of the circle have shared, on the complete graph of at least F organisations, and a box has come from each (PW-C8).
    if len(message.boxes) != len(found) or not least:
        raise InvalidMessage(
            "PW-C8", f"{len(message.boxes)} boxes of {len(found)} clients; {params.threshold} needed", culprits=[params.server]
        )
    held = {seat.place: state.own}
    for place, box in zip(found, message.boxes, strict=True):
        name = params.clients[place]
        context = _box_context(seat.ctx, state.session.sid, name, seat.me.party)
        try:
            key, self_mask = cut(open_box(state.peers[place].opening, box, context=context), shamir.SHARE)
        except CannotOpen:
            # > A box that does not open ends the round for this client, which says whose it was.
            return Failed(), [Outgoing(params.server, Complaint(name))]
        held[place] = Pair(key, self_mask)
    masks = {place: state.peers[place].mask for place in found}
    return Keyed(state.session, state.seeds, masks, dict(sorted(held.items()))), []


def _channel(agreeing: Agreeing, record: Record, me: PartyId, peer: PartyId, sid: bytes) -> tuple[Secret, Secret]:
    """The keys of the two boxes between this client and a peer: from it, and to it."""
    # > An agreement whose result is all zero is refused (PW-C7).
    try:
        outward, inward = agreeing.keys(
            record.channel, salt=sid, label="pairwise/channel", infos=((me.encode(), peer.encode()), (peer.encode(), me.encode()))
        )
    except LowOrderPoint as refused:
        raise InvalidMessage("PW-C7", f"the channel key of {peer} is of low order", culprits=[peer]) from refused
    return outward, inward


def _box_context(ctx: Context, sid: bytes, sender: PartyId, recipient: PartyId) -> bytes:
    return frame("pairwise/box", ctx.rd, sid, sender.encode(), recipient.encode())


def inbox_for(place: int, graph: Graph, boxes: Mapping[int, Mapping[int, bytes]]) -> Inbox:
    """The server's message to one client: the boxes that others of its circle made for it."""
    others = [other for other in graph.circle(place) if other != place]
    found = [index for index, other in enumerate(others) if other in boxes]
    return Inbox(bitmap(found, len(others)), tuple(boxes[others[index]][place] for index in found))
