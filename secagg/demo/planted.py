"""Personal values as people write them into captions: one caption in eight names somebody, a meter, a plate or a place.

The values are made up from a public seed, a quarter of them disguised (full-width digits, blanks between them). They are here so that the
report can show what the sanitiser finds; its own lists are not used.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from secagg.demo.captions import Record

ONE_IN = 8
_DISGUISED = 0.25


@dataclass(frozen=True, slots=True)
class Value:
    """One planted value: what it is, and where it stands in its caption."""

    entity: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption as somebody wrote it, and the personal values that were planted in it."""

    text: str
    values: tuple[Value, ...] = ()


def plant(records: Iterable[Record], seed: int) -> list[Caption]:
    """The captions of `records`, with values in one of eight: equal for equal seeds, whatever the order."""
    return [_planted(record, seed) for record in records]


def _planted(record: Record, seed: int) -> Caption:
    rng = random.Random(int.from_bytes(hashlib.sha256(f"{seed}\0{record.id}\0{record.aspect}".encode()).digest()[:8]))
    if rng.randrange(ONE_IN):
        return Caption(record.text)
    text, values = record.text, []
    for part in rng.choice(_NOTES[record.aspect, record.language]).split("{"):
        entity, closed, rest = part.partition("}")
        if closed:
            value = _MAKERS[entity, record.language](rng)
            value = rng.choice(_DISGUISES)(value) if rng.random() < _DISGUISED and entity in _NUMBERS else value
            values.append(Value(entity, len(text), len(text) + len(value)))
            text += value
        text += rest if closed else part
    return Caption(text, tuple(values))


_NOTES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("energy", "en"): (
        " , meter no. {METER_OR_ACCOUNT}",
        " , please call {PHONE}",
        " , reported by {NAME} of {ADDRESS}",
        " , write to {EMAIL}",
    ),
    ("energy", "zh"): ("，户号{METER_OR_ACCOUNT}", "，联系电话{PHONE}", "，报修人{NAME}，地址：{ADDRESS}", "，身份证号{ID_NUMBER}"),
    ("community", "en"): (" , the guard {NAME} called {PHONE}", " , seen at {ADDRESS}", " , user id {USER_ID}"),
    ("community", "zh"): ("，业主{NAME}来电{PHONE}", "，住在{ADDRESS}", "，工号{USER_ID}", "，身份证号{ID_NUMBER}"),
    ("urban", "en"): (" , plate number {PLATE}", " , photo taken at {GPS}", " , inspector {NAME}"),
    ("urban", "zh"): ("，旁边停着{PLATE}", "，拍摄位置{GPS}", "，网格员{NAME}，电话{PHONE}"),
}
_NUMBERS = frozenset({"PHONE", "ID_NUMBER", "METER_OR_ACCOUNT"})
_DISGUISES: tuple[Callable[[str], str], ...] = (
    lambda value: "".join(chr(ord(digit) + 0xFEE0) if digit.isdigit() else digit for digit in value),
    lambda value: "".join(f"{digit} " if digit.isdigit() else digit for digit in value).rstrip(),
)


_STREETS = ("Linden", "Harbour", "Quarry", "Orchard", "Bridge")
_ROADS = ("青年路", "体育西路", "新华街", "湖滨大道", "南门巷")


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def _identity(rng: random.Random) -> str:
    region, born = rng.choice(["110105", "310115", "440305", "510107"]), rng.randint(1950, 2004)
    body = f"{region}{born}{rng.randint(1, 12):02}{rng.randint(1, 28):02}{_digits(rng, 3)}"
    return body + "10X98765432"[sum(pow(2, 17 - place, 11) * int(digit) for place, digit in enumerate(body)) % 11]


def _chinese_name(rng: random.Random) -> str:
    return rng.choice("陈林何罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅") + rng.choice(
        ["国强", "美玲", "志远", "晓东", "雅琴", "建平", "思雨", "文斌", "桂兰", "家豪"]
    )


def _english_name(rng: random.Random) -> str:
    first = rng.choice(["Alice", "Daniel", "Grace", "Ivan", "Marta", "Peter", "Rosa", "Thomas", "Yuki", "Zainab"])
    return f"{first} {rng.choice(['Adams', 'Becker', 'Costa', 'Fischer', 'Howard', 'Kim', 'Lopez', 'Murphy', 'Novak', 'Wright'])}"


_MAKERS: Mapping[tuple[str, str], Callable[[random.Random], str]] = {
    ("NAME", "en"): _english_name,
    ("NAME", "zh"): _chinese_name,
    ("PHONE", "en"): lambda rng: f"{rng.randint(212, 989)}-{rng.randint(200, 998)}-{_digits(rng, 4)}",
    ("PHONE", "zh"): lambda rng: f"1{rng.choice('3578')}{_digits(rng, 9)}",
    ("METER_OR_ACCOUNT", "en"): lambda rng: f"GM-{_digits(rng, 8)}",
    ("METER_OR_ACCOUNT", "zh"): lambda rng: _digits(rng, 10),
    ("ADDRESS", "en"): lambda rng: f"{rng.randint(1, 980)} {rng.choice(_STREETS)} {rng.choice(['Road', 'Street', 'Lane'])}",
    ("ADDRESS", "zh"): lambda rng: (
        f"{rng.choice(_ROADS)}{rng.randint(1, 300)}号{rng.randint(1, 5)}单元{rng.randint(1, 20)}0{rng.randint(1, 4)}室"
    ),
    ("EMAIL", "en"): lambda rng: f"{rng.choice(['alice', 'dan', 'marta.k', 'y_ito'])}{_digits(rng, 3)}@mail.example.com",
    ("ID_NUMBER", "zh"): _identity,
    ("USER_ID", "en"): lambda rng: f"u{_digits(rng, 6)}",
    ("USER_ID", "zh"): lambda rng: _digits(rng, 6),
    ("PLATE", "en"): lambda rng: f"{rng.randint(1, 9)}{''.join(rng.choice('ABCDEFGHKLMNPRSTUVWX') for _ in range(3))}{_digits(rng, 3)}",
    ("PLATE", "zh"): lambda rng: f"{rng.choice('粤京沪川鄂')}{rng.choice('ABCDE')}{rng.choice('ABCDEFGHJK')}{_digits(rng, 4)}",
    ("GPS", "en"): lambda rng: f"{rng.uniform(20, 50):.5f}, {rng.uniform(80, 130):.5f}",
    ("GPS", "zh"): lambda rng: f"北纬{rng.uniform(20, 50):.4f}度，东经{rng.uniform(80, 130):.4f}度",
}
