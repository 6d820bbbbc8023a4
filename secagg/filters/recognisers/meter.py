"""Meter, valve and customer-account numbers: they are recognised by what stands before them."""

from __future__ import annotations

import re

from secagg.filters.recogniser import GAP, Recogniser

_ZH = (
    r"(?:(?:用户|客户|燃气|电|水|气|煤气|热力|天然气|缴费|结算|合同|收费|用气|用电|用水|供电|供水|供气|智能|膜式|超声波)?"
    r"(?:户号|表号|表具号?|表编号|钢号|户编号|阀门?(?:编)?号|阀门|编号|账号|帐号|账户|帐户|缴费号|表具编号|表身号|户头|表))"
)
_EN = (
    r"(?:(?:gas|water|electricity|electric|power|utility|smart|customer|billing|account|valve|meter|shut-?off|service|contract|supply)[ \-]){0,2}"
    r"(?:meter|acc(?:oun)?t|valve|a/c|mprn|mpan|customer|m/n)s?"
)
_FILLER = r"(?:[ :：#.,()（）\[\]\"'=\-]|is|was|the|no|number|num|id|serial|sn|s/n|reading|ref|tag|code|号码?|编号|编码|为|是|系|叫|后|码|now|with|of|reads?|在)"
_VALUE = rf"(?P<value>[a-z]{{0,6}}(?:{GAP}[a-z]{{1,3}})?{GAP}[0-9](?:{GAP}[a-z]{{0,2}}[0-9]){{3,23}}[a-z]{{0,3}})(?![0-9a-z])"
_SHORT = r"(?P<value>[a-z]{1,4}[\-_/]?[0-9]{2,10}(?:[\-_/][0-9a-z]{1,8}){0,3}|[0-9]{3,6}[\-_/][a-z0-9]{1,8})(?![0-9a-z])"


_SENTENCE = re.compile(r"(?:at|by|to|is|was|on|in|of|from|and|or|for|s)[ .,:]|[a-z]*[ ,.]*[0-9]{1,2}:[0-9]{2}(?![0-9:])")


def _no_number(value: str) -> bool:
    """A year, a time of day, or a word of the sentence before a number."""
    if _SENTENCE.match(value.strip()):
        return True
    return value.strip().isdigit() and len(value.strip()) == 4 and value.strip().startswith(("19", "20"))


RECOGNISERS = tuple(
    Recogniser(
        "METER_OR_ACCOUNT",
        rf"{cue}{_FILLER}{{{fewest},8}}(?<![0-9a-z]){value}",
        0.8,
        value="value",
        veto=_no_number,
        name=f"{language} {size}",
    )
    for language, cue, fewest in (("zh", _ZH, 0), ("en", rf"(?<![a-z]){_EN}", 1))
    for size, value in (("number", _VALUE), ("code", _SHORT))
)
