"""Addresses down to the room, in Chinese (`…路12号3单元502室`) and English (`Flat 5, 12 Baker Street`)."""

from __future__ import annotations

import re

from secagg.filters.recogniser import Recogniser

_HAN = r"[\u4e00-\u9fff]"
_N = r"[0-9a-z十百甲乙丙丁东西南北]{1,6}(?: ?[\-之] ?[0-9]{1,4})?"
_REGION = rf"(?:{_HAN}{{2,8}}?(?:省|自治区|特别行政区)|{_HAN}{{2,6}}?(?:市|州|盟)|{_HAN}{{1,6}}?(?:新区|区|县|旗)|{_HAN}{{1,7}}?(?:街道|镇|乡|开发区))"
_ROAD = r"(?:大道|大街|公路|环路|胡同|马路|支路|路|街|巷|弄|道|里|条|段)"
_ESTATE = (
    r"(?:小区|花园|家园|公寓|新村|新城|广场|大厦|社区|花苑|名苑|雅苑|苑|庭|府|园|城|村|屯|湾|邸|坊|轩|阁|居|宿舍|大院|家属院|中心|写字楼)"
)
_PLACE = rf"(?:{_HAN}[\u4e00-\u9fff0-9a-z·]{{0,9}}?(?:{_ROAD}|{_ESTATE}))"
_HOUSE = rf"(?:{_N} ?(?:号院|号楼|号|弄|院|栋|幢|座|楼|组|队|区|期|坊|排|支弄))"
_ROOM = rf"(?:{_N} ?(?:单元|门洞|门|梯|层|楼|室|房间|号房|房|户|铺))"
_GLUE = r"[ ,，、\-—·]{0,2}"
_BARE_ROOM = r"(?:[0-9]{3,4}(?![0-9a-z%年月日个只米元块人次度]))"
_CUES = r"住址|地址|住|位于|家|户籍|送到|寄到|地点|小区|业主|住户|address|燃气|上门|巡检|入户"
_LEAD = re.compile(
    r"^.*(?:住址|地址|家住|居住|现住|位于|住在|地点|前往|送到|寄到|发生|来自|户籍|路过|经过|停在|放在|业主|住户|居民|客户|用户|先生|女士|反映|检查|巡查|报修|搬到|搬至|到达|[在于到至往从给为是住址去达由让把的了])(?=.{3})"
)

_TYPES = (
    r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|way|court|ct|place|pl|square|sq|terrace|ter|parkway|pkwy|highway|hwy|"
    r"close|crescent|cres|row|walk|hill|gardens|grove|circle|cir|trail|trl|mews|quay|alley|loop|plaza|green|park|view|path|pike|rise|wharf)"
)
UNIT = r"(?:(?:apt|apartment|suite|ste|unit|flat|room|rm|floor|fl|bldg|building|block|tower|house|no)\.? ?#? ?[0-9a-z]{1,5}(?:-[0-9a-z]{1,4})?(?![a-z0-9])|# ?[0-9]{1,5}[a-z]?)"
_NOT_OF_A_ROAD = r"(?!(?:the|on|in|an?|of|and|is|are|at|with|to|from|by|for|near|people|along|into|over|across|down|this|that|was|were|cars?|men|women|days?|weeks?|months?|years?|hours?|minutes?|mins?|times?|feet|ft|inch(?:es)?|miles?|vehicles?|trucks?|persons?|houses?|lanes?)(?![a-z]))"
_WORD = _NOT_OF_A_ROAD + r"[^\W\d_][^\W_'’]{0,18}(?:['’][a-z]{1,2})?\.?"
LETTERS = r"[^\W\d_]"
PLAIN = r"(?!(?:the|on|in|an?|of|and|is|are|at|with|from|by|for|people|this|that|was|were|to|it)(?![a-z]))[^\W\d_][^\W_'’]{0,20}(?:['’][^\W_]{1,12})?\.?"
"""A word that can be part of the name of a street or a town."""
LINE = r" {0,2}[,\n]{1,2}[ \n>?,\-]{0,5}"
SEGMENT = rf"(?:{UNIT}|{LETTERS}[^\W\d_.'’]{{0,20}}['’]?(?:[ \-]{LETTERS}[^\W\d_'’]{{0,20}}['’]?s?){{0,3}}(?: \([a-z]{{2,12}}\))?(?: (?:[0-9]{{2,6}}(?:-[0-9]{{3,4}})?|[a-z]{{1,2}}[0-9][0-9a-z]? ?[0-9][a-z]{{2}}))?|[0-9]{{3,6}}(?:[ \-][0-9]{{3,4}})?(?: {LETTERS}{{2,20}})?|[a-z]{{1,2}}[0-9][0-9a-z]? ?[0-9][a-z]{{2}})"
TAIL = rf"(?:[ ,.\n>?]{{1,8}}{UNIT}(?: {PLAIN}){{0,3}}){{0,2}}(?:{LINE}{SEGMENT}(?![0-9a-z])){{0,5}}"
"""What may follow a street and its number: flats, then towns, states, postal codes and countries behind commas or on lines of their own."""


