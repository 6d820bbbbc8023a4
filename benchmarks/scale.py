"""How far one machine carries a round: thousands of parties, and one vector longer than memory should hold twice.

    python -m benchmarks.scale --clients 1000 --values 1000000      # one whole additive round, every client with keys of its own
    python -m benchmarks.scale --stream 1000000000                  # encode, mask, add, unmask and decode a vector range by range

Prints wall time, CPU time and the peak of the process's resident memory; checks the mean, or the sum of every range, as it goes.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from protocols import additive
from secagg.adapters.party import Party
from secagg.adapters.relay import Relay
from secagg.crypto.expand import Stream
from secagg.encode.encoding import Encoding
from secagg.encode.quantise import Quantiser
from secagg.ledger import Ledger
from secagg.testing.consortium import consortium
from secagg.types import PartyId, Secret

_RANGE = 1 << 24


def peak() -> float:
    """GiB of resident memory at the highest point so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def cpu() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


def update_of(client: int, values: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Public, made when it is needed: 1,000 updates in memory would only measure themselves."""
    return np.full(values, 1e-4 * (client % 7 + 1) / np.sqrt(values), np.float32)


def parties(clients: int, values: int) -> None:
    """One additive round: each client is made, answers one bag and is gone again."""
    plan = additive.Plan(clients=clients, aggregators=2, clip=1e-3, bits=16, max_weight=1)
    began, spent = time.perf_counter(), cpu()
    made = consortium(clients, 2, now=time.time(), entropy=os.urandom)
    print(f"{clients} identities: {time.perf_counter() - began:.1f} s", flush=True)
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
    print(
        f"{clients} clients x {values} values: {time.perf_counter() - began:.1f} s wall, {cpu() - spent:.1f} s CPU, peak {peak():.2f} GiB"
    )
    print(f"{up:.3f} bytes a value and client up; largest error {error:.2e}, bound {bound:.2e}")


def stream(values: int) -> None:
    """Two clients' masked vectors, added range by range; each range is clipped and decoded for itself, and could lie on another worker.

    It measures the arithmetic that a round is made of, not a round: `Plan` wants the vector whole.
    """
    quantiser = Quantiser(Encoding(max_parties=2, clip=1.0, bits=16), _RANGE, bytes(32))
    ring, began, spent, worst = quantiser.ring, time.perf_counter(), cpu(), 0.0
    masks = [Stream(Secret(os.urandom(32))) for _ in range(2)]
    for start in range(0, values, _RANGE):
        total, at = np.zeros(quantiser.words, ring.dtype), start // _RANGE * quantiser.words  # no word of a mask is used twice
        updates = [np.full(_RANGE, 1e-5 * (index + 1 + start // _RANGE % 3), np.float32) for index in range(2)]
        for update, mask in zip(updates, masks, strict=True):
            words = quantiser.encode(update, entropy=os.urandom)
            mask.add_into(words, at, ring=ring)
            ring.add_into(total, words)
        for mask in masks:
            mask.add_into(total, at, ring=ring, sign=-1)
        decoded = quantiser.decode(total)
        worst = max(worst, float(np.abs(decoded.mean - (updates[0] + updates[1]) / 2).max()))
    bound = quantiser.error_bound(2)
    assert worst <= bound, (worst, bound)
    print(f"{values} values, streamed: {time.perf_counter() - began:.1f} s wall, {cpu() - spent:.1f} s CPU, peak {peak():.2f} GiB")
    print(f"largest error {worst:.2e}, bound {bound:.2e}")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--clients", type=int, default=1000)
    asked.add_argument("--values", type=int, default=1_000_000)
    asked.add_argument("--stream", type=int, default=0, metavar="VALUES")
    given = asked.parse_args()
    stream(given.stream) if given.stream else parties(given.clients, given.values)


if __name__ == "__main__":
    main()
