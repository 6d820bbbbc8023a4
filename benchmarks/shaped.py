"""Links that are as slow and as far away as asked: a relay of TCP connections on loopback, for rounds over real gRPC and TLS.

Every connection has a link of its own, and all of them share the one of the hub: each carries `rate` bits a second each way. What is
sent arrives `latency` / 2 later. Nothing is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_PIECE = 1 << 14
"""Bytes that leave at a time: so finely do connections share the hub's link."""
_WAITING = 64
"""Pieces on their way in one direction: what a router would hold."""


@dataclass(slots=True)
class _Line:
    """One direction of one link: when it is free again."""

    free: float = 0.0


@dataclass(slots=True)
class Relay:
    """Relays connections to `port` over links of `rate` bits a second; a round trip takes `latency` seconds."""

    port: int
    rate: float
    latency: float
    _hub: tuple[_Line, _Line] = field(default_factory=lambda: (_Line(), _Line()))
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        for source, target, hub in ((reader, back, self._hub[0]), (there, writer, self._hub[1])):
            queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING)
            for work in (self._send(source, queue, _Line(), hub), self._deliver(queue, target)):
                task = asyncio.create_task(work)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _send(self, source: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]], own: _Line, hub: _Line) -> None:
        clock = asyncio.get_running_loop().time
        piece = b"."
        while piece:
            piece = await source.read(_PIECE)
            leaves = max(clock(), own.free, hub.free)
            own.free = hub.free = leaves + 8 * len(piece) / self.rate
            await queue.put((own.free + self.latency / 2, piece))
            # A sender is not ahead of its link by more than a piece, so that the others get their turn.
            await asyncio.sleep(max(own.free - clock(), 0))

    async def _deliver(self, queue: asyncio.Queue[tuple[float, bytes]], target: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        with contextlib.suppress(ConnectionError):
            while True:
                due, piece = await queue.get()
                await asyncio.sleep(max(due - clock(), 0))
                if not piece:
                    break
                target.write(piece)
                await target.drain()
            target.close()


@contextmanager
def shaped(port: int, rate: float, latency: float) -> Iterator[int]:
    """The port of a relay to `port`, on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="shaped-link", daemon=True)
    thread.start()

    def call(work: Coroutine[Any, Any, Any]) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, loop)
        return future.result(30)

    relay = Relay(port, rate, latency)
    server = call(relay.serve())
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()

        async def stop() -> None:
            for task in relay._tasks:
                task.cancel()

        call(stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
