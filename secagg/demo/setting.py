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
from secagg.demo.private import PRIVATE, PrivateFacts
from secagg.demo.record import FEDERATED, Account, Criterion, Meter, Model, PrivacyRecord, RoundRecord, Setting
from secagg.receipt import Costs

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


def privacy_record(facts: PrivateFacts, accounts: Sequence[Account], meter: Meter, costs: Costs | None) -> PrivacyRecord:
    """What a private run promised, spent and showed."""
    return PrivacyRecord(
        noise=facts.noise,
        unit=facts.unit,
        epsilon=facts.epsilon,
        delta=facts.delta,
        terms=str(facts.terms),
        noise_multiplier=facts.noise_multiplier,
        clip=facts.clip,
        records=facts.records,
        batch=facts.batch,
        accounts=tuple(accounts),
        server_epsilon=costs.server if costs else None,
        colluding_epsilon=costs.colluding if costs else None,
        meter=meter,
    )


def criteria(
    options: Options, metric: str, models: Sequence[Model], rounds: Sequence[RoundRecord], privacy: PrivacyRecord | None
) -> tuple[Criterion, ...]:
    """What the run had to show and what it showed; nothing after a quick run."""
    found = []
    for name, variant, required in options.criteria:
        if privacy is not None:
            found += _private(privacy)
            continue
        scores = {model.name: model.scores[metric] for model in models if model.variant == variant}
        measured = scores[FEDERATED] - (max(scores[company] for company in options.companies) if name == "gain" else 0.0)
        found.append(Criterion(name=name, variant=variant, required=required, measured=measured, holds=measured >= required))
    if options.criteria:
        noisy = privacy is not None and privacy.noise == "distributed"
        worst = max(one.difference / one.bound for one in rounds if not (noisy and one.terms))
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


def _private(privacy: PrivacyRecord) -> list[Criterion]:
    """What a private run had to show: no audit above what was claimed of a record. Its utility is told, and nothing is asked of it."""
    if privacy.noise == "distributed":
        return []  # the unit is a company, whose single record the meter does not speak of
    spent = max(one.epsilon for one in privacy.accounts)
    measured = max(one.epsilon for one in privacy.meter.audits if one.run == PRIVATE)
    return [Criterion(name="audit", variant=PRIVATE, required=spent, measured=measured, holds=measured <= spent)]
