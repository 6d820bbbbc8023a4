"""How far one machine carries a round: thousands of parties, and one vector longer than memory should hold twice.

    python -m benchmarks.scale --clients 1000 --values 1000000      # one whole additive round, every client with keys of its own
    python -m benchmarks.scale --stream 1000000000                  # three clients' vectors of so many values, a round for each range
    python -m benchmarks.scale --simulate pairwise --clients 2000 --values 10000 --engine ray   # secagg.simulate, on Ray's workers

Prints wall time, CPU time and the peak of the process's resident memory; checks the mean of every round.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import secagg
from benchmarks.measure import Line, show
from protocols import additive, pairwise
from secagg.adapters.party import Party
from secagg.adapters.relay import Relay
from secagg.ledger import Ledger
from secagg.roles import Plan
from secagg.testing.consortium import consortium
from secagg.types import PartyId

RANGES = 64
"""Rounds that a long vector is summed in."""


def peak() -> float:
    """GiB of resident memory at the highest point so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def cpu() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def ended(work: str, began: float, spent: float) -> Line:
    """One whole round, with the process's memory at its highest."""
    wall = (time.perf_counter() - began) * 1000
    return Line(f"{work}: {cpu() - spent:.1f} s of processor time, peak {peak():.2f} GiB", wall, clock="wall")


def update_of(client: int, values: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Public, made when it is needed: 1,000 updates in memory would only measure themselves."""
    return np.full(values, 1e-4 * (client % 7 + 1) / np.sqrt(values), np.float32)


def parties(clients: int, values: int) -> Line:
    """One additive round: each client is made, answers one bag and is gone again."""
    plan = additive.Plan(clients=clients, aggregators=2, clip=1e-3, bits=16, max_weight=1)
    began, spent = time.perf_counter(), cpu()
    made = consortium(clients, 2, now=time.time(), entropy=os.urandom)
    tell(f"{clients} identities: {time.perf_counter() - began:.1f} s")
    relay = Relay(plan, made.coordinator, beside=made.aggregators, ledger=Ledger(), carry_model=False)
    model = {"w": np.zeros(values, np.float32)}
    number = {one.party: index for index, one in enumerate(made.clients)}
    kept: dict[str, bytes] = {}
    ledgers: dict[str, Ledger] = {}

    def exchange(bags: Mapping[PartyId, bytes], seconds: float) -> Iterator[bytes]:
        for name, bag in bags.items():
            update = update_of(number[name], values)
            with Party(made.clients[number[name]], kept.get(name, b""), ledger=ledgers.setdefault(name, Ledger())) as party:
                back = party.answer(bag, lambda _, update=update: ({"w": update}, 1), model=model)
                kept[name] = party.keep()
            yield back

    result = relay.aggregate(model, list(number), exchange)
    exact = np.mean([float(update_of(index, values)[0]) for index in range(clients)])
    error, bound = float(np.abs(result.mean["w"] - exact).max()), plan.clip / 2**15
    assert len(result.included) == clients
    assert error <= bound, (error, bound)
    up = sum(result.bytes_up[name] for name in number) / clients / values
    tell(f"{up:.3f} bytes a value and client up; largest error {error:.2e}, bound {bound:.2e}")
    return ended(f"{clients:,} clients, {values:,} values", began, spent)


class Updates(Sequence[Mapping[str, Any]]):
    """Of all clients, each made when it is asked for, on whatever worker asks."""

    def __init__(self, clients: int, values: int) -> None:
        self.clients, self.values = clients, values

    def __len__(self) -> int:
        return self.clients

    def __getitem__(self, client: Any) -> Any:
        return {"w": update_of(client, self.values)}


def simulated(protocol: str, clients: int, values: int, engine: str | None) -> Line:
    """`secagg.simulate` with one client in fifty gone; its own memory, which is not that of Ray's workers, and the machine's."""
    plan: Plan = additive.Plan(clients=clients, clip=1e-3, max_weight=1)
    if protocol == "pairwise":
        plan = pairwise.Plan(clients=clients, clip=1e-3, max_weight=1)
    began, spent, gone = time.perf_counter(), cpu(), range(0, clients, 50)
    result = secagg.simulate(plan, Updates(clients, values), drop=gone, engine=engine)
    there = [client for client in range(clients) if client not in gone]
    exact = np.mean([float(update_of(client, values)[0]) for client in there])
    error = float(np.abs(result.mean["w"] - exact).max())
    assert len(result.included) == len(there)
    assert error <= 1e-3 / 2**15, error
    where = f"on {engine}" if engine else "in this process"
    tell(f"{len(there)} in the sum, largest error {error:.2e}")
    return ended(f"{protocol}, {clients:,} simulated clients, {values:,} values {where}", began, spent)


def stream(values: int) -> Line:
    """Three clients' vectors of `values`, range after range: each range is a round of its own, signed, sealed, agreed on and opened.

    A range is clipped for itself, as a scale group is; nobody ever holds more than one range.
    """
    size = -(-values // RANGES)
    plan = additive.Plan(clients=3, aggregators=2, clip=1.0, bits=13, max_weight=1)
    made = consortium(3, 2, now=time.time(), entropy=os.urandom)
    began, spent, worst, sent = time.perf_counter(), cpu(), 0.0, 0
    relay = Relay(plan, made.coordinator, beside=made.aggregators, ledger=Ledger(), carry_model=False)
    model = {"w": np.zeros(size, np.float32)}
    ledgers = {one.party: Ledger() for one in made.clients}
    kept: dict[str, bytes] = {}
    bound = plan.clip / 2**12 + 1e-6  # type: ignore[operator]  # one number

    def value(index: int, part: int) -> float:
        return float(np.float32(0.2 * (index + 1 + part % 3) / np.sqrt(size)))

    for part in range(RANGES):

        def exchange(bags: Mapping[PartyId, bytes], seconds: float, part: int = part) -> Iterator[bytes]:
            for index, one in enumerate(made.clients):
                if one.party in bags:
                    update = np.full(size, value(index, part), np.float32)
                    with Party(one, kept.get(one.party, b""), ledger=ledgers[one.party]) as party:
                        yield party.answer(bags[one.party], lambda _, update=update: ({"w": update}, 1), model=model)
                        kept[one.party] = party.keep()

        result = relay.aggregate(model, [one.party for one in made.clients], exchange)
        assert len(result.included) == 3
        mean = sum(value(index, part) for index in range(3)) / 3
        worst = max(worst, float(np.abs(result.mean["w"] - mean).max()))
        assert worst <= bound, (worst, bound)
        sent += sum(result.bytes_up[one.party] for one in made.clients)
        if part % 8 == 7:
            tell(f"{(part + 1) * size:,} values: {time.perf_counter() - began:.0f} s, peak {peak():.2f} GiB")
    total = RANGES * size
    tell(f"{sent / 3 / total:.3f} bytes a value and client up; largest error {worst:.2e}, bound {bound:.2e}")
    return ended(f"3 clients, {total:,} values in {RANGES} ranges", began, spent)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--clients", type=int, default=1000)
    asked.add_argument("--values", type=int, default=1_000_000)
    asked.add_argument("--stream", type=int, default=0, metavar="VALUES")
    asked.add_argument("--simulate", choices=["additive", "pairwise"])
    asked.add_argument("--engine", choices=["ray"])
    asked.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = asked.parse_args()
    if given.simulate:
        line = simulated(given.simulate, given.clients, given.values, given.engine)
    elif given.stream:
        line = stream(given.stream)
    else:
        line = parties(given.clients, given.values)
    show("How far one machine goes", [line], facts={}, as_json=given.json)


if __name__ == "__main__":
    main()
