"""What a secure sum costs inside Flower: the same rounds with the same strategy, in the clear and wrapped, in one simulation on Ray.

    python -m benchmarks.stacks --clients 5 --values 100000 --rounds 3

Wall time of `strategy.start`, bytes that reached the server, and the ratio to the run in the clear. Training is nothing here (one
addition), so that the ratio is the worst that a user can see.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Strategy
from flwr.simulation import run_simulation
from rich import box
from rich.console import Console
from rich.table import Table

from protocols import additive, pairwise
from secagg.adapters.flower import SecureMod, SecureStrategy
from secagg.identity import Identity
from secagg.pki.trial import make_trial

_RAY: Any = {"client_resources": {"num_cpus": 1}, "init_args": {"num_cpus": 2, "object_store_memory": 200_000_000}}


def client_app(mods: list[Any]) -> ClientApp:
    app = ClientApp(mods=mods)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        model = message.content["arrays"]["w"].numpy()  # type: ignore[union-attr]
        moved = ArrayRecord({"w": Array(model + np.float32(1e-3))})
        return Message(RecordDict({"arrays": moved, "metrics": MetricRecord({"num-examples": 10})}), reply_to=message)

    return app


class Weighed(Grid):
    """The grid, which counts what comes back."""

    def __init__(self, grid: Grid) -> None:
        self._grid, self.bytes = grid, 0

    def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> Any:
        return self._count(self._grid.send_and_receive(messages, timeout=timeout))

    def _count(self, came: Any) -> Any:
        replies = list(came)
        records = [record for reply in replies if not reply.has_error() for record in reply.content.array_records.values()]
        self.bytes += sum(record.count_bytes() for record in records)
        return replies

    def get_node_ids(self) -> Any:
        return self._grid.get_node_ids()

    @property
    def run(self) -> Any:
        return self._grid.run

    def set_run(self, run: Any) -> None: ...
    def create_message(self, *args: Any, **kwargs: Any) -> Any: ...
    def push_messages(self, messages: Any) -> Any:
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Any) -> Any:
        return self._count(self._grid.pull_messages(message_ids))


def run(strategies: dict[str, Strategy], mods: list[Any], nodes: int, values: int, rounds: int) -> dict[str, tuple[float, int]]:
    """Seconds and bytes of each strategy, in turn, after a round that starts Ray's workers."""
    taken: dict[str, tuple[float, int]] = {}
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        first = ArrayRecord({"w": Array(np.zeros(values, np.float32))})
        for name, strategy in strategies.items():
            weighed = Weighed(grid)
            strategy.start(weighed, first, num_rounds=1)
            weighed.bytes, began = 0, time.perf_counter()
            strategy.start(weighed, first, num_rounds=rounds)
            taken[name] = time.perf_counter() - began, weighed.bytes

    run_simulation(server, client_app(mods), nodes, backend_config=_RAY)
    return taken


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--clients", type=int, default=5)
    asked.add_argument("--values", type=int, default=100_000)
    asked.add_argument("--rounds", type=int, default=3)
    given = asked.parse_args()
    folder = Path(tempfile.mkdtemp()) / "pki"
    make_trial(folder, clients=[f"client-{index:02d}" for index in range(given.clients)], aggregators=["auditor", "leader"])
    hub, leader = Identity.load(folder / "hub"), Identity.load(folder / "auditor")

    def fedavg() -> FedAvg:
        return FedAvg(fraction_evaluate=0.0, min_train_nodes=given.clients, min_available_nodes=given.clients)

    plain = run({"FedAvg in the clear": fedavg()}, [], given.clients, given.values, given.rounds)
    pairs = pairwise.Plan(clients=given.clients, clip=8.0)
    split = additive.Plan(clients=given.clients, clip=8.0)
    secure: dict[str, Strategy] = {
        "pairwise": SecureStrategy(fedavg(), pairs, hub),
        "additive, leader beside": SecureStrategy(fedavg(), split, hub, beside=[leader]),
    }
    done = plain | run(secure, [SecureMod(folder)], given.clients + 2, given.values, given.rounds)
    table = Table("strategy", "s a round", "x clear", "bytes a value and client", "x clear", box=box.SIMPLE)
    clear, up = plain["FedAvg in the clear"]
    for name, (seconds, size) in done.items():
        each = size / given.rounds / given.clients / given.values
        table.add_row(name, f"{seconds / given.rounds:.2f}", f"{seconds / clear:.2f}", f"{each:.2f}", f"{size / up:.2f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
