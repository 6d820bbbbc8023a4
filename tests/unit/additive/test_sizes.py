"""What travels, to the byte: a change of these numbers is a change of the protocol, or a loss."""

from __future__ import annotations

import numpy as np
import pytest

from protocols import additive
from secagg.crypto.seal import HYBRID, X25519
from secagg.payload import CHUNK
from secagg.roles import Sum
from secagg.testing.consortium import consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms

pytestmark = pytest.mark.sizes
VALUES = 1_000_000


def played(kem: int, ring_bits: int, aggregators: int = 3) -> Table:
    plan = additive.Plan(clients=3, aggregators=aggregators, bits=8, max_weight=1, ring_bits=ring_bits)
    parties = consortium(3, aggregators, now=NOW, entropy=InsecureEntropy("sizes"), kem=kem)
    everybody = (parties.coordinator, *parties.aggregators, *parties.clients)
    table = Table.lay(plan, parties.roster, everybody, terms(values=VALUES))
    vector = np.ones(VALUES + 2, plan.encoding.ring.dtype)
    assert isinstance(table.play({identity.party: vector for identity in parties.clients}), Sum)
    return table


def envelopes(table: Table, kind: str) -> set[int]:
    return {len(packet.envelope) for packet in table.heard if packet.header.kind == f"additive/{kind}"}


@pytest.mark.parametrize("ring_bits", [16, 24, 32, 48])
def test_a_vector_takes_exactly_its_ring_bits_and_a_tag_per_chunk(ring_bits: int) -> None:
    table = played(X25519, ring_bits)
    packed = (VALUES + 2) * ring_bits // 8
    sizes = {packet.payload.size for packet in table.heard if packet.payload is not None}
    assert sizes == {packed + 16 * -(-packed // (CHUNK - 16))}


@pytest.mark.parametrize(("kem", "leader", "others"), [(X25519, 433, 395), (HYBRID, 1522, 1484)])
def test_a_report_costs_a_few_hundred_bytes_beside_its_vector(kem: int, leader: int, others: int) -> None:
    table = played(kem, 16)
    assert envelopes(table, "Report") == {leader, others}


def test_the_other_messages_do_not_grow_with_the_vector() -> None:
    table = played(HYBRID, 16)
    sizes = {kind: envelopes(table, kind) for kind in ("Accepted", "Close", "Listed", "Agreed", "Ahead", "Share")}
    assert sizes == {"Accepted": {315, 318}, "Close": {192}, "Listed": {335}, "Agreed": {326, 327}, "Ahead": {267}, "Share": {1434, 1439}}


@pytest.mark.parametrize("ring_bits", [16, 32])
def test_a_client_sends_at_most_a_thousandth_more_than_its_packed_vector(ring_bits: int) -> None:
    """For the 10^7 values of a large adapter; the envelopes are the same at any length."""
    table = played(HYBRID, ring_bits)
    values = 10_000_000
    packed = values * ring_bits // 8
    fixed = sum(len(packet.envelope) for packet in table.heard if packet.header.sender == "client-0")
    assert packed + 16 * -(-packed // (CHUNK - 16)) + fixed <= 1.001 * packed
