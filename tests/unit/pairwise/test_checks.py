"""Every numbered check of `pairwise`: the bad message is refused by its number, and no wrong sum comes of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from protocols.pairwise.blame import Doubts
from protocols.pairwise.graph import Graph
from protocols.pairwise.keys import Seat, Session
from protocols.pairwise.mask import pair_keys
from protocols.pairwise.messages import (
    Advert,
    Adverts,
    Agreement,
    Complaint,
    Confirm,
    Inbox,
    Masked,
    Reveal,
    Shares,
    Survivors,
)
from protocols.pairwise.params import Params
from protocols.pairwise.plan import Plan
from protocols.pairwise.records import Record, bitmap, verify_records
from protocols.pairwise.reveal import Uploaded, check_survivors, reveal_context, reveal_key
from secagg.crypto.agree import AgreementKey
from secagg.crypto.pairs import Agreeing, join, seal_box
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.math import field
from secagg.payload import Blob
from secagg.payload import join as joined
from secagg.policy import Floors
from secagg.round import Input, Round, sign_round
from secagg.testing.consortium import Consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import Table, terms
from secagg.types import Secret
from tests.unit.pairwise.rig import (
    LOW_ORDER,
    PLAN,
    VALUES,
    changing,
    crowd,
    lay,
    lose,
    only,
    play,
    record_of,
    refusals,
    vectors_of,
    with_record,
)

HUB = "coordinator"


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return crowd()


def described(parties: Consortium, **changes: Any) -> Round:
    return sign_round(replace(PLAN.describe(terms(values=VALUES), parties.roster), **changes), parties.coordinator)


# --- parameters


@pytest.mark.check("PW-P1")
def test_a_round_has_one_server_and_one_model(parties: Consortium) -> None:
    inputs = (Input(0, bytes(32)), Input(1, bytes(32)))
    with pytest.raises(InvalidMessage, match="PW-P1"):
        Params.of(described(parties, inputs=inputs))
    with pytest.raises(InvalidMessage, match="PW-P1"):
        Params.of(described(parties, servers=(parties.coordinator.party,)))


@pytest.mark.check("PW-P2")
@pytest.mark.parametrize(("threshold", "quorum", "colluders"), [(6, 6, 1), (4, 3, 1), (4, 5, 1)])
def test_thresholds_of_the_complete_graph_are_enforced(parties: Consortium, threshold: int, quorum: int, colluders: int) -> None:
    with pytest.raises(InvalidMessage, match="PW-P2"):
        Params.of(described(parties, floors=Floors(threshold, colluders), quorum=quorum))


@pytest.mark.check("PW-P3")
@pytest.mark.parametrize(("threshold", "quorum"), [(3, 5), (2, 4), (1, 1)])
def test_no_threshold_is_taken_that_neither_graph_gives(parties: Consortium, threshold: int, quorum: int) -> None:
    with pytest.raises(InvalidMessage, match="PW-P3"):
        Params.of(described(parties, floors=Floors(threshold, 1), quorum=quorum))


@pytest.mark.check("PW-P3")
def test_a_sparse_graph_has_the_computed_threshold_and_no_other() -> None:
    parties, plan = crowd(66), Plan(clients=66)
    description = plan.describe(terms(values=VALUES), parties.roster)
    params = Params.of(sign_round(description, parties.coordinator))
    assert (params.degree < 65, params.quorum, params.run >= 2) == (True, description.quorum, True)
    lower = replace(description, floors=replace(description.floors, threshold=params.threshold - 1))
    with pytest.raises(InvalidMessage, match="PW-P3"):
        Params.of(sign_round(lower, parties.coordinator))


@pytest.mark.check("PW-P4")
def test_a_description_of_another_protocol_or_version_is_refused(parties: Consortium) -> None:
    description = PLAN.describe(terms(values=VALUES), parties.roster)
    for changes in ({"version": 2}, {"protocol": "additive"}):
        with pytest.raises(InvalidMessage, match="PW-P4"):
            Plan.from_description(replace(description, **changes))


def test_a_plan_that_is_not_safe_is_refused() -> None:
    for arguments in (
        {"clients": 2},
        {"clients": 5, "threshold": 3},
        {"clients": 5, "threshold": 6},
        {"clients": 4, "floors": Floors(colluders=4, n_min=3)},
        {"clients": 100, "dropout": 1.0},
    ):
        with pytest.raises(ConfigError):
            Plan(**arguments)


# --- what a client refuses, whatever the server sends


@pytest.mark.check("PW-C1", "PW-C2", "PW-C3")
@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("PW-C1", lambda message: replace(message, digests=message.digests[:-1])),
        ("PW-C1", lambda message: replace(message, present=message.present + b"\x00")),
        ("PW-C1", lambda message: Adverts(*only((1, 2, 3, 4), message.digests), message.records[1:])),
        ("PW-C2", lambda message: Adverts(*only((0, 1, 2), message.digests), message.records[:3])),
        ("PW-C3", lambda message: replace(message, records=message.records[:-1])),
        ("PW-C3", lambda message: replace(message, records=(message.records[1], message.records[0], *message.records[2:]))),
    ],
)
def test_a_list_of_adverts_that_does_not_fit_is_refused(parties: Consortium, check: str, change: Any) -> None:
    table = play(parties, Adverts, change, to=[0])
    assert ("client-0", check) in refusals(table)
    assert table.endpoints[parties.clients[0].party].phase == "failed"


@pytest.mark.check("PW-C4", "PW-C5", "PW-C6", "PW-C7")
@pytest.mark.parametrize(
    ("check", "place", "signer", "channel", "mask"),
    [
        ("PW-C4", 0, 0, b"\x07" * 32, b"\x08" * 32),
        ("PW-C5", 1, 2, b"\x07" * 32, b"\x08" * 32),
        ("PW-C6", 1, 1, b"\x07" * 32, b"\x07" * 32),
        ("PW-C7", 1, 1, LOW_ORDER, b"\x08" * 32),
    ],
)
def test_a_substituted_advert_is_refused(parties: Consortium, check: str, place: int, signer: int, channel: bytes, mask: bytes) -> None:
    table = lay(parties)
    record = record_of(parties.clients[signer], table, channel=channel, mask=mask)
    changing(parties, table, Adverts, lambda message: with_record(message, table, place, record), to=[0])
    assert ("client-0", check) in refusals(_played(table, parties))


@pytest.mark.check("PW-C7")
def test_no_mask_comes_of_a_key_of_low_order(parties: Consortium) -> None:
    mine, (one, other, *_) = Agreeing(AgreementKey(Secret(b"\x01" * 32))), (me.party for me in parties.clients)
    with pytest.raises(InvalidMessage, match="PW-C7"):
        pair_keys(mine, [LOW_ORDER], bytes(32), one, [other])


def _played(table: Table, parties: Consortium) -> Table:
    table.play(vectors_of(parties))
    return table


@pytest.mark.check("PW-C8")
@pytest.mark.parametrize(
    "change",
    [
        lambda message: replace(message, boxes=message.boxes[:-1]),
        lambda message: Inbox(*only((0, 1), message.boxes, 4)),
        lambda message: replace(message, present=b"\xff"),
    ],
)
def test_boxes_of_too_few_are_refused(parties: Consortium, change: Any) -> None:
    assert ("client-0", "PW-C8") in refusals(play(parties, Inbox, change, to=[0]))


@pytest.mark.check("PW-C9", "PW-C11")
@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("PW-C9", lambda message: Survivors(*only((1, 2, 3, 4), message.digests))),
        ("PW-C9", lambda message: replace(message, digests=message.digests[:-1])),
        ("PW-C9", lambda message: replace(message, digests=(bytes(32), *message.digests[1:]))),
        ("PW-C11", lambda message: Survivors(*only((0, 1, 2), message.digests))),
    ],
)
def test_a_set_of_survivors_that_does_not_fit_is_refused(parties: Consortium, check: str, change: Any) -> None:
    table = play(parties, Survivors, change, to=[0])
    assert ("client-0", check) in refusals(table)


@pytest.mark.check("PW-C10")
def test_a_survivor_that_this_client_shares_no_mask_with_is_refused(parties: Consortium) -> None:
    """The server keeps client 4's box from client 0, whose vector then has no mask with it, and later names both as survivors."""
    table = lay(parties)
    changing(parties, table, Inbox, lambda message: Inbox(*only((0, 1, 2), message.boxes, 4)), to=[0])
    assert ("client-0", "PW-C10") in refusals(_played(table, parties))


