"""One case, once: a whole round in memory among made-up parties, metered. Run in a process of its own, so that cases share nothing.

python -m secagg.bench.play '{"protocol": "pairwise", "clients": 10, "values": 100000}'
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import tracemalloc
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from secagg.bench.case import PLAINTEXT, Case
from secagg.bench.meter import Meter
from secagg.bench.record import Kind, Play, Step
from secagg.cli.plans import find
from secagg.envelope import Packet
from secagg.errors import ConfigError
from secagg.privacy import PrivacyTerms
from secagg.roles import Plan
from secagg.simulate import simulate
from secagg.types import PartyId

BITS, RING, CLIP = 16, 32, 1.0
"""The same encoding for every protocol and every cohort, so that a difference in cost is one of the protocols."""

NOISE = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=1.0, epsilon=10.0, delta=1e-6)
"""What the sum of a case with DP carries, in the same encoding."""

_AFTER = "round/Publish"
"""Travels once the sum is open."""


def plan_of(case: Case) -> Plan:
    """The plan of a case. Raises ConfigError where the protocol cannot do it, with the reason."""
    kind: Any
    if case.protocol == PLAINTEXT:
        from secagg.testing.insecure_plaintext import Plan as Plaintext

        kind = Plaintext
    else:
        kind = find(case.plan)
    known = inspect.signature(kind).parameters
    wanted: dict[str, Any] = {"clients": case.clients, "clip": CLIP, "bits": BITS, "ring_bits": RING, "max_weight": 1}
    if case.dp:
        wanted["privacy"] = NOISE
    if case.slots:
        if "slots" not in known:
            raise ConfigError(f"{case.plan} has no slots: {case.protocol!r} names a parameter set of CKKS")
        wanted["slots"] = case.slots
    if case.drop:
        wanted["dropout"] = max(0.1, case.gone / case.clients)
    plan: Plan = kind(**{name: value for name, value in wanted.items() if name in known})
    return plan


class _Leaving:
    """A fault: the first clients fall silent in the moment in which their update would leave."""

    def __init__(self, clients: int, gone: int) -> None:
        width = len(str(clients - 1))
        self.leaving = {PartyId(f"client-{index:0{width}d}") for index in range(gone)}
        self.silent: set[PartyId] = set()

    def __call__(self, sender: PartyId, _: PartyId, packet: Packet) -> Sequence[Packet]:
        if sender in self.leaving and packet.payload is not None:
            self.silent.add(sender)
        return [] if sender in self.silent else [packet]


def play(case: Case, *, memory: bool = False) -> Play:
    """Run the round and check that its mean is that of those included.

    Raises:
        ConfigError: the protocol cannot do the case.
        SessionAborted: too few were left.
    """
    plan = plan_of(case)
    direction = np.sin(np.arange(case.values, dtype=np.float32))
    update = {"adapter": direction * np.float32(CLIP / 2 / np.linalg.norm(direction))}
    leaving, meter = _Leaving(case.clients, case.gone), Meter(memory=memory)
    if memory:
        tracemalloc.start()
    result = simulate(plan, [update] * case.clients, fault=leaving, observer=meter)
    difference = float(np.abs(result.mean["adapter"] - update["adapter"]).max())
    if len(result.included) != case.clients - case.gone:
        raise ConfigError(f"{case}: {len(result.included)} clients are in the sum, {case.clients - case.gone} expected")
    return Play(
        steps=_steps(meter, leaving.leaving),
        kinds=_kinds(meter),
        peak=_peaks(meter),
        included=len(result.included),
        difference=difference,
        bound=CLIP / plan.encoding.levels * (1 + plan.encoding.noise_tail / len(result.included)),
    )


def _role(party: str) -> str:
    return party.rsplit("-", 1)[0]


def _steps(meter: Meter, gone: set[PartyId]) -> tuple[Step, ...]:
    """Clients that left say nothing about what a client costs."""
    grouped: dict[tuple[str, str], list[PartyId]] = {}
    for party, step in meter.spent:
        if party not in gone:
            grouped.setdefault((_role(party), step), []).append(party)
    steps = []
    for (role, step), parties in grouped.items():
        spent = [meter.spent[party, step] for party in parties]
        walls, cpus = [one.wall for one in spent], [one.cpu for one in spent]
        steps.append(
            Step(role=role, step=step, parties=len(spent), wall=median(walls), wall_max=max(walls), cpu=median(cpus), cpu_sum=sum(cpus))
        )
    return tuple(steps)


def _kinds(meter: Meter) -> tuple[Kind, ...]:
    kinds = []
    for role, kind in dict.fromkeys((_role(party), kind) for party, kind in meter.up):
        if kind == _AFTER:
            continue
        sent = [size for (party, other), size in meter.up.items() if (_role(party), other) == (role, kind)]
        received = [size for (_, other), size in meter.down.items() if other == kind]
        kinds.append(Kind(kind=kind, role=role, sent=sum(sent), sent_most=max(sent), received_most=max(received)))
    return tuple(kinds)


def _peaks(meter: Meter) -> dict[str, int]:
    peaks: dict[str, int] = {}
    for party, size in meter.peak.items():
        peaks[_role(party)] = max(peaks.get(_role(party), 0), size)
    return peaks


def main(argument: str) -> None:
    """Play the case that the argument describes, and print what was measured, or why it could not be."""
    asked = json.loads(argument)
    memory = asked.pop("memory", False)
    try:
        found = play(Case(**asked), memory=memory)
    except ConfigError as refused:
        print(json.dumps({"failed": str(refused)}))  # noqa: T201  # this is what the parent reads
        return
    print(found.model_dump_json())  # noqa: T201


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1])
