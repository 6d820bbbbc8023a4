"""Personal values for test captions, made up: numbers with their checksums, addresses, coordinates, keys, names."""

from __future__ import annotations

import random
import string

from benchmarks.filters.words import (
    CITIES,
    ENGLISH_FIRST,
    ENGLISH_LAST,
    ESTATES,
    GIVEN,
    PROVINCES,
    ROADS,
    STREETS,
    SURNAMES,
)


def number(rng: random.Random, count: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(count))


def mobile(rng: random.Random) -> str:
    return "1" + rng.choice("3456789") + number(rng, 9)


def resident_id(rng: random.Random, *, good: bool = True) -> str:
    body = f"{rng.randint(11, 65)}{number(rng, 4)}{rng.randint(1940, 2015)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}{number(rng, 3)}"
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(body))
    check = "10X98765432"[total % 11]
    return body + (check if good else rng.choice([c for c in "0123456789X" if c != check]))


def card(rng: random.Random) -> str:
    body = rng.choice(["6222", "6217", "6228", "4367", "5187"]) + number(rng, rng.choice([11, 14]))
    total = sum(value - 9 if value > 9 else value for value in (int(d) * (2 - place % 2) for place, d in enumerate(reversed(body))))
    return body + str(-total % 10)


def plate(rng: random.Random) -> str:
    tail = rng.choice([5, 6])
    marks = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789") for _ in range(tail - 1)) + rng.choice(string.digits)
    return f"{rng.choice(PROVINCES)}{rng.choice('ABCDEFGHJ')}{rng.choice(['', '·'])}{marks}"


def english_plate(rng: random.Random) -> str:
    letters = lambda count: "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(count))  # noqa: E731
    return rng.choice(
        [f"{letters(2)}{number(rng, 2)} {letters(3)}", f"{letters(3)}-{number(rng, 4)}", f"{rng.randint(1, 9)}{letters(3)}{number(rng, 3)}"]
    )


def chinese_address(rng: random.Random) -> str:
    house, unit, room = rng.randint(1, 299), rng.randint(1, 6), rng.randint(1, 30) * 100 + rng.randint(1, 8)
    return rng.choice(CITIES) + rng.choice(
        [
            f"{rng.choice(ROADS)}{house}号{unit}单元{room}室",
            f"{rng.choice(ROADS)}{house}号{rng.choice(ESTATES)}{unit}栋{room}",
            f"{rng.choice(ESTATES)}{unit}号楼{rng.randint(1, 4)}单元{room}室",
            f"{rng.choice(ESTATES)}{unit}幢{room}室",
            f"{rng.choice(ROADS)}{house}弄{unit}号{room}室",
        ]
    )


def english_address(rng: random.Random) -> str:
    road = f"{rng.randint(1, 9999)} {rng.choice(STREETS)} {rng.choice(['Street', 'Road', 'Avenue', 'Lane', 'Drive', 'St', 'Ave'])}"
    unit = rng.choice(["Apt", "Flat", "Unit", "Suite"])
    return rng.choice(
        [
            road,
            f"{road}, {unit} {rng.randint(1, 60)}",
            f"{unit} {rng.randint(1, 60)}, {road}",
            f"{road}, {unit} {rng.randint(1, 9)}{rng.choice('ABC')}",
        ]
    )


def coordinates(rng: random.Random) -> str:
    lat, lon = rng.uniform(18, 53), rng.uniform(73, 135)
    minute = lambda value: int(value % 1 * 60)  # noqa: E731
    return rng.choice(
        [
            f"{lat:.6f}, {lon:.6f}",
            f"{lat:.4f},{lon:.4f}",
            f"{lat:.5f}°N, {lon:.5f}°E",
            f"{int(lat)}°{minute(lat)}'{rng.randint(0, 59)}\"N {int(lon)}°{minute(lon)}'{rng.randint(0, 59)}\"E",
            f"北纬{lat:.4f}度，东经{lon:.4f}度",
            f"东经{int(lon)}度{minute(lon)}分，北纬{int(lat)}度{minute(lat)}分",
        ]
    )


def credential(rng: random.Random) -> str:
    word = lambda count: "".join(rng.choice(string.ascii_letters + string.digits) for _ in range(count))  # noqa: E731
    return rng.choice(
        [
            "sk-" + word(40),
            "ghp_" + word(36),
            "AKIA" + word(16).upper(),
            "glpat-" + word(20),
            "hf_" + word(34),
            "xoxb-" + number(rng, 11) + "-" + word(24),
        ]
    )


def email(rng: random.Random) -> str:
    local = rng.choice(["zhang", "li.wei", "mary_smith", "wang", "j.rossi"]) + number(rng, rng.choice([0, 2, 4]))
    return local + "@" + rng.choice(["163.com", "qq.com", "gmail.com", "corp.example.cn", "mail.example.org"])


def chinese_name(rng: random.Random) -> str:
    return rng.choice(SURNAMES) + rng.choice(GIVEN)


def english_name(rng: random.Random) -> str:
    return f"{rng.choice(ENGLISH_FIRST)} {rng.choice(ENGLISH_LAST)}"
