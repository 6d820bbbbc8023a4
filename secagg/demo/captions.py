"""What is said of a scene: three aspects, two languages, and the plain records that the companies train on.

A record is text and the scene it speaks of, and nothing else: whatever cleans captions before training maps records to records.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from secagg.demo.scenes import Picture, Scene, draw_scenes, paint
from secagg.demo.task import VARIANTS
from secagg.errors import ConfigError

_TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+")
_BETWEEN_CHARACTERS = re.compile(r"(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")

COMPANIES: tuple[str, ...] = ("energy", "community", "urban")
"""City gas, community security, urban management: one aspect each."""
LANGUAGES: tuple[str, ...] = ("en", "zh")

Slot = str
SLOTS: Mapping[str, tuple[Slot, Slot]] = {
    "energy": ("device", "state"),
    "community": ("clothes", "action"),
    "urban": ("surface", "roadside"),
}
"""The two fields of `Scene` that an aspect speaks of."""

WORDS: Mapping[Slot, Mapping[str, Mapping[str, str]]] = {
    "device": {
        "meter": {"en": "gas meter", "zh": "燃气表"},
        "cover": {"en": "manhole cover", "zh": "井盖"},
        "cylinder": {"en": "gas cylinder", "zh": "煤气罐"},
        "valve": {"en": "shut-off valve", "zh": "阀门"},
        "pipe": {"en": "yellow pipe", "zh": "输气管"},
    },
    "state": {
        "sound": {"en": "in good order", "zh": "完好无损"},
        "leaking": {"en": "leaking gas", "zh": "正在漏气"},
        "rusty": {"en": "covered with rust", "zh": "锈迹斑斑"},
        "burning": {"en": "on fire", "zh": "着火了"},
        "flooded": {"en": "standing in water", "zh": "泡在水里"},
    },
    "clothes": {
        "red": {"en": "red", "zh": "红"},
        "yellow": {"en": "bright yellow", "zh": "黄"},
        "blue": {"en": "blue", "zh": "蓝"},
        "green": {"en": "green", "zh": "绿"},
        "white": {"en": "white", "zh": "白"},
        "purple": {"en": "purple", "zh": "紫"},
    },
    "action": {
        "stand": {"en": "standing still", "zh": "站着不动"},
        "squat": {"en": "squatting down", "zh": "蹲在地上"},
        "lie": {"en": "lying on the ground", "zh": "躺倒在地"},
        "run": {"en": "running away", "zh": "正在奔跑"},
        "wave": {"en": "waving both arms", "zh": "挥动双臂"},
        "cycle": {"en": "riding a bicycle", "zh": "骑着自行车"},
    },
    "surface": {
        "asphalt": {"en": "asphalt road", "zh": "柏油路"},
        "brick": {"en": "brick pavement", "zh": "红砖路"},
        "cobble": {"en": "cobbled lane", "zh": "石块路"},
        "gravel": {"en": "gravel path", "zh": "砂石路"},
        "slabs": {"en": "flagstone walk", "zh": "石板路"},
    },
    "roadside": {
        "bicycle lane": {"en": "a green bicycle lane", "zh": "绿色自行车道"},
        "crossing": {"en": "a zebra crossing", "zh": "斑马线"},
        "trees": {"en": "a row of trees", "zh": "一排树"},
        "shelter": {"en": "a bus shelter", "zh": "公交站亭"},
        "cones": {"en": "road work cones", "zh": "施工路锥"},
        "car": {"en": "a parked car", "zh": "停放的汽车"},
    },
}
"""Slot to value to its words in each language; no words of one value stand inside another value's of the same slot."""

TEMPLATES: Mapping[str, Mapping[str, str]] = {
    "energy": {"en": "the {device} is {state}", "zh": "{device}{state}"},
    "community": {"en": "a person in {clothes} is {action}", "zh": "一个穿{clothes}衣服的人{action}"},
    "urban": {"en": "this {surface} has {roadside}", "zh": "这条{surface}上能看到{roadside}"},
}

SCENES: Mapping[str, int] = {"energy": 840, "community": 1080, "urban": 960}
"""Pictures that each company holds; unequal, so that the weights of the mean are not all the same."""
VALIDATION = 160
"""Pictures in the joint validation set; each is annotated with all aspects in all languages."""
OWN_SHARE = 0.6
"""The part of a company's pictures whose captions speak of its own aspect in the variant `overlap`."""


@dataclass(frozen=True, slots=True)
class Record:
    """One caption as a company stores it."""

    id: str
    scene: str
    """Names the picture: the two languages of one picture share it."""
    aspect: str
    language: str
    text: str
    picture: Picture


def caption(scene: Scene, aspect: str, language: str) -> str:
    """The one right sentence about an aspect of a scene."""
    words = {slot: WORDS[slot][getattr(scene, slot)][language] for slot in SLOTS[aspect]}
    return TEMPLATES[aspect][language].format(**words)


def company_records(company: str, variant: str, seed: int) -> list[Record]:
    """The training set of one company: its own pictures, each with one caption per language.

    `disjoint`: every caption speaks of the company's own aspect. `overlap`: 60 % do, the others are shared evenly among
    the other aspects. The pictures are the same in both variants, and no two companies have one in common.
    """
    index = COMPANIES.index(company)
    scenes = draw_scenes((seed, 1 + index), SCENES[company])
    aspects = _aspects(company, variant, len(scenes))
    order = np.random.default_rng((seed, 101 + index)).permutation(len(scenes))
    records = []
    for number, (scene, place) in enumerate(zip(scenes, order, strict=True)):
        name, aspect, picture = f"{company}-{number:04d}", aspects[place], paint(scene)
        for language in LANGUAGES:
            text = caption(scene, aspect, language)
            records.append(Record(f"{name}-{language}", name, aspect, language, text, picture))
    return records


def validation_scenes(seed: int) -> list[Scene]:
    """The joint validation set: pictures that no company holds."""
    return draw_scenes((seed, 0), VALIDATION)


def every_caption(aspect: str, language: str) -> list[str]:
    """Every sentence that `caption` can give about an aspect, once."""
    first, second = SLOTS[aspect]
    return [
        TEMPLATES[aspect][language].format(**{first: one[language], second: other[language]})
        for one in WORDS[first].values()
        for other in WORDS[second].values()
    ]


def tokens(text: str) -> list[str]:
    """Words of a Latin text, characters of a Chinese one: the unit of the model and of every metric."""
    return _TOKEN.findall(text)


def join(text: str) -> str:
    """Tokens back to a text: blanks between words, none between Chinese characters."""
    return _BETWEEN_CHARACTERS.sub("", " ".join(text.split()))


def _aspects(company: str, variant: str, count: int) -> list[str]:
    match variant:
        case "disjoint":
            return [company] * count
        case "overlap":
            own = round(OWN_SHARE * count)
            others = [aspect for aspect in COMPANIES if aspect != company]
            return [company] * own + [others[number % len(others)] for number in range(count - own)]
    raise ConfigError(f"variant {variant!r} is unknown: use one of {', '.join(VARIANTS)}")
