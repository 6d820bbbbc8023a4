"""Features of text in Latin script for the names model: shapes, endings, words around, and how often a word is a name in a census."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

TOKEN = re.compile(r"https?://\S+|&[a-z]{2,5};|(?<!\w)[@#]\w+|[^\W\d_]+(?:['’\-][^\W\d_]+)*\.?(?<![^\W\d_]{3}\.)|[0-9]+|@?\w+|[^\w\s]")
"""Links, handles, hashtags and character entities are one token each: nothing in them is a name of its own."""
_TITLE = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "miss",
        "dr",
        "prof",
        "sir",
        "madam",
        "officer",
        "inspector",
        "mr.",
        "mrs.",
        "ms.",
        "dr.",
        "prof.",
        "sgt",
        "capt",
        "captain",
        "president",
        "queen",
        "king",
        "pope",
        "judge",
    ]
)


_PARTICLES = frozenset(["van", "von", "der", "de", "da", "del", "di", "du", "la", "le", "bin", "al", "ter", "ten"])


@cache
def lexicon() -> dict[str, str]:
    """Lower-case word to what lists say of it: `f` and `F` given names (rare, common), `l` and `L` surnames, `w` an ordinary word."""
    text = resources.files("secagg.filters.names").joinpath("lexicon.txt").read_text(encoding="utf-8")
    return dict(line.split("\t") for line in text.splitlines() if not line.startswith("#"))


def features(tokens: list[str], known: dict[str, str]) -> list[list[str]]:
    """One list of features a token."""
    words = [_word(token) for token in tokens]
    shapes = [_shape(token) for token in tokens]
    kinds = [_look_up(word, known) for word in words]
    around = [
        word if shape != "Xx" or "w" in kind or word in _TITLE else "*" for word, shape, kind in zip(words, shapes, kinds, strict=True)
    ]
    size = len(tokens)
    style = _style(shapes)
    rows = []
    for index in range(size):
        word, shape, kind = words[index], shapes[index], kinds[index]
        row = ["s" + shape, "k" + kind, "sk" + shape + kind, "e" + word[-3:], "E" + word[-2:], "t" + style + shape + kind, "i" + word[:3]]
        if around[index] != "*":
            row.append("w" + word)
        if index:
            row += [
                "pw" + around[index - 1],
                "pk" + kinds[index - 1] + shapes[index - 1],
                "pc" + shapes[index - 1] + shape + kinds[index - 1] + kind,
            ]
            if index + 1 < size:
                row.append("pkn" + kinds[index - 1] + "|" + kind + "|" + kinds[index + 1] + shape + shapes[index + 1])
            if words[index - 1] in _TITLE:
                row.append("T")
        else:
            row.append("BOS")
        if index + 1 < size:
            row += [
                "nw" + around[index + 1],
                "nk" + kinds[index + 1] + shapes[index + 1],
                "nc" + shape + shapes[index + 1] + kind + kinds[index + 1],
            ]
        else:
            row.append("EOS")
        if index > 1:
            row += ["qw" + around[index - 2], "qk" + kinds[index - 2] + shapes[index - 2]]
        if index + 2 < size:
            row += ["mw" + around[index + 2], "mk" + kinds[index + 2] + shapes[index + 2]]
        rows.append(row)
    return rows


def _word(token: str) -> str:
    """The word of a token; links, handles and hashtags are all alike, so that no model remembers whose they were."""
    if token[0] in "@#&" and len(token) > 1:
        return token[0]
    if token.startswith(("http://", "https://")):
        return "/"
    return token.lower().removesuffix("'s").removesuffix("’s")


def _style(shapes: list[str]) -> str:
    """How a text uses capitals: in a headline or in shouting they say little, where there are none their absence does."""
    lower, title, upper = (shapes.count(shape) for shape in ("xx", "Xx", "XX"))
    if not title and not upper:
        return "s"
    if upper > lower + title:
        return "U"
    return "T" if title > 2 and title > lower else "m"


def listed(tokens: list[str], known: dict[str, str]) -> list[tuple[int, int]]:
    """Names by the lists alone: a common given name that is no ordinary word and no place, or two capitalised words of which one is listed."""
    spans: list[tuple[int, int]] = []
    index, size = 0, len(tokens)
    while index < size:
        end = _listed_end(tokens, index, known)
        if end > index:
            spans.append((index, end))
        index = max(end, index + 1)
    return spans


def _listed_end(tokens: list[str], index: int, known: dict[str, str]) -> int:
    kind = _look_up(tokens[index].lower().removesuffix("'s"), known)
    if _shape(tokens[index]) != "Xx" or len(tokens[index]) < 3 or (kind == "-" and len(tokens[index]) > 12):
        return index
    end = index + 1
    while end < len(tokens) and end - index < 4:
        after = _look_up(tokens[end].lower().removesuffix("'s"), known)
        if (
            _shape(tokens[end]) == "X."
            or (tokens[end] in _PARTICLES and end + 1 < len(tokens) and _shape(tokens[end + 1]) == "Xx")
            or (_shape(tokens[end]) == "Xx" and "w" not in after and ("p" not in after or "l" in after.lower()))
        ):
            end += 1
        else:
            break
    followed = end > index + 1 and any(mark in _look_up(tokens[end - 1].lower().removesuffix("'s"), known).lower() for mark in "lf")
    ordinary = "w" in kind or ("p" in kind and "F" not in kind)
    if not ordinary and end > index + 1 and followed:
        return end
    if ordinary and not (followed and "F" in kind):
        return index
    alone = end == index + 1 and "L" in kind and not (end < len(tokens) and _shape(tokens[end]) == "Xx")
    return end if "F" in kind or alone or (end > index + 1 and "l" in kind.lower()) else index


_OF_PLACES = frozenset(["san", "santa", "st", "saint", "fort", "ft", "mount", "mt", "lake", "port", "los", "las", "el"])


def is_of_a_place(tokens: list[str], start: int) -> bool:
    """Whether the word before makes the name that of a place: San Francisco, St. Patrick's, Fort Mason."""
    before = [token for token in tokens[max(0, start - 2) : start] if token not in (".", ",")]
    return bool(before) and before[-1][0].isupper() and before[-1].lower().rstrip(".") in _OF_PLACES


def is_ordinary(token: str, known: dict[str, str]) -> bool:
    """Whether a token that stands alone is a word before it is a name."""
    return "w" in _look_up(token.lower(), known)


def is_given(token: str, known: dict[str, str]) -> bool:
    """Whether a token in small letters can begin a name: a given name that is no word."""
    kind = _look_up(token.lower(), known)
    return "f" in kind.lower() and "w" not in kind and "v" not in kind


def is_listed(tokens: list[str], known: dict[str, str]) -> bool:
    """Whether any of the tokens is a name in a list."""
    return any(set("fFlL").intersection(_look_up(token.lower().removesuffix("'s"), known)) for token in tokens)


def _look_up(word: str, known: dict[str, str]) -> str:
    kind = known.get(word.rstrip("."))
    if kind is None and "-" in word:
        kind = known.get(word.partition("-")[0])
    if kind is None and word.endswith("in") and "w" in known.get(word + "g", ""):
        return "w"  # goin', fallin'
    return kind if kind is not None else "-"


def _shape(token: str) -> str:
    if token.startswith(("http://", "https://")):
        return "/"
    if token[0].isdigit():
        return "0"
    if not token[0].isalpha():
        return token[0] if token[0] in "@#&" else "."
    if token.isupper():
        return "X." if len(token.rstrip(".")) == 1 else "XX"
    return "Xx" if token[0].isupper() else "xx"
