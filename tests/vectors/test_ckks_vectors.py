"""The published vectors of `ckks`: replayed byte for byte, with every failure refused at its place, and a sum in SEAL's slots opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protocols import ckks
from protocols.ckks import slots
from protocols.ckks.cipher import Packing, secret_key, uniform
from protocols.ckks.messages import Encrypted, Seed
from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.errors import InvalidMessage
from secagg.ledger import Ledger
from secagg.math.ring import Ring
from secagg.payload import Blob
from secagg.policy import Policy
from secagg.round import open_round
from secagg.testing.conformance import body_of
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW
from secagg.testing.vectors import Failure, Vectors
from secagg.types import PartyId, Secret

VECTORS = Vectors.read(Path(__file__).with_name("ckks.json"))
KEY = Secret(bytes.fromhex(VECTORS.values["key seed"]))
HOLDER, HUB = PartyId("keyholder-0"), PartyId("coordinator")


def replay(name: PartyId, until: int) -> tuple[Endpoint, list[Packet]]:
    """A party that has seen the first `until` packets of the transcript, and all that it said."""
    me = VECTORS.identities[name]
    opened = open_round(VECTORS.description, me, Policy(), now=NOW)
    assert opened.ctx.rd == VECTORS.rd
    plan = ckks.Plan.from_description(opened.description)
    role = plan.role(opened, me, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy(f"vectors/{name}"))
    end = Endpoint(role, opened, me, plan.CODEC)
    said = end.start()
    if name in VECTORS.values["vectors"]:
        said += end.contribute(np.array(VECTORS.values["vectors"][name], np.uint16), version=0)
    for packet in VECTORS.transcript[:until]:
        if packet.header.recipient == name:
            said += end.receive(packet)
    return end, said


def test_secret_and_c1_follow_from_their_seeds() -> None:
    opened = replay(HUB, 0)[0].round
    packing = Packing.of(opened.description)
    assert (packing.lanes, packing.scale_bits) == (VECTORS.values["lanes"], VECTORS.values["scale bits"])
    assert [plane[:8, 0].tolist() for plane in secret_key(KEY, opened.ctx)] == VECTORS.values["secret"]
    told = next(packet for packet in VECTORS.transcript if (packet.header.kind, packet.header.sender) == (Seed.KIND, "client-0"))
    seed = Secret(Seed.from_wire(body_of(told), None).seed)
    first = next(uniform(seed, opened.ctx, PartyId("client-0"), packing))
    assert [plane[:8, 0].tolist() for plane in first] == VECTORS.values["uniform"]


@pytest.mark.parametrize("name", ["client-0", "client-1", "client-2", "coordinator"])
def test_clients_and_coordinator_answer_with_the_very_bytes(name: str) -> None:
    """The key holder's answers are sealed, which no two runs do alike."""
    _, said = replay(PartyId(name), len(VECTORS.transcript))
    mine = {packet.envelope for packet in said}
    wanted = [packet for packet in VECTORS.transcript if packet.header.sender == name]
    assert len(wanted) == (1 if name == "coordinator" else 2)
    assert all(packet.envelope in mine for packet in wanted)


def test_the_key_holder_opens_the_published_sum() -> None:
    _, said = replay(HOLDER, len(VECTORS.transcript))
    end, _ = replay(HUB, 1 + max(place for place, packet in enumerate(VECTORS.transcript) if packet.header.kind == Encrypted.KIND))
    for packet in said:
        if packet.header.recipient == HUB:
            end.receive(packet)
    assert end.result is not None
    assert (end.result.included, tuple(end.result.vector.tolist())) == (VECTORS.included, VECTORS.sum)
    assert list(VECTORS.sum) == [sum(column) & 0xFFFF for column in zip(*VECTORS.values["vectors"].values(), strict=True)]


@pytest.mark.parametrize("failure", VECTORS.failures, ids=lambda failure: failure.name)
def test_every_failure_is_refused_by_its_check(failure: Failure) -> None:
    end, _ = replay(failure.packet.header.recipient, failure.after)
    with pytest.raises(InvalidMessage) as refused:
        end.receive(failure.packet)
    assert refused.value.check == failure.check


def test_there_is_a_failure_for_every_check_of_a_message() -> None:
    assert {failure.check for failure in VECTORS.failures} >= {
        f"CK-{name}" for name in ["K1", "H1", "H2", "H3", "H4", "H5", "H6", "S1", "S2", "S4", "S5"]
    }


def test_a_sum_in_slots_opens_as_published() -> None:
    pytest.importorskip("tenseal")
    given, ctx = VECTORS.values["slots"], replay(HUB, 0)[0].round.ctx
    scheme = slots.Slots(slots.SETS[given["set"]], Ring(32), len(given["sum"]), 3, given["largest"])
    assert scheme.numbers.scale_bits == given["scale bits"]
    reports = [
        (PartyId(f"client-{index}"), Seed(0, bytes(32), bytes(32), Blob(bytes.fromhex(raw)))) for index, raw in enumerate(given["seeds"])
    ]
    assert scheme.decrypt(Blob(bytes.fromhex(given["c0"])), reports, KEY, ctx).tolist() == given["sum"]
