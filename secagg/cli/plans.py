"""The protocol that a file names, found by entry point and constructed from the keys of its table."""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from secagg.config import Protocol
from secagg.config_errors import line_of, suggestion
from secagg.errors import ConfigError
from secagg.policy import Floors
from secagg.privacy import PrivacyTerms
from secagg.roles import Plan
from secagg.roster import Roster

GROUP = "secagg.protocols"
_SHIPPED = {name: f"protocols.{name}:Plan" for name in ("additive", "ckks", "pairwise")} | {
    "ckks-threshold": "protocols.ckks.threshold:Plan"
}
"""What a source tree that was never installed has: without an installation there are no entry points."""


def installed() -> list[str]:
    """The names of all protocols that are there."""
    return sorted(_shipped() | {point.name: point for point in entry_points(group=GROUP)})


def find(name: str) -> type[Plan]:
    """The plan class of the protocol called `name`. Raises ConfigError."""
    found = _shipped() | {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise ConfigError(f"no protocol {name!r} is installed: {suggestion(name, installed())}")
    try:
        plan: type[Plan] = found[name].load()
    except (ImportError, AttributeError) as refused:
        raise ConfigError(f"protocol {name!r} does not load: {refused}: install the extra that it needs") from refused
    return plan


def spoken() -> list[type[Plan]] | None:
    """What a party speaks: None for all that is installed, or what the source tree has if nothing is."""
    return None if entry_points(group=GROUP) else [find(name) for name in _SHIPPED]


def build(table: Protocol, roster: Roster, path: Path) -> Plan:
    """The plan that `[protocol]` in `path` describes; the numbers of clients and aggregators follow from the roster unless given.

    Raises:
        ConfigError: an unknown key, or numbers that the plan refuses; names the file, the line and the key.
    """
    try:
        kind = find(table.name)
    except ConfigError as refused:
        raise ConfigError(f"{_place(path, 'name')}: [protocol]: {refused}") from refused
    known = {name for name, parameter in inspect.signature(kind).parameters.items() if parameter.kind is not parameter.VAR_KEYWORD}
    given = table.arguments()
    for key in given:
        if key not in known:
            raise ConfigError(f"{_place(path, key)}: [protocol] {key}: unknown key of {table.name}: {suggestion(key, sorted(known))}")
    counted = {"clients": "client", "aggregators": "aggregator", "keyholders": "keyholder"}
    defaults = {name: sum(member.role == role for member in roster.members) for name, role in counted.items()}
    arguments = {name: count for name, count in defaults.items() if name in known}
    try:
        arguments |= {key: _value(key, value) for key, value in given.items()}
        return kind(**arguments)
    except (TypeError, ValueError) as refused:  # ConfigError is a ValueError
        key = next((name for name in given if name in str(refused)), "name")
        raise ConfigError(f"{_place(path, key)}: [protocol]: {refused}") from refused


def _shipped() -> dict[str, EntryPoint]:
    return {name: EntryPoint(name, value, GROUP) for name, value in _SHIPPED.items()}


def _value(key: str, value: Any) -> Any:  # noqa: ANN401  # whatever TOML holds
    if key == "floors" and isinstance(value, dict):
        return Floors(**value)
    if key == "privacy" and isinstance(value, dict):
        return PrivacyTerms(**value)
    return tuple(value) if isinstance(value, list) else value


def _place(path: Path, key: str) -> str:
    line = line_of(path.read_text(encoding="utf-8"), ["protocol", key])
    return f"{path}:{line}" if line else str(path)
