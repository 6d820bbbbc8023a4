"""A connection that breaks in the middle of an upload: it goes on, and what arrives is what was sent."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from secagg.envelope import Packet, pack
from secagg.identity import Identity
from secagg.payload import CHUNK, Blob, chunks
from secagg.pki import load_tls
from secagg.runtime import driver
from secagg.runtime.dialler import Dialler
from secagg.runtime.hub import Hub
from secagg.runtime.limits import Limits
from secagg.runtime.runner import Runner
from secagg.runtime.spool import Spool
from secagg.testing.insecure_plaintext import Update
from secagg.types import Context

pytestmark = pytest.mark.network
LIMITS = Limits(retry_first=0.02, retry_last=0.1)
SIZE = 24 * CHUNK


class Sink:
    """Remembers what reached it."""

    def __init__(self) -> None:
        self.arrived: list[tuple[int, str]] = []

    def receive(self, packet: Packet, now: float) -> list[Packet]:
        digest = hashlib.sha256()
        for chunk in chunks(packet.payload) if packet.payload is not None else ():
            digest.update(chunk)
        self.arrived.append((packet.header.round, digest.hexdigest()))
        return []

    def due(self) -> float | None:
        return None

    def tick(self, now: float) -> list[Packet]:
        return []


class Wire:
    """A TCP proxy that breaks the connection each time so many bytes have gone up."""

    def __init__(self, port: int, cuts: list[int]) -> None:
        self._port, self._cuts, self.up, self.connections = port, cuts, 0, 0

    async def listen(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        below, above = await asyncio.open_connection("127.0.0.1", self._port)
        down = asyncio.create_task(self._pump(below, writer))
        while data := await reader.read(1 << 16):
            self.up += len(data)
            if self._cuts and self.up >= self._cuts[0]:
                self._cuts.pop(0)
                break
            above.write(data)
            await above.drain()
        down.cancel()
        for end in (above, writer):
            end.transport.abort()

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


async def exchange(plain: Path, tmp_path: Path, cuts: list[int], payloads: list[bytes]) -> tuple[Sink, Wire]:
    me, party, sink = Identity.load(plain / "hub"), Identity.load(plain / "c0"), Sink()
    spool = Spool(tmp_path / "spool", spool_from=LIMITS.spool_from)
    ignore: Any = lambda *_: None  # noqa: E731
    hub = Hub(me, load_tls(me), limits=LIMITS, spool=spool, wanted=ignore, arrived=ignore, changed=ignore)
    hub.attach(me.party, Runner("sink", sink, ignore))
    wire = Wire(await hub.listen("127.0.0.1:0"), cuts)
    address = f"127.0.0.1:{await wire.listen()}"
    dialler = Dialler(address, party, load_tls(party), limits=LIMITS, spool=spool, wanted=ignore, over=ignore)
    idle: Any = Sink()
    dialler.start(Runner("idle", idle, ignore))
    for number, payload in enumerate(payloads, 1):
        dialler.carry(pack(party, Context(bytes(32), "resume", number, 1), me.party, Update(1, Blob(payload))))
    async with asyncio.timeout(30):
        while len(sink.arrived) < len(payloads) or not dialler.link.outbound.empty:  # noqa: ASYNC110  # over several connections
            await asyncio.sleep(0.01)
    await dialler.close()
    await hub.close("ended", "done")
    await wire.close()
    return sink, wire


def test_an_interrupted_upload_goes_on_where_it_stopped(plain: Path, tmp_path: Path):
    payload = os.urandom(SIZE)
    sink, wire = driver.call(exchange(plain, tmp_path, [SIZE // 3, 2 * SIZE // 3], [payload]))
    assert sink.arrived == [(1, hashlib.sha256(payload).hexdigest())]
    assert wire.connections >= 3
    # What was in flight at a break travels again, the rest does not.
    assert wire.up < SIZE + 2 * 6 * CHUNK


def test_many_packets_over_many_breaks_arrive_once_each_and_in_order(plain: Path, tmp_path: Path):
    payloads = [os.urandom(size) for size in (1, CHUNK, 3 * CHUNK + 7, 50, 5 * CHUNK, 2)]
    cuts = [50_000, 2 * CHUNK, 4 * CHUNK, 7 * CHUNK, 9 * CHUNK]
    sink, wire = driver.call(exchange(plain, tmp_path, cuts, payloads))
    assert sink.arrived == [(number, hashlib.sha256(payload).hexdigest()) for number, payload in enumerate(payloads, 1)]
    assert wire.connections >= 5
