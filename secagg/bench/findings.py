"""What the measurements say: ratios to plaintext, growth exponents, and what a round would take over slower links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from statistics import median

from secagg.bench.case import PLAINTEXT, Case
from secagg.bench.record import Measured, Play, Results

FLOAT = 4
"""Bytes of a float32, which plain federated averaging sends for each value."""

LINKS = (10e6, 100e6, 1e9)
"""Bits a second."""

LATENCY = 0.050
"""Seconds from one end to the other and back."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One case beside plaintext on the same work. Times are seconds, ratios those of medians."""

    case: Case
    client: float
    client_ratio: float | None
    server: float
    server_ratio: float | None
    path: float
    path_ratio: float | None
    spread: float
    up_per_value: float
    peak_client: float | None
    peak_server: float | None

    @property
    def up_ratio(self) -> float:
        """Bytes up against float32."""
        return self.up_per_value / FLOAT


def costs(results: Results) -> list[Cost]:
    """A line for every case that ran, in the order of the file."""
    found = []
    for one in results.cases:
        if not one.plays:
            continue
        case, plain = one.case, results.find(Case(PLAINTEXT, one.clients, one.values, one.drop))
        vector = FLOAT * one.values
        found.append(
            Cost(
                case=case,
                client=one.middle("client"),
                client_ratio=_ratio(one, plain, "client"),
                server=servers(one),
                server_ratio=None if plain is None else servers(one) / servers(plain),
                path=one.middle("path"),
                path_ratio=_ratio(one, plain, "path"),
                spread=one.spread("path"),
                up_per_value=one.plays[0].up() / one.values,
                peak_client=one.peak["client"] / vector if one.peak else None,
                peak_server=max(size for role, size in one.peak.items() if role != "client") / vector if one.peak else None,
            )
        )
    return found


def servers(one: Measured) -> float:
    """Processor seconds of everybody who is no client: the coordinator and, where there are any, aggregators or key holders, added up."""
    return median(sum(step.cpu_sum for step in play.steps if step.role != "client") for play in one.plays)


def _ratio(one: Measured, plain: Measured | None, what: str) -> float | None:
    return None if plain is None else one.middle(what) / plain.middle(what)


@dataclass(frozen=True, slots=True)
class Growth:
    """How a cost grows: cost ∝ x^exponent, fitted by least squares on logarithms, at one setting of everything else."""

    protocol: str
    what: str
    against: str
    at: str
    points: tuple[tuple[float, float], ...]

    @property
    def exponent(self) -> float:
        logs = [(log(x), log(y)) for x, y in self.points]
        mean_x, mean_y = (sum(pair[axis] for pair in logs) / len(logs) for axis in (0, 1))
        return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def growths(results: Results) -> list[Growth]:
    """Client and server time and the servers' memory against clients, and client time against values, at the largest common setting."""
    found = [cost for cost in costs(results) if not cost.case.drop and not cost.case.dp]
    lines = []
    for protocol in dict.fromkeys(cost.case.protocol for cost in found):
        mine = [cost for cost in found if cost.case.protocol == protocol]
        values = _richest(mine, lambda cost: cost.case.values)
        across = [cost for cost in mine if cost.case.values == values]
        clients = _richest(mine, lambda cost: cost.case.clients)
        along = [cost for cost in mine if cost.case.clients == clients]
        at = f"{values:.0e} values"
        lines += [
            _growth(protocol, "client time", "clients", at, [(cost.case.clients, cost.client) for cost in across]),
            _growth(protocol, "server time", "clients", at, [(cost.case.clients, cost.server) for cost in across]),
            _growth(
                protocol, "server memory", "clients", at, [(cost.case.clients, cost.peak_server) for cost in across if cost.peak_server]
            ),
            _growth(protocol, "client time", "values", f"{clients} clients", [(cost.case.values, cost.client) for cost in along]),
        ]
    return [line for line in lines if line is not None]


def _richest(found: Sequence[Cost], key: Callable[[Cost], int]) -> int:
    """The setting at which most was measured; the largest of several."""
    counts: dict[int, int] = {}
    for cost in found:
        counts[key(cost)] = counts.get(key(cost), 0) + 1
    return max(counts, key=lambda setting: (counts[setting], setting))


def _growth(protocol: str, what: str, against: str, at: str, points: Sequence[tuple[float, float]]) -> Growth | None:
    return Growth(protocol, what, against, at, tuple(points)) if len(points) > 1 else None


def over_link(play: Play, rate: float, latency: float = LATENCY) -> float:
    """Seconds of a round in which every party, the hub too, has a link of `rate` bits a second and half of `latency` away.

    Each kind of message is one leg: half a round trip, and its bytes over the link of whoever sends or gets most of it. No leg begins
    before the last has ended, and all parties compute at the same time. The model's way down is part of it.
    """
    legs = sum(latency / 2 + 8 * max(kind.sent_most, kind.received_most) / rate for kind in play.kinds)
    return play.path + legs


@dataclass(frozen=True, slots=True)
class Linked:
    """A case over the links of `LINKS`: seconds, and the ratio to plaintext over the same link."""

    case: Case
    legs: int
    seconds: tuple[float, ...]
    ratios: tuple[float | None, ...]


def linked(results: Results) -> list[Linked]:
    """Every case without drop-outs and noise."""
    found = []
    for one in results.cases:
        if not one.plays or one.drop or one.dp:
            continue
        plain = results.find(Case(PLAINTEXT, one.clients, one.values))
        seconds = tuple(over_link(one.plays[0], rate) for rate in LINKS)
        ratios = tuple(None if plain is None else took / over_link(plain.plays[0], rate) for rate, took in zip(LINKS, seconds, strict=True))
        found.append(Linked(one.case, len(one.plays[0].kinds), seconds, ratios))
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """One case in two files."""

    case: Case
    what: str
    before: float
    after: float

    @property
    def ratio(self) -> float:
        return self.after / self.before


def changes(before: Results, after: Results) -> list[Change]:
    """What is in both files: ratios to plaintext, which compare between machines, and exact bytes."""
    old = {cost.case: cost for cost in costs(before)}
    found = []
    for cost in costs(after):
        was = old.get(cost.case)
        if was is None:
            continue
        if cost.client_ratio and was.client_ratio and cost.case.protocol != PLAINTEXT:
            found.append(Change(cost.case, "client × plaintext", was.client_ratio, cost.client_ratio))
        if cost.server_ratio and was.server_ratio and cost.case.protocol != PLAINTEXT:
            found.append(Change(cost.case, "servers × plaintext", was.server_ratio, cost.server_ratio))
        found.append(Change(cost.case, "bytes up a value", was.up_per_value, cost.up_per_value))
    return found
