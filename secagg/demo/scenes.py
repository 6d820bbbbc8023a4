"""A street, 32 × 24 pixels: what is to be seen in it, and how it is painted from a seed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from secagg.demo.sprites import DEVICES, FEATURES, MARKS, PEOPLE, Colour, stamp

WIDTH, HEIGHT = 32, 24
TILE = 4
"""Things stand on a grid of 4 pixels, which are the model's patches: a model of this size cannot afford to learn every offset."""
KERB = 2 * TILE
"""The first row of the street; above it are sky and houses."""

Picture = npt.NDArray[np.uint8]
"""Shape (24, 32, 3), RGB."""
_Canvas = npt.NDArray[np.float32]

CLOTHES: dict[str, Colour] = {
    "red": (214, 40, 40),
    "yellow": (246, 206, 36),
    "blue": (44, 92, 214),
    "green": (34, 158, 74),
    "white": (246, 246, 246),
    "purple": (142, 62, 168),
}
SURFACES: tuple[str, ...] = ("asphalt", "brick", "cobble", "gravel", "slabs")
ROADSIDE: tuple[str, ...] = ("bicycle lane", "crossing", "trees", "shelter", "cones", "car")
STATES: tuple[str, ...] = ("sound", "leaking", "rusty", "burning", "flooded")

_CARS: tuple[Colour, ...] = ((176, 54, 58), (66, 96, 150), (206, 206, 210), (58, 62, 70), (222, 178, 70))
_SKIES: tuple[Colour, ...] = ((168, 206, 232), (196, 214, 226), (236, 204, 176), (150, 182, 214))
_HOUSES: tuple[Colour, ...] = ((182, 122, 96), (208, 186, 150), (150, 146, 152), (168, 92, 84), (122, 140, 156))


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows: two facts for each company's aspect, and the seed of everything that no caption mentions."""

    surface: str
    roadside: str
    clothes: str
    action: str
    device: str
    state: str
    seed: int


def draw_scenes(seed: Sequence[int], count: int) -> list[Scene]:
    """`count` scenes with every fact drawn evenly and independently; one seed always gives the same scenes."""
    rng = np.random.default_rng(seed)
    return [
        Scene(
            surface=_pick(rng, SURFACES),
            roadside=_pick(rng, ROADSIDE),
            clothes=_pick(rng, tuple(CLOTHES)),
            action=_pick(rng, tuple(PEOPLE)),
            device=_pick(rng, tuple(DEVICES)),
            state=_pick(rng, STATES),
            seed=int(rng.integers(2**32)),
        )
        for _ in range(count)
    ]


def paint(scene: Scene) -> Picture:
    """The picture of a scene. Far things first: houses, street, roadside, then the device on the left and the person on the right."""
    rng = np.random.default_rng(scene.seed)
    canvas: _Canvas = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    _paint_houses(canvas, rng)
    _paint_surface(canvas, scene.surface, rng)
    _paint_roadside(canvas, scene.roadside, rng)
    _paint_device(canvas, scene, rng)
    _paint_person(canvas, scene, rng)
    light = rng.uniform(0.92, 1.05)
    grain = rng.normal(0.0, 3.0, canvas.shape)
    return np.clip(canvas * light + grain, 0, 255).astype(np.uint8)


