"""The published vectors of `pairwise`: replayed byte for byte, with every failure refused at its place."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols import pairwise
from protocols.pairwise.mask import commit_self_mask, mask_seed, pair_keys, pair_sign, self_mask
from protocols.pairwise.messages import Masked
from secagg.crypto.agree import AgreementKey
from secagg.crypto.expand import Stream
from secagg.crypto.pairs import Agreeing
from secagg.crypto.seal import SealKey
from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.errors import InvalidMessage
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.receipt import statement
from secagg.round import open_round
from secagg.tally import Tally
from secagg.testing.conformance import body_of
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW
from secagg.testing.vectors import Failure, Vectors
from secagg.types import PartyId, Secret

VECTORS = Vectors.read(Path(__file__).with_name("pairwise.json"))
CLIENTS: dict[PartyId, dict[str, Any]] = VECTORS.values["clients"]
RING = pairwise.Plan(clients=5, bits=8, max_weight=1, ring_bits=24).encoding.ring


def replay(name: PartyId, until: int) -> tuple[Endpoint, list[Packet]]:
    """A party that has seen the first `until` packets of the transcript, and all that it said."""
    me = VECTORS.identities[name]
    opened = open_round(VECTORS.description, me, Policy(), now=NOW)
    assert opened.ctx.rd == VECTORS.rd
    plan = pairwise.Plan.from_description(opened.description)
    role = plan.role(opened, me, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy(f"vectors/{name}"))
    end = Endpoint(role, opened, me, plan.CODEC)
    said = end.start()
    if name in CLIENTS:
        said += end.contribute(np.array(CLIENTS[name]["vector"], np.uint32), version=0)
    for packet in VECTORS.transcript[:until]:
        if packet.header.recipient == name:
            said += end.receive(packet)
    return end, said


def test_masks_follow_from_the_seeds_and_the_session() -> None:
    ctx, sid = replay(VECTORS.included[0], 0)[0].round.ctx, bytes.fromhex(VECTORS.values["sid"])
    names = list(CLIENTS)
    keys = {name: AgreementKey(mask_seed(Secret(bytes.fromhex(values["key seed"])), ctx, name)) for name, values in CLIENTS.items()}
    for place, name in enumerate(names[:4]):
        tally = Tally.zero(RING, 7)
        tally.words[:] = CLIENTS[name]["vector"]
        masks = [(self_mask(Secret(bytes.fromhex(CLIENTS[name]["self-mask seed"])), sid, name), 1)]
        # Client 4 shared its keys, so the others mask with it; it complained, so it sent nothing.
        for other, peer in enumerate(names):
            if peer != name:
                masks.append(
                    (Stream(pair_keys(Agreeing(keys[name]), [keys[peer].public()], sid, name, [peer])[0]), pair_sign(place, other))
                )
        tally.apply(masks)
        assert tally.words.tolist() == CLIENTS[name]["masked"]
    assert statement(VECTORS.rd, VECTORS.included, bytes.fromhex(VECTORS.values["roots"])).hex() == VECTORS.values["statement"]


def test_the_advert_holds_the_commitment_to_the_self_mask() -> None:
    for name, values in CLIENTS.items():
        end, said = replay(name, 0)
        commitment = commit_self_mask(Secret(bytes.fromhex(values["self-mask seed"])), end.round.ctx, name)
        assert commitment in said[0].envelope


@pytest.mark.parametrize("name", list(VECTORS.identities))
def test_everybody_answers_the_transcript_with_its_very_bytes(name: PartyId, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the boxes of client 3, of which one was spoilt on the way out."""
    _upload_as_published(monkeypatch, name)
    _, said = replay(name, len(VECTORS.transcript))
    mine = {packet.envelope for packet in said}
    for packet in VECTORS.transcript:
        if packet.header.sender == name and (packet.header.kind, name) != ("pairwise/Shares", "client-3"):
            assert packet.envelope in mine, packet.header


def test_the_server_opens_the_published_sum() -> None:
    end, _ = replay(PartyId("coordinator"), len(VECTORS.transcript))
    assert end.result is not None
    assert (end.result.included, tuple(end.result.vector.tolist())) == (VECTORS.included, VECTORS.sum)
    expected = [sum(column) & 0xFFFFFF for column in zip(*(CLIENTS[name]["vector"] for name in VECTORS.included), strict=True)]
    assert list(VECTORS.sum) == expected


@pytest.mark.parametrize("failure", VECTORS.failures, ids=lambda failure: failure.name)
def test_every_failure_is_refused_by_its_check(failure: Failure, monkeypatch: pytest.MonkeyPatch) -> None:
    name = failure.packet.header.recipient
    _upload_as_published(monkeypatch, name)
    end, _ = replay(name, failure.after)
    with pytest.raises(InvalidMessage) as refused:
        end.receive(failure.packet)
    assert refused.value.check == failure.check


def _given(sealed: bytes, plaintext: Secret, *, purpose: str, context: bytes) -> bytes:
    return sealed


def _upload_as_published(monkeypatch: pytest.MonkeyPatch, name: PartyId) -> None:
    """Let the client seal its upload's key to the very bytes of the transcript: HPKE would draw others, and all that follows differ."""
    for packet in VECTORS.transcript:
        if packet.header.kind == Masked.KIND and packet.header.sender == name:
            sealed = Masked.from_wire(body_of(packet), packet.payload).sealed
            monkeypatch.setattr(SealKey, "seal", staticmethod(partial(_given, sealed)))
