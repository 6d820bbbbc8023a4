"""A share that goes ahead: sealed while the long parts travel, opened only for the set that everybody signed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols import additive
from protocols.additive import aggregator, collector, part
from protocols.additive.messages import Agreed, Ahead, Report, Share
from protocols.additive.params import Params
from protocols.additive.split import opening_of, roots_hash
from secagg.crypto.seal import CannotOpen
from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.errors import InvalidMessage, LocalProtocolError, UnexpectedMessage
from secagg.ledger import Ledger
from secagg.payload import Blob, Payload, join
from secagg.policy import Policy
from secagg.receipt import sign_agreement
from secagg.roles import Message, Outgoing, Sum, Vector
from secagg.round import Round, open_round, sign_round
from secagg.tally import Kept, Tally
from secagg.testing.conformance import body_of
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.types import Entropy, PartyId

VALUES = 6
PLAN = additive.Plan(clients=4, aggregators=3, bits=12, max_weight=1, ring_bits=32)


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return consortium(4, 3, now=NOW, entropy=InsecureEntropy("ahead"), kem=0x20)


def play(parties: Consortium, lost: PartyId | None = None) -> tuple[Table, dict[PartyId, Vector], list[Packet]]:
    """A round. The leader makes the long part of `lost` disappear, though the others have its seeds; what disappeared comes last."""
    leader, withheld = parties.aggregators[0].party, list[Packet]()

    def fault(packet: Packet) -> list[Packet]:
        if (packet.header.kind, packet.header.sender, packet.header.recipient) != (Report.KIND, lost, leader):
            return [packet]
        withheld.append(packet)
        return []

    everybody = (parties.coordinator, *parties.aggregators, *parties.clients)
    table = Table.lay(PLAN, parties.roster, everybody, terms(values=VALUES), fault=fault)
    vectors: dict[PartyId, Vector] = {me.party: np.full(VALUES + 2, 10**place, np.uint32) for place, me in enumerate(parties.clients)}
    assert isinstance(table.play(vectors), Sum)
    return table, vectors, withheld


def heard(table: Table, kind: type[Message], sender: PartyId) -> list[Packet]:
    return [packet for packet in table.heard if (packet.header.kind, packet.header.sender) == (kind.KIND, sender)]


def opened_share(parties: Consortium, table: Table, share: Share, payload: Payload, sender: PartyId, roots: bytes) -> Vector:
    """What the collector reads in `payload` with the key of `share`. Raises CannotOpen."""
    me, ctx = parties.coordinator, table.opened.ctx
    context = aggregator.share_context(ctx, sender, me.party, roots)
    key = me.opening.open(share.sealed, purpose=aggregator.SHARE, context=aggregator.share_context(ctx, sender, me.party, share.roots))
    tally = Tally.zero(PLAN.encoding.ring, VALUES + 2)
    tally.add(opening_of(key, context), payload)
    return tally.words


def test_in_a_round_without_drop_outs_every_share_but_the_leaders_goes_ahead(parties: Consortium) -> None:
    table, vectors, _ = play(parties)
    assert table.result is not None
    assert np.array_equal(table.result.vector, sum(vectors.values()))
    leader, *others = (me.party for me in parties.aggregators)
    assert not heard(table, Ahead, leader)
    assert all(packet.payload is not None for packet in heard(table, Share, leader))
    for name in others:
        assert len(heard(table, Ahead, name)) == 1
        assert all(packet.payload is None for packet in heard(table, Share, name))


def test_a_share_sent_ahead_of_another_set_is_never_opened(parties: Consortium) -> None:
    lost = parties.clients[2].party
    table, vectors, _ = play(parties, lost)
    assert table.result is not None
    assert lost not in table.result.included
    assert np.array_equal(table.result.vector, sum(vector for name, vector in vectors.items() if name != lost))
    for me in parties.aggregators[1:]:
        (early,), (late,) = heard(table, Ahead, me.party), heard(table, Share, me.party)
        ahead, share = Ahead.from_wire(body_of(early), early.payload), Share.from_wire(body_of(late), late.payload)
        assert share.payload is not None
        assert share.roots != ahead.roots
        with pytest.raises(CannotOpen):
            opened_share(parties, table, share, ahead.payload, me.party, ahead.roots)


@pytest.mark.parametrize("seed", range(4))
def test_seeds_that_were_added_together_are_taken_out_again_one_by_one(seed: int) -> None:
    """Ten clients: one is silent, so nothing goes ahead and eight seeds are added in one pass; of another the long part is lost."""
    crowd = consortium(10, 2, now=NOW, entropy=InsecureEntropy("crowd"), kem=0x20)
    leader, lost = crowd.aggregators[0].party, crowd.clients[0].party

    def fault(packet: Packet) -> list[Packet]:
        gone = (packet.header.kind, packet.header.sender, packet.header.recipient) == (Report.KIND, lost, leader)
        return [] if gone else [packet]

    plan = additive.Plan(clients=10, aggregators=2, bits=12, max_weight=1, ring_bits=32)
    everybody = (crowd.coordinator, *crowd.aggregators, *crowd.clients)
    table = Table.lay(plan, crowd.roster, everybody, terms(values=VALUES), fault=fault, seed=seed)
    vectors: dict[PartyId, Vector] = {me.party: np.full(VALUES + 2, 5**place, np.uint32) for place, me in enumerate(crowd.clients[:9])}
    total = table.play(vectors)
    assert isinstance(total, Sum)
    assert lost not in total.included
    assert len(total.included) == 8
    assert np.array_equal(total.vector, sum(vector for name, vector in vectors.items() if name != lost))
    assert not heard(table, Ahead, crowd.aggregators[1].party)


def difference(parties: Consortium, weak: pytest.MonkeyPatch) -> Vector:
    """What the collector and the leader read of a client that they leave out, if aggregators give the keys of what they sent ahead."""
    given: dict[PartyId, Share] = {}
    genuine = aggregator.send_ahead

    def hasty(state: aggregator.Accepting, *, seat: part.Seat, entropy: Entropy) -> tuple[aggregator.Accepting, list[Outgoing]]:
        after, outgoing = genuine(state, seat=seat, entropy=entropy)
        assert after.ahead is not None
        context = aggregator.share_context(seat.ctx, seat.me.party, parties.coordinator.party, after.ahead.roots)
        sealed = parties.coordinator.member.sealing.seal(after.ahead.key, purpose=aggregator.SHARE, context=context)
        given[seat.me.party] = Share(after.ahead.roots, sealed, after.ahead.commitment)
        return after, outgoing

    weak.setattr(aggregator, "send_ahead", hasty)
    lost = parties.clients[2].party
    table, _, withheld = play(parties, lost)
    seat = part.Seat(parties.aggregators[0], Params.of(table.opened), table.opened)
    report = Report.from_wire(body_of(withheld[0]), withheld[0].payload)
    mine = Tally.zero(PLAN.encoding.ring, VALUES + 2)
    held = part.Held(report.report, b"", part.open_part(report, lost, seat), report.payload, report.commitment)
    part.tally_part(mine, held, lost, seat, 1)
    total = mine.words
    for me in parties.aggregators[1:]:
        (early,), (late,) = heard(table, Ahead, me.party), heard(table, Share, me.party)
        ahead, share = Ahead.from_wire(body_of(early), early.payload), Share.from_wire(body_of(late), late.payload)
        assert share.payload is not None
        total = total + opened_share(parties, table, given[me.party], ahead.payload, me.party, ahead.roots)
        total = total - opened_share(parties, table, share, share.payload, me.party, share.roots)
    return total


def test_a_key_that_came_with_the_vector_would_show_who_was_left_out(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    """Why the key stays until the set is signed: two shares of sets that differ by one client are that client's vector."""
    assert np.array_equal(difference(parties, weak), np.full(VALUES + 2, 100, np.uint32))


