"""Fifteen ways in which people hide a value from a pattern and not from a reader."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"
HOMOGLYPHS = str.maketrans("aceopxyABCEHKMOPTX01", "асеорхуАВСЕНКМОРТХОl")


def _each(table: Callable[[str], str]) -> Callable[[str, random.Random], str]:
    return lambda value, rng: "".join(map(table, value))


DISGUISES: dict[str, Callable[[str, random.Random], str]] = {
    "full-width": _each(lambda c: chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c),
    "zero-width": lambda value, rng: rng.choice(ZERO_WIDTH).join(value),
    "spaced": lambda value, rng: " ".join(value),
    "dotted": lambda value, rng: ".".join(value),
    "dashed": lambda value, rng: "-".join(value),
    "grouped": lambda value, rng: " ".join(value[i : i + 4] for i in range(0, len(value), 4)),
    "Chinese numerals": _each(lambda c: "零一二三四五六七八九"[int(c)] if c in string.digits else c),
    "homoglyphs": lambda value, rng: value.translate(HOMOGLYPHS),
    "circled": _each(lambda c: "⓪①②③④⑤⑥⑦⑧⑨"[int(c)] if c in string.digits else c),
    "mathematical": _each(lambda c: chr(0x1D7CE + int(c)) if c in string.digits else c),
    "bracketed": lambda value, rng: "".join(f"({value[i : i + 4]})" for i in range(0, len(value), 4)),
    "emoji between": lambda value, rng: rng.choice("😀🔥❤⭐🍎").join(value),
    "letters between": lambda value, rng: "".join(c + rng.choice("abdefgkmz") for c in value[:-1]) + value[-1],
    "a digit a line": lambda value, rng: "\n".join(value),
    "Arabic-Indic": _each(lambda c: chr(0x660 + int(c)) if c in string.digits else c),
}
