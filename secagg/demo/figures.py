"""Plots for the report: drawn by matplotlib, then made part of the page, so that colours and letters follow its style sheet.

A figure is drawn twice, for desk and phone width; the style sheet shows the one that fits.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"

WIDTHS: Mapping[str, float] = {"desk": 8.2, "phone": 4.0}
"""Inches; matplotlib draws 72 points an inch, the page scales them to its column."""

INKS: Mapping[str, str] = {
    "ink": "#010101",
    "muted": "#020202",
    "line": "#030303",
    "federated": "#040404",
    "pooled": "#050505",
    "company-1": "#060606",
    "company-2": "#070707",
    "company-3": "#080808",
    "good": "#090909",
    "surface": "#0a0a0a",
}
"""Style-sheet variable to the colour that stands for it while matplotlib draws."""

_RC: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.edgecolor": INKS["line"],
    "axes.labelcolor": INKS["muted"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": INKS["line"],
    "ytick.color": INKS["line"],
    "xtick.labelcolor": INKS["muted"],
    "ytick.labelcolor": INKS["muted"],
    "grid.color": INKS["line"],
    "grid.linewidth": 0.6,
    "text.color": INKS["ink"],
}

Draw = Callable[["Figure", float], None]
"""Draws on an empty figure of the given width in inches, and sets its height."""


@dataclass(frozen=True, slots=True)
class Line:
    """One curve."""

    label: str
    ink: str
    points: tuple[tuple[float, float], ...]
    dashed: bool = False
    thick: float = 1.6


def curves(name: str, alt: str, panels: Mapping[str, list[Line]], *, x_label: str, top: float = 1.0) -> Markup:
    """Panels of curves side by side (below each other on a phone), each line labelled at its end."""

    def draw(figure: Figure, width: float) -> None:
        wide = width > 6
        rows, columns = (1, len(panels)) if wide else (len(panels), 1)
        figure.set_size_inches(width, 3.1 if wide else 2.7 * len(panels))
        grid = figure.subplots(rows, columns, sharey=wide, squeeze=False).flatten()
        for axes, (title, lines) in zip(grid, panels.items(), strict=True):
            _panel(axes, title, lines, x_label, top)
        figure.tight_layout(w_pad=2.0)

    return drawn(name, alt, draw)


def _panel(axes: Axes, title: str, lines: list[Line], x_label: str, top: float) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INKS["ink"], pad=10)
    axes.tick_params(length=0, pad=5)
    axes.spines["left"].set_visible(False)
    last = max((x for line in lines for x, _ in line.points), default=1)
    axes.hlines([top * part / 5 for part in range(1, 6)], 0, last, color=INKS["line"], linewidth=0.6, zorder=0)
    for line in lines:
        x, y = zip(*line.points, strict=True)
        axes.plot(x, y, color=INKS[line.ink], linestyle=(0, (4, 2)) if line.dashed else "-", linewidth=line.thick, solid_capstyle="round")
        axes.plot(x[-1:], y[-1:], "o", color=INKS[line.ink], markersize=4)
    for line, height in zip(lines, _spread([line.points[-1][1] for line in lines], top * 0.065), strict=True):
        axes.text(last * 1.03, height, line.label, color=INKS[line.ink], va="center", fontsize=9)
    axes.set_xlim(0, last * 1.48)
    axes.set_ylim(0, top)
    axes.set_xticks([tick for tick in _ticks(last) if tick <= last])
    axes.spines["bottom"].set_bounds(0, last)
    axes.set_xlabel(x_label, loc="left", fontsize=9)


def _ticks(last: float) -> list[int]:
    step = max(1, round(last / 4))
    return list(range(0, int(last) + 1, step))


def _spread(heights: list[float], gap: float) -> list[float]:
    """The heights, moved apart until labels there do not overlap; their order stays."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = [heights[index] for index in order]
    for _ in range(40):
        for low in range(len(placed) - 1):
            short = gap - (placed[low + 1] - placed[low])
            if short > 1e-9:
                placed[low] -= short / 2
                placed[low + 1] += short / 2
    lowest = min(placed, default=0.0)
    placed = [height - min(lowest - gap / 4, 0.0) for height in placed]
    return [placed[order.index(index)] for index in range(len(heights))]


