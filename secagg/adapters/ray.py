"""Ray as an engine: `secagg.simulate(…, engine="ray")`, `secagg.serve(…, engine="ray")`.

In a simulation the clients are steps of Ray tasks; a server's sum over a long vector is split by range over Ray's workers, in a simulation
and in a real hub. Results are those of one process, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray

from secagg.adapters.ray_clients import RayCrowd, answer
from secagg.adapters.ray_shards import Shard, ShardedTally
from secagg.errors import ConfigError
from secagg.math.ring import Ring
from secagg.runtime.engine import Bring, World
from secagg.tally import RunningSum, Tally
from secagg.types import PartyId


class RayEngine:
    """Work for Ray's workers.

    Joins the Ray that this process has begun, the one that RAY_ADDRESS names, or begins one on this machine.

    Args:
        workers: ranges of one sum, and half of the client batches under way; None: the processors of the Ray cluster.
        least: a sum of fewer words stays in this process, where its threads are faster than a way through Ray.
        patience: seconds after which a worker that does not answer counts as lost.
        start: arguments of `ray.init`, where it is called here.

    Guarantees: the sum has the same words as in one process. A lost worker is made anew and brought to where it was. Keys cross Ray sealed
    to the worker that uses them, in the rounds of `serve`; simulated parties have nothing to hide.

    Raises:
        ConfigError: Ray does not start.
    """

    def __init__(self, workers: int | None = None, *, least: int = 1 << 24, patience: float = 600.0, **start: Any) -> None:
        if not ray.is_initialized():
            given = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False, **start}
            try:
                ray.init(**given)
            except (ConnectionError, RuntimeError, ValueError) as refused:
                raise ConfigError(f"Ray does not start: {refused}") from refused
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.workers = workers if workers is not None else max(1, int(there.get("CPU", 1)))
        if self.workers < 1 or least < 1:
            raise ConfigError(f"workers={self.workers}, least={least}: at least one of each")
        self._least, self._patience = least, patience
        # Without processors of their own the ranges of a sum cannot keep the clients' tasks waiting.
        self._shard = ray.remote(num_cpus=0, max_restarts=0, scheduling_strategy="SPREAD")(Shard)
        self._answer = ray.remote(num_cpus=1, max_retries=3, scheduling_strategy="SPREAD")(answer)

    def tallies(self, ring: Ring, length: int) -> RunningSum:
        if length < self._least:
            return Tally.zero(ring, length)
        return ShardedTally(ring, length, self._shard.remote, shards=self.workers, patience=self._patience)

    def crowd(self, world: World, bring: Bring, silences: Mapping[PartyId, str]) -> RayCrowd:
        return RayCrowd(world, bring, silences, workers=self.workers, task=self._answer)