def to_png(picture: Picture, magnify: int = 8) -> bytes:
    """The picture as PNG, each pixel a square of `magnify` × `magnify`, so that a browser need not smooth it."""
    large = picture.repeat(magnify, axis=0).repeat(magnify, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(large).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _pick(rng: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(rng.integers(len(values)))]


def _paint_houses(canvas: _Canvas, rng: np.random.Generator) -> None:
    canvas[:KERB] = _SKIES[rng.integers(len(_SKIES))]
    left = -int(rng.integers(4))
    while left < WIDTH:
        width, height = int(rng.integers(6, 11)), int(rng.integers(4, 9))
        wall = np.array(_HOUSES[rng.integers(len(_HOUSES))], np.float32)
        right = left + width
        canvas[KERB - height : KERB, max(left, 0) : max(right, 0)] = wall
        canvas[KERB - height, max(left, 0) : max(right, 0)] = wall * 0.6
        for y in range(KERB - height + 2, KERB - 1, 2):
            canvas[y, max(left + 1, 0) : max(right - 1, 0) : 2] = (250, 226, 150) if rng.integers(3) == 0 else wall * 0.72
        left = right + int(rng.integers(2))


def _paint_surface(canvas: _Canvas, surface: str, rng: np.random.Generator) -> None:
    street = canvas[KERB:]
    rows, columns = np.mgrid[0 : street.shape[0], 0:WIDTH]
    shade = rng.normal(0.0, 1.0, (street.shape[0], WIDTH, 1)).astype(np.float32)
    match surface:
        case "asphalt":
            street[:] = np.array((84, 86, 94)) + 4 * shade
            street[6, (columns[6] + rng.integers(6)) % 6 < 3] = (226, 222, 204)
        case "brick":
            street[:] = np.array((176, 96, 76)) + 6 * shade
            joints = (rows % 3 == 2) | ((columns + 3 * (rows // 3 % 2)) % 6 == 0)
            street[joints] = (138, 74, 60)
        case "cobble":
            street[:] = np.array((146, 150, 160)) + 8 * shade
            joints = (rows % 2 == 1) & ((columns + rows // 2) % 2 == 0)
            street[joints] = (98, 102, 114)
        case "gravel":
            street[:] = np.array((198, 178, 140)) + 16 * shade
        case "slabs":
            street[:] = np.array((206, 206, 200)) + 2 * shade
            street[(rows % 5 == 4) | ((columns + rng.integers(5)) % 8 == 0)] = (170, 170, 166)
    street[0] = (120, 120, 118)


def _paint_roadside(canvas: _Canvas, roadside: str, rng: np.random.Generator) -> None:
    match roadside:
        case "bicycle lane":
            canvas[19:23] = np.array((64, 134, 96)) + rng.normal(0, 3, (4, WIDTH, 1))
            canvas[18] = canvas[23] = (232, 232, 226)
        case "crossing":
            left = TILE * int(rng.integers(1, 5))
            for stripe in range(left, left + 12, 4):
                canvas[KERB + 2 : HEIGHT - 1, stripe : stripe + 2] = (240, 240, 236)
        case "trees":
            for left in (1 + TILE * int(rng.integers(2)), 13, 21 + TILE * int(rng.integers(2))):
                stamp(canvas, FEATURES["tree"], left, KERB + 3)
        case "shelter":
            stamp(canvas, FEATURES["shelter"], 2 + TILE * int(rng.integers(1, 4)), KERB + 3)
        case "cones":
            for left in (1 + TILE * int(rng.integers(2)), 13, 21 + TILE * int(rng.integers(2))):
                stamp(canvas, FEATURES["cone"], left, KERB + 3)
        case "car":
            colour = _CARS[rng.integers(len(_CARS))]
            stamp(canvas, FEATURES["car"], 1 + TILE * int(rng.integers(1, 5)), KERB + 3, colour=colour, flip=bool(rng.integers(2)))


def _paint_device(canvas: _Canvas, scene: Scene, rng: np.random.Generator) -> None:
    sprite = DEVICES[scene.device]
    left, foot = 1 + TILE * int(rng.integers(2)), 19 + TILE * int(rng.integers(2))
    middle, top = left + len(sprite[0]) // 2, foot - len(sprite)
    flip = bool(rng.integers(2))
    if scene.state == "flooded":
        stamp(canvas, MARKS["water"], middle - 6, foot + 2, flip=flip)
    before = canvas.copy()
    stamp(canvas, sprite, left, foot)
    match scene.state:
        case "leaking":
            stamp(canvas, MARKS["plume"], middle - 4, top + 1, flip=flip)
        case "rusty":
            body = np.any(canvas != before, axis=2) & (rng.random((HEIGHT, WIDTH)) < 0.55)
            canvas[body] = 0.25 * canvas[body] + 0.75 * np.array((150, 74, 28), np.float32)
        case "burning":
            stamp(canvas, MARKS["flame"], middle - 4, top + 2, flip=flip)
        case "flooded":
            stamp(canvas, MARKS["ripples"], middle - 6, foot, flip=flip)


def _paint_person(canvas: _Canvas, scene: Scene, rng: np.random.Generator) -> None:
    left, foot = 17 + TILE * int(rng.integers(2)), 19 + TILE * int(rng.integers(2))
    stamp(canvas, PEOPLE[scene.action], left, foot, colour=CLOTHES[scene.clothes])
