"""`join`: a client's part in a task, from the first model to the last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.receipt import Receipt
from secagg.roles import Plan
from secagg.runtime.limits import Limits


@dataclass(frozen=True, slots=True)
class Missed:
    """A round that this client is not part of, and why: too late, refused, aborted."""

    round: int
    reason: str


class Session:
    """A client's connection to the hub; use it as a context manager.

    ```python
    with secagg.join("hub.example:7070", identity=me) as session:
        for model in session.rounds():
            update, examples = train(model)
            session.submit(update, weight=examples)
    ```
    """

    @property
    def round(self) -> int:
        """Number of the round whose model `rounds()` gave last; 0 before the first."""
        raise NotImplementedError

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """The verified receipts of the rounds that this session saw published, oldest first."""
        raise NotImplementedError

    @property
    def missed(self) -> tuple[Missed, ...]:
        """The rounds that were opened without this client's update, and what is known of the reason."""
        raise NotImplementedError

    @property
    def model(self) -> Mapping[str, Any] | None:
        """The newest model that the hub sent. After the task is over: the final one, if the hub published one."""
        raise NotImplementedError

    def rounds(self, timeout: float | None = None) -> Iterator[Mapping[str, Any]]:
        """The input model of each round, until the hub ends the task.

        Arrays are numpy, or the kind, dtype and device of `like` if `join` was given that. A new attempt over the same model is
        not yielded again: the update that was submitted is sent again under the attempt's own keys and fresh randomness.

        Raises:
            InvalidMessage: the hub asked for something that this party's policy refuses.
            TransportError: no connection, or no round, within `timeout` seconds.
        """
        raise NotImplementedError

    def submit(self, update: Mapping[str, Any], *, weight: int = 1) -> None:
        """Hand in the update trained from the model that `rounds()` gave last. Returns when it is on its way, not when it is summed.

        An update that comes too late for its round is not an error: `missed` says so, a warning is logged, the next round goes on.
        In a buffered task it goes into the current batch, its weight multiplied by the plan's public staleness factor.

        Args:
            update: same names and shapes as the model.
            weight: how much it counts, for example the number of examples; stays inside the encoded vector.

        Raises:
            ConfigError: wrong names, shapes or dtypes, NaN or infinity (with the tensor's name), a weight out of range.
            LocalProtocolError: nothing was asked for, or this round has its update.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Send what is still on its way and leave. Safe to call twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def join(
    address: str,
    *,
    identity: Identity,
    policy: Policy | None = None,
    like: Mapping[str, Any] | None = None,
    base_model: bytes | None = None,
    ledger: Ledger | None = None,
    plans: Sequence[type[Plan]] | None = None,
    aggregator: Identity | None = None,
    state: Path | None = None,
    limits: Limits | None = None,
) -> Session:
    """Dial the hub at `address` (`host:port`) as a client and return at once; it dials again by itself whenever the connection breaks.

    Args:
        identity: a client of the roster; its `folder` holds the TLS files.
        policy: what this party insists on, whatever the hub asks for.
        like: a state dict with the names, shapes and dtypes that this party trains; other layouts are refused, and models come as its kind.
        base_model: SHA-256 of the frozen weights that this party holds; a round over another base is refused. None: not compared.
        ledger: durable record of this party; by default `ledger.sqlite` in `state`, in memory if there is no folder at all.
        plans: plan classes of the protocols it speaks; by default those installed (entry points `secagg.protocols`) that the policy allows.
        aggregator: peer mode: an aggregator of the same organisation that attends beside this client, over a connection of its own.
        state: folder for the ledger and spool files; by default `identity.folder / "state"`.

    Raises:
        ConfigError: identity or TLS files do not fit.
    """
    raise NotImplementedError
