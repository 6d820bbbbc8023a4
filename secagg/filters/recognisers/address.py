"""Chinese addresses down to the room: `…路12号3单元502室`."""

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
_GATE = r"(?:[\u4e00-\u9fff]{2,10}?[东西南北正侧后前旁]{1,2}(?:门|侧)(?![\u4e00-\u9fff]))"
"""Where at the house: `1号省体育场东门`."""
_CUES = r"住址|地址|住|位于|家|户籍|送到|寄到|地点|小区|业主|住户|address|燃气|上门|巡检|入户"
_LEAD = re.compile(
    r"^.*(?:住址|地址|家住|居住|现住|位于|住在|地点|前往|送到|寄到|发生|来自|户籍|路过|经过|停在|放在|业主|住户|居民|客户|用户|先生|女士|反映|检查|巡查|报修|搬到|搬至|到达|[在于到至往从给为是住址去达由让把的了])(?=.{3})"
)


def zh_lead(value: str) -> int:
    """How many characters at the start of a Chinese match are the sentence rather than the address: `住在` of `住在人民路12号`."""
    head = re.split(r"[0-9]", value, maxsplit=1)[0]
    match = _LEAD.match(head)
    return match.end() if match else 0


RECOGNISERS = (
    Recogniser(
        "ADDRESS",
        rf"(?:{_REGION}{_GLUE}){{0,4}}(?:{_PLACE}{_GLUE}){{1,3}}{_HOUSE}{_GLUE}(?:(?:{_PLACE}{_GLUE})?(?:{_HOUSE}|{_ROOM}){_GLUE}){{0,5}}{_BARE_ROOM}?{_GATE}?",
        0.8,
        lead=zh_lead,
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
        lead=zh_lead,
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
        r"(?:地址|住址)(?:[:：是为]{1,2}|[ ]) ?(?P<value>[\u4e00-\u9fff0-9][\u4e00-\u9fff0-9a-z（）() \-#]{5,60})",
        0.75,
        value="value",
        veto=lambda value: not re.search(r"[省市区县路街道镇乡村巷号栋座室]", value) or not re.search(r"[0-9号栋座室村组]", value),
        name="zh behind its name",
    ),
)