# --- the collector


def opened_by(parties: Consortium) -> Round:
    signed = sign_round(PLAN.describe(terms(values=VALUES), parties.roster), parties.coordinator).signed()
    return open_round(signed, parties.coordinator, Policy(), now=NOW)


def last_words(parties: Consortium) -> tuple[collector.Collector, Ahead, Share, PartyId, Agreed]:
    """A collector whose batch is closed, and what one aggregator sends it."""
    table, _, _ = play(parties)
    sender = parties.aggregators[1].party
    (early,), (late,) = heard(table, Ahead, sender), heard(table, Share, sender)
    opened = opened_by(parties)
    role = collector.Collector(Params.of(opened), opened, parties.coordinator)
    role.start()
    role._state = collector.Closing(Tally.zero(PLAN.encoding.ring, VALUES + 2), {}, {}, frozenset())
    agreed = Agreed.from_wire(body_of(next(packet for packet in heard(table, Agreed, sender))), None)
    return role, Ahead.from_wire(body_of(early), early.payload), Share.from_wire(body_of(late), None), sender, agreed


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_vector_key_and_signature_may_come_in_any_order(parties: Consortium, order: tuple[int, ...]) -> None:
    role, ahead, share, sender, agreed = last_words(parties)
    messages: tuple[Message, ...] = (ahead, share, agreed)
    for place in order:
        role.receive(sender, messages[place])
    assert isinstance(role.state, collector.Closing)
    assert role.state.added == {sender}
    assert role.state.tally.words.any()
    assert not role.state.ahead, "what is added is not kept"
    with pytest.raises(UnexpectedMessage):
        role.receive(sender, ahead)


