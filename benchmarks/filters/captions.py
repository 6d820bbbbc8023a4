"""Labelled captions for scoring the sanitiser: seeded, in two languages, with fifteen kinds of disguise.

Nothing here is imported from `secagg.filters`: words, templates, checksums and disguises are written a second time, so that a score says
how well the recognisers read captions and not how well they read themselves.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.filters.disguises import DISGUISES
from benchmarks.filters.values import (
    card,
    chinese_address,
    chinese_name,
    coordinates,
    credential,
    email,
    english_address,
    english_name,
    english_plate,
    mobile,
    number,
    plate,
    resident_id,
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A caption, the span of its personal value, what it is, and how it is disguised."""

    text: str
    start: int
    end: int
    entity: str
    language: str
    disguise: str = ""


Maker = Callable[[random.Random], str]
KINDS: dict[tuple[str, str], tuple[Maker, tuple[str, ...]]] = {
    ("PHONE", "zh"): (mobile, ("居民来电{}反映井盖松动", "燃气表旁写着{}", "图中小广告留有{}，请清理", "联系电话：{}。")),
    ("PHONE", "en"): (
        lambda rng: f"({rng.randint(201, 989)}) {rng.randint(200, 999)}-{number(rng, 4)}",
        ("The sign says call {} for repairs", "a van with {} painted on its side", "Contact number {} on the notice."),
    ),
    ("ID_NUMBER", "zh"): (resident_id, ("登记的身份证号{}与本人一致", "照片里能看到{}", "证件号码:{}，已核对")),
    ("ID_NUMBER bad checksum", "zh"): (lambda rng: resident_id(rng, good=False), ("身份证号{}登记在册", "身份证：{}", "证件号为{}的住户")),
    ("SOCIAL_SECURITY", "en"): (
        lambda rng: f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
        ("his SSN {} was on the form", "Social security number: {}"),
    ),
    ("PASSPORT", "zh"): (lambda rng: rng.choice("EG") + number(rng, 8), ("护照号{}的游客", "桌上放着护照，号码是{}")),
    ("BANK_CARD", "zh"): (card, ("退款到{}", "银行卡号{}", "地上有一张卡，卡号{}")),
    ("EMAIL", "zh"): (email, ("邮箱{}", "请发到{}，谢谢")),
    ("EMAIL", "en"): (email, ("Write to {} for access", "a poster with {} on it")),
    ("PLATE", "zh"): (plate, ("一辆白色轿车{}停在消防通道", "车牌{}的货车占道", "{}违停")),
    ("PLATE", "en"): (
        english_plate,
        ("a red car with licence plate {} on the kerb", "Plate number {} blocks the hydrant", "registration {} parked here"),
    ),
    ("ADDRESS", "zh"): (chinese_address, ("{}的燃气表漏气", "巡检员前往{}检查阀门", "住户地址：{}", "住在{}的居民投诉噪音")),
    ("ADDRESS", "en"): (english_address, ("gas smell reported at {}", "the meter of {} is rusty", "Lives at {}.")),
    ("METER_OR_ACCOUNT", "zh"): (
        lambda rng: number(rng, rng.choice([8, 10, 12])),
        ("户号{}的燃气表", "表号：{}读数异常", "阀门号{}已关闭", "燃气账号是{}"),
    ),
    ("METER_OR_ACCOUNT", "en"): (
        lambda rng: rng.choice(["", "GM-", "V", "M"]) + number(rng, 8),
        ("gas meter no. {} is leaking", "account number {} is overdue", "valve {} closed", "Meter ID: {}"),
    ),
    ("GPS", "zh"): (coordinates, ("拍摄位置{}", "坐标：{}处井盖缺失")),
    ("GPS", "en"): (coordinates, ("photo taken at {}", "GPS {} manhole open")),
    ("USER_ID", "zh"): (lambda rng: rng.choice(["u", "user_", "A", ""]) + number(rng, 7), ("用户ID：{}上传", "工号{}的巡检员", "会员号{}")),
    ("USER_ID", "en"): (
        lambda rng: rng.choice(["u", "user_", "emp", "x"]) + number(rng, 6),
        ("uploaded by user id {}", "Employee ID {} took this", "username: {}"),
    ),
    ("CREDENTIAL", "en"): (credential, ("the sticker shows {}", "API key: {}", "token {} was visible")),
    ("CREDENTIAL password", "zh"): (
        lambda rng: rng.choice(["Abc", "qwe", "Gas@"]) + number(rng, 5) + rng.choice(["", "!"]),
        ("门禁密码是{}", "密码：{}"),
    ),
    ("IP_ADDRESS", "en"): (lambda rng: ".".join(str(rng.randint(1, 254)) for _ in range(4)), ("camera at {} offline", "摄像头IP为{}")),
    ("MAC_ADDRESS", "en"): (lambda rng: ":".join(f"{rng.randint(0, 255):02X}" for _ in range(6)), ("device {} on the wall", "MAC地址{}")),
    ("NAME", "zh"): (
        chinese_name,
        (
            "巡检员{}正在检查燃气表",
            "业主{}反映楼道堆物",
            "{}站在路边打电话",
            "照片里是{}和他的自行车",
            "{}先生家的阀门漏气",
            "由{}拍摄的井盖",
            "网格员{}在劝导商贩",
            "一名叫{}的工人在修路",
        ),
    ),
    ("NAME", "en"): (
        english_name,
        (
            "{} is checking the gas meter",
            "a photo of {} near the crossing",
            "The owner, {}, complained about noise",
            "Inspector {} closed the valve",
            "{} and a dog stand on the pavement",
            "reported by {} yesterday",
        ),
    ),
}

DISGUISED: tuple[tuple[str, str], ...] = (
    ("PHONE", "zh"),
    ("ID_NUMBER", "zh"),
    ("BANK_CARD", "zh"),
    ("PLATE", "zh"),
    ("METER_OR_ACCOUNT", "zh"),
    ("EMAIL", "en"),
)
_DIGITS_ONLY = {"Chinese numerals", "circled", "mathematical", "Arabic-Indic", "letters between"}


def plain(seed: int, each: int) -> list[Labelled]:
    """`each` captions of every kind, undisguised."""
    rng = random.Random(seed)
    return [_labelled(rng, kind, "") for kind in KINDS for _ in range(each)]


def disguised(seed: int, each: int) -> list[Labelled]:
    """`each` captions of every disguise and every kind that people disguise."""
    rng = random.Random(seed)
    return [
        _labelled(rng, kind, disguise)
        for disguise in DISGUISES
        for kind in DISGUISED
        if not (kind[0] == "EMAIL" and disguise in {*_DIGITS_ONLY, "dashed", "grouped", "bracketed", "dotted"})
        and not (kind[0] in ("PLATE", "METER_OR_ACCOUNT") and disguise == "letters between")
        for _ in range(each)
    ]


def _labelled(rng: random.Random, kind: tuple[str, str], disguise: str) -> Labelled:
    make, templates = KINDS[kind]
    value = make(rng)
    if disguise:
        value = DISGUISES[disguise](value, rng)
    before, after = rng.choice(templates).split("{}")
    return Labelled(before + value + after, len(before), len(before) + len(value), kind[0], kind[1], disguise)
