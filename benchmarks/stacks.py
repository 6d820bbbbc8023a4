"""What a secure sum costs inside Flower and NVFlare: the same rounds in the clear and secured, each in the stack's own simulator.

    python -m benchmarks.stacks --clients 5 --values 100000 --rounds 3

Wall time of a round, bytes that reached the server, and the ratio to the run in the clear. Training is nothing here (one addition), so
that the ratio is the worst that a user can see: with training, compare the seconds that a round takes more. Beside Flower's own SecAgg+,
which needs its legacy workflow, and with `--peers` NVFlare's homomorphic encryption, which its simulator refuses: the same rounds in
deployments of a server and a process for each site.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.common import ndarrays_to_parameters
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Strategy
from flwr.simulation import run_simulation
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Line, show
from protocols import additive, ckks, pairwise
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


def legacy(nodes: int, values: int, rounds: int, *, secure: bool) -> tuple[float, int]:
    """Flower's legacy workflow, in the clear or with its SecAgg+, which works with no other."""
    app = ClientApp(client_fn=lambda _: Legacy().to_client(), mods=[secaggplus_mod] if secure else [])
    server, taken = ServerApp(), list[tuple[float, int]]()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        for count in (1, rounds):
            weighed, began = Weighed(grid), time.perf_counter()
            first = ndarrays_to_parameters([np.zeros(values, np.float32)])
            settings: dict[str, Any] = {"fraction_evaluate": 0.0, "min_fit_clients": nodes, "min_available_clients": nodes}
            strategy = LegacyFedAvg(initial_parameters=first, **settings)
            work = SecAggPlusWorkflow(num_shares=nodes, reconstruction_threshold=2 * nodes // 3 + 1) if secure else None
            DefaultWorkflow(fit_workflow=work)(
                weighed, LegacyContext(context=context, config=ServerConfig(num_rounds=count), strategy=strategy)
            )
            taken.append((time.perf_counter() - began, weighed.bytes))

    run_simulation(server, app, nodes, backend_config=_RAY)
    return taken[-1]


class Legacy(NumPyClient):
    """The same training for Flower's older interface."""

    def fit(self, parameters: Any, config: Any) -> Any:
        return [parameters[0] + np.float32(1e-3)], 10, {}


def flower(clients: int, values: int, rounds: int) -> list[Compared]:
    """Both of Flower's interfaces in the clear, and what secures each of them."""
    folder = Path(tempfile.mkdtemp()) / "pki"
    make_trial(
        folder, clients=[f"client-{index:02d}" for index in range(clients)], aggregators=["auditor", "leader"], keyholders=["holder"]
    )
    hub, leader = Identity.load(folder / "hub"), Identity.load(folder / "auditor")

    def fedavg() -> FedAvg:
        return FedAvg(fraction_evaluate=0.0, min_train_nodes=clients, min_available_nodes=clients)

    plain = run({"FedAvg in the clear": fedavg()}, [], clients, values, rounds)
    secure: dict[str, Strategy] = {
        "pairwise": SecureStrategy(fedavg(), pairwise.Plan(clients=clients, clip=8.0), hub),
        "additive, leader beside": SecureStrategy(fedavg(), additive.Plan(clients=clients, clip=8.0), hub, beside=[leader]),
        "ckks": SecureStrategy(fedavg(), ckks.Plan(clients=clients, clip=8.0), hub),
    }
    done = plain | run(secure, [SecureMod(folder)], clients + 3, values, rounds)
    old = {
        "legacy FedAvg in the clear": legacy(clients, values, rounds, secure=False),
        "Flower SecAgg+": legacy(clients, values, rounds, secure=True),
    }
    work = clients, values, rounds
    return [
        Compared("Flower", done, "FedAvg in the clear", *work),
        Compared("Flower's legacy workflow", old, "legacy FedAvg in the clear", *work),
    ]


@dataclass(frozen=True, slots=True)
class Compared:
    """Seconds and bytes up of all rounds, by what ran; `clear` is what the rest is compared with."""

    title: str
    done: dict[str, tuple[float, int]]
    clear: str
    clients: int
    values: int
    rounds: int

    def print(self) -> None:
        table = Table("", "s a round", "s more", "x clear", "bytes a value and client up", "x clear", box=box.SIMPLE)
        table.title = f"{self.title}, {self.clients} clients, {self.values} values"
        seconds, up = self.done[self.clear]
        for name, (took, size) in self.done.items():
            each = f"{size / self.rounds / self.clients / self.values:.2f}" if size else "-"
            more = f"{size / up:.2f}" if size and up else "-"
            table.add_row(name, f"{took / self.rounds:.2f}", f"{(took - seconds) / self.rounds:.2f}", f"{took / seconds:.2f}", each, more)
        Console(width=120).print(table)

    def lines(self) -> list[Line]:
        each = 1000 / self.rounds
        seconds = self.done[self.clear][0]
        return [
            Line(f"{self.title}, {self.clients} clients: a round, {name}", took * each, self.clear, seconds * each, clock="wall")
            for name, (took, _) in self.done.items()
            if name != self.clear
        ]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--clients", type=int, default=5)
    asked.add_argument("--values", type=lambda text: int(float(text)), default=100_000)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--stack", choices=["flower", "nvflare", "both"], default="both")
    asked.add_argument("--peers", action="store_true", help="also NVFlare's homomorphic encryption, in POC deployments: four minutes more")
    asked.add_argument("--json", action="store_true")
    given = asked.parse_args()
    work, tables = (given.clients, given.values, given.rounds), list[Compared]()
    if given.stack != "nvflare":
        tables += flower(*work)
    if given.stack != "flower":
        from benchmarks.stacks_nvflare import CLEAR, nvflare

        tables.append(Compared("NVFlare's simulator", nvflare(*work), CLEAR, *work))
    if given.peers:
        from benchmarks.stacks_nvflare import CLEAR
        from benchmarks.stacks_poc import poc

        tables.append(Compared("NVFlare deployed (POC)", poc(*work), CLEAR, *work))
    if given.json:
        show("Stacks", [line for table in tables for line in table.lines()], facts={"values": given.values}, as_json=True)
    else:
        for table in tables:
            table.print()


if __name__ == "__main__":
    main()
