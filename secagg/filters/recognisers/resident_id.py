"""Identity numbers of persons: mainland China's 18 and 15 digits, Hong Kong, Taiwan, and social-security numbers."""

from __future__ import annotations

from secagg.filters.checksums import is_birthday, mod_11_2, social_security, taiwan_id
from secagg.filters.recogniser import GAP, Recogniser

CUES = r"身份|证件|证号|公民|id ?(?:card|no|number|#)?|identity|identification|户籍|实名|national|resident|社保|参保"
_SSN_CUES = r"ssn|social|security|社保|社会保障|tax ?id"


def _eighteen(number: str) -> float | None:
    if mod_11_2(number) and is_birthday(number[6:14]):
        return 0.98
    return 0.6 if is_birthday(number[6:14]) else 0.25


def _fifteen(number: str) -> float | None:
    return 0.4 if is_birthday("19" + number[6:12]) else 0.1


RECOGNISERS = (
    Recogniser(
        "ID_NUMBER",
        rf"(?<![0-9])[1-9](?:{GAP}[0-9]){{16}}{GAP}[0-9x](?![0-9a-z])",
        0.3,
        cues=CUES,
        with_cue=0.85,
        validate=_eighteen,
        name="zh 18",
    ),
    Recogniser(
        "ID_NUMBER",
        rf"(?<![0-9])[1-9](?:{GAP}[0-9]){{14}}(?![0-9a-z])",
        0.1,
        cues=CUES,
        with_cue=0.8,
        validate=_fifteen,
        name="zh 15",
    ),
    Recogniser(
        "ID_NUMBER",
        rf"(?<![0-9a-z])[a-z]{GAP}[12](?:{GAP}[0-9]){{8}}(?![0-9a-z])",
        0.2,
        cues=CUES,
        with_cue=0.8,
        validate=lambda number: 0.7 if taiwan_id(number) else None,
        name="taiwan",
    ),
    Recogniser(
        "ID_NUMBER",
        r"(?<![0-9a-z])[a-z]{1,2}[0-9]{6} ?[(（][0-9a][)）]",
        0.75,
        name="hong kong",
    ),
    Recogniser(
        "SOCIAL_SECURITY",
        r"(?<![0-9a-z])(?<![0-9][.\-])[0-9]{3}[ \-.][0-9]{2}[ \-.][0-9]{4}(?![0-9a-z])",
        0.4,
        cues=_SSN_CUES,
        with_cue=0.9,
        validate=lambda number: 0.7 if social_security(number) else 0.3,
        name="ssn",
    ),
    Recogniser(
        "SOCIAL_SECURITY",
        rf"(?<![0-9a-z])[0-9](?:{GAP}[0-9]){{8}}(?![0-9a-z])",
        0.1,
        cues=_SSN_CUES,
        with_cue=0.85,
        name="ssn with a cue",
    ),
    Recogniser(
        "ID_NUMBER",
        rf"(?:身份证|证件|identity card|id card|national id|identification)[^0-9\n]{{0,10}}(?P<value>[0-9](?:{GAP}[0-9]){{13,18}}{GAP}[0-9x]?)(?![0-9])",
        0.8,
        value="value",
        name="named",
    ),
)
