"""A Flower server as its users write it, with the strategy wrapped: three lines and two imports."""

# ruff: noqa: T201  # a script prints
from __future__ import annotations

from pathlib import Path

import task
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from safetensors.torch import save_file

from protocols import pairwise
from secagg import Identity
from secagg.adapters.flower import SecureStrategy
from secagg.lora import adapter_state

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Three rounds of FedAvg over secure sums."""
    clients = int(context.run_config["clients"])
    plan = pairwise.Plan(clients=clients, clip=8.0)
    strategy = SecureStrategy(
        FedAvg(min_train_nodes=clients, min_available_nodes=clients),
        plan,
        Identity.load(Path(str(context.run_config["secagg-pki"])) / "hub"),
    )
    first = ArrayRecord(adapter_state(task.make_model()))
    result = strategy.start(grid=grid, initial_arrays=first, num_rounds=int(context.run_config["rounds"]))
    if results := str(context.run_config["results"]):
        save_file(first.to_torch_state_dict(), f"{results}/first.safetensors")
        save_file(result.arrays.to_torch_state_dict(), f"{results}/final.safetensors")
    print("in the last sum:", ", ".join(strategy.last.included) if strategy.last else "nobody")
    print("loss by round:", {number: round(float(metrics["loss"]), 3) for number, metrics in result.evaluate_metrics_clientapp.items()})
