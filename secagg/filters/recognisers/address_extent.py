"""How far an address in Latin script goes, once a street and its number are found: to the flat, the town, the code and the country.

`14 Crown Street` is found by a pattern; what stands around it is walked word by word in the text as it is written, because there capitals
tell a town (`, London NW1 6XE`) from the sentence that goes on (`, two men repair a pipe`). A walk takes a bounded number of steps.
"""

from __future__ import annotations

import re

from secagg.filters.recognisers.address_words import NO_STREET, PARTICLES, STOP

UNIT = (
    r"(?:(?:apt|apartment|suite|ste|unit|flat|room|rm|floor|fl|bldg|building|block|tower|house|no|box)\.? ?#? ?(?:[0-9][0-9a-z]{0,4}|[a-z][0-9]{1,4}|[b-z]|a(?! [a-z]))(?:-[0-9a-z]{1,4})?(?![a-z0-9])"
    r"|# ?[0-9]{1,5}[a-z]?)"
)
"""A part of a building, in canonical text."""
_STEPS, _LONGEST = 18, 200
_UNIT = re.compile(UNIT, re.IGNORECASE)
_SEPARATOR = re.compile(r"\.?[ ,]{0,3}(?:\n[>?, ]{0,6}(?:\n (?=[A-Z]))?)?")
_CODE = re.compile(
    r"[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}(?![0-9A-Za-z])|[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9](?![0-9A-Za-z])|[A-Z]{1,2}-[0-9]{4,5}(?![0-9A-Za-z])"
    r"|[0-9]{3,6}(?:[ -][0-9]{3,4}(?= ?(?:[\n,]|[A-Z][a-z]|$)))?(?: [A-Z]{2}(?![A-Za-z]))?(?![0-9A-Za-z]|[ \-./()]{1,2}[0-9(])|[0-9]{1,2}(?= ?\n| [0-9]{4,6}(?![0-9])|[.,]? (?:Apt|Suite|Unit)| ?,)"
)
_LINE_CODE = re.compile(r"[a-z]{2,3}(?= [0-9]{4,6}(?![0-9])|\n)")
_BRACKETS = re.compile(r"\([A-Z][\w ]{1,20}\)|\([^\W\d_]{3,16}\)")
_WORD = re.compile(r"[^\W\d_](?:[\w∆]|['’\-](?=\w)){0,30}")
_FIELD = re.compile(r"[ \-/]?(?:number|no|office|id)?\.? ?:", re.IGNORECASE)
_SEGMENT = re.compile(r"[^\W\d_]{2,20}(?:[ \-][^\W\d_]{1,20}){0,4}(?: \([^\W\d_]{3,16}\))?(?= ?(?:[,\n]|[0-9]{2,6}(?![0-9])|\.?$))")
_RUN = re.compile(r"[^\W\d_][\w'’\-]*(?: [^\W\d_a-z][\w'’\-]*){0,5}(?! ?[a-z])(?![\w'’\-])")
_NUMBERS_BEFORE = re.compile(r"(?<![0-9:.$€£#\-/A-Za-z])(?:[0-9]{1,6}[A-Za-z]? ){1,2}$")
_UNITS_BEFORE = re.compile(rf"(?<![0-9A-Za-z])(?:{UNIT}[, ]{{1,3}}){{1,3}}$", re.IGNORECASE)
_NAME = r"[^\W\d_a-zà-ÿ][^\W\d_]{0,20}(?:-[^\W\d_]{1,20})?"
_OTHER_STREET_BEFORE = re.compile(
    rf"(?:(?i:the )?(?i:corner|intersection|junction) of )?(?<!\w){_NAME}(?: {_NAME}){{0,2}} and $|(?i:the )?(?i:corner|intersection|junction) of $"
)
_OTHER_STREET_BEHIND = re.compile(rf"(?: St\.)? and (?:[0-9]{{1,6}} )?(?:[Vv]an |[Tt]en |[Dd]e )?{_NAME}(?:[ ]{_NAME}){{0,2}}")
_WORDS_BEFORE = re.compile(r"(?<![\w.'’])(?:[^\W\d_][\w'’\-]{0,20}\.? ){1,2}$")


def grown(text: str, start: int, end: int) -> tuple[int, int]:
    """The whole address around a street at `start` to `end` of cased text."""
    last = _forward(text, start, end)
    first = _backward(text, start)
    before = text[max(0, first - 16) : start].lower()
    if "corner of" in before and (other := _OTHER_STREET_BEHIND.match(text, end)):
        last = max(last, other.end())
    return first, last


