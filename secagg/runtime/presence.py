"""A party's agent with its connection, as plain calls: what `join` and `attend` stand on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from secagg.envelope import Packet
from secagg.errors import SecAggError
from secagg.pki import load_tls
from secagg.runtime import driver
from secagg.runtime.admission import PartyAdmission
from secagg.runtime.attendant import Attendant, Ended, Event, ignore
from secagg.runtime.dialler import Dialler
from secagg.runtime.limits import Limits
from secagg.runtime.runner import Runner
from secagg.runtime.spool import Spool

T = TypeVar("T")


class Presence:
    """Dials for `agent` from `start` to `close`. Raises ConfigError at once if its TLS files do not fit."""

    def __init__(self, address: str, agent: Attendant, spool: Spool, limits: Limits) -> None:
        self._agent, self._closed = agent, False
        self._notify: Callable[[Event], None] = ignore
        self._runner: Runner
        self._dialler = Dialler(
            address, agent.me, load_tls(agent.me), limits=limits, spool=spool, wanted=PartyAdmission(agent).check, over=self._over
        )

    @property
    def trouble(self) -> str:
        """Why there is no connection now; empty while there is one."""
        return self._dialler.trouble

    def start(self, notify: Callable[[Event], None]) -> None:
        """Begin to dial; `notify` is called from other threads with what happens."""
        self._notify = self._agent.notify = notify
        driver.call(self._start())

    def call(self, act: Callable[[float], tuple[T, list[Packet]]]) -> T:
        """Run `act(now)` between two packets of the agent and send what it gives."""
        return driver.call(self._runner.call(act))

    def close(self) -> None:
        """Leave; what is on its way is sent first. Safe to call twice."""
        if not self._closed:
            self._closed = True
            driver.call(self._dialler.close())

    async def _start(self) -> None:
        self._runner = Runner(self._agent.me.party, self._agent, self._dialler.carry)
        self._dialler.start(self._runner)

    def _over(self, error: SecAggError | None) -> None:
        self._notify(Ended() if error is None else error)
