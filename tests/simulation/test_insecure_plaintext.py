"""The plaintext round, which others are measured against, keeps the common rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, MalformedMessage, UnexpectedMessage
from secagg.payload import Blob
from secagg.runtime.client import Offer
from secagg.testing.insecure_plaintext import Plan, Update, add_words, pack_words
from tests.simulation.world import VALUES, World

PLAN = Plan(clients=4, clip=1.0, bits=20, max_weight=10)


@pytest.mark.parametrize("ring_bits", [24, 32, 48, 64])
@pytest.mark.parametrize("values", [1, 10, 400_000])
def test_packed_words_add_up_in_every_ring(ring_bits: int, values: int):
    encoding = Plan(clients=4, bits=8, max_weight=1, ring_bits=ring_bits).encoding
    words = np.arange(values).astype(encoding.ring.dtype) % 1000
    total = encoding.ring.zeros(values)
    for _ in range(3):
        add_words(total, pack_words(words, encoding), encoding)
    np.testing.assert_array_equal(total, words * 3)


@pytest.mark.check("PL-C1")
def test_an_update_that_does_not_fit_is_refused():
    world = World(PLAN)
    world.begin()
    role = world.coordinator._endpoint.role
    words = pack_words(world.plan.encoding.ring.zeros(VALUES + 2), world.plan.encoding)
    for sender, update in [
        ("stranger", Update(1, words)),
        (world.clients[0], Update(9, words)),
        (world.clients[0], Update(1, Blob(bytes(words.size - 1)))),
    ]:
        with pytest.raises(InvalidMessage, match="PL-C1"):
            role.receive(sender, update)
    role.receive(world.clients[0], Update(1, words))
    with pytest.raises(UnexpectedMessage):
        role.receive(world.clients[0], Update(1, words))


@pytest.mark.check("PL-P1")
def test_another_protocol_or_version_is_refused():
    world = World(PLAN)
    world.begin()
    described = world.coordinator.opened.description
    assert Plan.from_description(described).encoding == PLAN.encoding
    for other in (replace(described, protocol="additive"), replace(described, version=9)):
        with pytest.raises(InvalidMessage, match="PL-P1"):
            Plan.from_description(other)


def test_its_roles_do_what_is_due_and_nothing_else():
    world = World(PLAN, aggregators=1)
    world.begin()
    client = world.agents[world.clients[0]]
    assert isinstance(world.offer(world.clients[0]), Offer)
    role = client.seat.endpoint.role
    with pytest.raises(LocalProtocolError):
        role.expire()
    with pytest.raises(LocalProtocolError):
        role.resume("ready")
    with pytest.raises(UnexpectedMessage):
        role.receive("coordinator", Update(1, Blob(b"")))
    assert role.state == "failed"
    with pytest.raises(LocalProtocolError):
        role.contribute(PLAN.encoding.ring.zeros(VALUES + 2), version=1)
    with pytest.raises(MalformedMessage):
        Update.from_wire(b"short", Blob(b""))
    with pytest.raises(ConfigError, match="has clients and a coordinator"):
        PLAN.role(world.coordinator.opened, world.parties.identity("aggregator-0"), policy=None, ledger=None, entropy=None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="head-room for 2"):
        Plan(clients=2).describe(world.task._terms(tuple(world.clients), 1.0), world.parties.roster)
    assert (PLAN.staleness_factor(0), PLAN.staleness_factor(1)) == (1, None)
