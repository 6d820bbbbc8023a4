"""Licence plates: Chinese ones, fuel and new-energy, and others where a cue says that it is one."""

from __future__ import annotations

from secagg.filters.recogniser import GAP, Recogniser

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
CUES = r"车牌|牌照|plate|licen[cs]e|registration|registered|vehicle|reg[ .]|tag|number ?plate|号牌|车号"


def _few_digits(value: str) -> bool:
    """A province, a letter and five letters are rarely a plate and often a sentence: at least one digit has to stand there."""
    return not any(map(str.isdigit, value))


def _word_or_number(value: str) -> bool:
    plain = [character for character in value if character.isalnum()]
    return not (any(map(str.isdigit, plain)) and any(map(str.isalpha, plain)) and 4 <= len(plain) <= 8)


RECOGNISERS = (
    Recogniser(
        "PLATE",
        rf"[{PROVINCES}]{GAP}[a-z]{GAP}[a-z0-9](?:{GAP}[a-z0-9]){{3,4}}{GAP}[a-z0-9挂学警港澳试领](?![a-z0-9])",
        0.9,
        veto=_few_digits,
        name="zh",
        fewest_digits=1,
    ),
    Recogniser(
        "PLATE",
        rf"[{PROVINCES}]{GAP}[0-9]{{6}}[使领]|(?:wj|[a-z]v){GAP}[{PROVINCES}]?{GAP}[0-9][0-9a-z]{{4}}(?![0-9a-z])|使{GAP}[0-9]{{6}}(?![0-9])",
        0.7,
        name="zh special",
    ),
    Recogniser(
        "PLATE",
        r"(?:plates?|licen[cs]e|registration|registered(?: as)?|reg|tag|车牌号?码?|牌照|号牌)(?: (?:number|no\.?|plate|is|was|read(?:s|ing)?|reg|mark|num|of|the|as|tag)){0,4}"
        r"[ :#\-(\"'.是为,]{1,4}(?P<value>(?=[a-z\- ]{0,7}[0-9])[a-z0-9]{1,5}(?:[ \-·.]{1,2}[a-z0-9]{1,5}){0,2})(?![a-z0-9])",
        0.75,
        value="value",
        veto=_word_or_number,
        name="named",
    ),
    Recogniser(
        "PLATE",
        r"(?<![a-z0-9\-])(?:[a-z]{2}[0-9]{2}[ \-]?[a-z]{3}|[a-z]{3}[ \-]?[0-9]{3,4}|[0-9][a-z]{3}[0-9]{3}|[0-9]{3,4}[ \-]?[a-z]{3}|[a-z]{2,3}[ \-][0-9]{2}[ \-][a-z0-9]{2,3})(?![a-z0-9\-])",
        0.2,
        cues=CUES + r"|car |truck|van |suv|sedan|driving",
        with_cue=0.65,
        name="en shape",
    ),
)
