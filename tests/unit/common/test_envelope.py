"""Envelopes and endpoints: nothing unsigned, foreign, damaged or repeated reaches a role."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocols import additive
from secagg.control import Abort, Describe, Publish
from secagg.endpoint import Endpoint
from secagg.envelope import Packet, pack, unpack
from secagg.errors import InvalidMessage, MalformedMessage, UnexpectedMessage
from secagg.ledger import Ledger
from secagg.payload import Blob
from secagg.policy import Policy
from secagg.round import open_round, sign_round
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, terms
from secagg.types import Context, PartyId
from secagg.wire.v1 import common_pb2 as pb

CTX = Context(bytes(32), "task", 1, 1)
PLAN = additive.Plan(clients=4, aggregators=2)


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return consortium(5, 2, now=NOW, entropy=InsecureEntropy("envelope"), kem=0x20)


@pytest.fixture
def packet(parties: Consortium) -> Packet:
    return pack(parties.clients[0], CTX, parties.coordinator.party, Abort("test", "because"))


def damaged(packet: Packet, **changes: bytes) -> Packet:
    wire = pb.Envelope.FromString(packet.envelope)
    for name, value in changes.items():
        setattr(wire, name, value)
    return replace(packet, envelope=wire.SerializeToString(deterministic=True))


def test_what_is_packed_unpacks(parties: Consortium, packet: Packet) -> None:
    body = unpack(packet, parties.roster, me=parties.coordinator.party)
    assert Abort.from_wire(body, None) == Abort("test", "because")
    assert Packet.parse(packet.envelope).header == packet.header


@pytest.mark.check("EV-C1")
def test_a_header_that_its_sender_did_not_sign_is_refused(parties: Consortium, packet: Packet) -> None:
    with pytest.raises(InvalidMessage, match="EV-C1"):
        unpack(damaged(packet, signature=bytes(64)), parties.roster, me=parties.coordinator.party)
    wire = pb.Envelope.FromString(packet.envelope)
    header = pb.Header.FromString(wire.header)
    header.sender = parties.clients[1].party
    with pytest.raises(InvalidMessage, match="EV-C1"):
        unpack(damaged(packet, header=header.SerializeToString(deterministic=True)), parties.roster, me=parties.coordinator.party)


@pytest.mark.check("EV-C2")
def test_another_body_is_refused(parties: Consortium, packet: Packet) -> None:
    with pytest.raises(InvalidMessage, match="EV-C2"):
        unpack(damaged(packet, body=b"other"), parties.roster, me=parties.coordinator.party)


@pytest.mark.check("EV-C3")
def test_a_payload_of_another_size_is_refused(parties: Consortium, packet: Packet) -> None:
    with pytest.raises(InvalidMessage, match="EV-C3"):
        unpack(replace(packet, payload=Blob(b"surprise")), parties.roster, me=parties.coordinator.party)


def endpoint(parties: Consortium) -> Endpoint:
    cohort = tuple(identity.party for identity in parties.clients[:4])
    signed = sign_round(PLAN.describe(replace(terms(values=4), cohort=cohort), parties.roster), parties.coordinator).signed()
    opened = open_round(signed, parties.coordinator, Policy(), now=NOW)
    role = PLAN.role(opened, parties.coordinator, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy("endpoint"))
    return Endpoint(role, opened, parties.coordinator, PLAN.CODEC)


@pytest.mark.check("EV-C4")
def test_a_party_outside_the_round_is_not_heard_in_it(parties: Consortium) -> None:
    end = endpoint(parties)
    with pytest.raises(InvalidMessage, match="EV-C4"):
        end.receive(pack(parties.clients[4], end.round.ctx, parties.coordinator.party, Abort("x", "y")))


@pytest.mark.check("EV-C5")
def test_a_slot_takes_one_message(parties: Consortium) -> None:
    end, sender = endpoint(parties), parties.aggregators[0]
    client = parties.clients[0].party

    def accepted(root: bytes) -> Packet:
        from protocols.additive.client import ACCEPTED
        from protocols.additive.messages import Accepted
        from secagg.crypto.derive import frame

        signature = sender.signing.sign(ACCEPTED, frame(ACCEPTED, end.round.ctx.rd, client.encode(), root))
        return pack(sender, end.round.ctx, parties.coordinator.party, Accepted(client, root, signature))

    assert end.receive(accepted(bytes(32))) == end.receive(accepted(bytes(32))) == []
    with pytest.raises(InvalidMessage, match="EV-C5"):
        end.receive(accepted(b"\x01" * 32))


def test_an_envelope_of_another_round_is_refused_without_blame(parties: Consortium, packet: Packet) -> None:
    with pytest.raises(UnexpectedMessage, match="replayed or late") as refused:
        endpoint(parties).receive(packet)
    assert refused.value.culprits == ()


def test_a_kind_that_the_protocol_does_not_have_is_refused(parties: Consortium) -> None:
    end = endpoint(parties)
    with pytest.raises(UnexpectedMessage, match="no message of this protocol"):
        end.receive(pack(parties.clients[0], end.round.ctx, parties.coordinator.party, Abort("x", "y")))


@pytest.mark.parametrize("size", [0, 1, 30])
def test_bytes_that_are_no_envelope_are_malformed(size: int) -> None:
    with pytest.raises(MalformedMessage):
        Packet.parse(InsecureEntropy("junk")(size))


def test_an_unknown_field_or_a_second_encoding_is_malformed(packet: Packet) -> None:
    with pytest.raises(MalformedMessage, match=r"does not know|canonical"):
        Packet.parse(packet.envelope + b"\x7a\x01x")
    with pytest.raises(MalformedMessage):
        Packet.parse(packet.envelope + packet.envelope)


def test_control_messages_survive_their_bytes_and_refuse_what_does_not_belong() -> None:
    for message in (Describe(b"signed", None), Publish(b"receipt"), Abort("code", "reason", "who")):
        assert type(message).from_wire(*message.to_wire()) == message
    with pytest.raises(MalformedMessage):
        Publish.from_wire(b"receipt", Blob(b"payload"))
    with pytest.raises(MalformedMessage, match="printable"):
        Abort.from_wire(pb.Abort(code="x", reason="\x1b[31mred").SerializeToString(deterministic=True), None)


def test_an_identity_whose_keys_are_not_in_the_roster_cannot_exist(parties: Consortium) -> None:
    from secagg.errors import ConfigError

    with pytest.raises(ConfigError, match="not those that the roster names"):
        replace(parties.clients[0], party=PartyId(parties.clients[1].party))
