"""`attend`: an aggregator or key holder that takes part in rounds until it is stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.receipt import Receipt
from secagg.roles import Plan
from secagg.runtime.limits import Limits


class Attendance:
    """A server's connection to the hub; use it as a context manager, or call `wait`."""

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """The verified receipts of the rounds it took part in, oldest first."""
        raise NotImplementedError

    def wait(self, timeout: float | None = None) -> None:
        """Take part until the hub ends the task or `close` is called from another thread. Ctrl-C ends it.

        Raises:
            TransportError: `timeout` seconds have passed, or the hub refuses this party.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Leave. Safe to call twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


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
    raise NotImplementedError
