"""Scenes are determined by their seed, and every fact is to be seen in the picture."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from secagg.demo.captions import SLOTS, WORDS
from secagg.demo.scenes import HEIGHT, WIDTH, Scene, draw_scenes, paint, to_png

SCENE = Scene(surface="brick", roadside="car", clothes="red", action="stand", device="meter", state="sound", seed=11)


def test_one_seed_gives_the_same_scenes_and_pictures() -> None:
    assert draw_scenes((3, 1), 20) == draw_scenes((3, 1), 20)
    assert np.array_equal(paint(SCENE), paint(SCENE))


def test_other_seeds_give_other_scenes() -> None:
    assert draw_scenes((3, 1), 20) != draw_scenes((3, 2), 20)
    assert not np.array_equal(paint(SCENE), paint(replace(SCENE, seed=12)))


@pytest.mark.parametrize("slot", [slot for slots in SLOTS.values() for slot in slots])
def test_changing_one_fact_changes_a_visible_part_of_the_picture(slot: str) -> None:
    for seed in range(10):
        pictures = [paint(replace(SCENE, **{slot: value}, seed=seed)).astype(int) for value in WORDS[slot]]
        for place, one in enumerate(pictures):
            for other in pictures[:place]:
                clearly = np.abs(one - other).max(axis=2) > 25
                assert clearly.sum() >= 6


@pytest.mark.parametrize("slot", [slot for slots in SLOTS.values() for slot in slots])
def test_every_value_is_drawn_about_as_often_as_the_others(slot: str) -> None:
    values = [getattr(scene, slot) for scene in draw_scenes((0,), 3000)]
    expected = 3000 / len(WORDS[slot])
    assert set(values) == set(WORDS[slot])
    assert all(abs(values.count(value) - expected) < 5 * expected**0.5 for value in WORDS[slot])


def test_the_png_shows_each_pixel_as_a_square() -> None:
    picture = paint(SCENE)
    shown = np.asarray(Image.open(io.BytesIO(to_png(picture, magnify=8))))
    assert shown.shape == (8 * HEIGHT, 8 * WIDTH, 3)
    assert np.array_equal(shown[::8, ::8], picture)
    assert np.array_equal(shown[7::8, 7::8], picture)
