"""The plans of the demo: the secure protocol, and the plaintext one that it is measured against, with the same numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from protocols import additive, ckks, pairwise
from protocols.ckks import threshold
from secagg.demo.private import PrivateFacts
from secagg.demo.tap import tapped, tapped_ckks, tapped_pairwise, tapped_threshold
from secagg.encode.layout import Layout
from secagg.errors import ConfigError
from secagg.roles import Plan
from secagg.testing import insecure_plaintext

PROTOCOLS: tuple[str, ...] = ("additive", "pairwise", "ckks", "ckks-threshold")


def plans(tap: tuple[Path, str] | None = None) -> list[type[Plan]]:
    """What a party of the demo speaks. `tap`: folder and client name, see `secagg.demo.tap`."""
    return [additive.Plan if tap is None else tapped(*tap), pairwise.Plan, ckks.Plan, threshold.Plan]


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """The numbers that both plans share; travels to the parties as JSON."""

    protocol: str
    clients: int
    aggregators: int
    clip: float
    bits: int
    rotation: bool
    max_weight: int
    private: dict[str, Any] | None = None
    """`PrivateFacts`, where the rounds carry privacy terms."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ConfigError(f"--protocol {self.protocol!r}: the demo runs {', '.join(PROTOCOLS)}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def secure_plan(facts: PlanFacts, *, tap: tuple[Path, str] | None = None) -> additive.Plan | pairwise.Plan | ckks.Plan | threshold.Plan:
    """The plan of the secure rounds. `tap`: folder and client name, see `secagg.demo.tap`."""
    numbers: dict[str, Any] = {
        "clients": facts.clients,
        "clip": facts.clip,
        "bits": facts.bits,
        "rotation": facts.rotation,
        "max_weight": facts.max_weight,
        "privacy": None if facts.private is None else PrivateFacts(**facts.private).terms,
    }
    if facts.protocol == "pairwise":
        masked = pairwise.Plan if tap is None else tapped_pairwise(*tap)
        return masked(**numbers)
    if facts.protocol == "ckks":
        encrypted = ckks.Plan if tap is None else tapped_ckks(*tap)
        return encrypted(**numbers)
    if facts.protocol == "ckks-threshold":
        parted = threshold.Plan if tap is None else tapped_threshold(*tap)
        return parted(keyholders=facts.clients, **numbers)
    shared = additive.Plan if tap is None else tapped(*tap)
    return shared(aggregators=facts.aggregators, **numbers)


def plaintext_plan(facts: PlanFacts) -> Plan:
    """The same numbers with nothing kept secret."""
    return insecure_plaintext.Plan(
        clients=facts.clients, clip=facts.clip, bits=facts.bits, rotation=facts.rotation, max_weight=facts.max_weight
    )


def bound_layout(model: Mapping[str, Any], adapter: Mapping[str, object]) -> Layout:
    """The layout of an adapter, with what peft knows of it and its tensors do not show: parties with another rank or scale are refused."""
    return Layout.of(model, binding={"adapter": json.dumps(adapter, sort_keys=True).encode()})
