"""The published vectors of `ckks-threshold`: replayed, opened from the seeds that they name, and every failure refused at its place."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.ckks import threshold
from protocols.ckks.cipher import Packing, add_keys, decrypt_under, read_residues
from protocols.ckks.threshold import dealing, server
from protocols.ckks.threshold.messages import Committed, Offer, Report, Share
from protocols.ckks.threshold.params import DRAWS
from secagg.crypto.derive import digest
from secagg.endpoint import Endpoint
from secagg.envelope import Packet, unpack
from secagg.errors import ConfigError, InvalidMessage, PeerError
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.receipt import statement
from secagg.round import open_round
from secagg.testing.conformance import body_of
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW
from secagg.testing.vectors import Failure, Vectors
from secagg.types import PartyId, Secret
from tests.vectors.make_threshold import FILE, imprints

VECTORS = Vectors.read(FILE, imprints)
HUB = next(name for name, identity in VECTORS.identities.items() if identity.member.role == "coordinator")
HOLDERS = [PartyId(name) for name in VECTORS.values["keyholders"]]


def endpoint(name: PartyId) -> tuple[Endpoint, list[Packet]]:
    """A party at the beginning of the round, and what it says there; key holders have the keys of the file."""
    me = VECTORS.identities[name]
    opened = open_round(VECTORS.description, me, Policy(), now=NOW)
    assert opened.ctx.rd == VECTORS.rd
    plan = threshold.Plan.from_description(opened.description)
    drawn = [bytes.fromhex(VECTORS.values["attempt_keys"].get(name, ""))]
    fresh = InsecureEntropy("replay")
    role = plan.role(
        opened, me, policy=Policy(), ledger=Ledger(), entropy=lambda count: drawn.pop() if drawn and drawn[0] else fresh(count)
    )
    end = Endpoint(role, opened, me, plan.CODEC)
    return end, end.start()


def replay(name: PartyId, until: int) -> tuple[Endpoint, list[Packet]]:
    """A party that has seen the first `until` packets of the transcript, and all that it said."""
    end, said = endpoint(name)
    for packet in VECTORS.transcript[:until]:
        if packet.header.recipient == name:
            said.extend(end.receive(packet))
    return end, said


def test_ciphertexts_and_parts_of_the_key_follow_from_the_seeds() -> None:
    opened = endpoint(HUB)[0].round
    ctx, packing = opened.ctx, Packing.of(opened.description, DRAWS)
    assert digest("ckks-threshold/ring-element", ctx.rd).hex() == VECTORS.values["ring_element_key"]
    dealt = {
        (PartyId(name), holder): dealing.dealt_key(Secret(bytes.fromhex(seed)), ctx, PartyId(name), holder)
        for name, values in VECTORS.values["clients"].items()
        for holder, seed in zip(HOLDERS, values["seeds"], strict=True)
    }
    reports = {packet.header.sender: packet for packet in VECTORS.transcript if packet.header.kind == Report.KIND}
    for name, packet in reports.items():
        assert packet.payload is not None
        words = read_residues(packet.payload, packing)
        secret = add_keys(dealt[name, holder] for holder in HOLDERS)
        found = decrypt_under(secret, words, packing, dealing.public_half(ctx, packing), 1)
        assert found.tolist() == VECTORS.values["clients"][name]["vector"]
    hub, _ = replay(HUB, len(VECTORS.transcript) - 1)
    state = hub.role.state
    assert isinstance(state, server.Opening)
    desk = hub.role._desk  # type: ignore[attr-defined]
    for holder, share in state.shares.items():
        part = server.open_share(share, holder, state.roots, desk=desk)
        expected = add_keys(dealt[name, holder] for name in VECTORS.included)
        assert all(np.array_equal(one, two) for one, two in zip(part, expected, strict=True))


def test_the_imprints_that_clients_signed_follow_from_the_seeds() -> None:
    """The file leaves them out: the hash of the body in each signed header is of the right ones, and of no others."""
    other = Vectors.read(FILE, lambda values, rd: {name: bytes(len(raw)) for name, raw in imprints(values, rd).items()})
    for right, wrong in zip(VECTORS.transcript, other.transcript, strict=True):
        unpack(right, VECTORS.roster, me=right.header.recipient)
        if right.header.kind == Report.KIND:
            with pytest.raises(PeerError):
                unpack(wrong, VECTORS.roster, me=wrong.header.recipient)
    with pytest.raises(ConfigError, match=r"imprint/client-[0-2]/keyholder-0"):
        Vectors.read(FILE)


def test_key_holders_say_what_the_transcript_says() -> None:
    """All but the commitment and the part, whose sealing is fresh each time."""
    for name in HOLDERS:
        _, said = replay(name, len(VECTORS.transcript))
        spoken = [packet for packet in VECTORS.transcript if packet.header.sender == name]
        assert {packet.envelope for packet in said if packet.header.kind == Offer.KIND} == {
            packet.envelope for packet in spoken if packet.header.kind == Offer.KIND
        }
        sets = [Committed.from_wire(body_of(packet), None) for packet in (*said, *spoken) if packet.header.kind == Committed.KIND]
        assert len({(one.included, one.roots, one.signature) for one in sets}) == 1
        assert [packet.header.kind for packet in said][-1] == Share.KIND
    assert statement(VECTORS.rd, VECTORS.included, bytes.fromhex(VECTORS.values["roots"])).hex() == VECTORS.values["statement"]


def test_the_coordinator_opens_the_published_sum() -> None:
    end, _ = replay(HUB, len(VECTORS.transcript))
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
