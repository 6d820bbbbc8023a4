"""Replay, reflection and repetition in `pairwise`. Each attack first succeeds on a copy that was weakened on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols.pairwise import intake, keys
from protocols.pairwise.intake import Masking
from protocols.pairwise.messages import Advert, Agreement, Confirm, Inbox, Masked
from protocols.pairwise.records import bitmap
from protocols.pairwise.server import Server
from secagg.crypto.derive import frame
from secagg.crypto.sign import BadSignature
from secagg.endpoint import Endpoint
from secagg.envelope import Packet, pack
from secagg.errors import InvalidMessage, PeerError, UnexpectedMessage
from secagg.roles import Message, Outgoing, Sum, Vector
from secagg.testing.conformance import body_of
from secagg.testing.consortium import Consortium
from secagg.testing.table import terms
from secagg.types import PartyId, Secret
from tests.unit.pairwise.rig import VALUES, changing, crowd, lay, refusals, vectors_of
from tests.unit.pairwise.stage import Stage

AGAIN: list[dict[str, Any]] = [{"round": 2}, {"round": 1, "attempt": 2}]
"""What a message of the first attempt of round 1 is brought back in."""


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return crowd()


# --- an advert of another round or attempt ------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", AGAIN, ids=["round", "attempt"])
def test_an_advert_of_another_round_or_attempt_is_refused(parties: Consortium, weak: pytest.MonkeyPatch, again: dict[str, Any]) -> None:
    """Signatures are over rd: a key that leaked later cannot be brought back under its owner's name."""

    def replayed() -> set[tuple[str, str]]:
        old = Stage.of(parties, round=1).clients[0].start()[0].message
        assert isinstance(old, Advert)
        table = lay(parties, of=terms(values=VALUES, **again))
        changing(parties, table, Advert, lambda message: Advert(old.record), by=[0])
        table.play(vectors_of(parties))
        return refusals(table)

    assert ("coordinator", "PW-S1") in replayed()
    weak.setattr("protocols.pairwise.records._statement", lambda ctx, name, unsigned: b"pairwise/record" + name.encode() + unsigned)
    assert ("coordinator", "PW-S1") not in replayed(), "without rd in what is signed, an old advert is taken"


# --- signatures for the set of another attempt --------------------------------------------------------------------------------


def shown_old_signatures(parties: Consortium) -> None:
    """Nobody signs in the second attempt: the server shows client 0 what was signed for the same five in the first."""
    old, signed = Stage.of(parties, attempt=1), []
    for item in old.until_survivors():
        said = old.clients[old.place(item)].receive(old.params.server, item.message)[0].message
        assert isinstance(said, Confirm)
        signed.append(said.signature)
    stage = Stage.of(parties, attempt=2)
    named = stage.until_survivors()
    stage.shares_of(0, named[0].message, Agreement(bitmap(range(5), 5), tuple(signed)))


