"""The client's first half: it advertises keys, shares its two seeds with its circle, and opens what the circle shared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from secagg.crypto.agree import AgreementKey, LowOrderPoint
from secagg.crypto.derive import frame
from secagg.crypto.pairs import Agreeing, join, open_box, part, seal_box
from secagg.crypto.seal import CannotOpen
from secagg.errors import InvalidMessage
from secagg.identity import Identity
from secagg.math import shamir
from secagg.roles import Outgoing
from secagg.types import Context, Entropy, PartyId, Secret

from .graph import Graph
from .mask import PAIR_KEY, SEED, commit_self_mask, mask_seed, pair_keys, tells
from .messages import Advert, Adverts, Complaint, Inbox, Shares
from .params import Params
from .records import NONCE, Record, bitmap, places, session_id, verify_records

_KEY = 32
_UNTOLD = Secret(bytes(PAIR_KEY))
"""Instead of a pair's key, in the box for a client that works it out itself: all boxes are alike."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where this client sits: everything that does not change in a round."""

    me: Identity
    params: Params
    ctx: Context
    place: int = field(init=False)

    def __post_init__(self) -> None:
        # Looked up once: steps ask for it for every other client.
        object.__setattr__(self, "place", self.params.clients.index(self.me.party))


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
class Voucher:
    """The two keys with another client, each for one tag: what this client vouches with, and what the other does."""

    own: Secret
    other: Secret


@dataclass(frozen=True, slots=True)
class Peer:
    """Another member of the circle: the key that opens its box, and the key of the pair's mask where this client has worked it out."""

    opening: Secret
    mask: Secret | None
    voucher: Voucher


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
    """All keys are there: what is missing is the vector. `held` are the shares of everybody whose box has come, and of this client.

    `told` are those whose box held the key of the pair's mask.
    """

    session: Session
    seeds: Seeds
    masks: Mapping[int, Secret]
    told: frozenset[int]
    held: Mapping[int, Pair]
    vouchers: Mapping[int, Voucher]


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
    keys, selves = shamir.share_all((state.seeds.key, state.seeds.self_mask), seat.params.threshold, indices, entropy)
    peers, boxes = dict[int, Peer](), list[bytes]()
    channels = _channels(Agreeing(AgreementKey(state.channel)), records, session.sid, seat=seat)
    told = _told(state.seeds, records, session.sid, seat=seat)
    for place, (outward, inward) in zip(records, channels, strict=True):
        name = seat.params.clients[place]
        (sealing, vouching), (opening, vouched) = part(outward, _KEY, _KEY), part(inward, _KEY, _KEY)
        plain = join((keys[place + 1], selves[place + 1], told.get(place, _UNTOLD)))
        boxes.append(seal_box(sealing, plain, context=_box_context(seat.ctx, session.sid, seat.me.party, name)))
        peers[place] = Peer(opening, told.get(place), Voucher(vouching, vouched))
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
    # > Every member of the circle has signed its advert for this round (PW-C5).
    verify_records(records, params, seat.me.roster, seat.ctx, check="PW-C5")
    keys = [key for record in (own, *records.values()) for key in (record.channel, record.mask)]
    # > No key stands twice in a circle (PW-C6).
    if len(set(keys)) != len(keys):
        raise InvalidMessage("PW-C6", "two adverts of the circle share a key", culprits=blame)
    return records


def open_inbox(state: Shared, message: Inbox, *, seat: Seat) -> tuple[Keyed | Failed, list[Outgoing]]:
    """Open every box: from now on this client holds shares of its circle. [BIK+17, Fig. 4, Round 2, first half]"""
    params, others = seat.params, state.peers
    members = tuple(others)
    found = tuple(members[index] for index in places(message.present, len(members), check="PW-C8", culprit=params.server))
    holders = (*found, seat.place)
    least = params.enough(holders, params.threshold) if state.session.graph.complete else len(holders) >= params.threshold
    # > At least t of the circle have shared, on the complete graph of at least F organisations, and a box has come from each (PW-C8).
    if len(message.boxes) != len(found) or not least:
        raise InvalidMessage(
            "PW-C8", f"{len(message.boxes)} boxes of {len(found)} clients; {params.threshold} needed", culprits=[params.server]
        )
    held, masks = {seat.place: state.own}, dict[int, Secret]()
    for place, box in zip(found, message.boxes, strict=True):
        name = params.clients[place]
        context = _box_context(seat.ctx, state.session.sid, name, seat.me.party)
        try:
            key, self_mask, told = part(open_box(others[place].opening, box, context=context), shamir.SHARE, shamir.SHARE, PAIR_KEY)
        except CannotOpen:
            # > A box that does not open ends the round for this client, which says whose it was.
            return Failed(), [Outgoing(params.server, Complaint(name))]
        held[place] = Pair(key, self_mask)
        masks[place] = told if (own := others[place].mask) is None else own
    vouchers = {place: others[place].voucher for place in found}
    tellers = frozenset(place for place in found if others[place].mask is None)
    return Keyed(state.session, state.seeds, masks, tellers, dict(sorted(held.items())), vouchers), []


def _channels(agreeing: Agreeing, records: Mapping[int, Record], sid: bytes, *, seat: Seat) -> list[tuple[Secret, ...]]:
    """What each peer and this client have in common: keys of a box and of a voucher, from this client and to it."""
    me, peers = seat.me.party.encode(), [seat.params.clients[place] for place in records]
    infos = [((me, peer.encode()), (peer.encode(), me)) for peer in peers]
    # > An agreement whose result is all zero is refused (PW-C7).
    try:
        return agreeing.keys(
            [record.channel for record in records.values()], salt=sid, label="pairwise/channel", infos=infos, length=2 * _KEY
        )
    except LowOrderPoint as refused:
        peer = peers[refused.index]
        raise InvalidMessage("PW-C7", f"the channel key of {peer} is of low order", culprits=[peer]) from refused


def _told(seeds: Seeds, records: Mapping[int, Record], sid: bytes, *, seat: Seat) -> dict[int, Secret]:
    """The mask keys of those pairs of which this client tells the other. Who is told has them from a box that only the teller can make."""
    agreeing = Agreeing(AgreementKey(mask_seed(seeds.key, seat.ctx, seat.me.party)))
    chosen = [place for place in records if tells(seat.place, place)]
    names = [seat.params.clients[place] for place in chosen]
    keys = pair_keys(agreeing, [records[place].mask for place in chosen], sid, seat.me.party, names)
    return dict(zip(chosen, keys, strict=True))


def _box_context(ctx: Context, sid: bytes, sender: PartyId, recipient: PartyId) -> bytes:
    return frame("pairwise/box", ctx.rd, sid, sender.encode(), recipient.encode())


def inbox_for(place: int, graph: Graph, boxes: Mapping[int, Mapping[int, bytes]]) -> Inbox:
    """The server's message to one client: the boxes that others of its circle made for it."""
    others = [other for other in graph.circle(place) if other != place]
    found = [index for index, other in enumerate(others) if other in boxes]
    return Inbox(bitmap(found, len(others)), tuple(boxes[others[index]][place] for index in found))