def zh_lead(value: str) -> int:
    """How many characters at the start of a Chinese match are the sentence rather than the address: `住在` of `住在人民路12号`."""
    head = re.split(r"[0-9]", value, maxsplit=1)[0]
    match = _LEAD.match(head)
    return match.end() if match else 0


_SMALL_UNIT = re.compile(UNIT, re.IGNORECASE)
_SMALL_WORDS = re.compile(r"(?: [a-z'’]{1,20}){1,4}[,\n ]{0,3}")


def latin_end(value: str) -> int:
    """How much of the original of a match in Latin script is the address: a part behind a comma or on a line of its own goes on with it if
    it begins with a capital or a digit, or is a unit. `12 Baker Street, a man walks` ends with the street."""
    if value.islower():
        return len(value)
    end = 0
    for part in re.finditer(r"[^,\n]*[,\n]?", value):
        words = part[0].strip(" >?-,\n()")
        if end and words[:1].islower() and not _SMALL_UNIT.match(words):
            break
        end = part.end()
        if not part[0]:
            break
    for unit in _SMALL_UNIT.finditer(value, 0, end):
        if _SMALL_WORDS.fullmatch(value, unit.end(), end):
            return unit.end()
    return end


RECOGNISERS = (
    Recogniser(
        "ADDRESS",
        rf"(?:{_REGION}{_GLUE}){{0,4}}(?:{_PLACE}{_GLUE}){{1,3}}{_HOUSE}{_GLUE}(?:(?:{_PLACE}{_GLUE})?(?:{_HOUSE}|{_ROOM}){_GLUE}){{0,5}}{_BARE_ROOM}?",
        0.8,
        name="zh road or estate",
        fewest_digits=1,
    ),
    Recogniser(
        "ADDRESS",
        rf"(?:{_REGION}{_GLUE}){{0,4}}(?:{_PLACE}{_GLUE}){{1,2}}(?:{_ROOM}{_GLUE}){{1,3}}{_BARE_ROOM}?",
        0.3,
        cues=_CUES,
        with_cue=0.6,
        veto=lambda value: not re.search(r"[0-9]{2}", value),
        name="zh estate and room",
        fewest_digits=2,
    ),
    Recogniser(
        "ADDRESS",
        rf"(?<![0-9a-z]){_N} ?(?:号院|号楼|栋|幢|座|楼|号){_GLUE}(?:{_N} ?单元{_GLUE})?(?:{_N} ?(?:层|楼){_GLUE})?(?:[0-9]{{2,4}} ?(?:室|房|户|号)?)(?![0-9a-z年月日个只米元块人次度])",
        0.7,
        name="zh building and room",
    ),
    Recogniser(
        "ADDRESS",
        rf"(?<![0-9a-z]){_N} ?单元{_GLUE}(?:{_N} ?(?:层|楼){_GLUE})?[0-9]{{2,4}} ?(?:室|房|户|号)?(?![0-9a-z])",
        0.65,
        name="zh unit and room",
    ),
    Recogniser(
        "ADDRESS",
        rf"(?:(?<![0-9a-z]){UNIT}[, ]{{1,3}}){{0,3}}(?<![0-9a-z.$#])(?:[0-9]{{1,6}} )?[0-9]{{1,6}}[a-z]?(?:[-/][0-9]{{1,4}})?,? (?:[nsew]\.? |north |south |east |west )?(?:(?:[0-9]{{1,3}}(?:st|nd|rd|th)|{_WORD}) ){{1,4}}?{_TYPES}(?![a-z])\.?(?: [nsew](?![a-z]))?(?:,? [a-z]{{2}}(?= [0-9]{{5}}(?![0-9])) [0-9]{{5}}(?:-[0-9]{{4}})?)?{TAIL}",
        0.75,
        name="en street",
    ),
    Recogniser(
        "ADDRESS",
        r"(?<![a-z])(?:p\.? ?o\.? ?box|unit|psc|room) [0-9]{3,6},? (?:box [0-9]{2,5}|(?:apo|dpo|fpo) [a-z]{2} [0-9]{5})?",
        0.2,
        cues=r"address|live|ship|mail|deliver|住",
        with_cue=0.6,
        name="en box",
    ),
)
