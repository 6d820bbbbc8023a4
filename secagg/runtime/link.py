"""One end of the packet stream between a party and the hub: what has been sent, what has arrived, and how to go on after a break.

Each direction numbers its packets. A packet is kept until it is acknowledged; after a reconnect the sender goes on at the chunk that
the receiver says it misses. There is no I/O here: frames go in, frames and packets come out.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from secagg.envelope import Header, Packet
from secagg.errors import InvalidMessage, MalformedMessage, PeerError, TransportError
from secagg.payload import CHUNK, chunk_count
from secagg.runtime.frames import INCARNATION, Frame, Hello, Kind, Position, frame, open_frame, parse_open, parse_text, text_frame
from secagg.runtime.limits import Limits
from secagg.runtime.memory import packet_size
from secagg.runtime.spool import Arriving, Spool

log = logging.getLogger("secagg.runtime")
UNKNOWN = bytes(INCARNATION)

Admit = Callable[[Packet, int], None]
"""`admit(packet without payload, payload size)` raises PeerError for a packet that is not wanted, before its payload is read."""


@dataclass(slots=True)
class _Receiving:
    header: Header
    envelope: bytes
    size: int
    into: Arriving
    parts: int = 0
    """Chunks received so far."""


class Outbound:
    """Packets on their way out, in order."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._queue: deque[Packet] = deque()
        self._first = 0
        """Sequence number of the first packet in the queue."""
        self._next = Position()
        self.held = 0
        """Bytes of envelopes and payloads that wait here in memory."""

    def put(self, packet: Packet) -> None:
        """Queue a packet. Raises TransportError if too much waits for this peer already."""
        size = self._in_memory(packet)
        if len(self._queue) >= self._limits.packets_per_peer or (self._queue and self.held + size > self._limits.memory_per_peer):
            raise TransportError(f"{len(self._queue)} packets wait for {packet.header.recipient} already: it does not take them")
        self._queue.append(packet)
        self.held += size

    @property
    def acknowledged(self) -> int:
        """How many packets the peer has taken or refused."""
        return self._first

    @property
    def empty(self) -> bool:
        return not self._queue

    def next_frame(self) -> bytes | None:
        """The next frame of the stream, or None if everything queued is sent."""
        index = self._next.seq - self._first
        if index >= len(self._queue):
            return None
        packet, seq, part = self._queue[index], self._next.seq, self._next.part
        size = packet.payload.size if packet.payload is not None else 0
        # Position counts the envelope as part 0, so that chunk i of the payload is part i + 1.
        self._next = Position(seq + 1, 0) if part == chunk_count(size) else Position(seq, part + 1)
        if part == 0 or packet.payload is None:
            return open_frame(seq, packet.envelope, size)
        return frame(Kind.PART, seq, part - 1, packet.payload.chunk(part - 1))

    def acknowledge(self, seq: int) -> None:
        """The peer holds every packet before `seq`. Raises MalformedMessage for what was never sent."""
        if seq > self._next.seq:
            raise MalformedMessage(f"packet {seq - 1} was acknowledged before it was sent")
        while self._first < seq:
            self._drop_first()

    def refused(self, seq: int) -> Header | None:
        """The peer does not take packet `seq`; the rest of it is not sent."""
        index = seq - self._first
        if not 0 <= index < len(self._queue) or seq > self._next.seq:
            return None
        header = self._queue[index].header
        if self._next.seq == seq:
            self._next = Position(seq + 1, 0)
        return header

    def resume(self, received: Position) -> None:
        """Go on where the peer says it stopped."""
        index = received.seq - self._first
        if not 0 <= index <= len(self._queue) or received.part > self._parts(index):
            raise MalformedMessage("the peer claims to have received what was never sent")
        self._next = received
        self.acknowledge(received.seq)

    def restart(self) -> None:
        """The peer has forgotten everything: what waits is sent from its beginning."""
        self._next = Position(self._first, 0)

    def clear(self) -> None:
        """Forget what waits."""
        while self._queue:
            self._drop_first()
        self._next = Position(self._first, 0)

    def _parts(self, index: int) -> int:
        """The furthest position within a packet: after its envelope and all chunks but the last."""
        if index == len(self._queue):
            return 0
        payload = self._queue[index].payload
        return chunk_count(payload.size) if payload is not None else 0

    def _drop_first(self) -> None:
        self.held -= self._in_memory(self._queue.popleft())
        self._first += 1

    def _in_memory(self, packet: Packet) -> int:
        size = packet_size(packet)
        spooled = packet.payload is not None and packet.payload.size >= self._limits.spool_from
        return len(packet.envelope) if spooled else size


