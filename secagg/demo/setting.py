"""What was run and on what, and whether it showed what it had to."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import secagg
from secagg.demo.options import Options
from secagg.demo.plans import secure_plan
from secagg.demo.record import FEDERATED, Criterion, Model, RoundRecord, Setting

_PACKAGES = ("torch", "transformers", "peft", "numpy", "grpcio", "cryptography")


def describe(options: Options, aggregators: tuple[str, ...], values: int) -> Setting:
    """The setting of a run over updates of `values` numbers, shared out to `aggregators`, the leader first."""
    plan = secure_plan(options.plan)
    return Setting(
        task=options.task,
        protocol=options.protocol,
        rounds=options.number_of_rounds,
        steps=options.steps,
        seed=options.seed,
        quick=options.quick,
        sanitised=options.sanitise,
        peer=options.peer,
        aggregators=aggregators,
        values=values,
        bits=options.plan.bits,
        ring_bits=plan.encoding.ring.bits,
        clip=options.plan.clip,
        floor=plan.floors.floor,
        machine=_machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        versions={"secagg": secagg.__version__, "Python": platform.python_version(), **_versions()},
    )


def criteria(options: Options, metric: str, models: Sequence[Model], rounds: Sequence[RoundRecord]) -> tuple[Criterion, ...]:
    """What the run had to show and what it showed; nothing after a quick run."""
    found = []
    for name, variant, required in options.criteria:
        scores = {model.name: model.scores[metric] for model in models if model.variant == variant}
        measured = scores[FEDERATED] - (max(scores[company] for company in options.companies) if name == "gain" else 0.0)
        found.append(Criterion(name=name, variant=variant, required=required, measured=measured, holds=measured >= required))
    if options.criteria:
        worst = max(one.difference / one.bound for one in rounds)
        found.append(Criterion(name="mean", variant="", required=1.0, measured=worst, holds=worst <= 1.0))
    return tuple(found)


def _machine() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        told = []
    processor = next((line.split(":", 1)[1].strip() for line in told if line.startswith("model name")), platform.processor())
    return ", ".join(part for part in (f"{platform.system()} {platform.release()}", platform.machine(), processor) if part)


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
