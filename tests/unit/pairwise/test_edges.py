"""What only a careless caller or a hostile peer meets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocols.pairwise.client import UPLOAD, upload_context
from protocols.pairwise.intake import Masking, take_masked
from protocols.pairwise.messages import Masked, Reveal, Survivors
from protocols.pairwise.plan import COMPLETE, Plan
from protocols.pairwise.reveal import reveal_context, reveal_key
from secagg.crypto.pairs import seal_box
from secagg.crypto.stream import commitment
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, MalformedMessage
from secagg.ledger import Ledger
from secagg.payload import Blob
from secagg.policy import Floors, Policy
from secagg.roles import Sum
from secagg.testing.consortium import consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, terms
from secagg.types import Secret
from secagg.wire.v1 import pairwise_pb2 as pb
from tests.unit.pairwise.rig import PLAN, VALUES, changing, crowd, lay, vectors_of
from tests.unit.pairwise.stage import Stage


def test_a_message_without_what_it_must_carry_is_malformed() -> None:
    body, _ = Masked(0, b"sealed", bytes(32), Blob(b"")).to_wire()
    with pytest.raises(MalformedMessage, match="missing"):
        Masked.from_wire(body, None)
    for sealed in (b"", bytes(5000)):
        body, _ = Masked(0, sealed, bytes(32), Blob(b"")).to_wire()
        with pytest.raises(MalformedMessage, match="sealed key"):
            Masked.from_wire(body, Blob(b""))
    for size in (0, 16, 17, 48):
        with pytest.raises(MalformedMessage, match="reveal"):
            Reveal.from_wire(Reveal(bytes(size)).to_wire()[0], None)
    with pytest.raises(MalformedMessage, match="33 bytes are not made of items of 32"):
        Survivors.from_wire(pb.PairwiseSurvivors(present=b"\x07", digests=bytes(33)).SerializeToString(), None)
    with pytest.raises(MalformedMessage, match="no payload"):
        Reveal.from_wire(Reveal(bytes(49)).to_wire()[0], Blob(b"x"))


def test_an_upload_whose_key_has_another_length_is_refused() -> None:
    parties = crowd()
    stage = Stage.of(parties)
    said = [stage.give(place, client.start()) for place, client in enumerate(stage.clients)][-1]
    for item in said:
        stage.tell(item)
    state = stage.server.state
    assert isinstance(state, Masking)
    name, payload = parties.clients[0].party, Blob(bytes(stage.params.payload_size))
    context = upload_context(stage.opened.ctx, state.session.sid, name)
    sealed = parties.coordinator.member.sealing.seal(Secret(bytes(16)), purpose=UPLOAD, context=context)
    with pytest.raises(InvalidMessage, match="another length"):
        take_masked(state, Masked(0, sealed, commitment(payload), payload), 0, desk=stage.server._desk)


def test_bytes_that_are_no_share_are_found_out_like_a_wrong_one() -> None:
    parties = crowd()
    table = lay(parties)

    def nonsense(message: Reveal) -> Reveal:
        before: Any = table.endpoints[parties.coordinator.party].role.state.before  # type: ignore[attr-defined]
        key = reveal_key(before.uploads[0].key, before.session.sid)
        return Reveal(
            seal_box(key, Secret(b"\xff" * 165), context=reveal_context(table.opened.ctx, before.roots, parties.clients[0].party))
        )

    changing(parties, table, Reveal, nonsense, by=[0])
    outcome = table.play(vectors_of(parties))
    assert isinstance(outcome, Sum)
    assert outcome.vector[0] == sum(vector[0] for vector in vectors_of(parties).values())


def test_clients_have_no_clock_and_servers_start_once() -> None:
    parties = crowd()
    table = lay(parties)
    server, client = (table.endpoints[me.party].role for me in (parties.coordinator, parties.clients[0]))
    assert (client.patience, client.result, server.result) == (None, None, None)
    server.start()
    with pytest.raises(LocalProtocolError, match="started already"):
        server.start()
    table = lay(parties)
    assert isinstance(table.play(vectors_of(parties)), Sum)
    done: Any = table.endpoints[parties.coordinator.party].role
    assert (done.patience, done.expire(), done.blamed, done._complete()) == (None, [], (), False)


def test_phases_end_within_the_two_periods_of_the_description() -> None:
    """The runtime gives an attempt its submit period and four finish periods: all deadlines together take less."""
    parties = crowd()
    described = PLAN.describe(terms(values=VALUES), parties.roster)
    stage = Stage.of(parties)
    waits = [stage.server.patience]
    said = stage.until_survivors()
    waits += [described.finish_seconds / 2, described.submit_seconds, stage.server.patience]
    for item in said:
        stage.tell(item)
    waits.append(stage.server.patience)
    assert sum(wait for wait in waits if wait) < described.submit_seconds + 4 * described.finish_seconds


def test_a_plan_takes_the_graph_that_fits() -> None:
    assert Plan(clients=COMPLETE).thresholds(COMPLETE) == (43, 43)
    threshold, quorum = Plan(clients=100, max_weight=1).thresholds(100)
    assert threshold < 50 < quorum == 90
    assert Plan(clients=100, threshold=67, max_weight=1).thresholds(100) == (67, 67)
    assert Plan(clients=70, dropout=0.6, max_weight=1).thresholds(70) == (47, 47), "no sparse graph stands so many drop-outs"
    assert Plan(clients=70, floors=Floors(colluders=30), max_weight=1).thresholds(70) == (51, 51)
    assert (PLAN.staleness_factor(0), PLAN.staleness_factor(1)) == (1, None)


def test_a_round_for_too_few_is_described_and_refused_by_everybody() -> None:
    parties = crowd()
    two = tuple(me.party for me in parties.clients[:2])
    described = PLAN.describe(replace(terms(values=VALUES), cohort=two), parties.roster)
    assert described.floors.threshold > len(two)


def test_a_plan_has_head_room_and_roles_for_its_own_parties_only() -> None:
    with pytest.raises(ConfigError, match="raise `clients`"):
        Plan(clients=4).describe(terms(values=VALUES), crowd(5).roster)
    parties = consortium(5, 1, now=NOW, entropy=InsecureEntropy("helpers"), kem=0x20)
    opened = Stage.of(crowd()).opened
    with pytest.raises(ConfigError, match="clients and a coordinator"):
        PLAN.role(opened, parties.aggregators[0], policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy("none"))
    described = PLAN.describe(terms(values=VALUES), crowd().roster)
    unsafe = replace(described, floors=replace(described.floors, n_min=6))
    with pytest.raises(InvalidMessage, match="PW-P4"):
        Plan.from_description(unsafe)


def test_the_description_of_a_sparse_round_makes_the_same_plan() -> None:
    plan = Plan(clients=100, max_weight=1)
    described = plan.describe(terms(values=VALUES), crowd(100).roster)
    again = Plan.from_description(described)
    assert (again.encoding, again.floors, again.thresholds(100)) == (plan.encoding, described.floors, plan.thresholds(100))
