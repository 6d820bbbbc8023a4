"""What the base model is pretrained on: coloured shapes on patterned grounds, with captions, and nothing of a street."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secagg.demo.scenes import HEIGHT, WIDTH, Picture
from secagg.demo.sprites import Colour

GENERIC: tuple[str, ...] = ("ground", "left", "right")
"""The aspects of a picture of shapes."""

COLOURS: Mapping[str, tuple[Colour, str]] = {
    "red": ((210, 44, 44), "红"),
    "yellow": ((240, 204, 46), "黄"),
    "blue": ((50, 92, 208), "蓝"),
    "green": ((44, 154, 78), "绿"),
    "white": ((242, 242, 240), "白"),
    "purple": ((142, 66, 166), "紫"),
    "black": ((36, 36, 42), "黑"),
    "grey": ((128, 130, 138), "灰"),
    "orange": ((236, 126, 44), "橙"),
    "brown": ((132, 82, 50), "棕"),
}
SHAPES: Mapping[str, str] = {
    "disc": "圆盘",
    "ring": "圆环",
    "square": "方块",
    "frame": "方框",
    "triangle": "三角",
    "diamond": "菱形",
    "cross": "十字",
    "bar": "横条",
    "pole": "竖条",
    "arch": "拱形",
}
PATTERNS: Mapping[str, str] = {
    "plain": "纯色",
    "striped": "横纹",
    "barred": "竖纹",
    "checked": "方格",
    "dotted": "圆点",
    "speckled": "斑点",
}
_RADII = (2.6, 3.4, 4.2)
_Canvas = npt.NDArray[np.float32]
_Tags = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]
_ROWS, _COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture of shapes, and what may be learned from it."""

    picture: Picture
    captions: Mapping[tuple[str, str], str]
    """By (aspect, language)."""
    tags: _Tags
    """(6, 8, 3): for each patch of 4 × 4 pixels the shape (0 is the ground), the colour and the pattern."""


def draw_shapes(rng: np.random.Generator) -> Drawing:
    """A patterned ground with two shapes, one over the other, on either side.

    Shapes stand on a grid of 4 pixels, as the things of a scene do.
    """
    canvas = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    tags = np.zeros((HEIGHT // 4, WIDTH // 4, 3), np.int64)
    everywhere = np.ones((HEIGHT, WIDTH), bool)
    ground, pattern = _pick(rng, COLOURS), _pick(rng, PATTERNS)
    _put(rng, canvas, tags, everywhere, shape=None, colour=ground, pattern=pattern)
    captions = {("ground", "en"): f"{pattern} {ground} ground", ("ground", "zh"): f"{COLOURS[ground][1]}色{PATTERNS[pattern]}背景"}
    for side, aspect in enumerate(("left", "right")):
        across, down = 16 * side + 4 * int(rng.integers(1, 4)), 4 * int(rng.integers(1, 4))
        said = []
        for lower in range(2):
            colour, shape = _pick(rng, [name for name in COLOURS if name != ground]), _pick(rng, SHAPES)
            pattern = _pick(rng, PATTERNS) if rng.random() < 0.3 else "plain"
            mask = _mask(shape, (down + 8 * lower, across), float(rng.choice(_RADII)))
            _put(rng, canvas, tags, mask, shape=shape, colour=colour, pattern=pattern)
            said.append((colour, shape))
        (one, upper), (two, under) = said
        captions[aspect, "en"] = f"a {one} {upper} over a {two} {under}"
        captions[aspect, "zh"] = f"{COLOURS[one][1]}色{SHAPES[upper]}下面是{COLOURS[two][1]}色{SHAPES[under]}"
    grain = rng.normal(0.0, rng.uniform(0, 5), canvas.shape)
    picture = np.clip(canvas * rng.uniform(0.85, 1.08) + grain, 0, 255).astype(np.uint8)
    return Drawing(picture, captions, tags)


def every_sentence() -> Iterator[str]:
    """Sentences that between them hold every word of `picture_of_shapes`."""
    rng = np.random.default_rng(0)
    for _ in range(400):
        yield from draw_shapes(rng).captions.values()


def _pick(rng: np.random.Generator, names: Mapping[str, object] | list[str]) -> str:
    return list(names)[rng.integers(len(names))]


def _put(rng: np.random.Generator, canvas: _Canvas, tags: _Tags, mask: _Mask, *, shape: str | None, colour: str, pattern: str) -> None:
    _fill(canvas, mask, colour, pattern, rng)
    covered = mask.reshape(HEIGHT // 4, 4, WIDTH // 4, 4).mean(axis=(1, 3)) > 0.2
    kind = 0 if shape is None else 1 + list(SHAPES).index(shape)
    tags[covered] = kind, list(COLOURS).index(colour), list(PATTERNS).index(pattern)


def _fill(canvas: _Canvas, mask: _Mask, colour: str, pattern: str, rng: np.random.Generator) -> None:
    one = np.array(COLOURS[colour][0], np.float32) + rng.uniform(-18, 18, 3)
    other = one * rng.uniform(0.6, 0.85) if one.mean() > 70 else one + 40
    wide = int(rng.integers(1, 3))
    shift = int(rng.integers(4))
    match pattern:
        case "striped":
            second = (_ROWS + shift) // wide % 2 == 0
        case "barred":
            second = (_COLUMNS + shift) // wide % 2 == 0
        case "checked":
            second = ((_ROWS + shift) // wide + _COLUMNS // wide) % 2 == 0
        case "dotted":
            second = ((_ROWS + shift) % 3 == 0) & (_COLUMNS % 3 == 0)
        case "speckled":
            second = rng.random((HEIGHT, WIDTH)) < 0.35
        case _:
            second = np.zeros((HEIGHT, WIDTH), bool)
    canvas[mask] = one
    canvas[mask & second] = other


def _mask(shape: str, middle: tuple[float, float], radius: float) -> _Mask:
    y, x = _ROWS - middle[0] + 0.5, _COLUMNS - middle[1] + 0.5
    distance, box, thick = np.hypot(x, y), np.maximum(abs(x), abs(y)), max(1.0, radius / 3)
    shapes: Mapping[str, _Mask] = {
        "disc": distance < radius,
        "ring": (distance < radius) & (distance > radius - 1.2 * thick),
        "square": box < 0.85 * radius,
        "frame": (box < 0.9 * radius) & (box > 0.9 * radius - thick),
        "triangle": (abs(x) < (y + radius) / 2) & (y < radius),
        "diamond": abs(x) + abs(y) < radius,
        "cross": (box < radius) & (np.minimum(abs(x), abs(y)) < thick),
        "bar": (abs(x) < radius) & (abs(y) < thick),
        "pole": (abs(y) < radius) & (abs(x) < thick),
        "arch": (distance < radius) & (distance > radius - 1.2 * thick) & (y < radius / 3),
    }
    return shapes[shape]
