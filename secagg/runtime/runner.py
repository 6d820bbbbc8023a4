"""Drives one agent on the loop: one call at a time, in a thread of its own, so that cryptography never holds up the network."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from secagg.envelope import Packet
from secagg.runtime.driver import clock
from secagg.runtime.memory import Agent

log = logging.getLogger("secagg.runtime")
T = TypeVar("T")
_BACKLOG = 64
"""Packets that may wait for the agent before whoever brings them has to wait too."""

_PAUSE = 0.5


class Runner:
    """Gives `agent` its packets and its time, and hands what it says to `carry`, all in order."""

    def __init__(self, name: str, agent: Agent, carry: Callable[[Packet], None], settled: Callable[[], None] = lambda: None) -> None:
        self.name, self.agent, self._carry, self._settled = name, agent, carry, settled
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"secagg-{name}")
        self._lock = asyncio.Lock()
        self._inbox: deque[Packet] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def put(self, packet: Packet) -> None:
        """Take a packet now."""
        self._inbox.append(packet)
        self._idle.clear()
        if len(self._inbox) >= _BACKLOG:
            self._room.clear()
        self._wake.set()

    async def room(self) -> None:
        """Wait until the agent has caught up."""
        await self._room.wait()

    async def idle(self) -> None:
        """Wait until the agent has taken in everything."""
        await self._idle.wait()

    async def call(self, act: Callable[[float], tuple[T, list[Packet]]]) -> T:
        """Run `act(now)` between two packets and carry the packets that it gives."""
        async with self._lock:
            answer, sent = await self._in_thread(partial(act, clock()))
            self._hand_over(sent)
        self._wake.set()
        return answer

    async def stop(self) -> None:
        """Take no more; what runs is finished first."""
        async with self._lock:
            self._task.cancel()
        self._pool.shutdown(wait=False)

    async def _run(self) -> None:
        while True:
            due = self.agent.due()
            try:
                async with asyncio.timeout(None if due is None else max(due - clock(), 0)):
                    await self._wake.wait()
            except TimeoutError:
                await self._act(self.agent.tick)
                continue
            self._wake.clear()
            while self._inbox:
                packet = self._inbox.popleft()
                if len(self._inbox) < _BACKLOG // 2:
                    self._room.set()
                await self._act(partial(self.agent.receive, packet))
            self._idle.set()

    async def _act(self, act: Callable[[float], list[Packet]]) -> None:
        async with self._lock:
            try:
                self._hand_over(await self._in_thread(partial(act, clock())))
            except Exception:  # a bug of ours must not silence the party for good
                log.exception("%s failed over one packet; it goes on", self.name)
                await asyncio.sleep(_PAUSE)  # what fails at once must not fail a thousand times a second

    def _hand_over(self, packets: list[Packet]) -> None:
        for packet in packets:
            self._carry(packet)
        self._settled()

    async def _in_thread(self, act: Callable[[], T]) -> T:
        try:
            running = asyncio.get_running_loop().run_in_executor(self._pool, act)
        except RuntimeError as ended:  # the interpreter is on its way out and takes no more work
            raise asyncio.CancelledError from ended
        return await running
