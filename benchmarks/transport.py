"""An upload over the library's transport against the same bytes as raw gRPC messages, both over mutual TLS, in the same run.

Raw means: the same `bytes` object of 1 MiB written again and again to a stream that only counts. The library's upload cuts a payload into
frames, numbers them, checks them against the round, spools them to a file, and is timed until the hub has acknowledged the whole packet.
Sender and hub are two processes on loopback. `python -m benchmarks.transport`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import statistics
import sys
import tempfile
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from benchmarks.measure import Line, arguments, show
from secagg.crypto.derive import digest
from secagg.envelope import Packet, pack
from secagg.identity import Identity
from secagg.payload import CHUNK, Blob, Payload
from secagg.pki import load_tls
from secagg.pki.trial import make_trial
from secagg.runtime.connection import channel_options
from secagg.runtime.dialler import Dialler
from secagg.runtime.driver import clock
from secagg.runtime.hub import Hub
from secagg.runtime.limits import Limits
from secagg.runtime.runner import Runner
from secagg.runtime.spool import Spool
from secagg.testing.insecure_plaintext import Update
from secagg.types import Context, PartyId

GOAL = 1 / 0.8
_NAME = PartyId("sender")


class Sink:
    """An agent that counts payload bytes and forgets them."""

    def __init__(self) -> None:
        self.taken = 0

    def receive(self, packet: Packet, now: float) -> list[Packet]:
        self.taken += packet.payload.size if packet.payload is not None else 0
        return []

    def due(self) -> float | None:
        return None

    def tick(self, now: float) -> list[Packet]:
        return []


class Patterned:
    """A payload whose chunks are one and the same memory, so that sending is measured and not reading."""

    def __init__(self, size: int) -> None:
        self.size, self._chunk = size, Blob(bytes(CHUNK))

    def chunk(self, index: int) -> memoryview:
        return self._chunk.chunk(0)[: min(CHUNK, self.size - index * CHUNK)]


def ignore(*_: object) -> None:
    """Everybody is welcome."""


async def raw_handler(_: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
    count = 0
    while isinstance(raw := await context.read(), bytes):
        count += len(raw)
    await context.write(count.to_bytes(8, "little"))


async def hub_side(folder: Path, pipe: Pipe) -> None:
    """Both services, each on its port; the pipe is told their ports, and the peak memory at the end."""
    me, limits = Identity.load(folder), Limits()
    hub = Hub(
        me, load_tls(me), limits=limits, spool=Spool(folder, spool_from=limits.spool_from), wanted=ignore, arrived=ignore, changed=ignore
    )
    hub.attach(me.party, Runner("sink", Sink(), ignore))
    server = grpc.aio.server(options=channel_options(limits))
    method = grpc.stream_stream_rpc_method_handler(raw_handler)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("raw", {"Bytes": method}),))
    arguments: dict[str, Any] = load_tls(me).server_arguments()
    raw_port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(**arguments))
    await server.start()
    pipe.send((await hub.listen("127.0.0.1:0"), raw_port))
    while (asked := await asyncio.to_thread(pipe.recv)) is not None:
        pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if asked == "memory" else None)
    await server.stop(0)
    await hub.close("ended", "done")


def hub_process(folder: str, pipe: Pipe) -> None:
    asyncio.run(hub_side(Path(folder), pipe))


class Sender:
    """The sending process: a dialled link, and a raw stream."""

    def __init__(self, me: Identity, ports: tuple[int, int]) -> None:
        self.me, limits, tls = me, Limits(), load_tls(me)
        self.dialler = Dialler(f"127.0.0.1:{ports[0]}", me, tls, limits=limits, spool=Spool(None, spool_from=1), wanted=ignore, over=ignore)
        self.dialler.start(Runner("idle", Sink(), ignore))
        options = [*channel_options(limits), ("grpc.ssl_target_name_override", "hub")]
        self.channel = grpc.aio.secure_channel(
            f"127.0.0.1:{ports[1]}", grpc.ssl_channel_credentials(**tls.channel_arguments()), options=options
        )
        self.count = 0

    async def raw(self, size: int) -> None:
        call = self.channel.stream_stream("/raw/Bytes")()  # type: ignore[call-arg]
        piece = bytes(CHUNK)
        for _ in range(size // CHUNK):
            await call.write(piece)
        await call.done_writing()
        answer = await call.read()
        if int.from_bytes(answer, "little") != size:
            raise RuntimeError("the raw stream lost bytes")

    async def upload(self, size: int) -> None:
        self.count += 1
        payload: Payload = Patterned(size)
        ctx = Context(digest("benchmark", self.count.to_bytes(8, "little")), "benchmark", self.count, 1)
        self.dialler.carry(pack(self.me, ctx, PartyId("hub"), Update(1, payload)))
        await self.dialler.flush()


async def measure(root: Path, size: int, repeats: int) -> tuple[dict[str, list[float]], int]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hub_process, args=(str(root / "hub"), there))
    process.start()
    try:
        sender = Sender(Identity.load(root / _NAME), await asyncio.to_thread(here.recv))
        times: dict[str, list[float]] = {"raw": [], "upload": []}
        for repeat in range(repeats + 1):
            for name, work in (("raw", sender.raw), ("upload", sender.upload)):
                began = clock()
                await work(size)
                if repeat:  # the first run of each opens its connection
                    times[name].append(clock() - began)
        here.send("memory")
        memory = await asyncio.to_thread(here.recv)
        await sender.dialler.close()
        await sender.channel.close()
        here.send(None)
        return times, memory
    finally:
        process.join(10)
        process.kill()


def main() -> None:
    parser = arguments(__doc__, 4e7)
    options = parser.parse_args()
    size = options.values * 4 // CHUNK * CHUNK
    with tempfile.TemporaryDirectory() as folder:
        make_trial(Path(folder) / "trial", clients=[_NAME, "b", "c"])
        times, memory = asyncio.run(measure(Path(folder) / "trial", size, options.repeats))
    upload, raw = (min(times[name]) * 1000 for name in ("upload", "raw"))
    middle = statistics.median(times["upload"]) / statistics.median(times["raw"])
    facts = {
        "megabytes": size / 1e6,
        "upload MB/s": round(size / upload / 1e3),
        "raw MB/s": round(size / raw / 1e3),
        "ratio of medians": round(middle, 3),
        "peak memory of the hub, MB": round(memory / (1e6 if sys.platform == "darwin" else 1e3)),
    }
    show(
        "Upload",
        [Line("upload of one payload, acknowledged", upload, "gRPC raw bytes", raw, GOAL, "wall")],
        facts=facts,
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
