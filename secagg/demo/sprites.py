"""The things of a street, drawn with letters: each letter is a colour of `PALETTE`, `.` is see-through."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]

PALETTE: dict[str, Colour] = {
    "k": (32, 32, 40),  # outlines, tyres
    "d": (70, 72, 82),  # dark metal
    "m": (128, 132, 142),  # metal
    "l": (196, 200, 206),  # light metal
    "w": (244, 244, 240),  # white
    "h": (234, 190, 152),  # skin
    "n": (74, 50, 38),  # hair, wood
    "j": (52, 58, 92),  # trousers
    "y": (242, 200, 48),  # gas yellow
    "g": (62, 138, 74),  # leaves
    "q": (98, 172, 92),  # leaves in the light
    "o": (238, 122, 38),  # cones
    "r": (200, 48, 44),  # signal red
    "b": (132, 186, 216),  # glass
    "f": (255, 214, 74),  # the heart of a flame
    "e": (96, 142, 168),  # cylinder paint
    "a": (214, 246, 160),  # gas that is seen, as a camera for leaks shows it
    "u": (240, 96, 28),  # flames
    "v": (84, 140, 196),  # water
    "z": (132, 186, 228),  # water in the light
}
"""`c` is missing: it is the colour that a scene chooses (clothes, a car's paint)."""

PEOPLE: dict[str, tuple[str, ...]] = {
    "stand": (
        "..nn..",
        "..hh..",
        ".cccc.",
        "hcccch",
        "hcccch",
        ".cccc.",
        "..jj..",
        "..jj..",
        "..jj..",
        ".kk.kk",
    ),
    "squat": (
        "..nn...",
        "..hh...",
        ".cccc..",
        ".cccchh",
        ".ccjjj.",
        ".jjj.j.",
        ".kk.kk.",
    ),
    "lie": (
        "...........",
        "nh.ccccjjj.",
        "nhhccccjjjk",
        "...hh.....k",
    ),
    "run": (
        "....nn..",
        "....hh..",
        ".hcccc..",
        ".h.ccchh",
        "...ccc..",
        "..jjjj..",
        ".jj..jj.",
        "kj....j.",
        "......kk",
    ),
    "wave": (
        "h..nn..h",
        "h..hh..h",
        ".cccccc.",
        "..cccc..",
        "..cccc..",
        "..cccc..",
        "...jj...",
        "..j..j..",
        "..j..j..",
        ".kk..kk.",
    ),
    "cycle": (
        "....nn.....",
        "....hh.....",
        "...cccc....",
        "...cc.hhh..",
        "...ccc..k..",
        "...jjjj.k..",
        ".kk.kjkkkk.",
        "k..kkkk...k",
        "k..k..k...k",
        ".kk....kkk.",
    ),
}

DEVICES: dict[str, tuple[str, ...]] = {
    "meter": (
        ".llllll.",
        "lwwwwwwl",
        "lwkkkkwl",
        "lwwwwwwl",
        "lllllyyl",
        ".m....m.",
        ".m....m.",
    ),
    "cover": (
        "..dddddd..",
        ".dmkmkmkd.",
        "dmkmkmkmkd",
        ".dmkmkmkd.",
        "..dddddd..",
    ),
    "cylinder": (
        "..kk..",
        ".llll.",
        "eeeeee",
        "ewweee",
        "ewweee",
        "eeeeee",
        "eeeeee",
        "dddddd",
    ),
    "valve": (
        ".rrrrrr.",
        "r..rr..r",
        ".rrrrrr.",
        "...mm...",
        "...mm...",
        ".yyyyyy.",
        ".yyyyyy.",
    ),
    "pipe": (
        "yyyyyyyyyy",
        "ywwyyywwyy",
        "yyyyyyyyyy",
        ".d......d.",
        ".d......d.",
    ),
}

FEATURES: dict[str, tuple[str, ...]] = {
    "tree": (
        "..qqq..",
        ".qqqgg.",
        "qqggggg",
        "qgggggg",
        ".ggggg.",
        "...n...",
        "...n...",
        "...n...",
    ),
    "shelter": (
        "kkkkkkkkkkkk",
        "wwwwwwwwwwww",
        "kbbbkbbbkbbk",
        "kbbbkbbbkbbk",
        "kbbbkbbbkbbk",
        "knnnnnnnnnnk",
        "k..........k",
        "k..........k",
    ),
    "cone": (
        "..o..",
        "..o..",
        ".www.",
        ".ooo.",
        "wwwww",
        "ooooo",
    ),
    "car": (
        "...cccccc....",
        "..cbbcbbbc...",
        ".ccbbcbbbcc..",
        "ccccccccccccc",
        "fcccccccccccr",
        ".kkk.....kkk.",
        "..k.......k..",
    ),
}


MARKS: dict[str, tuple[str, ...]] = {
    "plume": (
        ".a...a..",
        "aaa.aaa.",
        ".aaaaa.a",
        "..aa.aaa",
        "...aaaa.",
        "...aa...",
    ),
    "flame": (
        "...u....",
        "..uu..u.",
        ".uufu.u.",
        ".ufffuu.",
        "uufffffu",
        "ufffffuu",
        ".uffffu.",
    ),
    "water": (
        "..vvvvvvvv..",
        "vzzvvvvzzzvv",
        "vvvvvvvvvvvv",
        "vvvvzzvvvvzv",
        ".vvvvvvvvvv.",
    ),
    "ripples": ("vvzvvvzzvvvv",),
}
"""What tells the state of a device: drawn over it, or under it."""


def stamp(
    picture: npt.NDArray[np.float32],
    sprite: tuple[str, ...],
    left: int,
    foot: int,
    *,
    colour: Colour = (0, 0, 0),
    flip: bool = False,
) -> None:
    """Draw `sprite` with its left edge at column `left` and its lowest row just above row `foot`; what falls outside is cut off."""
    height, width, _ = picture.shape
    for above, row in enumerate(reversed(sprite)):
        y = foot - 1 - above
        for step, letter in enumerate(reversed(row) if flip else row):
            if letter != "." and 0 <= y < height and 0 <= left + step < width:
                picture[y, left + step] = colour if letter == "c" else PALETTE[letter]
