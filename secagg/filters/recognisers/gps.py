"""Coordinates: decimal pairs, degrees with minutes and seconds, and Chinese words."""

from __future__ import annotations

import re

from secagg.filters.recogniser import Recogniser

_NUMBER = r"[0-9]{1,3}(?: {0,2}[.点] {0,2}[0-9](?: {0,2}[0-9]){0,9})?"
_LABEL = r"(?:lat(?:itude)?|lo?ng?(?:itude)?|gps|[nsew]|[纬经]度|[东西]经|[南北]纬|坐标|定位)[ :：=]{0,3}"
_MARK = r"(?: ?[°度])?(?: ?[nsew](?![a-z])|(?:[南北]纬|[东西]经))?"
_BETWEEN = r"[ ,，、;/|和及与]{1,4}"
_DMS = r"[0-9]{1,3} ?[°度] ?[0-9]{1,2}(?:\.[0-9]{1,8})? ?['分](?: ?[0-9]{1,2}(?:\.[0-9]{1,6})? ?(?:['\"]{1,2}|秒))?"
_WORDS = r"[0-9十百两点.]{1,14}度(?:[0-9十点.]{1,12}分)?(?:[0-9十点.]{1,12}秒)?"
_PAIR = re.compile(r"[0-9]{1,3} ?[.点][0-9 ]+")


def _out_of_range(value: str) -> bool:
    pair = [float(number.replace("点", ".").replace(" ", "")) for number in _PAIR.findall(value)]
    return len(pair) == 2 and (min(pair) > 90 or max(pair) > 180)


RECOGNISERS = (
    Recogniser(
        "GPS",
        rf"(?<![0-9a-z.])(?:{_LABEL}){{0,2}}[-+]?[0-9]{{1,3}}[.点][0-9]{{3,10}}{_MARK}{_BETWEEN}(?:{_LABEL})?[-+]?[0-9]{{1,3}}[.点][0-9]{{3,10}}{_MARK}(?![0-9.])",
        0.85,
        veto=_out_of_range,
        name="decimal pair",
    ),
    Recogniser(
        "GPS",
        rf"(?<![0-9a-z.])(?:{_LABEL}){{1,2}}[-+]?{_NUMBER}{_MARK}(?:{_BETWEEN}(?:{_LABEL}){{1,2}}[-+]?{_NUMBER}{_MARK})(?![0-9.])",
        0.8,
        veto=_out_of_range,
        name="labelled pair",
    ),
    Recogniser(
        "GPS",
        rf"(?<![0-9a-z])(?:[nsew] ?|[东西]经|[南北]纬)?{_DMS} ?(?:[nsew](?![a-z]))?(?:[ ,，、;/和及]{{0,4}}(?:[nsew] ?|[东西]经|[南北]纬)?{_DMS} ?(?:[nsew](?![a-z]))?)?",
        0.8,
        name="degrees, minutes, seconds",
    ),
    Recogniser(
        "GPS",
        rf"(?:[东西]经|[南北]纬)[ :：是为约]{{0,3}}(?:{_WORDS}|{_NUMBER} ?[°度]?)(?:[ ,，、;/和及]{{0,4}}(?:[东西]经|[南北]纬)[ :：是为约]{{0,3}}(?:{_WORDS}|{_NUMBER} ?[°度]?))?",
        0.85,
        name="zh words",
    ),
    Recogniser(
        "GPS",
        rf"[纬经]度[ :：是为约=]{{0,3}}[-+]?{_NUMBER}{_MARK}|(?<![a-z])(?:lat(?:itude)?|lon(?:gitude)?|lng)[ :=]{{1,3}}[-+]?[0-9]{{1,3}}\.[0-9]{{2,10}}{_MARK}",
        0.75,
        name="one coordinate",
    ),
)
