"""Finds protocols by their entry points, so that nothing here knows one by name."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points

from secagg.errors import ConfigError
from secagg.policy import Policy
from secagg.roles import Plan
from secagg.runtime.attendant import Plans

log = logging.getLogger("secagg.runtime")
GROUP = "secagg.protocols"


@functools.cache
def installed() -> tuple[EntryPoint, ...]:
    """What provides protocols. Looked up once: it reads the metadata of every package, longer than a short round takes."""
    return tuple(entry_points(group=GROUP))


class Installed(Mapping[str, type[Plan]]):
    """The installed plan classes by protocol name; each is imported when a round first asks for it."""

    def __init__(self, policy: Policy) -> None:
        allowed = [point for point in installed() if not policy.protocols or point.name in policy.protocols]
        self._points: dict[str, EntryPoint] = {point.name: point for point in allowed}

    def __getitem__(self, name: str) -> type[Plan]:
        point = self._points[name]
        try:
            plan: type[Plan] = point.load()
        except ImportError as refused:
            log.warning("protocol %r is installed and does not load: %s", name, refused)
            raise KeyError(name) from refused
        return plan

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)


def spoken(plans: Sequence[type[Plan]] | None, policy: Policy) -> Plans:
    """The plan classes given, or those installed. Raises ConfigError if there are none."""
    found: Plans = Installed(policy) if plans is None else {plan.PROTOCOL: plan for plan in plans}
    if not found:
        raise ConfigError(f"no protocol to speak: install one that provides the entry point group {GROUP!r}, or allow it in the policy")
    return found
