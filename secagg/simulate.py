"""`simulate`: one whole round in this process, every message signed, encoded, carried as bytes, decoded and verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secagg.policy import Policy
from secagg.roles import Plan
from secagg.runtime.memory import Fault
from secagg.runtime.result import Result


def simulate(
    plan: Plan,
    updates: Sequence[Mapping[str, Any]],
    weights: Sequence[int] | None = None,
    *,
    drop: Mapping[int, str] | Sequence[int] = (),
    fault: Fault | None = None,
    policy: Policy | None = None,
    aggregators: int | None = None,
) -> Result:
    """Sum `updates` with `plan` among parties made up for the purpose and return what the collector opens.

    Args:
        updates: one `{name: array or tensor}` per client, for example peft state dicts; client i is called `client-i`.
        weights: one integer per client; all 1 by default.
        drop: clients that say nothing, or `{client: kind}`: it falls silent just before its first message of that kind.
        fault: `(sender, recipient, packet) -> packets`: loses, repeats, reorders or corrupts what travels.
        policy: the clients' and servers' own limits.
        aggregators: how many aggregators (or key holders); by default what the plan asks for.

    Returns:
        The result; `bytes_up` and `bytes_down` count real envelopes and payloads.

    Raises:
        ConfigError: an update does not fit the others or the plan.
        SessionAborted: too few were left to finish safely.

    Guarantees: the same code as over the network, minus TLS; time is virtual, so a drop-out costs no waiting.
    """
    raise NotImplementedError
