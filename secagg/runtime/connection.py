"""One connection: frames in and out at once, until it breaks. The same at both ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic

import grpc.aio

from secagg.envelope import Packet
from secagg.errors import TransportError
from secagg.payload import CHUNK
from secagg.runtime.frames import FRAME_LIMIT, Kind, text_frame
from secagg.runtime.limits import Limits
from secagg.runtime.link import Link

Read = Callable[[], Awaitable[bytes | None]]
"""The next frame; None at the end."""
Write = Callable[[bytes], Awaitable[None]]
Deliver = Callable[[Packet], Awaitable[None]]

_ANSWERS = 10_000
"""Short frames that may wait to be written: an honest peer reads while it sends."""

BROKEN = (asyncio.InvalidStateError, grpc.aio.BaseError)
"""What gRPC raises for a call that has ended meanwhile."""

SERVICE, METHOD = "secagg.wire.v1.Hub", "Attend"


def channel_options(limits: Limits) -> list[tuple[str, int]]:
    """gRPC settings of both ends."""
    life = int(limits.keepalive_seconds * 1000)
    return [
        ("grpc.max_receive_message_length", FRAME_LIMIT),
        ("grpc.max_send_message_length", FRAME_LIMIT),
        ("grpc.keepalive_time_ms", life),
        ("grpc.keepalive_timeout_ms", life),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", life // 2),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", life // 2),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.so_reuseport", 0),
        ("grpc.max_metadata_size", 8192),
    ]


class Connection:
    """Runs until the peer ends it or breaks a rule: `run` always raises, TransportError, PeerError or what `read` raises."""

    def __init__(self, link: Link, read: Read, write: Write, deliver: Deliver, limits: Limits) -> None:
        self._link, self._read, self._write, self._deliver, self._limits = link, read, write, deliver, limits
        self._answers: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._flushed = asyncio.Event()
        self._over = False
        self._last = monotonic()
        self._allowance, self._counted = float(limits.burst), monotonic()

    def wake(self) -> None:
        """There is something to send."""
        self._flushed.clear()
        self._wake.set()

    async def flush(self) -> None:
        """Wait until everything queued is acknowledged, or the connection is over."""
        while not self._link.outbound.empty and not self._over:
            self._flushed.clear()
            await self._flushed.wait()

    def hang_up(self, code: str, reason: str) -> None:
        """Say goodbye; the peer ends the connection."""
        self._answer(text_frame(Kind.BYE, 0, code, reason))

    async def run(self) -> None:
        """Read, write and watch until one of them fails."""
        tasks = [asyncio.ensure_future(work) for work in (self._receive(), self._send(), self._watch())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            self._over = True
            self._flushed.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self) -> None:
        link = self._link
        while True:
            raw = self._answers.popleft() if self._answers else link.outbound.next_frame()
            if raw is not None:
                await self._write(raw)
                continue
            self._wake.clear()
            await self._wake.wait()

    async def _receive(self) -> None:
        link = self._link
        while True:
            raw = await self._read()
            if raw is None:
                raise TransportError("the other end closed the connection")
            self._last, before = monotonic(), link.outbound.acknowledged
            packet = link.take(raw, self._answer)
            if raw[0] != Kind.PART and link.outbound.acknowledged == before:
                await self._throttle()
            if packet is not None:
                await self._deliver(packet)
            if link.outbound.empty:
                self._flushed.set()

    async def _watch(self) -> None:
        allowed = self._limits.stall_seconds + CHUNK / self._limits.slowest_rate
        while True:
            await asyncio.sleep(min(allowed / 4, 1.0))
            # > A sender that stops in the middle of a packet is cut off; it may go on from there when it is back.
            if self._link.inbound.under_way is not None and monotonic() - self._last > allowed:
                raise TransportError(f"no chunk for {allowed:.0f} seconds in the middle of a packet")

    async def _throttle(self) -> None:
        """A flood of small frames waits for its turn; it holds up nobody else."""
        now = monotonic()
        self._allowance = min(self._allowance + (now - self._counted) * self._limits.packets_per_second, float(self._limits.burst))
        self._counted = now
        self._allowance -= 1
        if self._allowance < 0:
            await asyncio.sleep(-self._allowance / self._limits.packets_per_second)

    def _answer(self, raw: bytes) -> None:
        if len(self._answers) > _ANSWERS:
            raise TransportError("the other end sends and does not read")
        self._answers.append(raw)
        self._wake.set()
