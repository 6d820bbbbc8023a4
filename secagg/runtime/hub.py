"""The hub's network: one gRPC service that every party attends, and the packets between them.

    party ══ Attend ══▶ Hub ══▶ an agent in this process, or the link of another party

It looks at headers only. What one party says to another is signed and, where it is secret, sealed by them; the hub can lose it, not
read or forge it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from secagg.envelope import Packet
from secagg.errors import InvalidMessage, PeerError, TransportError, UnexpectedMessage
from secagg.identity import Identity
from secagg.pki import TlsFiles
from secagg.runtime.connection import BROKEN, METHOD, SERVICE, Connection, Read, channel_options
from secagg.runtime.driver import clock
from secagg.runtime.frames import Hello
from secagg.runtime.limits import Limits
from secagg.runtime.link import Link
from secagg.runtime.memory import packet_size
from secagg.runtime.runner import Runner
from secagg.runtime.spool import Spool
from secagg.types import PartyId

log = logging.getLogger("secagg.runtime")
TLS_VERSION = b"TLSv1.3"


class ForeignSender(TransportError):
    """Somebody sends in the name of another."""


class _Line:
    """A party's link, and its connection while there is one."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.connection: Connection | None = None
        self.task: asyncio.Task[None] | None = None


class _Wire:
    """One call of the service; a call that is over is a broken connection, whichever way gRPC says so."""

    def __init__(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        self._context = context

    async def read(self) -> bytes | None:
        try:
            raw: object = await self._context.read()
        except BROKEN as broken:
            raise TransportError("the call is over") from broken
        return raw if isinstance(raw, bytes) else None

    async def write(self, raw: bytes) -> None:
        try:
            await self._context.write(raw)
        except BROKEN as broken:
            raise TransportError("the call is over") from broken

    async def end(self, code: grpc.StatusCode, reason: str) -> None:
        """End the call with a status. Always raises, as gRPC wants it, unless the call is over."""
        log.log(logging.INFO if code is grpc.StatusCode.UNAVAILABLE else logging.WARNING, "%s", reason)
        if not self._context.done():
            await self._context.abort(code, reason)


class Hub:
    """Routes packets between agents of this process and parties that dial in.

    Args:
        wanted: `wanted(packet, payload size)` raises PeerError for a packet that does not belong to the attempt under way.
        arrived: called when a party is there that remembers nothing, with its name.
        changed: called when somebody comes or goes.
    """

    def __init__(
        self,
        me: Identity,
        tls: TlsFiles,
        *,
        limits: Limits,
        spool: Spool,
        wanted: Callable[[Packet, int], None],
        arrived: Callable[[PartyId], None],
        changed: Callable[[], None],
    ) -> None:
        self._me, self._tls, self._limits, self._spool = me, tls, limits, spool
        self._wanted, self._arrived, self._changed = wanted, arrived, changed
        self._lines: dict[PartyId, _Line] = {}
        self._runners: dict[PartyId, Runner] = {}
        self._server: grpc.aio.Server | None = None
        self.bytes_from: dict[PartyId, int] = {}
        self.bytes_to: dict[PartyId, int] = {}

    async def listen(self, address: str) -> int:
        """Serve on `host:port`; the port that it is. Raises TransportError."""
        options = [*channel_options(self._limits), ("grpc.max_concurrent_streams", 4)]
        server = grpc.aio.server(options=options, maximum_concurrent_rpcs=4 * len(self._me.roster.members) + 16)
        method = grpc.stream_stream_rpc_method_handler(self._attend)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: method}),))
        arguments: dict[str, Any] = self._tls.server_arguments()
        credentials = grpc.ssl_server_credentials(**arguments)
        try:
            port = server.add_secure_port(address, credentials)
        except RuntimeError as refused:
            raise TransportError(f"cannot listen on {address}: is the port in use, and the address one of this machine?") from refused
        await server.start()
        self._server = server
        return int(port)

    def attach(self, name: PartyId, runner: Runner) -> None:
        """Let an agent of this process be `name`."""
        self._runners[name] = runner

    @property
    def connected(self) -> frozenset[PartyId]:
        """Who is there, parties of this process included."""
        return frozenset(self._runners) | {name for name, line in self._lines.items() if line.connection is not None}

    def route(self, packet: Packet) -> None:
        """Carry a packet to its recipient, or keep it until the recipient is there."""
        sender, recipient, size = packet.header.sender, packet.header.recipient, packet_size(packet)
        self.bytes_from[sender] = self.bytes_from.get(sender, 0) + size
        self.bytes_to[recipient] = self.bytes_to.get(recipient, 0) + size
        runner = self._runners.get(recipient)
        if runner is not None:
            runner.put(packet)
            return
        line = self._line(recipient)
        try:
            line.link.outbound.put(packet)
        except TransportError as refused:
            log.warning("%s for %s is lost: %s", packet.header.kind, recipient, refused)
            return
        if line.connection is not None:
            line.connection.wake()

    def forget_packets(self) -> None:
        """Drop what still waits for parties that are away: its attempt is over."""
        for line in self._lines.values():
            if line.connection is None:
                line.link.outbound.clear()

    async def close(self, code: str, reason: str) -> None:
        """Deliver what is on its way, say goodbye, and stop."""
        lines = [line for line in self._lines.values() if line.connection is not None]
        try:
            async with asyncio.timeout(self._limits.close_seconds):
                await asyncio.gather(*(line.connection.flush() for line in lines if line.connection is not None))
        except TimeoutError:
            log.warning("some parties did not take everything before the hub closed")
        for line in lines:
            if line.connection is not None:
                line.connection.hang_up(code, reason)
        if tasks := [line.task for line in lines if line.task is not None]:
            await asyncio.wait(tasks, timeout=self._limits.close_seconds)  # each party hangs up when it has read the goodbye
        if self._server is not None:
            await self._server.stop(self._limits.close_seconds / 5)
        for runner in self._runners.values():
            await runner.stop()
        self._spool.close()

    # The service.

    async def _attend(self, _: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        wire = _Wire(context)
        try:
            party = self._identify(context)
            hello = await self._greeting(wire.read)
        except InvalidMessage as refused:
            await wire.end(grpc.StatusCode.PERMISSION_DENIED, f"a connection is refused: {refused}")
        except PeerError as refused:
            await wire.end(grpc.StatusCode.INVALID_ARGUMENT, f"a connection is refused: {refused}")
        except TransportError as broken:
            await wire.end(grpc.StatusCode.UNAVAILABLE, str(broken))
        else:
            await self._keep(party, hello, wire)

    async def _keep(self, party: PartyId, hello: Hello, wire: _Wire) -> None:
        try:
            await self._serve(party, hello, wire)
        except ForeignSender as refused:
            await wire.end(grpc.StatusCode.PERMISSION_DENIED, f"the connection of {party} is refused: {refused}")
        except PeerError as refused:
            await wire.end(grpc.StatusCode.INVALID_ARGUMENT, f"the connection of {party} is cut: {refused}")
        except TransportError as broken:
            await wire.end(grpc.StatusCode.UNAVAILABLE, f"{party}: {broken}")

    def _identify(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> PartyId:
        seen = context.auth_context()
        # > Connections use TLS 1.3 (TR-H1).
        if list(seen.get("ssl_tls_version", [])) != [TLS_VERSION]:
            raise InvalidMessage("TR-H1", "this hub speaks TLS 1.3 only: upgrade grpcio on both sides")
        pem = next(iter(seen.get("x509_pem_cert", [])), b"")
        party = self._tls.peer(bytes(pem), self._me.roster)
        # > The party that the TLS certificate names is in the roster, and its keys are valid (TR-H2).
        try:
            self._me.roster.check_valid((party,), clock())
        except InvalidMessage as refused:
            raise InvalidMessage("TR-H2", str(refused), culprits=[party]) from refused
        if party == self._me.party or party in self._runners:
            raise InvalidMessage("TR-H2", f"{party} is part of the hub and does not dial in", culprits=[party])
        return party

    async def _serve(self, party: PartyId, hello: Hello, wire: _Wire) -> None:
        line = self._line(party)
        if line.task is not None:  # the newest connection of a party is the one that lives
            line.task.cancel()
            await asyncio.wait({line.task}, timeout=1)
        line.task = asyncio.current_task()
        await wire.write(line.link.hello().to_frame())
        fresh = line.link.greet(hello)
        connection = Connection(line.link, wire.read, wire.write, self._deliver, self._limits)
        line.connection = connection
        log.info("%s is connected%s", party, "" if fresh else " again")
        if fresh:
            self._arrived(party)
        self._changed()
        try:
            await connection.run()
        finally:
            if line.connection is connection:
                line.connection = line.task = None
                log.info("%s is gone", party)
                self._changed()

    async def _greeting(self, read: Read) -> Hello:
        try:
            async with asyncio.timeout(self._limits.hello_seconds):
                raw = await read()
        except TimeoutError as refused:
            raise TransportError("no first frame in time") from refused
        if raw is None:
            raise TransportError("closed before its first frame")
        hello = Hello.parse(raw)
        # > Both ends of a connection have pinned the same roster (TR-H3).
        if hello.roster != self._me.roster.hash:
            raise InvalidMessage("TR-H3", "the party has pinned another roster than the hub: pin the same epoch on both sides")
        return hello

    async def _deliver(self, packet: Packet) -> None:
        self.route(packet)
        runner = self._runners.get(packet.header.recipient)
        if runner is not None:
            await runner.room()

    def _line(self, party: PartyId) -> _Line:
        if party not in self._lines:

            def admit(packet: Packet, size: int) -> None:
                self._admit(party, packet, size)

            self._lines[party] = _Line(Link(self._me.roster.hash, self._limits, self._spool, admit))
        return self._lines[party]

    def _admit(self, party: PartyId, packet: Packet, size: int) -> None:
        header = packet.header
        # > The sender of an envelope is the party that the TLS certificate names; otherwise the connection is refused.
        if header.sender != party:
            raise ForeignSender(f"{party} sent an envelope in the name of {header.sender}")
        if header.recipient not in self._runners and not self._is_party(header.recipient):
            raise UnexpectedMessage(f"{header.recipient} is nobody that packets can be carried to", culprits=[party])
        self._wanted(packet, size)

    def _is_party(self, name: PartyId) -> bool:
        return any(member.party == name for member in self._me.roster.members)
