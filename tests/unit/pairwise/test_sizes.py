"""What travels, to the byte: a change of these numbers is a change of the protocol, or a loss."""

from __future__ import annotations

import numpy as np
import pytest

from protocols import pairwise
from secagg.crypto.seal import HYBRID, X25519
from secagg.envelope import Packet
from secagg.errors import LocalProtocolError
from secagg.ledger import Ledger
from secagg.payload import CHUNK
from secagg.policy import Policy
from secagg.roles import Sum
from secagg.snapshot import open_state, seal_state
from secagg.testing.consortium import consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from tests.unit.pairwise.rig import PLAN, VALUES, crowd, lay, vectors_of

LONG = 600_000


def played(clients: int, values: int = VALUES, *, kem: int = X25519, ring_bits: int = 32) -> Table:
    plan = pairwise.Plan(clients=clients, bits=8, max_weight=1, ring_bits=ring_bits)
    parties = consortium(clients, now=NOW, entropy=InsecureEntropy("sizes"), kem=kem)
    table = Table.lay(plan, parties.roster, (parties.coordinator, *parties.clients), terms(values=values))
    vector = np.ones(values + 2, plan.encoding.ring.dtype)
    assert isinstance(table.play({me.party: vector for me in parties.clients}), Sum)
    return table


def largest(table: Table) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for packet in table.heard:
        kind = packet.header.kind.partition("/")[2]
        sizes[kind] = max(sizes.get(kind, 0), len(packet.envelope))
    return sizes


@pytest.mark.sizes
@pytest.mark.parametrize("ring_bits", [16, 24, 32, 48])
def test_a_vector_takes_exactly_its_ring_bits_and_a_tag_per_chunk(ring_bits: int) -> None:
    packed = (LONG + 2) * ring_bits // 8
    sizes = {packet.payload.size for packet in played(3, LONG, ring_bits=ring_bits).heard if packet.payload is not None}
    assert sizes == {packed + 16 * -(-packed // (CHUNK - 16))}


@pytest.mark.sizes
def test_messages_have_their_size() -> None:
    """Beside an envelope of about 250 bytes: 114 a box, 33 a share, 208 an advert, 112 a survivor and 16 more one way."""
    ten, twenty = largest(played(10)), largest(played(20))
    grown = {kind: (twenty[kind] - ten[kind]) for kind in ten}
    assert {kind: round(size / 10) for kind, size in grown.items()} == {
        "Advert": 0,
        "Adverts": 208,
        "Shares": 114,
        "Inbox": 114,
        "Masked": 0,
        "Survivors": 32,
        "Confirm": 16,
        "Agreement": 80,
        "Reveal": 33,
    }


@pytest.mark.sizes
def test_the_hybrid_seal_is_paid_once() -> None:
    plain, hybrid = largest(played(4)), largest(played(4, kem=HYBRID))
    assert {kind: hybrid[kind] - plain[kind] for kind in plain if kind != "Masked"} == dict.fromkeys(plain.keys() - {"Masked"}, 0)
    assert hybrid["Masked"] - plain["Masked"] == 1088 + 2  # both lengths around it take a byte more


def test_a_role_is_put_away_and_taken_up_between_any_two_messages() -> None:
    """Frameworks that call a client in a new process for every message: state to sealed bytes and back, after every packet."""
    parties, dice = crowd(), InsecureEntropy("put away")
    ledgers = {me.party: Ledger() for me in (parties.coordinator, *parties.clients)}
    table = lay(parties, ledgers=ledgers)

    def renew(table: Table, packet: Packet) -> None:
        name = packet.header.recipient
        end, me = table.endpoints[name], parties.identity(name)
        sealed = seal_state(end.role.state, me=me, ctx=end.round.ctx, entropy=dice)
        end.role = PLAN.role(end.round, me, policy=Policy(), ledger=ledgers[name], entropy=dice)
        end.role.resume(open_state(sealed, PLAN.STATES, me=me, ctx=end.round.ctx))

    table.watch = renew
    outcome = table.play(vectors_of(parties))
    assert isinstance(outcome, Sum)
    assert np.array_equal(outcome.vector, sum(vectors_of(parties).values()))


def test_only_a_fresh_role_goes_on_from_a_state_of_its_own() -> None:
    table = lay(crowd())
    for end in table.endpoints.values():
        with pytest.raises(LocalProtocolError, match="own states"):
            end.role.resume(object())
        state = end.role.state
        end.start()
        with pytest.raises(LocalProtocolError, match="own states"):
            end.role.resume(state)
