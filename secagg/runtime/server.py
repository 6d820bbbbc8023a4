"""`serve`: the hub that every party dials. It coordinates the rounds, carries packets, and opens the sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.roles import Plan
from secagg.runtime.limits import Limits
from secagg.runtime.result import Result
from secagg.types import PartyId


class Server:
    """A running hub; use it as a context manager. Leaving it tells every party that the task is over."""

    @property
    def address(self) -> str:
        """`host:port` that it listens on; the port is the real one when 0 was asked for."""
        raise NotImplementedError

    @property
    def connected(self) -> tuple[PartyId, ...]:
        """The parties of the roster that are there now, sorted; those in this process included."""
        raise NotImplementedError

    @property
    def round(self) -> int:
        """Number of the round that `aggregate` runs next, from 1; after a restart it goes on where the ledger says."""
        raise NotImplementedError

    def wait_for(self, clients: int, timeout: float) -> tuple[PartyId, ...]:
        """Wait until `clients` clients and every server of the roster are there. Returns the clients, sorted.

        Raises:
            SessionAborted: not all came within `timeout` seconds; the message says who is missing.
        """
        raise NotImplementedError

    def aggregate(self, deadline: float = 60.0, *, wait: float = 60.0) -> Result:
        """Run one round over the clients that are connected and return what was opened.

        Each attempt has a new description, keys and masks. The model stays as it is until `publish`.

        Args:
            deadline: seconds that clients have for training and upload, from the description on.
            wait: seconds to wait beforehand until at least F organisations and every server are there.

        Raises:
            SessionAborted: no attempt opened a sum; says who answered and how many were needed.
        """
        raise NotImplementedError

    def publish(self, state: Mapping[str, Any]) -> None:
        """Make `state` the model of the next round: same names, shapes and dtypes. Raises ConfigError."""
        raise NotImplementedError

    def close(self) -> None:
        """End the task: parties get the model as it is now and leave. Safe to call twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def serve(
    plan: Plan,
    address: str,
    *,
    identity: Identity,
    model: Mapping[str, Any],
    base_model: bytes = bytes(32),
    task: str = "default",
    aggregators: Sequence[Identity] = (),
    ledger: Ledger | None = None,
    policy: Policy | None = None,
    state: Path | None = None,
    attempts: int = 3,
    finish: float = 30.0,
    limits: Limits | None = None,
) -> Server:
    """Start a hub on `address` (`host:port`) and return at once; parties may dial from then on.

    Args:
        plan: the protocol with its numbers.
        identity: the coordinator of the roster; its `folder` holds the TLS files.
        model: what clients train from in the first round: `{name: array or tensor}`. It fixes names, shapes and dtypes.
        base_model: SHA-256 of the frozen weights that the parties hold; stands in every round description.
        task: name of the task; rounds of a task only move forward.
        aggregators: identities of aggregators that live in this process. At least one aggregator of a round should not.
        ledger: durable record of the coordinator; by default `ledger.sqlite` in `state`, in memory if there is no folder at all.
        policy: what the aggregators in this process insist on.
        state: folder for spool files and the current model, so that a restarted hub goes on; by default `identity.folder / "state"`.
        attempts: attempts of one round before `aggregate` gives up.
        finish: seconds for the phases after the deadline.

    Raises:
        ConfigError: identity, model or TLS files do not fit.
        TransportError: the address cannot be listened on.
    """
    raise NotImplementedError
