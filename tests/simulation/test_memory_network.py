"""Laws of rounds on the memory network: what travels may be lost, late, repeated or damaged, and a sum is exact or is not."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from protocols import additive
from secagg.control import Describe, Publish
from secagg.encode.layout import Layout
from secagg.envelope import Packet, pack
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, SessionAborted
from secagg.payload import Blob, join
from secagg.policy import Floors, Policy
from secagg.roles import Sum
from secagg.runtime.attendant import Ended, Published, Refused
from secagg.runtime.client import Finished, Missed, Offer
from secagg.runtime.ending import Ending, ending_context
from secagg.runtime.memory import MemoryNetwork
from secagg.runtime.model import Expectation, Model
from secagg.simulate import simulate
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.insecure_plaintext import Plan as Plaintext
from secagg.testing.network import Faults, FaultyNetwork
from tests.simulation.world import NOW, VALUES, World

UPDATES = [{"a": np.full((3, 4), (index + 1) / 100, np.float32), "b": np.full(5, -index / 100, np.float32)} for index in range(5)]
PLANS: dict[str, Any] = {
    "plaintext": Plaintext(clients=5, clip=1.0, bits=20, max_weight=100),
    "additive": additive.Plan(clients=5, aggregators=3, clip=1.0, bits=20, max_weight=100),
}


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "secagg")


def mean_of(indices, weights):
    total = sum(weights[index] for index in indices)
    return sum(weights[index] * UPDATES[index]["a"] for index in indices) / total


@pytest.mark.parametrize("name", PLANS)
def test_the_mean_is_that_of_the_clients_included(name):
    weights = [1, 20, 3, 4, 50]
    result = simulate(PLANS[name], UPDATES, weights, drop=[1, 3])
    assert result.included == ("client-0", "client-2", "client-4")
    assert result.weight == 54
    np.testing.assert_allclose(result.mean["a"], mean_of([0, 2, 4], weights), atol=1e-5)
    assert result.mean["a"].dtype == np.float32
    assert "client-1" not in result.bytes_up


@pytest.mark.parametrize("name", PLANS)
def test_every_round_leaves_a_receipt_of_what_it_opened(name):
    result = simulate(PLANS[name], UPDATES)
    assert result.receipt.included == result.included
    result.receipt.verify()


@pytest.mark.parametrize("name", PLANS)
def test_fewer_than_the_floor_open_nothing(name):
    with pytest.raises(SessionAborted, match="2 organisations have reported") as caught:
        simulate(PLANS[name], UPDATES, drop=[0, 1, 2])
    assert caught.value.needed == 3


def test_a_client_may_fall_silent_before_any_kind_of_message():
    result = simulate(PLANS["additive"], UPDATES, drop={2: "additive/Report"})
    assert "client-2" not in result.included


def test_a_kind_of_message_that_the_protocol_does_not_have_is_refused():
    with pytest.raises(ConfigError, match=r"'pairwise/Masked'; it has .*additive/Report"):
        simulate(PLANS["additive"], UPDATES, drop={2: "pairwise/Masked"})


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("seed", range(8))
def test_lost_repeated_late_and_damaged_packets_give_the_exact_sum_or_no_sum(name, seed):
    faults = Faults(InsecureEntropy(f"{name}/{seed}"), lose=0.03, repeat=0.2, reorder=0.2, corrupt=0.03)
    weights = [1, 2, 3, 4, 5]
    try:
        result = simulate(PLANS[name], UPDATES, weights, fault=faults)
    except SessionAborted:
        return
    included = [int(party[-1]) for party in result.included]
    assert result.weight == sum(weights[index] for index in included)
    np.testing.assert_allclose(result.mean["a"], mean_of(included, weights), atol=1e-5)


def test_the_faults_above_let_some_rounds_through_and_stop_others():
    outcomes = set()
    for seed in range(8):
        try:
            faults = Faults(InsecureEntropy(f"additive/{seed}"), lose=0.03, repeat=0.2, reorder=0.2, corrupt=0.03)
            outcomes.add(len(simulate(PLANS["additive"], UPDATES, fault=faults).included))
        except SessionAborted:
            outcomes.add(0)
    assert len(outcomes) > 1


@pytest.mark.parametrize("name", PLANS)
def test_repeated_and_late_packets_cost_nobody_the_round(name):
    world = World(PLANS[name], clients=5, aggregators=3 if name == "additive" else 0, network=FaultyNetwork(now=NOW, seed=1, repeat=0.5))
    world.begin()
    world.submit(*world.clients)
    world.settle()
    assert set(world.coordinator.total.included) == set(world.clients)


def test_time_is_virtual():
    world = World(PLANS["plaintext"])
    world.begin(seconds=86_400)
    world.submit(*world.clients[:3])
    world.settle()
    assert world.network.now >= NOW + 86_400
    assert len(world.coordinator.total.included) == 3


def test_the_same_network_twice_is_the_same_to_the_byte():
    sent = []
    for _ in range(2):
        world = World(PLANS["additive"], aggregators=3, seed=7)
        world.begin()
        world.submit(*world.clients)
        world.settle()
        sent.append((dict(world.network.sent), world.coordinator.opened.ctx.rd))
    assert sent[0] == sent[1]


def test_a_packet_that_is_no_packet_is_counted_and_dropped():
    network = MemoryNetwork(now=NOW, fault=lambda sender, recipient, packet: [Packet(packet.header, b"\xff" * 40, packet.payload)])
    world = World(PLANS["plaintext"], network=network)
    world.begin()
    assert network.refused == 4
    assert all(not world.events[name] for name in world.clients)


# Attempts and rounds.


def test_a_new_attempt_over_the_same_model_sends_the_same_update_again_with_fresh_randomness():
    reports = []

    def watch(sender, recipient, packet):
        if packet.header.kind == "additive/Report" and (sender, recipient) == ("client-0", "aggregator-0"):
            reports.append(join(packet.payload))
        return [packet]

    world = World(PLANS["additive"], aggregators=3, network=MemoryNetwork(now=NOW, fault=watch))
    world.begin()
    world.submit(*world.clients)
    world.network.send(world.coordinator.stop(SessionAborted("an aggregator was restarted")))
    world.network.run(until=lambda: not world.network._queue)
    world.begin()
    world.settle()
    assert world.coordinator.opened.ctx.attempt == 2
    assert set(world.coordinator.total.included) == set(world.clients)
    assert all(len(world.told(name, Offer)) == 1 for name in world.clients), "the model was offered a second time"
    assert len(reports) == 2
    assert reports[0] != reports[1]


def test_an_update_that_comes_too_late_is_missed_and_the_next_round_goes_on():
    world = World(PLANS["plaintext"])
    late, rest = world.clients[0], world.clients[1:]
    world.begin()
    world.submit(*rest)
    world.settle()
    world.publish()
    stale = world.offer(late)
    world.submit(late, offer=stale)
    assert world.told(late, Missed) == [Missed(1, "no update had come when the batch was closed")]
    world.begin()
    assert world.offer(late).round == 2
    world.submit(*world.clients)
    world.settle()
    assert set(world.coordinator.total.included) == set(world.clients)


def test_a_late_update_does_not_slip_into_the_next_round_over_an_unchanged_model():
    world = World(PLANS["plaintext"])
    late, rest = world.clients[0], world.clients[1:]
    world.begin()
    stale = world.offer(late)
    world.submit(*rest)
    world.settle()
    world.publish()
    world.begin()
    world.submit(late, offer=stale)
    world.submit(*rest)
    world.settle()
    assert late not in world.coordinator.total.included


def test_in_a_buffered_task_a_late_update_goes_into_the_next_batch_with_its_factor():
    world = World(Plaintext(clients=4, clip=1.0, bits=20, max_weight=10, staleness=(4, 1), quorum=3))
    late, rest = world.clients[0], world.clients[1:]
    world.begin()
    stale = world.offer(late)
    world.submit(*rest, weight=2)
    world.settle()
    opened = world.publish()
    assert opened.weight == 3 * 2 * 4
    world.task.publish(opened.mean)
    world.submit(late, offer=stale, weight=3)
    world.begin()
    world.submit(*rest[:2], weight=2)
    world.settle()
    assert late in world.coordinator.total.included
    assert world.publish().weight == 3 * 1 + 2 * 2 * 4


def test_a_version_that_is_too_old_goes_nowhere():
    world = World(Plaintext(clients=4, clip=1.0, bits=20, max_weight=10, staleness=(2, 1), quorum=3))
    late, rest = world.clients[0], world.clients[1:]
    world.begin()
    stale = world.offer(late)
    for _ in range(2):
        world.submit(*rest)
        world.settle()
        world.task.publish(world.publish().mean)
        world.begin()
    world.submit(late, offer=stale)
    assert not world.agents[late].seat.contributed
    assert any("closed" in missed.reason for missed in world.told(late, Missed))


def test_one_round_takes_one_update_of_a_client():
    world = World(PLANS["plaintext"])
    world.begin()
    world.submit(world.clients[0])
    with pytest.raises(LocalProtocolError, match="has this client's update"):
        world.submit(world.clients[0])


def test_a_restarted_client_that_has_sent_uses_its_slot_no_second_time():
    world = World(PLANS["additive"], aggregators=3)
    name = world.clients[0]
    world.begin()
    described = world.coordinator.describe(name)
    world.submit(name)
    world.network.run(until=lambda: not world.network._queue)
    world.restart(name)
    world.events[name].clear()
    world.network.send(described)
    world.network.run(until=lambda: not world.network._queue)
    world.submit(name)
    assert world.agents[name].seat is None
    world.submit(*world.clients[1:])
    world.settle()
    total = world.task.decode(world.coordinator.total, world.coordinator.opened)
    assert total.weight == len(world.coordinator.total.included) == 4
    assert "used before" in world.coordinator.left[name]


def test_a_restarted_client_that_has_not_sent_takes_part():
    world = World(PLANS["additive"], aggregators=3)
    name = world.clients[0]
    world.begin()
    world.restart(name)
    world.network.send(world.coordinator.describe(name))
    world.network.run(until=lambda: not world.network._queue)
    world.submit(*world.clients)
    world.settle()
    assert name in world.coordinator.total.included


def test_a_restarted_aggregator_ends_the_attempt_and_the_next_one_succeeds():
    world = World(PLANS["additive"], aggregators=3)
    world.begin()
    world.submit(*world.clients[:2])
    world.network.run(until=lambda: not world.network._queue)
    world.restart("aggregator-1")
    world.network.send(world.coordinator.describe("aggregator-1"))
    world.network.run(until=lambda: not world.coordinator.open)
    assert "restarted within this attempt" in str(world.coordinator.failure)
    world.network.run(until=lambda: not world.network._queue)
    world.submit(*world.clients[2:])
    world.begin()
    world.settle()
    assert set(world.coordinator.total.included) == set(world.clients)


def test_a_client_whose_policy_asks_for_more_leaves_and_the_others_go_on():
    world = World(PLANS["plaintext"])
    name = world.clients[0]
    world.restart(name, policy=Policy(floors=Floors(n_min=4)))
    world.begin()
    world.submit(*world.clients[1:])
    world.settle()
    assert [event.error.check for event in world.told(name, Refused)] == ["RD-C5"]
    assert world.coordinator.left[name].startswith("RD-C5")
    assert len(world.coordinator.total.included) == 3


def test_a_round_ends_at_once_when_too_few_can_still_report():
    world = World(PLANS["plaintext"])
    leaving = world.clients[:2]
    world.begin()
    for name in leaving:
        world.network.send(world.agents[name].abandon("left", "the party has left"))
    world.network.run(until=lambda: not world.network._queue)
    failure = world.coordinator.failure
    assert failure is not None
    assert (failure.needed, set(failure.answered)) == (3, set(world.clients[2:]))
    assert all(name in str(failure) for name in leaving)


def test_an_older_description_is_not_taken_up_again():
    world = World(PLANS["plaintext"])
    name = world.clients[0]
    world.begin()
    old = world.coordinator.describe(name)
    world.network.send(world.coordinator.stop(SessionAborted("again")))
    world.begin()
    current = world.agents[name].seat.opened.ctx.rd
    world.restart(name)
    answers = world.agents[name].receive(old[0], NOW)
    assert world.agents[name].seat is None
    assert [packet.header.kind for packet in answers] == ["round/Abort"]
    assert current != old[0].header.rd


def test_the_end_brings_the_last_model_and_ends_the_task():
    world = World(PLANS["plaintext"])
    name = world.clients[0]
    model = Model(world.layout, np.arange(VALUES, dtype=np.float32))
    ending = Ending(model.digest, Blob(model.to_bytes()))
    world.network.send([pack(world.parties.coordinator, ending_context("world"), name, ending)])
    world.network.run()
    assert [type(event) for event in world.events[name]] == [Finished, Ended]
    np.testing.assert_array_equal(world.told(name, Finished)[0].model.values, model.values)


def test_receipts_reach_everybody_verified():
    world = World(PLANS["additive"], aggregators=3)
    world.begin()
    world.submit(*world.clients)
    world.settle()
    world.publish()
    for name in (*world.clients, "aggregator-0"):
        assert [event.receipt.included for event in world.told(name, Published)] == [tuple(sorted(world.clients))]


# Refusals, by their numbers.


def refused(world, name):
    return [event.error.check for event in world.told(name, Refused)]


def described(world, name, **changes):
    """The current description for `name`, its message changed."""
    opened = world.coordinator.opened
    message = Describe(opened.signed(), world.task.payload)
    fields = {"signed": message.signed, "model": message.model} | changes
    return pack(world.parties.coordinator, opened.ctx, name, Describe(**fields))


@pytest.mark.check("TR-C1")
def test_a_protocol_that_is_not_spoken_is_refused():
    world = World(PLANS["plaintext"])
    name = world.clients[0]
    world.restart(name, plans={"additive": additive.Plan})
    world.begin()
    assert refused(world, name) == ["TR-C1"]


@pytest.mark.check("TR-C3")
def test_a_receipt_in_the_envelope_of_another_round_is_refused():
    world = World(PLANS["additive"], aggregators=3)
    name = world.clients[0]
    world.begin()
    world.submit(*world.clients)
    world.settle()
    opened, hub = world.coordinator.opened, world.parties.coordinator
    receipt, _ = world.coordinator.publish(bytes(32))
    wrong = pack(hub, ending_context("world"), name, Publish(receipt.to_bytes()))
    with pytest.raises(InvalidMessage, match="TR-C3"):
        world.agents[name]._publish(wrong)
    assert world.agents[name].receive(pack(hub, opened.ctx, name, Publish(receipt.to_bytes())), NOW) == []
    assert len(world.told(name, Published)) == 1


@pytest.mark.check("TR-C4")
def test_a_description_from_anybody_but_the_coordinator_is_refused():
    world = World(PLANS["plaintext"], aggregators=2)
    name = world.clients[0]
    world.begin()
    opened = world.coordinator.opened
    forged = pack(world.parties.identity("aggregator-0"), opened.ctx, name, Describe(opened.signed(), world.task.payload))
    with pytest.raises(InvalidMessage, match="TR-C4"):
        world.agents[name]._describe(forged, NOW)


@pytest.mark.check("TR-C6")
def test_only_parties_of_the_round_can_leave_it():
    world = World(PLANS["plaintext"])
    name = world.clients[0]
    world.begin(cohort=world.clients[1:])
    packet = world.agents[name]._tell(world.coordinator.opened.ctx, "no", "not mine")
    with pytest.raises(InvalidMessage, match="TR-C6"):
        world.coordinator._leave(packet, world.coordinator.opened)
    assert world.coordinator.open


@pytest.mark.check("TR-C7")
def test_a_sum_of_another_number_of_updates_than_agreed_is_not_released():
    world = World(PLANS["plaintext"])
    world.begin()
    world.submit(*world.clients)
    world.settle()
    total = world.coordinator.total
    short = Sum(total.vector, total.included[1:], total.roots, total.agreement)
    with pytest.raises(SessionAborted, match="TR-C7"):
        world.task.decode(short, world.coordinator.opened)
    masked = Sum(total.vector + total.vector.dtype.type(1 << 15), total.included, total.roots, total.agreement)
    with pytest.raises(SessionAborted, match="TR-C7"):
        world.task.decode(masked, world.coordinator.opened)


@pytest.mark.check("TR-M1")
def test_a_model_longer_than_announced_is_not_read():
    model = Model(World(PLANS["plaintext"]).layout, np.zeros(VALUES, np.float32))

    class Unread:
        size = 4 * VALUES + (17 << 20)

        def chunk(self, index):
            raise AssertionError("it was read")

    with pytest.raises(InvalidMessage, match="TR-M1"):
        Model.parse(Unread(), limit=VALUES)
    assert Model.parse(Blob(model.to_bytes()), limit=VALUES).digest == model.digest


@pytest.mark.check("TR-M2")
@pytest.mark.parametrize("model", ["another", "none"])
def test_a_model_that_is_not_the_one_described_is_refused(model):
    world = World(PLANS["plaintext"])
    name = world.clients[0]
    other = Blob(Model(world.layout, np.ones(VALUES, np.float32)).to_bytes()) if model == "another" else None
    world.begin(cohort=world.clients)
    world.restart(name)
    world.events[name].clear()
    world.agents[name].receive(described(world, name, model=other), NOW)
    assert refused(world, name) == ["TR-M2"]


@pytest.mark.check("TR-M3")
def test_other_tensors_than_this_party_trains_are_refused():
    world = World(PLANS["plaintext"])
    first, second = world.clients[:2]
    world.restart(first, expectation=Expectation(tensors=Layout.of({"other": np.zeros(VALUES, np.float32)})))
    bound = Layout.of({"a": np.zeros((5, 8), np.float32), "b": np.zeros(10, np.float32)}, binding={"adapter": b"rank 8"})
    world.restart(second, expectation=Expectation(exact=bound))
    world.begin()
    assert refused(world, first) == refused(world, second) == ["TR-M3"]
    assert world.coordinator.left[first].count("TR-M3") == 1  # what the hub is told names the check once
    world.submit(*world.clients[2:])
    assert not world.coordinator.left.keys() & set(world.clients[2:])


@pytest.mark.check("TR-M4")
def test_another_base_model_is_refused():
    world = World(PLANS["plaintext"])
    world.restart(world.clients[0], expectation=Expectation(base_model=b"\1" * 32))
    world.restart(world.clients[1], expectation=Expectation(base_model=bytes(32)))
    world.begin()
    assert refused(world, world.clients[0]) == ["TR-M4"]
    assert refused(world, world.clients[1]) == []


@pytest.mark.check("TR-M5")
def test_a_server_takes_no_model():
    world = World(PLANS["additive"], aggregators=3)
    world.begin()
    world.restart("aggregator-0", ledger=type(world.ledgers["aggregator-0"])())
    world.agents["aggregator-0"].receive(described(world, "aggregator-0"), NOW)
    assert refused(world, "aggregator-0") == ["TR-M5"]


@pytest.mark.check("TR-M6")
def test_a_final_model_that_was_not_signed_for_is_refused():
    world = World(PLANS["plaintext"])
    name = world.clients[0]
    model = Model(world.layout, np.ones(VALUES, np.float32))
    forged = pack(world.parties.coordinator, ending_context("world"), name, Ending(bytes(32), Blob(model.to_bytes())))
    with pytest.raises(InvalidMessage, match="TR-M6"):
        world.agents[name]._ending(forged)


def test_an_update_that_does_not_fit_names_the_client_and_the_tensor():
    broken = [*UPDATES[:2], {"a": np.full((3, 4), np.nan, np.float32), "b": np.zeros(5, np.float32)}]
    with pytest.raises(ConfigError, match=r"update 2.*'a'.*NaN"):
        simulate(PLANS["plaintext"], broken)
    anything: tuple[Any, ...] = (7, -1, "client-1")
    for strange in anything:
        with pytest.raises(ConfigError, match="there are 5 clients"):
            simulate(PLANS["plaintext"], UPDATES, drop=[strange])
    with pytest.raises(ConfigError, match="one weight for each"):
        simulate(PLANS["plaintext"], UPDATES, [1])


@pytest.mark.parametrize("weight", [0, -1, 1.5, float("nan"), True, 10**12])
def test_a_weight_that_does_not_fit_names_the_client_and_the_limit(weight):
    with pytest.raises(ConfigError, match=r"update 1: weight .* from 1 to max_weight=\d+ expected"):
        simulate(PLANS["plaintext"], UPDATES, [1, weight, 1, 1, 1])