@pytest.mark.check("PW-C12")
def test_a_gap_in_the_circle_is_refused() -> None:
    parties, plan = crowd(12), Plan(clients=12, ring_bits=32)
    opened = sign_round(plan.describe(terms(values=VALUES), parties.roster), parties.coordinator)
    params = replace(Params.of(opened), degree=6, run=2, quorum=7)
    seat = Seat(parties.clients[0], params, opened.ctx)
    graph = Graph.of(range(12), 6, b"\x01" * 32, opened.ctx)
    state = Uploaded(Session(b"\x01" * 32, graph), dict.fromkeys(range(12)), {}, {}, Secret(bytes(32)), bytes(32))  # type: ignore[arg-type]
    at = graph.order.index(0)
    far = {graph.order[(at + step) % 12] for step in (5, 6)}
    for gone, fits in ((far, False), ({graph.order[(at + step) % 12] for step in (4, 8)}, True)):
        alive = tuple(place for place in range(12) if place not in gone)
        message = Survivors(bitmap(alive, 12), (bytes(32),) * len(alive))
        if fits:
            assert check_survivors(state, message, seat=seat) == alive
        else:
            with pytest.raises(InvalidMessage, match="PW-C12"):
                check_survivors(state, message, seat=seat)


@pytest.mark.check("PW-C13", "PW-C14")
@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("PW-C13", lambda message: Agreement(*only((0, 1, 2), message.signatures))),
        ("PW-C13", lambda message: replace(message, signatures=message.signatures[:-1])),
        ("PW-C14", lambda message: Agreement(*only((0, 1, 2, 3), (message.signatures[0], bytes(64), *message.signatures[2:])))),
        ("PW-C14", lambda message: Agreement(*only((0, 1, 2, 3), (message.signatures[1], message.signatures[0], *message.signatures[2:])))),
    ],
)
def test_shares_are_given_only_for_a_set_that_the_quorum_has_signed(parties: Consortium, check: str, change: Any) -> None:
    table = play(parties, Agreement, change, to=[0])
    assert ("client-0", check) in refusals(table)
    assert not [packet for packet in table.heard if packet.header.kind == Reveal.KIND and packet.header.sender == "client-0"]