def named(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Like `grown`, of words that are no known kind of street: they have to be written as names are, and none may begin a sentence."""
    words = re.findall(r"[^\W\d_][\w'’\-]*", text[start:end])
    if not words or any(word.lower() in NO_STREET for word in words):
        return None
    if not _all_lower(text) and not any(word[0].isupper() for word in words):
        return None
    return grown(text, start, end)


def named_and_on(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Like `named`, where a town, a code or a flat has to follow."""
    span = named(text, start, end)
    return span if span is not None and span[1] > end + 4 else None


def house(text: str, start: int, end: int) -> tuple[int, int] | None:
    """A house number behind a word that announces one, with the name of the street: `lives at 846 Rue Al Imam`."""
    word = _WORD.match(text, end + 1)
    if word is None or word[0].lower() in NO_STREET or not (word[0][0].isupper() or _all_lower(text)):
        return None
    return grown(text, start, end)


def with_number(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Two streets are an address if one of them has a number of its own: `48th and Roanoke` is a crossing."""
    return (start, end) if re.search(r"[0-9]+(?![0-9]|st|nd|rd|th|ST|ND|RD|TH)", text[start:end]) else None


def written_large(text: str, start: int, end: int) -> tuple[int, int] | None:
    """A code whose letters are capitals, as post codes are."""
    return (start, end) if text[start:end].isupper() else None


_ONLY_A_KIND = re.compile(r"(?:gate|tie|way|weg|laan|plein)s? [0-9]", re.IGNORECASE)


def _all_lower(text: str) -> bool:
    return not any(map(str.isupper, text))


def _in_one_case(text: str, start: int, end: int) -> bool:
    """Whether capitals say nothing here: there are none, or there is nothing else."""
    around = text[max(0, start - 60) : end + 60]
    return _all_lower(around) or not any(map(str.islower, around))


def _forward(text: str, start: int, end: int) -> int:
    one_case = _in_one_case(text, start, end)
    at, free, limit = end, False, min(len(text), end + _LONGEST)
    for _ in range(_STEPS):
        separator = _SEPARATOR.match(text, at)
        place = separator.end() if separator else at
        if place >= limit or place == at:
            break
        between = text[at:place]
        broke = "," in between or "\n" in between
        free = free or broke
        if found := _part(text, place):
            at, free = found, True
            continue
        if not broke and ("." in between or not free) and (one_case or not _RUN.match(text, place)):
            break  # a sentence that ends, or one that goes on behind a street: `12 Baker Street John waits`
        found = _words(text, place, broke, one_case)
        if found is None:
            break
        at = found
    if text[at : at + 1] == "." and text[at - 1].isdigit() and re.match(r"\.(?:\n|,| [a-z]| St)", text[at:]):
        at += 1  # the number of a house is an ordinal in some languages
    return at


def _part(text: str, place: int) -> int | None:
    """Where a flat, a code or a country in brackets that begins at `place` ends."""
    return next((match.end() for pattern in (_UNIT, _CODE, _BRACKETS) if (match := pattern.match(text, place))), None)


def _words(text: str, place: int, broke: bool, one_case: bool) -> int | None:
    """Where the word of a town or a country that begins at `place` ends; None if it is something else."""
    if broke and (match := _LINE_CODE.match(text, place)):
        return match.end()
    word = _WORD.match(text, place)
    if word is None or _FIELD.match(text, word.end()):
        return None
    if one_case:
        match = _SEGMENT.match(text, place) if broke else None
        return match.end() if match and STOP.isdisjoint(match[0].lower().split()) else None
    plain = word[0].lower()
    if word[0][0].isupper() and (plain not in STOP or (word[0].isupper() and len(plain) == 2)):
        return word.end()
    if plain in PARTICLES and (after := _WORD.match(text, word.end() + 1)) and after[0][0].isupper() and after[0].lower() not in STOP:
        return after.end()
    return None


def _backward(text: str, start: int) -> int:
    for pattern in (_NUMBERS_BEFORE, _UNITS_BEFORE, _NUMBERS_BEFORE, _OTHER_STREET_BEFORE):
        low = max(0, start - 80)
        if match := pattern.search(text[low:start]):
            words = re.findall(r"[^\W\d_]+", match[0])
            if pattern is not _OTHER_STREET_BEFORE or words[0].lower() not in STOP - {"the"}:
                start = low + match.start()
    return start


def with_first_names(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Like `grown`, with the words of the name of the street that stand before its kind: `Carry van` of `Carry van Bruggenweg 77`."""
    low = max(0, start - 50)
    if match := _WORDS_BEFORE.search(text[low:start]):
        words = match[0].split()
        while words and (words[0].lower().strip(".") in STOP or not words[0][0].isupper()):
            words = words[1:]
        if words:
            start -= len(" ".join(words)) + 1
    for word in _WORD.finditer(text, start, end):
        if word[0].islower() and word[0] in STOP | PARTICLES - {"van", "von", "der", "den"}:
            start = word.end() + 1
    if _ONLY_A_KIND.match(text, start, end):
        return None
    return grown(text, start, end)
