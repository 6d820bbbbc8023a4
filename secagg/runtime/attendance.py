"""`attend`: an aggregator or key holder that takes part in rounds until it is stopped."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from secagg.errors import ConfigError, SecAggError, TransportError
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.receipt import Receipt
from secagg.roles import Plan
from secagg.runtime.attendant import Attendant, Ended, Published, Refused
from secagg.runtime.home import Home
from secagg.runtime.limits import Limits
from secagg.runtime.plans import spoken
from secagg.runtime.presence import Presence


class Attendance:
    """A server's connection to the hub; use it as a context manager, or call `wait`."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._news = threading.Condition()
        self._receipts: list[Receipt] = []
        self._error: SecAggError | None = None
        self._over = False

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """The verified receipts of the rounds it took part in, oldest first."""
        with self._news:
            return tuple(self._receipts)

    def wait(self, timeout: float | None = None) -> None:
        """Take part until the hub ends the task or `close` is called from another thread. Ctrl-C ends it.

        Raises:
            TransportError: `timeout` seconds have passed, or the hub refuses this party.
            ConfigError: the ledger cannot be written, so this party takes part in nothing.
        """
        until = None if timeout is None else monotonic() + timeout
        with self._news:
            while not self._over and self._error is None:
                left = None if until is None else until - monotonic()
                if left is not None and left <= 0:
                    raise TransportError(f"the task is not over after {timeout:g} seconds")
                self._news.wait(1.0 if left is None else min(left, 1.0))
            if self._error is not None:
                raise self._error

    def close(self) -> None:
        """Leave. Safe to call twice."""
        self._presence.close()
        self._notice(Ended())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _notice(self, event: object) -> None:
        with self._news:
            match event:
                case Published(receipt):
                    self._receipts.append(receipt)
                case Refused(ConfigError() as error):  # rounds that it refuses are no error of a server, what it cannot write is
                    self._error = error
                case SecAggError():
                    self._error = event
                case Ended():
                    self._over = True
            self._news.notify_all()


def attend(
    address: str,
    *,
    identity: Identity,
    policy: Policy | None = None,
    ledger: Ledger | None = None,
    plans: Sequence[type[Plan]] | None = None,
    state: Path | None = None,
    limits: Limits | None = None,
) -> Attendance:
    """Dial the hub at `address` as an aggregator or key holder and return at once; arguments as in `join`.

    Raises:
        ConfigError: identity or TLS files do not fit.
    """
    if identity.member.role not in ("aggregator", "keyholder"):
        raise ConfigError(f"{identity.party} is {identity.member.role} in the roster: `join` is for clients, `serve` for the coordinator")
    chosen, bounds, home = policy or Policy(), limits or Limits(), Home.of(identity, state)
    attendant = Attendant(identity, plans=spoken(plans, chosen), policy=chosen, ledger=home.ledger(ledger), entropy=os.urandom)
    presence = Presence(address, attendant, home.spool(bounds), bounds)
    attendance = Attendance(presence)
    presence.start(attendance._notice)  # its other half
    return attendance