def test_signatures_for_the_same_set_in_another_attempt_count_for_nothing(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    def timeless(rd: bytes, included: Iterable[PartyId], roots: bytes) -> bytes:
        return frame("agreement/set", *(name.encode() for name in sorted(included)))

    for place in ("secagg.receipt.statement", "protocols.pairwise.reveal.statement", "protocols.pairwise.server.statement"):
        weak.setattr(place, timeless)
    shown_old_signatures(parties)  # without rd and roots in the statement, old signatures open a set that nobody agreed to
    weak.undo()
    with pytest.raises(InvalidMessage, match="PW-C14"):
        shown_old_signatures(parties)


# --- a box that comes back to its sender --------------------------------------------------------------------------------------


def given_its_own_box(parties: Consortium) -> str:
    """Client 0 is given, as the box of client 1, the box that it made for client 1 itself. The phase it is in then."""
    stage = Stage.of(parties)
    inbox = stage.until_inbox()[0].message
    assert isinstance(inbox, Inbox)
    stage.clients[0].receive(stage.params.server, replace(inbox, boxes=(stage.boxes[0][0], *inbox.boxes[1:])))
    return stage.clients[0].phase


def test_a_box_that_comes_back_to_its_sender_does_not_open(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    """A client that took it would give shares of its own seed in the name of another, beyond the one that it may give."""
    genuine = keys._channels

    def undirected(agreeing: Any, records: Any, sid: bytes, *, seat: keys.Seat) -> Any:
        return [(min(pair, key=Secret.expose),) * 2 for pair in genuine(agreeing, records, sid, seat=seat)]

    weak.setattr(keys, "_channels", undirected)
    weak.setattr(keys, "_box_context", lambda ctx, sid, sender, recipient: frame("pairwise/box", ctx.rd, sid))
    assert given_its_own_box(parties) == "keyed", "with one key for both directions a client takes its own box"
    weak.undo()
    assert given_its_own_box(parties) == "failed"


# --- the same upload again ------------------------------------------------------------------------------------------------------


class Forgetful(Server):
    """A server that does not remember who has sent a vector."""

    def receive(self, sender: PartyId, message: Message) -> list[Outgoing]:
        if isinstance(self._state, Masking) and isinstance(message, Masked):
            intake.take_masked(self._state, message, self._places[sender], desk=self._desk)
            if len(self._state.uploads) < self._desk.params.size:
                return []
            return self._advance(final=True)
        return list(super().receive(sender, message))


class Unremembering(Endpoint):
    """An endpoint that takes every packet for a new one."""

    def receive(self, packet: Packet) -> list[Packet]:
        self._answered.clear()
        return super().receive(packet)


def sent_twice(parties: Consortium) -> Vector:
    """Every packet is delivered twice. The sum."""
    table = lay(parties)
    table.fault = lambda packet: [packet, packet] if packet.header.kind == Masked.KIND else [packet]
    outcome = table.play(vectors_of(parties))
    assert isinstance(outcome, Sum)
    return outcome.vector


def test_a_vector_that_comes_twice_is_added_once(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    right = sum(vectors_of(parties).values())
    weak.setattr("secagg.testing.table.Endpoint", Unremembering)
    weak.setattr("protocols.pairwise.plan.Server", Forgetful)
    assert not np.array_equal(sent_twice(parties), right), "without a memory of slots a vector is added again, masks and all"
    weak.undo()
    assert np.array_equal(sent_twice(parties), right)


def test_another_vector_in_a_slot_that_is_filled_is_refused(parties: Consortium) -> None:
    table = lay(parties)
    table.play(vectors_of(parties))
    hub, me = parties.coordinator.party, parties.clients[0]
    uploaded = next(packet for packet in table.heard if packet.header.kind == Masked.KIND and packet.header.sender == me.party)
    other = replace(Masked.from_wire(body_of(uploaded), uploaded.payload), commitment=bytes(32))
    with pytest.raises(InvalidMessage, match="EV-C5"):
        table.endpoints[hub].receive(pack(me, table.opened.ctx, hub, other))


# --- any packet somewhere else ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", AGAIN, ids=["round", "attempt"])
def test_a_packet_of_another_round_attempt_or_party_is_refused(
    parties: Consortium, weak: pytest.MonkeyPatch, again: dict[str, Any]
) -> None:
    old = lay(parties, of=terms(values=VALUES, round=1))
    old.play(vectors_of(parties))
    hub, first = parties.coordinator.party, parties.clients[0].party
    advert = next(packet for packet in old.heard if packet.header.kind == Advert.KIND and packet.header.sender == first)

    def started() -> Endpoint:
        table = lay(parties, of=terms(values=VALUES, **again))
        table.endpoints[hub].start()
        return table.endpoints[hub]

    weak.setattr("secagg.endpoint.check_round", lambda header, ctx: None)
    weak.setattr("protocols.pairwise.records._statement", lambda ctx, name, unsigned: unsigned)
    replayable = lay(parties, of=terms(values=VALUES, round=1))
    replayed = replayable.endpoints[first].start()[0]
    started().receive(replayed)  # without rd in the envelope and in the advert, a packet of another attempt is a message of this one
    weak.undo()
    for packet in old.heard:
        if packet.header.recipient == hub:
            with pytest.raises(PeerError, match="replayed or late"):
                started().receive(packet)
    with pytest.raises(UnexpectedMessage, match="reached"):
        old.endpoints[first].receive(advert)


def test_a_signature_for_one_purpose_or_protocol_counts_for_no_other(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    """A server that gets clients to sign a set of its choice must not hold a signature for keys, or for a set of another protocol."""
    me, said = parties.clients[0], b"what is signed for and what it is shown as may be the same bytes"

    def shown_as(purpose: str, signed_as: str) -> None:
        me.member.signing.verify(me.signing.sign(signed_as, said), purpose, said)

    pairs = (("pairwise/advert", "agreement"), ("pairwise/advert", "additive/advert"), ("envelope", "pairwise/advert"))
    weak.setattr("secagg.crypto.sign.frame", lambda purpose, *parts: b"".join(parts))
    for purpose, signed_as in pairs:
        shown_as(purpose, signed_as)  # without the purpose in what is signed, one signature serves for all
    weak.undo()
    for purpose, signed_as in pairs:
        with pytest.raises(BadSignature):
            shown_as(purpose, signed_as)
