"""Laws of a link: packets arrive whole, in order and once, whatever breaks; frames that break the rules end the connection."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.crypto.seal import X25519
from secagg.envelope import Packet, pack
from secagg.errors import InvalidMessage, MalformedMessage, PeerError, TransportError
from secagg.payload import CHUNK, Blob, join
from secagg.runtime.frames import FRAME_LIMIT, Frame, Hello, Kind, Position, frame, open_frame, text_frame
from secagg.runtime.limits import Limits
from secagg.runtime.link import Goodbye, Link
from secagg.runtime.spool import Spool
from secagg.testing.consortium import consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.insecure_plaintext import Update
from secagg.types import Context

PARTIES = consortium(1, now=1_800_000_000.0, entropy=InsecureEntropy("link"), kem=X25519)
ROSTER = PARTIES.roster.hash
BURSTS = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17)


def packet(number: int = 0, size: int = 10) -> Packet:
    payload = Blob(bytes([number % 251]) * size)
    ctx = Context(bytes(31) + bytes([number]), "link", number, 1)
    return pack(PARTIES.clients[0], ctx, PARTIES.coordinator.party, Update(number, payload))


def welcome(*_: object) -> None:
    """Every packet is admitted."""


def link(admit: Any = welcome, **limits: Any) -> Link:
    bounds = Limits(**{"spool_from": 2 * CHUNK, **limits})
    return Link(ROSTER, bounds, Spool(None, spool_from=bounds.spool_from), admit)


def shake(first: Link, second: Link) -> None:
    """A connection begins."""
    ours, theirs = first.hello(), second.hello()
    second.greet(Hello.parse(ours.to_frame()))
    first.greet(Hello.parse(theirs.to_frame()))


def _answered(sender: Link, answer: bytes) -> None:
    sender.take(answer, lambda _: None)


def carry(sender: Link, receiver: Link, frames: int = 10**9) -> tuple[list[Packet], int]:
    """Up to `frames` frames from one end to the other, with their answers; what arrived, and how many chunks travelled."""
    arrived, chunks = [], 0
    for _ in range(frames):
        raw = sender.outbound.next_frame()
        if raw is None:
            break
        assert len(raw) <= FRAME_LIMIT
        chunks += raw[0] == Kind.PART
        whole = receiver.take(raw, partial(_answered, sender))
        if whole is not None:
            arrived.append(whole)
    return arrived, chunks


@pytest.mark.parametrize("size", BURSTS)
def test_a_packet_of_any_size_arrives_as_it_was_sent(size: int) -> None:
    here, there = link(), link()
    shake(here, there)
    sent = packet(7, size)
    here.outbound.put(sent)
    arrived, _ = carry(here, there)
    assert [(one.envelope, join(one.payload) if one.payload else b"") for one in arrived] == [
        (sent.envelope, join(sent.payload or Blob(b"")))
    ]
    assert here.outbound.empty


@given(sizes=st.lists(st.sampled_from(BURSTS), min_size=1, max_size=5), cuts=st.lists(st.integers(0, 6), max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_broken_connection_goes_on_at_the_first_missing_chunk(sizes: list[int], cuts: list[int]) -> None:
    here, there = link(), link()
    for number, size in enumerate(sizes):
        here.outbound.put(packet(number, size))
    arrived, travelled = [], 0
    for frames in [*cuts, 10**9]:
        shake(here, there)
        whole, chunks = carry(here, there, frames)
        arrived += whole
        travelled += chunks
    assert [one.header.round for one in arrived] == list(range(len(sizes)))
    assert travelled == sum(-(-size // CHUNK) for size in sizes), "a chunk travelled twice"


def test_lost_acknowledgements_repeat_no_packet() -> None:
    here, there = link(), link()
    shake(here, there)
    here.outbound.put(packet(1))
    while (raw := here.outbound.next_frame()) is not None:
        there.take(raw, lambda _: None)
    assert not here.outbound.empty
    shake(here, there)
    assert here.outbound.empty
    assert carry(here, there) == ([], 0)


def test_a_receiver_that_forgot_everything_gets_nothing_of_its_former_life() -> None:
    here, there = link(), link()
    shake(here, there)
    here.outbound.put(packet(1, 3 * CHUNK))
    carry(here, there, 2)
    reborn = link()
    shake(here, reborn)
    assert here.outbound.empty
    here.outbound.put(packet(2))
    assert [one.header.round for one in carry(here, reborn)[0]] == [2]


def test_a_sender_that_forgot_everything_starts_with_whole_packets() -> None:
    here, there = link(), link()
    shake(here, there)
    here.outbound.put(packet(1, 3 * CHUNK))
    carry(here, there, 2)
    reborn = link()
    shake(reborn, there)
    reborn.outbound.put(packet(2, 10))
    assert [one.header.round for one in carry(reborn, there)[0]] == [2]


def test_what_waits_for_a_peer_that_is_away_is_bounded() -> None:
    here = link(packets_per_peer=3)
    for number in range(3):
        here.outbound.put(packet(number))
    with pytest.raises(TransportError, match="3 packets wait"):
        here.outbound.put(packet(4))
    heavy = link(memory_per_peer=CHUNK)
    heavy.outbound.put(packet(0, CHUNK - 1000))
    with pytest.raises(TransportError):
        heavy.outbound.put(packet(1, CHUNK - 1000))
    heavy.outbound.put(packet(2, 5 * CHUNK))  # lies in a file, so only its envelope counts


@pytest.mark.check("TR-T1")
def test_a_payload_of_another_size_than_signed_for_is_refused_and_the_next_packet_taken() -> None:
    here, there = link(), link()
    shake(here, there)
    answers: list[bytes] = []
    assert there.take(open_frame(0, packet(1, 10).envelope, 5 * CHUNK), answers.append) is None
    assert [answer[0] for answer in answers] == [Kind.REFUSE, Kind.ACK]
    assert b"TR-T1" in answers[0]
    assert there.take(frame(Kind.PART, 0, 0, bytes(CHUNK)), answers.append) is None
    assert there.take(open_frame(1, packet(2, 0).envelope, 0), answers.append) is not None


@pytest.mark.check("TR-T2")
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1])
def test_a_chunk_of_the_wrong_size_ends_the_connection(size: int) -> None:
    there = link()
    there.take(open_frame(0, packet(1, 2 * CHUNK).envelope, 2 * CHUNK), lambda _: None)
    with pytest.raises(InvalidMessage, match="TR-T2"):
        there.take(frame(Kind.PART, 0, 0, bytes(size)), lambda _: None)


@pytest.mark.check("TR-T3")
def test_nothing_but_bad_packets_ends_the_connection() -> None:
    there = link(refusals=5)
    for number in range(5):
        there.take(open_frame(number, b"no envelope", 0), lambda _: None)
    with pytest.raises(InvalidMessage, match="TR-T3"):
        there.take(open_frame(5, b"no envelope", 0), lambda _: None)
    mixed = link(refusals=5)
    for number in range(40):
        mixed.take(open_frame(number, b"no envelope" if number % 2 else packet(number, 0).envelope, 0), lambda _: None)


def test_a_refused_packet_is_not_sent_to_its_end() -> None:
    def full(*_: object) -> None:
        raise InvalidMessage("TR-A3", "too much")

    here, there = link(), link(full)
    shake(here, there)
    here.outbound.put(packet(1, 40 * CHUNK))
    here.outbound.put(packet(2))
    arrived, chunks = carry(here, there)
    assert (arrived, here.outbound.empty) == ([], True)
    assert chunks == 0


def bad_frames() -> dict[str, bytes]:
    begun = frame(Kind.PART, 0, 0, bytes(CHUNK))
    return {
        "nothing": b"",
        "a cut header": begun[:15],
        "an unknown kind": bytes([99]) + begun[1:],
        "a reserved bit": begun[:1] + b"\1" + begun[2:],
        "a chunk too long": frame(Kind.PART, 0, 0, bytes(CHUNK + 1)),
        "a chunk that skips": frame(Kind.PART, 0, 1, bytes(CHUNK)),
        "a chunk of another packet": frame(Kind.PART, 3, 0, bytes(CHUNK)),
        "a packet within a packet": open_frame(1, packet(2).envelope, 10),
        "a second hello": link().hello().to_frame(),
        "an acknowledgement of what was not sent": frame(Kind.ACK, 9),
        "an acknowledgement with a body": frame(Kind.ACK, 0, 0, b"x"),
        "an envelope too long": open_frame(1, bytes(FRAME_LIMIT), 0),
        "a size cut off": frame(Kind.OPEN, 1, 0, b"abc"),
    }


@pytest.mark.parametrize("name", bad_frames())
def test_a_frame_against_the_rules_ends_the_connection(name: str) -> None:
    there = link()
    there.take(open_frame(0, packet(1, 2 * CHUNK).envelope, 2 * CHUNK), lambda _: None)
    with pytest.raises(MalformedMessage):
        there.take(bad_frames()[name], lambda _: None)


@pytest.mark.parametrize(
    "raw",
    [b"", frame(Kind.ACK, 0), frame(Kind.HELLO, 0, 0, bytes(20)), link().hello().to_frame().replace(b"SAGG", b"HTTP")],
    ids=["nothing", "another frame", "one of zeros", "another protocol"],  # a hello holds a nonce, which is no name of a test
)
def test_a_connection_begins_with_hello(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        Hello.parse(raw)


def test_a_peer_cannot_claim_what_was_never_sent() -> None:
    here, there = link(), link()
    shake(here, there)
    here.outbound.put(packet(1, 2 * CHUNK))
    for claim in (Position(5, 0), Position(0, 99), Position(1, 1)):
        with pytest.raises(MalformedMessage, match="never sent"):
            here.greet(Hello(there.incarnation, here.incarnation, ROSTER, claim))


def test_goodbye_is_told_apart_from_a_break() -> None:
    with pytest.raises(Goodbye) as caught:
        link().take(text_frame(Kind.BYE, 0, "ended", "the task is over\n\x1b[31m"), lambda _: None)
    assert caught.value.code == "ended"
    assert caught.value.reason.isprintable()


@given(
    raw=st.binary(max_size=200) | st.builds(lambda kind, rest: bytes([kind, 0, 0, 0]) + rest, st.integers(1, 6), st.binary(max_size=200))
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_frame_or_end_the_connection(raw: bytes) -> None:
    there = link()
    with suppress(PeerError, Goodbye):
        there.take(raw, lambda _: None)
    with suppress(MalformedMessage):
        Frame.parse(raw)
        Hello.parse(raw)
