"""The forms that replaced values take, made so that no real value has them and no recogniser takes one for a value.

`[PHONE]` and `[PHONE-0A1B2C3D]` are placeholders. A pseudonym that keeps its shape stands in a range nobody is given: mobile numbers under
100, identity numbers of region 000000, the domain `example.invalid`, the surname 佚 (written where an author is unknown), names in X.
That is what makes a second pass change nothing.
"""

from __future__ import annotations

import re

ZH_SURNAME = "佚"
ZH_GIVEN = "安宝晨达恩丰歌禾嘉可岚美南欧朴青然善田唯夕言知卓"
EN_SYLLABLES = ("an", "el", "ir", "on", "um", "ath", "ebo", "ilo", "ora", "uva", "ane", "emi", "igo", "omu", "uri", "ado")
DOMAIN = "example.invalid"

_SYLLABLES = "|".join(EN_SYLLABLES)
PLACEHOLDER = re.compile(r"\[[A-Z][A-Z_]{1,30}(?:-[0-9A-F]{8})?\]")
_RESERVED = (
    ("100", re.compile(r"(?<![0-9])100[0-9]{8}(?![0-9])")),
    ("000000", re.compile(r"(?<![0-9])000000[0-9]{11}[0-9X](?![0-9])")),
    (DOMAIN, re.compile(r"(?<![0-9A-Za-z])u[0-9a-f]{12}@example\.invalid(?![0-9A-Za-z])")),
    (ZH_SURNAME, re.compile(rf"{ZH_SURNAME}[{ZH_GIVEN}]{{1,3}}")),
    ("X", re.compile(rf"(?<![A-Za-z])X(?:{_SYLLABLES}){{1,2}}(?: X(?:{_SYLLABLES}){{2}})?(?![A-Za-z])")),
)
"""What stands in every surrogate of a kind, and the kind."""


def reserved_spans(text: str) -> list[tuple[int, int]]:
    """Where placeholders and reserved pseudonyms stand in `text`."""
    spans = [match.span() for match in PLACEHOLDER.finditer(text)] if "[" in text else []
    for mark, pattern in _RESERVED:
        if mark in text:
            spans += [match.span() for match in pattern.finditer(text)]
    return spans
