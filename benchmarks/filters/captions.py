"""Labelled captions for scoring the sanitiser: seeded, in two languages, with eleven kinds of disguise.

Nothing here is imported from `secagg.filters`: surnames, roads, templates, checksums and disguises are written a second time, so that a
score says how well the recognisers read captions and not how well they read themselves.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import dataclass

SURNAMES = [
    "欧阳",
    "司马",
    "上官",
    "诸葛",
    "赵",
    "钱",
    "孙",
    "李",
    "周",
    "吴",
    "郑",
    "王",
    "冯",
    "陈",
    "褚",
    "卫",
    "蒋",
    "沈",
    "韩",
    "杨",
    "朱",
    "秦",
    "尤",
    "许",
    "何",
    "吕",
    "施",
    "张",
    "孔",
    "曹",
    "严",
    "华",
    "金",
    "魏",
    "陶",
    "姜",
    "谢",
    "邹",
    "章",
    "苏",
    "潘",
    "范",
    "彭",
    "马",
    "方",
    "任",
    "袁",
    "柳",
    "唐",
    "薛",
    "雷",
    "贺",
    "倪",
    "汤",
    "罗",
    "郝",
    "毕",
    "安",
    "常",
    "于",
    "傅",
    "康",
    "余",
    "顾",
    "孟",
    "黄",
    "穆",
    "萧",
    "尹",
    "姚",
    "邵",
    "汪",
    "毛",
    "宋",
    "庞",
    "熊",
    "纪",
    "舒",
    "项",
    "董",
    "梁",
    "杜",
    "阮",
    "蓝",
    "席",
    "麻",
    "强",
    "贾",
    "江",
    "童",
    "颜",
    "郭",
    "梅",
    "林",
    "钟",
    "徐",
    "邱",
    "骆",
    "高",
    "夏",
    "蔡",
    "田",
    "樊",
    "胡",
    "凌",
    "霍",
    "万",
    "卢",
    "丁",
    "邓",
    "洪",
    "石",
    "崔",
    "吉",
    "龚",
    "程",
    "陆",
    "翁",
    "段",
    "侯",
    "武",
    "刘",
    "龙",
    "叶",
    "黎",
    "白",
    "赖",
    "乔",
    "温",
    "庄",
    "阎",
    "连",
    "习",
    "易",
    "廖",
    "耿",
    "曾",
    "关",
]
GIVEN = [
    "志强",
    "建军",
    "晓燕",
    "秀兰",
    "国栋",
    "雨欣",
    "浩然",
    "思远",
    "丽娟",
    "海涛",
    "文博",
    "佳怡",
    "子轩",
    "梓涵",
    "玉珍",
    "桂芳",
    "德明",
    "春梅",
    "立新",
    "卫东",
    "小龙",
    "静",
    "磊",
    "娜",
    "敏",
    "洋",
    "勇",
    "艳",
    "杰",
    "超",
    "霞",
    "鹏",
    "飞",
    "玲",
    "涛",
    "彬",
    "丹",
    "萍",
    "宁",
    "昊",
    "欣妍",
    "一诺",
    "奕辰",
    "若曦",
    "俊熙",
    "永福",
    "金凤",
    "庆祥",
    "红霞",
    "世杰",
    "明珠",
    "振华",
    "素云",
    "启航",
    "嘉懿",
    "语桐",
    "云帆",
    "承宇",
    "慧敏",
    "凯",
]
ENGLISH_FIRST = [
    "James",
    "Mary",
    "Robert",
    "Patricia",
    "Wei",
    "Priya",
    "Ahmed",
    "Fatima",
    "Sofia",
    "Liam",
    "Olivia",
    "Noah",
    "Emma",
    "Yusuf",
    "Chloe",
    "Diego",
    "Hannah",
    "Kwame",
    "Ingrid",
    "Pavel",
    "Aisha",
    "Hiroshi",
    "Mei",
    "Sean",
    "Laura",
    "Graham",
    "Beatrice",
    "Tomasz",
    "Nadia",
    "Victor",
    "Carla",
    "Stephen",
]
ENGLISH_LAST = [
    "Smith",
    "Johnson",
    "Patel",
    "Okafor",
    "Nguyen",
    "Kowalski",
    "Rossi",
    "Müller",
    "O'Brien",
    "Fernandez",
    "Haddad",
    "Tanaka",
    "Larsen",
    "Dubois",
    "Ivanova",
    "Campbell",
    "Whitaker",
    "Singh",
    "Chen",
    "Novak",
    "McCarthy",
    "Delgado",
    "Hughes",
    "Bennett",
    "Marsh",
    "Thornton",
    "Osei",
    "Lindqvist",
    "Moreau",
    "Blackwood",
]
ROADS = [
    "人民路",
    "解放大道",
    "中山北路",
    "建设街",
    "文昌巷",
    "滨河西路",
    "学院路",
    "长江东路",
    "迎宾大街",
    "朝阳路",
    "和平里",
    "凤凰路",
    "科技二路",
    "胜利街",
    "环城南路",
    "莲花巷",
]
ESTATES = ["阳光小区", "翠湖花园", "锦绣家园", "金桂苑", "东方明珠公寓", "幸福新村", "碧水湾小区", "紫荆花园"]
CITIES = ["杭州市西湖区", "成都市武侯区", "广东省深圳市南山区", "武汉市江岸区", "", "", "", "江苏省苏州市吴中区", "朝阳区", "济南市"]
STREETS = [
    "Baker",
    "Oakwood",
    "Maple",
    "Willow",
    "Station",
    "Church",
    "Highfield",
    "Elm",
    "Cedar",
    "Mill",
    "Garden",
    "Victoria",
    "Jefferson",
    "Lincoln",
]
PROVINCES = "京沪粤浙苏鲁川鄂湘冀豫闽皖辽陕"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A caption, the span of its personal value, what it is, and how it is disguised."""

    text: str
    start: int
    end: int
    entity: str
    language: str
    disguise: str = ""


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
    "Arabic-Indic": _each(lambda c: chr(0x660 + int(c)) if c in string.digits else c),
}
DISGUISED: tuple[tuple[str, str], ...] = (
    ("PHONE", "zh"),
    ("ID_NUMBER", "zh"),
    ("BANK_CARD", "zh"),
    ("PLATE", "zh"),
    ("METER_OR_ACCOUNT", "zh"),
    ("EMAIL", "en"),
)
_DIGITS_ONLY = {"Chinese numerals", "circled", "mathematical", "Arabic-Indic"}


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
        if not (kind[0] == "EMAIL" and disguise in {*_DIGITS_ONLY, "dashed", "grouped", "dotted"})
        for _ in range(each)
    ]


def _labelled(rng: random.Random, kind: tuple[str, str], disguise: str) -> Labelled:
    make, templates = KINDS[kind]
    value = make(rng)
    if disguise:
        value = DISGUISES[disguise](value, rng)
    before, after = rng.choice(templates).split("{}")
    return Labelled(before + value + after, len(before), len(before) + len(value), kind[0], kind[1], disguise)
