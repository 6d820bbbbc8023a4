"""A party's side of the network: it dials the hub, and dials again whenever the connection breaks."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

import grpc
import grpc.aio

from secagg.control import Describe
from secagg.envelope import Packet
from secagg.errors import InvalidMessage, PeerError, SecAggError, TransportError
from secagg.identity import Identity
from secagg.pki import TlsFiles
from secagg.runtime.connection import BROKEN, METHOD, SERVICE, Connection, channel_options
from secagg.runtime.frames import Hello
from secagg.runtime.limits import Limits
from secagg.runtime.link import Goodbye, Link
from secagg.runtime.runner import Runner
from secagg.runtime.spool import Spool

log = logging.getLogger("secagg.runtime")
_REFUSALS = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED)
"""The hub has looked and said no: dialling again will not help."""


ENDED = "ended"
"""Code of the goodbye after which a party does not dial again."""


class Refusal(TransportError):
    """The hub does not let this party in."""


class Dialler:
    """Keeps one party connected.

    Args:
        runner: the party's agent.
        wanted: as for `Hub`.
        over: called once, when there will be no further connection: with None after the hub has ended the task, or with the reason.
    """

    def __init__(
        self,
        address: str,
        me: Identity,
        tls: TlsFiles,
        *,
        limits: Limits,
        spool: Spool,
        wanted: Callable[[Packet, int], None],
        over: Callable[[SecAggError | None], None],
    ) -> None:
        self._address, self._me, self._tls, self._limits, self._spool, self._over = address, me, tls, limits, spool, over
        self._hub = me.roster.with_role("coordinator")[0].party
        self.link = Link(me.roster.hash, limits, spool, wanted)
        self.connected = False
        self.trouble = "not dialled yet"
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._runner: Runner

    def start(self, runner: Runner) -> None:
        """Begin to dial, for this agent."""
        self._runner = runner
        self._task = asyncio.get_running_loop().create_task(self._run())

    def carry(self, packet: Packet) -> None:
        """Send a packet of this party; it waits while there is no connection."""
        try:
            self.link.outbound.put(packet)
        except TransportError as refused:
            log.warning("%s is lost: %s", packet.header.kind, refused)
            return
        if self._connection is not None:
            self._connection.wake()

    async def flush(self) -> None:
        """Wait until the hub holds everything that was sent, as far as the connection that there is now lasts."""
        if self._connection is not None:
            await self._connection.flush()

    async def close(self) -> None:
        """Send what is still on its way, within the limit, and leave."""
        task = self._task
        try:
            async with asyncio.timeout(self._limits.close_seconds):
                await self.flush()
        except TimeoutError:
            pass
        if not self.link.outbound.empty:
            log.warning("%s: not everything was taken by the hub", self._me.party)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._runner.stop()
        self._spool.close()

    async def _run(self) -> None:
        pause = self._limits.retry_first
        while True:
            try:
                await self._connect()
            except Refusal as refused:
                self._over(refused)
                return
            except Goodbye as bye:
                if bye.code == ENDED:
                    await self._runner.idle()
                    self._over(None)
                    return
                self._note(bye)
            except InvalidMessage as refused:
                if refused.check == "TR-H3":
                    self._over(refused)
                    return
                self._note(refused)
            except (PeerError, TransportError, OSError) as broken:
                self._note(broken)
            except Exception:  # a bug of ours must not take the party off the network for good
                log.exception("%s: the connection failed; it dials again", self._me.party)
            if self.connected:
                pause, self.connected = self._limits.retry_first, False
            await asyncio.sleep(pause * int.from_bytes(os.urandom(4), "little") / 2**32)
            pause = min(2 * pause, self._limits.retry_last)

    def _note(self, trouble: Exception) -> None:
        self.trouble = str(trouble)
        log.log(logging.WARNING if self.connected else logging.INFO, "%s: no connection to the hub: %s", self._me.party, trouble)

    async def _connect(self) -> None:
        credentials = grpc.ssl_channel_credentials(**self._tls.channel_arguments())
        # Parties know the hub by its name in the roster, wherever it lives: certificates need no host names.
        options = [*channel_options(self._limits), ("grpc.ssl_target_name_override", str(self._hub)), ("grpc.enable_retries", 0)]
        async with grpc.aio.secure_channel(self._address, credentials, options=options) as channel:
            call = channel.stream_stream(f"/{SERVICE}/{METHOD}")()  # type: ignore[call-arg]  # the stubs ask for what has defaults
            try:
                await self._attend(call)
            except (*BROKEN, grpc.aio.AioRpcError) as broken:
                raise await self._explained(call) from broken

    async def _explained(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> TransportError:
        """Why the call is over."""
        code, details = await call.code(), await call.details()
        if code in _REFUSALS:
            return Refusal(f"the hub at {self._address} refuses {self._me.party}: {details}")
        return TransportError(f"{code.name}: {details}")

    async def _attend(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> None:
        async def read() -> bytes | None:
            raw = await call.read()
            return raw if isinstance(raw, bytes) else None

        async def deliver(packet: Packet) -> None:
            self._runner.put(packet)
            # What may come next depends on the description, so it is taken in before the next frame is read.
            await (self._runner.idle() if packet.header.kind == Describe.KIND else self._runner.room())

        await call.write(self.link.hello().to_frame())
        async with asyncio.timeout(self._limits.hello_seconds):
            raw = await read()
        if raw is None:
            raise TransportError(f"the hub closed the connection: {await call.details()}")
        hello = Hello.parse(raw)
        # > Both ends of a connection have pinned the same roster (TR-H3).
        if hello.roster != self._me.roster.hash:
            raise InvalidMessage("TR-H3", "the hub has pinned another roster than this party: pin the same epoch on both sides")
        self.link.greet(hello)
        self.connected, self.trouble = True, ""
        log.info("%s is connected to the hub at %s", self._me.party, self._address)
        self._connection = Connection(self.link, read, call.write, deliver, self._limits)
        try:
            await self._connection.run()
        finally:
            self._connection = None
            call.cancel()