def test_only_the_server_is_heard_by_a_client(parties: Consortium) -> None:
    table = lay(parties)
    role = table.endpoints[parties.clients[0].party].role
    role.start()
    with pytest.raises(UnexpectedMessage):
        role.receive(parties.clients[1].party, Adverts(b"", (), ()))
    assert role.phase == "advertised"


# --- what the server refuses; the round goes on for the rest


@pytest.mark.check("PW-S1", "PW-S3", "PW-S5", "PW-S6", "PW-S9", "PW-S11", "PW-S12")
@pytest.mark.parametrize(
    ("check", "kind", "change"),
    [
        ("PW-S1", Advert, lambda message: Advert(message.record[:-1] + bytes([message.record[-1] ^ 1]))),
        ("PW-S3", Shares, lambda message: Shares(message.boxes[:-1])),
        ("PW-S5", Masked, lambda message: replace(message, payload=Blob(joined(message.payload) + b"\x00"))),
        ("PW-S5", Masked, lambda message: replace(message, version=1)),
        ("PW-S6", Masked, lambda message: replace(message, payload=Blob(bytes(message.payload.size)))),
        ("PW-S6", Masked, lambda message: replace(message, sealed=message.sealed[::-1])),
        ("PW-S9", Confirm, lambda message: Confirm(bytes(64))),
        ("PW-S11", Reveal, lambda message: Reveal(message.box[:-1] + bytes([message.box[-1] ^ 1]))),
        ("PW-S11", Reveal, lambda message: Reveal(message.box + bytes(33))),
    ],
)
def test_a_bad_message_of_one_client_is_refused_and_the_rest_are_summed(parties: Consortium, check: str, kind: Any, change: Any) -> None:
    table = play(parties, kind, change, by=[0])
    assert (HUB, check) in refusals(table) or (kind is Reveal and table.result is not None)
    assert table.result is not None, "one client of five may fail"
    if kind in (Advert, Shares, Masked):
        assert "client-0" not in table.result.included


@pytest.mark.check("PW-S11")
def test_a_box_of_shares_that_does_not_open_is_refused(parties: Consortium) -> None:
    table = lay(parties)
    changing(parties, table, Reveal, lambda message: Reveal(message.box[:-1] + bytes([message.box[-1] ^ 1])))
    assert isinstance(table.play(vectors_of(parties)), SessionAborted)
    assert (HUB, "PW-S11") in refusals(table)


@pytest.mark.check("PW-S12")
def test_an_advert_with_another_ones_key_or_a_weak_one_is_refused(parties: Consortium) -> None:
    first: list[Record] = []

    def copy(message: Advert) -> Advert:
        record = Record(message.record)
        if not first:
            first.append(record)
            return message
        return Advert(record_of(_owner(parties, table, record), table, channel=first[0].channel, mask=record.mask).raw)

    table = lay(parties)
    changing(parties, table, Advert, copy)
    table.play(vectors_of(parties))
    assert (HUB, "PW-S12") in refusals(table)
    for weak in ({"channel": LOW_ORDER, "mask": b"\x07" * 32}, {"channel": b"\x07" * 32, "mask": b"\x07" * 32}):
        bad = play(parties, Advert, partial(advertising, table, parties.clients[0], weak), by=[0])
        assert (HUB, "PW-S12") in refusals(bad)