@pytest.mark.check("AD-C6")
@pytest.mark.parametrize("change", ["roots", "commitment"])
def test_the_key_of_another_share_than_the_one_sent_ahead_is_refused(parties: Consortium, change: str) -> None:
    role, ahead, share, sender, agreed = last_words(parties)
    role.receive(sender, ahead)
    if change == "roots":
        agreed = replace(
            agreed,
            roots=roots_hash(()),
            signature=sign_agreement(parties.aggregators[1], role._desk.opened.ctx.rd, agreed.included, roots_hash(())),
        )
    role.receive(sender, agreed)
    bad = replace(share, roots=agreed.roots) if change == "roots" else replace(share, commitment=bytes(32))
    with pytest.raises(InvalidMessage, match="AD-C6"):
        role.receive(sender, bad)


@pytest.mark.check("AD-C4")
def test_a_vector_sent_ahead_by_a_client_or_in_another_size_is_refused(parties: Consortium) -> None:
    role, ahead, _, sender, _ = last_words(parties)
    for who, message in [
        (parties.clients[0].party, ahead),
        (sender, replace(ahead, commitment=bytes(32))),
        (sender, replace(ahead, payload=Blob(join(ahead.payload)[:-1]))),
    ]:
        with pytest.raises(InvalidMessage, match="AD-C4"):
            role.receive(who, message)


# --- a share that stays in its process


def test_a_leader_beside_the_collector_hands_its_share_over_unsealed_and_nobody_can_send_it_on(parties: Consortium) -> None:
    everybody = (parties.coordinator, *parties.aggregators, *parties.clients)
    table = Table.lay(PLAN, parties.roster, everybody, terms(values=VALUES))
    leader = parties.aggregators[0]
    role = PLAN.role(table.opened, leader, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy("beside"), tallies=Tally.at_home)
    table.endpoints[leader.party] = Endpoint(role, table.opened, leader, PLAN.CODEC)
    vectors: dict[PartyId, Vector] = {me.party: np.full(VALUES + 2, 10**place, np.uint32) for place, me in enumerate(parties.clients)}
    total = table.play(vectors)
    assert isinstance(total, Sum)
    assert np.array_equal(total.vector, sum(vectors.values()))
    (packet,) = heard(table, Share, leader.party)
    assert isinstance(packet.payload, Kept)
    assert packet.payload.size == Params.of(table.opened).payload_size
    assert repr(packet.payload) == f"Kept({VALUES + 2} words)"
    with pytest.raises(LocalProtocolError, match="never sent"):
        join(packet.payload)