def strips(name: str, alt: str, rows: Mapping[str, tuple[str, tuple[float, ...]]], *, x_label: str) -> Markup:
    """Measured values as dots, one row each, with a short line at the median. `rows`: label to ink and values."""

    def draw(figure: Figure, width: float) -> None:
        figure.set_size_inches(width, 0.62 + 0.42 * len(rows))
        axes = figure.subplots()
        largest = max(value for _, values in rows.values() for value in values)
        for place, (ink, values) in enumerate(rows.values()):
            middle = sorted(values)[len(values) // 2]
            axes.plot(values, [place] * len(values), "o", color=INKS[ink], markersize=6, alpha=0.45, markeredgewidth=0)
            axes.plot([middle, middle], [place - 0.32, place + 0.32], color=INKS[ink], linewidth=2)
        axes.set_yticks(range(len(rows)), list(rows), fontsize=9)
        axes.tick_params(length=0, pad=6)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_xlim(0, largest * 1.08)
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.set_xlabel(x_label, loc="left", fontsize=9)
        figure.tight_layout()

    return drawn(name, alt, draw)


def histogram(name: str, alt: str, low: float, high: float, counts: tuple[int, ...], *, ink: str, x_label: str) -> Markup:
    """Bars without gaps; the same size at every width."""

    def draw(figure: Figure, width: float) -> None:
        figure.set_size_inches(width, 1.55)
        axes = figure.subplots()
        wide = (high - low) / len(counts)
        axes.bar([low + wide * (place + 0.5) for place in range(len(counts))], counts, width=wide, color=INKS[ink], linewidth=0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=3, pad=4)
        axes.set_xlim(low, high)
        axes.set_ylim(0, max(counts) * 1.08)
        axes.set_xlabel(x_label, fontsize=9)
        axes.locator_params(axis="x", nbins=5)
        figure.tight_layout(pad=0.4)

    return Markup('<div class="plot">{}</div>').format(_draw(name, alt, draw, 2.8))


def bound(name: str, alt: str, points: list[tuple[float, float]], *, difference: str, limit: str, x_label: str) -> Markup:
    """Each round's largest difference as a dot under the short line of its bound, on a logarithmic scale. `points`: (difference, bound)."""

    def draw(figure: Figure, width: float) -> None:
        figure.set_size_inches(width, 2.2)
        axes = figure.subplots()
        axes.set_yscale("log")
        for place, (measured, allowed) in enumerate(points, start=1):
            axes.plot([place - 0.36, place + 0.36], [allowed, allowed], color=INKS["ink"], linewidth=1.8, solid_capstyle="butt")
            axes.plot([place], [measured], "o", color=INKS["federated"], markersize=4.5)
        last, (measured, allowed) = len(points), points[-1]
        axes.text(last + 0.6, allowed, limit, va="center", fontsize=9)
        axes.text(last + 0.6, measured, difference, va="center", fontsize=9, color=INKS["federated"])
        axes.set_xlim(0.2, last * (1.22 if width > 6 else 1.5) + 0.8)
        low, high = min(one for one, _ in points), max(allowed for _, allowed in points)
        axes.set_ylim(low / 4, high * 4)
        axes.minorticks_off()
        axes.set_xticks([tick for tick in _ticks(last) if tick > 0])
        axes.spines["bottom"].set_bounds(0.5, last + 0.5)
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=0, pad=5)
        axes.grid(axis="y")
        axes.set_xlabel(x_label, loc="left", fontsize=9)
        figure.tight_layout()

    return drawn(name, alt, draw)


def drawn(name: str, alt: str, draw: Draw) -> Markup:
    """What `draw` draws, at desk and at phone width."""
    both = [
        Markup('<div class="plot {}">{}</div>').format(kind, _draw(f"{name}-{kind}", alt, draw, width)) for kind, width in WIDTHS.items()
    ]
    return Markup("").join(both)


def _draw(name: str, alt: str, draw: Draw, width: float) -> Markup:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(rc=cast("Any", {**_RC, "svg.hashsalt": name})), warnings.catch_warnings():
        # Chinese letters are set by the browser; matplotlib's own font, which only measures here, has none.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure = Figure()
        FigureCanvasSVG(figure)
        draw(figure, width)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(buffer.getvalue(), name, alt)


def _inline(svg: str, name: str, alt: str) -> Markup:
    """An SVG document as an element of a page: no prologue, no style of its own, ids that no other figure has, colours by name."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)  # noqa: S314  # matplotlib has just written it
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    ids = {element.get("id"): f"{name}-{number}" for number, element in enumerate(root.iter()) if element.get("id")}
    for element in root.iter():
        _restyle(element, ids)
    box = root.get("viewBox")
    body = "".join(ElementTree.tostring(child, encoding="unicode") for child in root)
    body = body.replace(f' xmlns="{_SVG}"', "")
    return Markup('<svg viewBox="{}" role="img" aria-label="{}">{}</svg>').format(box, alt, Markup(body))  # noqa: S704  # matplotlib wrote it, and escapes its text


def _restyle(element: ElementTree.Element, ids: Mapping[str | None, str]) -> None:
    if element.get("id") in ids:
        element.set("id", ids[element.get("id")])
    link = element.attrib.pop(f"{{{_LINK}}}href", None)
    if link is not None:
        element.set("href", "#" + ids.get(link.removeprefix("#"), link))
    for key in ("style", "clip-path", "fill", "stroke"):
        value = element.get(key)
        if value is not None:
            element.set(key, _recolour(re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{ids.get(found[1], found[1])})", value)))
    style = element.get("style")
    if style is not None:
        element.set("style", re.sub(r"font: ([\d.]+px) [^;]+", r"font-size: \1", style))


def _recolour(value: str) -> str:
    for ink, colour in INKS.items():
        value = value.replace(colour, f"var(--{ink})")
    return value
