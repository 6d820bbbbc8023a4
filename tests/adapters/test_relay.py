"""Anything that carries bytes carries a secure round: the toy stack, its drop-outs, and what it gets to see."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import numpy as np
import pytest

from protocols import additive, ckks, pairwise
from protocols.ckks import threshold
from secagg.adapters.bag import open_bag, pack_bag
from secagg.adapters.party import Party, Train
from secagg.adapters.relay import Relay
from secagg.errors import ConfigError, LocalProtocolError, MalformedMessage, SessionAborted
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.roles import Plan
from secagg.testing.consortium import consortium
from tests.adapters.toy import ToyStack

SHAPE = (8, 16)
PLANS: dict[str, Plan] = {
    "additive": additive.Plan(clients=5, aggregators=2, clip=4.0, max_weight=512),
    "pairwise": pairwise.Plan(clients=5, clip=4.0, max_weight=512),
    "ckks": ckks.Plan(clients=5, clip=4.0, max_weight=512),
    "ckks-threshold": threshold.Plan(clients=5, keyholders=2, clip=4.0, max_weight=512),
}
WEIGHTS = {f"client-{index}": 32 * (index + 1) for index in range(5)}


class World:
    def __init__(self, protocol: str, *, gone: Mapping[str, int] | None = None) -> None:
        self.plan = PLANS[protocol]
        aggregators = getattr(self.plan, "aggregators", 0)
        keyholders = getattr(self.plan, "keyholders", int(protocol == "ckks"))
        self.parties = consortium(5, aggregators, keyholders=keyholders, now=time.time(), entropy=os.urandom)
        beside = self.parties.aggregators[:1]
        nodes: dict[str, Identity] = {
            one.party: one for one in (*self.parties.clients, *self.parties.aggregators[1:], *self.parties.keyholders)
        }
        self.gone, self.round = dict(gone or {}), 0
        self.stack = ToyStack(nodes, self.train)
        self.relay = Relay(self.plan, self.parties.coordinator, beside=beside, ledger=Ledger())
        self.updates: dict[tuple[int, str], np.ndarray] = {}

    def train(self, name: str) -> Train:
        def fit(model):
            if self.gone.get(name) == self.round:
                raise ConnectionError(name)
            rng = np.random.default_rng([self.round, *name.encode()])
            update = {"w": rng.normal(0, 0.1, SHAPE).astype(np.float32)}
            self.updates[self.round, name] = update["w"]
            return update, WEIGHTS[name]

        return fit

    def run(self, model):
        self.round += 1
        return self.relay.aggregate(model, list(WEIGHTS), self.stack.exchange, seconds=10)


@pytest.mark.parametrize("protocol", PLANS)
def test_three_rounds_over_a_toy_stack_give_the_plain_mean_of_those_who_stayed(protocol: str) -> None:
    world, model = World(protocol, gone={"client-3": 2}), {"w": np.zeros(SHAPE, np.float32)}
    plain = model["w"].copy()
    for number in (1, 2, 3):
        result = world.run(model)
        stayed = [name for name in WEIGHTS if world.gone.get(name) != number]
        assert list(result.included) == stayed
        assert set(result.left) == set(WEIGHTS) - set(stayed)
        assert result.weight == sum(WEIGHTS[name] for name in stayed)
        plain = plain + sum(world.updates[number, name] * WEIGHTS[name] for name in stayed) / result.weight
        model = {"w": model["w"] + result.mean["w"]}
        np.testing.assert_allclose(model["w"], plain, atol=number * 4.0 / 2**15)
    assert not any(kept for name, kept in world.stack.stored.items() if name.startswith("client") and protocol == "pairwise")
    world.relay.close(world.stack.exchange)


@pytest.mark.parametrize("protocol", PLANS)
def test_what_a_stack_carries_and_stores_shows_no_update(protocol: str) -> None:
    world = World(protocol)
    world.run({"w": np.zeros(SHAPE, np.float32)})
    told = b"".join(bag + back for _, bag, back in world.stack.messages) + b"".join(world.stack.stored.values())
    for update in world.updates.values():
        assert update.tobytes()[:16] not in told
    for identity in world.stack.nodes.values():
        assert identity.signing.seed.expose() not in told


def test_too_few_parties_abort_and_say_who_was_missing() -> None:
    world = World("additive", gone=dict.fromkeys(["client-0", "client-1", "client-2"], 1))
    with pytest.raises(SessionAborted):
        world.run({"w": np.zeros(SHAPE, np.float32)})


@pytest.mark.parametrize("remembers", [True, False], ids=["ledger on disk", "weakened: no ledger"])
def test_an_older_state_that_the_stack_gives_back_says_nothing_new(remembers: bool) -> None:
    """The stack gives each state back twice, to get two different uploads under the same masks."""
    world, model = World("pairwise"), {"w": np.zeros(SHAPE, np.float32)}
    bags = world.relay.begin(model, list(WEIGHTS))
    world.round = 1
    kept, ledger, uploads = b"", Ledger(), []
    name = "client-0"

    def exchange(bags, seconds):
        nonlocal kept
        for party, bag in bags.items():
            if party != name:
                yield from world.stack.exchange({party: bag}, seconds)
                continue
            before = kept
            for attempt in range(2):
                with Party(world.stack.nodes[name], before, ledger=ledger if remembers else Ledger()) as one:
                    back = one.answer(bag, world.train(name))
                    kept = kept if attempt else one.keep()
                uploads.append((attempt, back))
            yield uploads[-2][1]

    result = world.relay.finish(exchange(bags, 10), exchange)
    assert name in result.included
    second = [packet for attempt, back in uploads if attempt for packet in open_bag(back)]
    assert ("pairwise/Masked" in [packet.header.kind for packet in second]) is not remembers


def test_a_kept_state_opens_for_its_party_only() -> None:
    world = World("pairwise")
    bags = world.relay.begin({"w": np.zeros(SHAPE, np.float32)}, list(WEIGHTS))
    list(world.stack.exchange(bags, 10))
    with pytest.raises(ConfigError, match="not a snapshot of client-1"):
        Party(world.stack.nodes["client-1"], world.stack.stored["client-0"], ledger=Ledger())


def test_only_the_coordinator_relays_and_a_client_needs_a_way_to_train() -> None:
    world = World("additive")
    with pytest.raises(ConfigError, match="coordinator's keys"):
        Relay(world.plan, world.parties.clients[0])
    bags = world.relay.begin({"w": np.zeros(SHAPE, np.float32)}, list(WEIGHTS))
    with Party(world.parties.clients[0], ledger=Ledger()) as party, pytest.raises(ConfigError, match="no way to train"):
        party.answer(bags[party.me.party])


def test_a_weight_beyond_the_round_is_refused_before_anything_is_sent() -> None:
    world = World("additive")
    bags = world.relay.begin({"w": np.zeros(SHAPE, np.float32)}, list(WEIGHTS))
    with Party(world.parties.clients[0], ledger=Ledger()) as party, pytest.raises(ConfigError, match="outside 1 … 512"):
        party.answer(bags[party.me.party], lambda model: (model, 513))


def test_a_bag_is_read_as_it_was_packed_and_any_cut_of_it_is_malformed() -> None:
    world = World("additive")
    bag = next(iter(world.relay.begin({"w": np.zeros(SHAPE, np.float32)}, list(WEIGHTS)).values()))
    assert pack_bag(open_bag(bag)) == bag
    for size in range(1, len(bag)):
        with pytest.raises(MalformedMessage):
            open_bag(bag[:size])
    assert open_bag(b"") == []


def test_a_stack_that_brings_the_model_itself_carries_it_once() -> None:
    world = World("additive")
    relay = Relay(world.plan, world.parties.coordinator, beside=world.parties.aggregators, ledger=Ledger(), carry_model=False)
    model = {"w": np.ones(SHAPE, np.float32)}
    bags = relay.begin(model, list(WEIGHTS))
    assert not any(packet.payload for bag in bags.values() for packet in open_bag(bag))
    with Party(world.parties.clients[0], ledger=Ledger()) as party:
        assert party.answer(bags[party.me.party], lambda given: ({"w": given["w"] * 0}, 1), model=model)
    with Party(world.parties.clients[1], ledger=Ledger()) as party:
        other = {"w": model["w"] + 1}
        (packet,) = open_bag(party.answer(bags[party.me.party], lambda given: (given, 1), model=other))
    assert packet.header.kind == "round/Abort"
    assert [str(one.error) for one in party.refused if "the model that came with the round" in str(one.error)]


def test_a_round_that_does_not_begin_leaves_nothing_to_take_for_its_sum() -> None:
    world = World("pairwise")
    model = {"w": np.zeros(SHAPE, np.float32)}
    assert len(world.run(model).included) == 5
    with pytest.raises(SessionAborted, match="clients of 2 organisations are there, 3 needed"):
        world.relay.begin(model, list(WEIGHTS)[:2])
    with pytest.raises(LocalProtocolError, match="no round has begun"):
        world.relay.finish([], world.stack.exchange)
    assert len(world.run(model).included) == 5
