"""The published vectors of `additive`: replayed byte for byte, with every failure refused at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols import additive
from protocols.additive import split
from protocols.additive.messages import Accepted, Agreed, Listed
from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.errors import ConfigError, InvalidMessage
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.receipt import statement
from secagg.round import open_round
from secagg.tally import Tally
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW
from secagg.testing.vectors import Failure, Vectors
from secagg.types import PartyId, Secret

FILE = Path(__file__).with_name("additive.json")
VECTORS = Vectors.read(FILE)


def endpoint(name: PartyId) -> Endpoint:
    me = VECTORS.identities[name]
    opened = open_round(VECTORS.description, me, Policy(), now=NOW)
    assert opened.ctx.rd == VECTORS.rd
    plan = additive.Plan.from_description(opened.description)
    role = plan.role(opened, me, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy("replay"))
    end = Endpoint(role, opened, me, plan.CODEC)
    end.start()
    return end


def replay(name: PartyId, until: int) -> tuple[Endpoint, list[Packet]]:
    """A server that has seen the first `until` packets of the transcript, and all that it said."""
    end, said = endpoint(name), []
    for packet in VECTORS.transcript[:until]:
        if packet.header.recipient == name:
            said.extend(end.receive(packet))
    return end, said


def test_masks_shares_and_hashes_follow_from_the_seeds() -> None:
    ctx = endpoint(VECTORS.included[0]).round.ctx
    ring = additive.Plan(clients=3, bits=8, max_weight=1, ring_bits=24).encoding.ring
    for name, values in VECTORS.values["clients"].items():
        report, total = bytes.fromhex(values["report"]), [0] * len(values["vector"])
        for index, share in enumerate(values["shares"]):
            total = [(one + other) & 0xFFFFFF for one, other in zip(total, share, strict=True)]
            if index > 0:
                tally = Tally.zero(ring, len(share))
                tally.apply([(split.mask(Secret(bytes.fromhex(values["seeds"][index - 1])), ctx, name, report, index), 1)])
                assert tally.words.tolist() == share
        assert total == values["vector"]
        parts = tuple(bytes.fromhex(part) for part in values["parts"])
        assert split.root_hash(ctx, name, report, 0, parts).hex() == values["root"]
    assert statement(VECTORS.rd, VECTORS.included, bytes.fromhex(VECTORS.values["roots"])).hex() == VECTORS.values["statement"]


def test_servers_answer_the_transcript_with_the_bytes_of_the_transcript() -> None:
    """All but the shares, whose sealing is fresh each time."""
    for name in VECTORS.values["aggregators"]:
        _, said = replay(PartyId(name), len(VECTORS.transcript))
        fixed = {Accepted.KIND, Listed.KIND, Agreed.KIND}
        expected = {packet.envelope for packet in VECTORS.transcript if packet.header.sender == name and packet.header.kind in fixed}
        assert {packet.envelope for packet in said if packet.header.kind in fixed} >= expected


def test_the_collector_opens_the_published_sum() -> None:
    coordinator = next(name for name, identity in VECTORS.identities.items() if identity.member.role == "coordinator")
    end, _ = replay(coordinator, len(VECTORS.transcript))
    assert end.result is not None
    assert (end.result.included, tuple(end.result.vector.tolist())) == (VECTORS.included, VECTORS.sum)
    expected = [sum(column) & 0xFFFFFF for column in zip(*(values["vector"] for values in VECTORS.values["clients"].values()), strict=True)]
    assert list(VECTORS.sum) == expected


@pytest.mark.parametrize("failure", VECTORS.failures, ids=lambda failure: failure.name)
def test_every_failure_is_refused_by_its_check(failure: Failure) -> None:
    end, _ = replay(failure.packet.header.recipient, failure.after)
    with pytest.raises(InvalidMessage) as refused:
        end.receive(failure.packet)
    assert refused.value.check == failure.check


def test_a_file_that_is_no_vector_file_is_refused(tmp_path: Path) -> None:
    for content in ("", "{}", '{"format": 99}'):
        path = tmp_path / "vectors.json"
        path.write_text(content)
        with pytest.raises(ConfigError, match=r"vectors\.json"):
            Vectors.read(path)