class Inbound:
    """Packets on their way in. What does not follow the rules of the stream ends the connection; an unwanted packet is only refused."""

    def __init__(self, limits: Limits, spool: Spool, admit: Admit) -> None:
        self._limits, self._spool, self._admit = limits, spool, admit
        self._seq: int | None = None
        self._current: _Receiving | None = None
        self._skipping = -1
        self.refusals = 0

    @property
    def received(self) -> Position:
        """What the peer need not send again."""
        current = self._current
        return Position(self._seq or 0, 0 if current is None else current.parts + 1)

    @property
    def under_way(self) -> int | None:
        """Size of the packet that is being received, None between two."""
        return None if self._current is None else self._current.size

    def reset(self) -> None:
        """The peer has forgotten everything and starts anew."""
        self._seq, self._current, self._skipping = None, None, -1

    def take(self, parsed: Frame, answer: Callable[[bytes], None]) -> Packet | None:
        """Take OPEN or PART; gives the packet that is complete with it. Raises MalformedMessage: the connection is not to be trusted."""
        match parsed.kind:
            case Kind.OPEN:
                return self._open(parsed, answer)
            case Kind.PART if parsed.seq == self._skipping and self._current is None:
                return None
            case Kind.PART:
                return self._part(parsed, answer)
        raise MalformedMessage(f"{parsed.kind.name} is not due")

    def _open(self, parsed: Frame, answer: Callable[[bytes], None]) -> Packet | None:
        if self._current is not None or (self._seq is not None and parsed.seq != self._seq):
            raise MalformedMessage(f"packet {parsed.seq} begins out of order")
        self._seq = parsed.seq
        envelope, size = parse_open(parsed)
        try:
            packet = Packet.parse(envelope)
            # > The size of a payload is the one that the signed header states (TR-T1).
            if packet.header.payload_size != size:
                raise InvalidMessage("TR-T1", f"a payload of {size} bytes is announced, {packet.header.payload_size} are signed for")
            self._admit(packet, size)
        except PeerError as refused:
            self._refuse(parsed.seq, refused, answer)
            return None
        if size == 0:
            return self._complete(Packet(packet.header, envelope), answer)
        self._current = _Receiving(packet.header, envelope, size, self._spool.room(size))
        return None

    def _part(self, parsed: Frame, answer: Callable[[bytes], None]) -> Packet | None:
        current = self._current
        if current is None or parsed.seq != self._seq or parsed.part != current.parts:
            raise MalformedMessage(f"chunk {parsed.part} of packet {parsed.seq} is not due")
        # > Every chunk but the last has 1 MiB, and all together have the announced size (TR-T2).
        if len(parsed.body) != min(CHUNK, current.size - current.parts * CHUNK):
            raise InvalidMessage("TR-T2", f"chunk {parsed.part} of packet {parsed.seq} has {len(parsed.body)} bytes")
        current.into.append(parsed.body)
        current.parts += 1
        if current.parts < chunk_count(current.size):
            return None
        self._current = None
        return self._complete(Packet(current.header, current.envelope, current.into.finish()), answer)

    def _complete(self, packet: Packet, answer: Callable[[bytes], None]) -> Packet:
        self.refusals = 0
        self._advance(answer)
        return packet

    def _refuse(self, seq: int, refused: PeerError, answer: Callable[[bytes], None]) -> None:
        self.refusals += 1
        self._skipping = seq
        # A round may end before everybody has answered that it waits for: what comes after its end is late, and nobody's fault.
        late = isinstance(refused, InvalidMessage) and refused.check == "TR-A1"
        log.log(logging.INFO if late else logging.WARNING, "a packet is refused: %s", refused)
        answer(text_frame(Kind.REFUSE, seq, type(refused).__name__, str(refused)))
        self._advance(answer)
        # > Who sends nothing but bad packets is cut off (TR-T3).
        if self.refusals > self._limits.refusals:
            raise InvalidMessage("TR-T3", f"{self.refusals} packets had to be refused")

    def _advance(self, answer: Callable[[bytes], None]) -> None:
        self._seq = (self._seq or 0) + 1
        answer(frame(Kind.ACK, self._seq))


class Link:
    """Both directions to one peer, over as many connections as it takes."""

    def __init__(self, roster: bytes, limits: Limits, spool: Spool, admit: Admit) -> None:
        self.incarnation = os.urandom(INCARNATION)
        self.peer = UNKNOWN
        self.outbound = Outbound(limits)
        self.inbound = Inbound(limits, spool, admit)
        self._roster = roster

    def hello(self) -> Hello:
        """What this end says first."""
        return Hello(self.incarnation, self.peer, self._roster, self.inbound.received)

    def greet(self, hello: Hello) -> bool:
        """Take the peer's hello. True if the peer is new or has been restarted: it knows nothing of what was sent before."""
        fresh = hello.incarnation != self.peer
        if fresh:
            self.inbound.reset()
        if hello.peer == self.incarnation:
            self.outbound.resume(hello.received)
        elif fresh and self.peer != UNKNOWN:
            self.outbound.clear()
        else:
            self.outbound.restart()
        self.peer = hello.incarnation
        return fresh

    def take(self, raw: bytes, answer: Callable[[bytes], None]) -> Packet | None:
        """Take a frame; `answer` is given the frames to send back. Raises MalformedMessage, or TransportError after BYE."""
        parsed = Frame.parse(raw)
        match parsed.kind:
            case Kind.ACK:
                self.outbound.acknowledge(parsed.seq)
            case Kind.REFUSE:
                header, (code, reason) = self.outbound.refused(parsed.seq), parse_text(parsed)
                log.info("%s was not taken: %s: %s", header.kind if header is not None else "a packet", code, reason)
            case Kind.BYE:
                code, reason = parse_text(parsed)
                raise Goodbye(code, reason)
            case Kind.HELLO:
                raise MalformedMessage("a second HELLO")
            case _:
                return self.inbound.take(parsed, answer)
        return None


class Goodbye(TransportError):
    """The peer ends the connection on purpose."""

    def __init__(self, code: str, reason: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(f"the other end hangs up: {code}: {reason}")
