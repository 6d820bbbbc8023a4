"""A running hub: it coordinates the rounds, carries packets between the parties that dialled in, and opens the sums."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from secagg.envelope import Packet, pack
from secagg.errors import PeerError, SessionAborted
from secagg.pki import TlsFiles
from secagg.receipt import Receipt, result_digest
from secagg.round import Round, RoundDescription
from secagg.runtime import driver
from secagg.runtime.admission import HubAdmission
from secagg.runtime.attendant import Attendant
from secagg.runtime.coordinator import Coordinator, abort_packets
from secagg.runtime.dialler import ENDED
from secagg.runtime.ending import Ending, ending_context
from secagg.runtime.home import Home, Progress, Record
from secagg.runtime.hub import Hub
from secagg.runtime.limits import Limits
from secagg.runtime.model import float_bytes
from secagg.runtime.result import Result
from secagg.runtime.runner import Runner
from secagg.runtime.task import Opened, Task
from secagg.types import PartyId
from secagg.wire.parse import parse
from secagg.wire.v1 import common_pb2 as pb

log = logging.getLogger("secagg.runtime")
_LATE = "no update had come when the batch was closed"
_AGAIN = 10.0
"""Seconds that a new attempt gives clients at least: those that have trained only have to send again."""


class Server:
    """A running hub; use it as a context manager. Leaving it tells every party that the task is over.

    Made by `serve`. Its calls may come from any thread, one `aggregate` at a time.
    """

    def __init__(self, task: Task, coordinator: Coordinator, record: Record, like: Mapping[str, Any], attempts: int) -> None:
        self._task, self._coordinator, self._record, self._like, self._attempts = task, coordinator, record, like, attempts
        self._me = coordinator.me
        self._opened = record.mean(task.round - 1)
        self._host, self._port, self._closed = "", 0, False
        self._hub: Hub
        self._runner: Runner
        self._changed: asyncio.Condition

    @property
    def address(self) -> str:
        """`host:port` that it listens on; the port is the real one when 0 was asked for."""
        return f"{self._host}:{self._port}"

    @property
    def connected(self) -> tuple[PartyId, ...]:
        """The parties of the roster that are there now, sorted; those in this process included."""
        return tuple(sorted(self._hub.connected))

    @property
    def round(self) -> int:
        """Number of the round that `aggregate` runs next, from 1; after a restart it goes on where the state folder says."""
        return self._task.round

    @property
    def model(self) -> Mapping[str, Any]:
        """The model of the next round; after a restart, the one that was published last before it."""
        return self._task.layout.restore(self._task.model.values, self._like)

    @property
    def unpublished(self) -> Mapping[str, Any] | None:
        """The mean of the last round, `round` − 1, if no model has been published since it was opened.

        After a restart too, with a state folder: a hub that dies between `aggregate` and `publish` loses no round.
        """
        return None if self._opened is None else self._task.layout.restore(self._opened, self._like)

    def wait_for(self, clients: int, timeout: float) -> tuple[PartyId, ...]:
        """Wait until `clients` clients and every server that the plan needs are there. Returns the clients, sorted.

        Raises:
            SessionAborted: not all came within `timeout` seconds; the message says who is missing.
        """
        return driver.call(self._gather(clients, timeout))

    def aggregate(self, deadline: float = 60.0, *, wait: float = 60.0) -> Result:
        """Run one round over the clients that are connected and return what was opened.

        Each attempt has a new description, keys and masks. The model stays as it is until `publish`.

        Args:
            deadline: seconds that clients have for training and upload, from the first description on.
            wait: seconds to wait beforehand until at least F organisations and every server are there.

        Raises:
            SessionAborted: no attempt opened a sum, or what came out is not the sum of as many updates as were agreed on (TR-C7); says who
                answered and how many were needed.
        """
        return driver.call(self._aggregate(deadline, wait))

    def publish(self, state: Mapping[str, Any]) -> None:
        """Make `state` the model of the next round: same names, shapes and dtypes. Raises ConfigError."""
        self._task.publish(self._task.layout.flatten(state))
        self._save()
        self._opened = None
        self._record.drop_means()

    def close(self) -> None:
        """End the task: parties get the model as it is now and leave. Safe to call twice."""
        self._close(ended=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # After an error the task is not over: parties stay and dial again until the hub is back.
        self._close(ended=kind is None)

    # Starting and stopping, on the loop.

    async def listen(self, address: str, aggregators: Sequence[Attendant], tls: TlsFiles, home: Home, limits: Limits) -> None:
        self._changed = asyncio.Condition()
        admission = HubAdmission(self._task.plan, lambda: self._coordinator.opened if self._coordinator.open else None)
        self._hub = Hub(
            self._me,
            tls,
            limits=limits,
            spool=home.spool(limits),
            wanted=admission.check,
            arrived=self._arrived,
            changed=self._notice,
        )
        self._runner = Runner(self._me.party, self._coordinator, self._hub.route, self._notice)
        self._hub.attach(self._me.party, self._runner)
        for attendant in aggregators:
            self._hub.attach(attendant.me.party, Runner(attendant.me.party, attendant, self._hub.route))
        self._host = address.rpartition(":")[0]
        try:
            self._port = await self._hub.listen(address)
        except BaseException:
            await self._hub.close("closing", "the hub could not start")
            raise
        self._declare_interrupted()

    def _declare_interrupted(self) -> None:
        """An attempt that was open when the process died is over, and everybody hears it as soon as they are back."""
        signed = self._record.interrupted()
        if signed is None:
            return
        try:
            wire = parse(pb.SignedDescription, signed)
            opened = Round(RoundDescription.parse(wire.description), wire.description, wire.signature, self._me.roster)
            packets = abort_packets(self._me, opened, "the hub was restarted within this attempt: a new one follows")
        except PeerError as refused:
            log.warning("the record of the attempt that was open does not parse and is ignored: %s", refused)
            return
        log.warning("round %d, attempt %d was open when the hub stopped: it is aborted", opened.ctx.round, opened.ctx.attempt)
        for packet in packets:
            if self._me.roster.hash == opened.description.roster_hash:
                self._hub.route(packet)

    def _close(self, *, ended: bool) -> None:
        if self._closed:
            return
        self._closed = True
        driver.call(self._finish(ended))

    async def _finish(self, ended: bool) -> None:
        if self._coordinator.open:
            failure = SessionAborted("the hub was closed")
            await self._runner.call(lambda _: (None, self._coordinator.stop(failure)))
        if ended:
            for packet in self._endings():
                self._hub.route(packet)
        code, reason = (ENDED, "the task is over") if ended else ("closing", "the hub stops for now")
        await self._hub.close(code, reason)

    def _endings(self) -> list[Packet]:
        ctx, there = ending_context(self._task.name), self._hub.connected - {self._me.party}
        model = Ending(self._task.model.digest, self._task.payload)
        roles = {member.party: member.role for member in self._me.roster.members}
        return [pack(self._me, ctx, name, model if roles[name] == "client" else Ending(b"")) for name in sorted(there)]

    # Who is there.

    def _arrived(self, party: PartyId) -> None:
        """A party that remembers nothing is there: it needs the description of the attempt under way."""
        asyncio.get_running_loop().create_task(self._runner.call(lambda _: (None, self._coordinator.describe(party))))

    def _notice(self) -> None:
        asyncio.get_running_loop().create_task(self._wake())

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _there(self) -> tuple[tuple[PartyId, ...], tuple[PartyId, ...]]:
        """Clients that are there, and servers that are not."""
        roster, connected = self._me.roster, self._hub.connected
        now = driver.clock()
        connected = frozenset(name for name in connected if roster.member(name).valid_at(now))
        clients = tuple(member.party for member in roster.with_role("client") if member.party in connected)
        return clients, tuple(name for name in self._task.servers if name not in connected)

    async def _gather(self, clients: int, wait: float, *, organisations: int = 0) -> tuple[PartyId, ...]:
        def enough() -> bool:
            there, missing = self._there()
            behind = {self._me.roster.member(name).organisation for name in there}
            return not missing and len(there) >= clients and len(behind) >= organisations

        try:
            async with asyncio.timeout(wait), self._changed:
                await self._changed.wait_for(enough)
        except TimeoutError:
            there, servers = self._there()
            away = [member.party for member in self._me.roster.with_role("client") if member.party not in there]
            needed = max(clients, organisations)
            raise SessionAborted(
                f"after {wait:g} seconds {len(there)} clients are there, {needed} needed"
                f"; missing servers: {', '.join(servers) or 'none'}; clients away: {', '.join(away) or 'none'}",
                answered=there,
                needed=needed,
            ) from None
        return self._there()[0]

    # A round.

    async def _aggregate(self, deadline: float, wait: float) -> Result:
        if self._closed:
            raise SessionAborted("the hub is closed")
        outcome, ends = SessionAborted("no attempt was made"), 0.0
        for number in range(1, self._attempts + 1):
            cohort = await self._gather(1, wait, organisations=self._task.floor)
            now = driver.clock()
            ends = ends or now + deadline
            answer = await self._attempt(cohort, max(ends - now, min(deadline, _AGAIN)))
            if isinstance(answer, Result):
                return answer
            outcome = answer
            log.warning("attempt %d of %d failed: %s", number, self._attempts, outcome)
            # Where too few reported in time, nothing says that more would now; after any other failure those who trained send again.
            if self._coordinator.closed_at is None and driver.clock() >= ends:
                break
        raise self._explained(outcome)

    async def _attempt(self, cohort: tuple[PartyId, ...], seconds: float) -> Result | SessionAborted:
        task, coordinator, hub = self._task, self._coordinator, self._hub
        description = task.describe(cohort, seconds)
        up, down, began = dict(hub.bytes_from), dict(hub.bytes_to), driver.clock()

        def begin(now: float) -> tuple[None, list[Packet]]:
            sent = coordinator.begin(description, task.payload, now)
            if coordinator.opened is not None:
                self._record.open(coordinator.opened.signed())
            return None, sent

        await self._runner.call(begin)
        async with self._changed:
            await self._changed.wait_for(lambda: not coordinator.open)
        if coordinator.failure is not None:
            self._save()
            hub.forget_packets()
            return coordinator.failure
        try:
            opened, receipt = await self._open()
        except SessionAborted as refused:
            self._save()
            return refused
        finally:
            hub.forget_packets()
        ended = driver.clock()
        number, attempt = description.round, description.attempt
        included = receipt.included
        return Result(
            mean=task.layout.restore(opened.mean, self._like),
            included=included,
            weight=opened.weight,
            receipt=receipt,
            round=number,
            attempt=attempt,
            left={name: coordinator.left.get(name, _LATE) for name in cohort if name not in included},
            bytes_up=_since(hub.bytes_from, up),
            bytes_down=_since(hub.bytes_to, down),
            seconds=ended - began,
            waited=max((coordinator.closed_at or ended) - began, 0.0),
        )

    async def _open(self) -> tuple[Opened, Receipt]:
        task, coordinator = self._task, self._coordinator

        def publish(_: float) -> tuple[tuple[Opened, Receipt], list[Packet]]:
            total, described = coordinator.total, coordinator.opened
            if total is None or described is None:
                raise SessionAborted("the attempt ended without a sum")
            opened = task.decode(total, described)
            digest = result_digest(float_bytes(opened.mean))
            receipt, sent = coordinator.publish(digest)
            self._opened = opened.mean
            self._record.keep_mean(task.round, opened.mean, digest)
            task.finish()
            self._save()  # before anybody hears of it: a restarted hub does not run this round again
            self._record.drop_means(but=described.ctx.round)
            return (opened, receipt), sent

        try:
            return await self._runner.call(publish)
        except SessionAborted as refused:
            failure = refused
            await self._runner.call(lambda _: (None, coordinator.stop(failure)))
            raise

    def _save(self) -> None:
        self._record.save(Progress(self._task.round, self._task.versions, self._task.model))

    def _explained(self, failure: SessionAborted) -> SessionAborted:
        """The failure, with what is known of those who left."""
        left = sorted(self._coordinator.left.items())
        text = "; ".join([str(failure), *(f"{party} left: {reason}" for party, reason in left if reason not in str(failure))])
        return SessionAborted(text, answered=failure.answered, needed=failure.needed)


def _since(now: Mapping[PartyId, int], before: Mapping[PartyId, int]) -> dict[PartyId, int]:
    return {name: count - before.get(name, 0) for name, count in now.items() if count > before.get(name, 0)}
