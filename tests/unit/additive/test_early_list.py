"""Lists that are told before the collector closes: an aggregator that holds the whole cohort's reports has nothing to wait for."""

from __future__ import annotations

import numpy as np
import pytest

from protocols import additive
from protocols.additive.messages import Agreed, Close, Listed, Report
from secagg.envelope import Packet
from secagg.errors import UnexpectedMessage
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.roles import Sum, Vector
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Fault, Table, deliver, terms
from secagg.types import PartyId

VALUES = 6
PLAN = additive.Plan(clients=4, aggregators=3, bits=12, max_weight=1, ring_bits=32)


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return consortium(4, 3, now=NOW, entropy=InsecureEntropy("lists"), kem=0x20)


def lay(parties: Consortium, fault: Fault, seed: int = 0) -> Table:
    everybody = (parties.coordinator, *parties.aggregators, *parties.clients)
    return Table.lay(PLAN, parties.roster, everybody, terms(values=VALUES), fault=fault, seed=seed)


def play(parties: Consortium, table: Table, without: PartyId | None = None) -> None:
    """Run a round and check its sum."""
    vectors: dict[PartyId, Vector] = {me.party: np.full(VALUES + 2, 10**place, np.uint32) for place, me in enumerate(parties.clients)}
    total = table.play(vectors)
    assert isinstance(total, Sum)
    assert np.array_equal(total.vector, sum(vector for name, vector in vectors.items() if name != without))
    assert not table.refused


def told_before_close(table: Table) -> dict[PartyId, int]:
    """How many lists every aggregator had sent when the collector's Close reached it; filled in while the round is played."""
    told = dict[PartyId, int]()

    def watch(table: Table, packet: Packet) -> None:
        if packet.header.kind == Close.KIND:
            me = packet.header.recipient
            sent = [*table.heard, *table.under_way]
            told[me] = sum(other.header.kind == Listed.KIND and other.header.sender == me for other in sent)

    table.watch = watch
    return told


@pytest.mark.parametrize("seed", range(5))
def test_an_aggregator_that_holds_all_reports_has_told_its_list_before_the_close_reaches_it(parties: Consortium, seed: int) -> None:
    table = lay(parties, deliver, seed)
    told = told_before_close(table)
    play(parties, table)
    assert told == {me.party: 2 for me in parties.aggregators}


def test_an_aggregator_that_lacks_a_report_tells_its_list_at_the_close_and_nobody_tells_it_twice(parties: Consortium) -> None:
    leader, lost = parties.aggregators[0].party, parties.clients[2].party

    def fault(packet: Packet) -> list[Packet]:
        gone = (packet.header.kind, packet.header.sender, packet.header.recipient) == (Report.KIND, lost, leader)
        return [] if gone else [packet]

    table = lay(parties, fault)
    told = told_before_close(table)
    play(parties, table, without=lost)
    assert told == {me.party: 0 if me.party == leader else 2 for me in parties.aggregators}
    for me in parties.aggregators:
        assert sum(packet.header.kind == Listed.KIND and packet.header.sender == me.party for packet in table.heard) == 2


def test_signatures_that_overtake_the_close_wait_for_it(parties: Consortium) -> None:
    late = parties.aggregators[1].party
    waiting, signed = list[Packet](), list[PartyId]()

    def fault(packet: Packet) -> list[Packet]:
        """The Close to one aggregator is delivered after both the others' signatures."""
        if packet.header.recipient != late or packet.header.kind not in (Close.KIND, Agreed.KIND):
            return [packet]
        if packet.header.kind == Agreed.KIND:
            signed.append(packet.header.sender)
            return [packet, *(waiting if len(signed) == 2 else [])]
        waiting.append(packet)
        return waiting if len(signed) == 2 else []

    table = lay(parties, fault)
    play(parties, table)
    kinds = [packet.header.kind for packet in table.heard if packet.header.recipient == late]
    assert kinds.count(Agreed.KIND) == 2
    assert kinds.index(Close.KIND) > max(place for place, kind in enumerate(kinds) if kind == Agreed.KIND)


def test_a_signature_before_the_own_list_is_told_is_not_due(parties: Consortium) -> None:
    opened = lay(parties, deliver).opened
    role = PLAN.role(opened, parties.aggregators[1], policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy("early"))
    with pytest.raises(UnexpectedMessage, match="Agreed is not due in accepting"):
        role.receive(parties.aggregators[0].party, Agreed((), bytes(32), bytes(64)))