def advertising(table: Table, me: Identity, keys: dict[str, bytes], message: Advert) -> Advert:
    return Advert(record_of(me, table, **keys).raw)


def _owner(parties: Consortium, table: Table, record: Record) -> Any:
    params = Params.of(table.opened)
    for me in parties.clients:
        try:
            verify_records({params.clients.index(me.party): record}, params, parties.roster, table.opened.ctx, check="-")
        except InvalidMessage:
            continue
        return me
    raise LookupError("nobody signed this record")


@pytest.mark.check("PW-S2", "PW-S4", "PW-S8", "PW-S10")
@pytest.mark.parametrize(("check", "kind"), [("PW-S2", Advert), ("PW-S4", Shares), ("PW-S8", Masked), ("PW-S10", Confirm)])
def test_no_phase_ends_below_the_quorum(parties: Consortium, check: str, kind: Any) -> None:
    table = lay(parties)
    changing(parties, table, kind, lose, by=[0, 1])
    outcome = table.play(vectors_of(parties))
    assert isinstance(outcome, SessionAborted)
    assert str(outcome).startswith(check)
    assert (len(outcome.answered), outcome.needed) == (3, 4)


@pytest.mark.check("PW-S7")
@pytest.mark.parametrize("accused", ["client-0", "nobody", "coordinator"])
def test_a_complaint_about_a_stranger_is_refused(parties: Consortium, accused: Any) -> None:
    table = play(parties, Masked, lambda message: Complaint(accused), by=[0])
    assert (HUB, "PW-S7") in refusals(table)


@pytest.mark.check("PW-S13")
def test_seeds_that_do_not_come_back_end_the_round_with_names(parties: Consortium) -> None:
    table = lay(parties)
    for index in (0, 1):
        liar = parties.clients[index]
        changing(parties, table, Reveal, partial(lying_reveal, table, parties, liar), by=[index])
    outcome = table.play(vectors_of(parties))
    assert isinstance(outcome, SessionAborted)
    assert str(outcome).startswith("PW-S13")


def lying_reveal(table: Table, parties: Consortium, liar: Identity, message: Reveal) -> Reveal:
    """Random shares in place of the right ones, in a box that opens."""
    before: Any = table.endpoints[parties.coordinator.party].role.state.before  # type: ignore[attr-defined]
    key = reveal_key(before.uploads[parties.clients.index(liar)].key, before.session.sid)
    lies = join(Secret(field.encode(value)) for value in field.uniform(5, InsecureEntropy(liar.party)))
    return Reveal(seal_box(key, lies, context=reveal_context(table.opened.ctx, before.roots, liar.party)))


@pytest.mark.check("PW-S13")
def test_one_liar_among_five_is_found_out_and_the_sum_is_right(parties: Consortium) -> None:
    """With all five shares there, trying every four of them finds the right seeds, and whose shares do not fit."""
    table, liar = lay(parties), parties.clients[2]
    changing(parties, table, Reveal, partial(lying_reveal, table, parties, liar), by=[2])
    outcome = table.play(vectors_of(parties))
    assert not isinstance(outcome, SessionAborted)
    assert outcome.vector[0] == sum(vector[0] for vector in vectors_of(parties).values())


# --- what a caller may not do


def test_a_client_takes_one_vector_of_the_rounds_shape(parties: Consortium) -> None:
    table = lay(parties)
    role: Any = table.endpoints[parties.clients[0].party].role
    good = np.zeros(VALUES + 2, np.uint32)
    with pytest.raises(LocalProtocolError):
        role.contribute(good, version=0)
    role.start()
    for vector, version in ((good[:-1], 0), (good.astype(np.uint64), 0), (good, 1)):
        with pytest.raises(ConfigError):
            role.contribute(vector, version=version)
    assert role.contribute(good, version=0) == []
    with pytest.raises(LocalProtocolError):
        role.contribute(good, version=0)
    with pytest.raises(LocalProtocolError):
        role.start()
    with pytest.raises(LocalProtocolError):
        role.expire()


def test_guilt_needs_more_doubts_than_there_are_colluders() -> None:
    doubts = Doubts()
    assert doubts.describe(["a", "b", "c"], 1) == ""
    doubts.add(1, 0, "box")
    doubts.add(0, 1, "share")
    assert doubts.guilty(1) == ()
    assert "a or b" in doubts.describe(["a", "b", "c"], 1)
    doubts.add(2, 1, "box")
    assert doubts.guilty(1) == (1,)
    assert doubts.describe(["a", "b", "c"], 1) == "; to blame: b"
