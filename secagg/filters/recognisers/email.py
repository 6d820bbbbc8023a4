"""E-mail addresses, also with the signs spelled out: `zhang at 163 dot com`, `zhang[at]163[dot]com`, `zhang#163.com` behind a cue."""

from __future__ import annotations

from secagg.filters.recogniser import Recogniser

_LOCAL = r"(?<![a-z0-9._%+\-])[a-z0-9_%+\-](?:[a-z0-9._%+\-]{0,64})"
_DOTTED = r"(?:[a-z0-9\-]{1,63} {0,2}[.。·] {0,2}){1,4}"
_AT = r"(?: {0,2}[\[({<（【] {0,2}(?:at|@|艾特) {0,2}[\])}>）】] {0,2}| {1,2}at {1,2}| {0,2}艾特 {0,2})"
_DOT = r"(?: {0,2}[\[({<（【] {0,2}(?:dot|\.|点) {0,2}[\])}>）】] {0,2}| {1,2}dot {1,2}| {0,2}点 {0,2}|\.)"

RECOGNISERS = (
    Recogniser("EMAIL", rf"{_LOCAL} {{0,2}}@ {{0,2}}{_DOTTED}[a-z]{{2,24}}(?![a-z0-9])", 0.95, name="address"),
    Recogniser(
        "EMAIL",
        rf"{_LOCAL}{_AT}[a-z0-9\-]{{1,63}}(?:{_DOT}[a-z0-9\-]{{1,63}}){{0,2}}{_DOT}(?:com|cn|net|org|edu|gov|io|co|uk|de|info|me|hk|tw|us|fr)(?![a-z0-9])",
        0.8,
        name="spelled out",
    ),
    Recogniser(
        "EMAIL",
        r"(?:邮箱|邮件|email|e-mail|mail)[^a-z0-9\n]{1,4}(?P<value>[a-z0-9][a-z0-9._%+\-]{2,64}[#&*]{1}[a-z0-9\-]{1,63}\.(?:com|cn|net|org|edu)(?:\.cn)?)",
        0.7,
        value="value",
        name="another sign",
    ),
)
