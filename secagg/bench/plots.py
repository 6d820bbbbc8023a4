"""The page's figures: drawn by matplotlib like those of the demo's report, so that colours follow the style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from secagg.bench import findings
from secagg.bench.case import PLAINTEXT
from secagg.bench.record import Measured, Results
from secagg.demo.figures import INKS, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ORDER = ("company-3", "federated", "company-1", "company-2")
Series = Mapping[str, Sequence[tuple[float, float]]]


def ink(protocol: str, protocols: Sequence[str]) -> str:
    """The colour of a protocol: plaintext is grey."""
    others = [name for name in protocols if name != PLAINTEXT]
    return "pooled" if protocol == PLAINTEXT else _ORDER[others.index(protocol) % len(_ORDER)]


def growth(name: str, alt: str, panels: Mapping[str, Series], x_label: str, y_label: str) -> Markup:
    """Costs against what they grow with, on logarithmic axes (an axis that begins at zero is not), each curve labelled at its end."""
    protocols = list(dict.fromkeys(protocol for series in panels.values() for protocol in series))

    def draw(figure: Figure, width: float) -> None:
        wide = width > 6
        rows, columns = (1, len(panels)) if wide else (len(panels), 1)
        figure.set_size_inches(width, 3.1 if wide else 2.7 * len(panels))
        grid = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes, (title, series) in zip(grid, panels.items(), strict=True):
            _logarithmic(axes, title, series, protocols)
            axes.set_xlabel(x_label, loc="left", fontsize=9)
            axes.set_ylabel(y_label, fontsize=9)
        figure.tight_layout(w_pad=2.0)

    return drawn(name, alt, draw)


def _logarithmic(axes: Axes, title: str, series: Series, protocols: Sequence[str]) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INKS["ink"], pad=10)
    ticks = sorted({x for points in series.values() for x, _ in points})
    if ticks[0] > 0:
        axes.set_xscale("log")
    axes.set_yscale("log")
    axes.tick_params(length=0, pad=5, which="both")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y")
    for protocol, points in series.items():
        x, y = zip(*points, strict=True)
        colour = INKS[ink(protocol, protocols)]
        axes.plot(x, y, color=colour, linewidth=1.8, marker="o", markersize=4)
        axes.annotate(
            "plaintext" if protocol == PLAINTEXT else protocol,
            (x[-1], y[-1]),
            xytext=(7, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=9,
        )
    lowest, highest = (edge(y for points in series.values() for _, y in points) for edge in (min, max))
    steps = [factor * 10.0**power for power in range(-3, 7) for factor in (1, 2, 5)]
    heights = [height for height in steps if lowest / 2 <= height <= highest * 2]
    axes.set_yticks(heights, [f"{height:g}" for height in heights])
    axes.set_ylim(heights[0], heights[-1])
    axes.minorticks_off()
    axes.set_xticks(ticks, [f"{tick:g}" if tick < 1e4 else f"{tick:.0e}".replace("e+0", "e") for tick in ticks])
    if ticks[0] > 0:
        axes.set_xlim(ticks[0] / 1.15, ticks[-1] * (ticks[-1] / ticks[0]) ** 0.45)
    else:
        axes.set_xlim(0, ticks[-1] * 1.5)


def where(name: str, alt: str, shares: Mapping[str, Mapping[str, float]]) -> Markup:
    """One bar a party, cut into its steps; `shares`: party to step to seconds."""

    def draw(figure: Figure, width: float) -> None:
        figure.set_size_inches(width, 0.5 + 0.5 * len(shares))
        axes = figure.subplots()
        tones = [INKS[ink] for ink in ("federated", "company-1", "company-3", "company-2", "pooled")]
        longest = max(sum(steps.values()) for steps in shares.values())
        for place, steps in enumerate(shares.values()):
            start = 0.0
            for index, (step, seconds) in enumerate(steps.items()):
                axes.barh(place, seconds * 1000, left=start * 1000, color=tones[index % len(tones)], height=0.6, linewidth=0)
                if seconds > longest * (0.09 if width > 6 else 0.2):
                    axes.text((start + seconds / 2) * 1000, place, step, ha="center", va="center", fontsize=8, color=INKS["surface"])
                start += seconds
        axes.set_yticks(range(len(shares)), list(shares), fontsize=9)
        axes.tick_params(length=0, pad=6)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_ylim(len(shares) - 0.5, -0.5)
        axes.set_xlabel("ms of processor time", loc="left", fontsize=9)
        figure.tight_layout()

    return drawn(name, alt, draw)


def across(results: Results, axis: str) -> Mapping[str, Series]:
    """Client and server time against `clients`, `values` or `drop`, at the setting at which most was measured."""
    found = findings.costs(results)
    if not found:
        return {}
    fixed = [name for name in ("clients", "values", "drop") if name != axis]
    setting = _setting([tuple(getattr(cost.case, name) for name in fixed) for cost in found])
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {"one client": {}, "all servers": {}}
    for cost in found:
        if tuple(getattr(cost.case, name) for name in fixed) != setting or cost.case.dp:
            continue
        x = float(getattr(cost.case, axis))
        panels["one client"].setdefault(cost.case.protocol, []).append((x, cost.client * 1000))
        panels["all servers"].setdefault(cost.case.protocol, []).append((x, cost.server * 1000))
    described = ", ".join(f"{value:g} {name}" for name, value in zip(fixed, setting, strict=True) if name != "drop")
    return {f"{panel}, {described}": {p: sorted(points) for p, points in series.items()} for panel, series in panels.items()}


def _setting(settings: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return max(set(settings), key=lambda setting: (settings.count(setting), setting))


def steps(one: Measured) -> Mapping[str, Mapping[str, float]]:
    """Where the time of one case goes: role to step to processor seconds of its median party."""
    play, shares = one.plays[0], dict[str, dict[str, float]]()
    for step in play.steps:
        shown = step.step.rpartition("/")[2] or step.step
        label = f"send {shown}" if step.step.startswith("send ") else shown
        shares.setdefault(step.role, {})[label] = step.cpu
    return shares
