"""URLs that name a person: user information, a profile path, or a parameter that carries a personal value. Others are left alone."""

from __future__ import annotations

import re

from secagg.filters.recogniser import Recogniser

_PERSONAL = re.compile(
    r"://[^/\s]{1,200}@|/(?:u|user|users|profile|profiles|people|member|members|home|space|in|~)[/~=][^/\s?]{2,}|/[~@][a-z0-9_]{2,}|"
    r"[?&;#](?:[a-z_]{0,20})(?:user|uid|id|name|phone|mobile|tel|email|mail|token|key|sid|session|auth|account|acct|card|addr|openid|wxid)[a-z_]{0,12}=[^&\s]+"
)

RECOGNISERS = (
    Recogniser(
        "URL",
        r"(?<![a-z])(?:https?|ftp)://[^\s\u4e00-\u9fff<>\"“”，。；]{3,500}|(?<![a-z0-9.@/])www\.[a-z0-9\-]{1,63}\.[^\s\u4e00-\u9fff<>\"，。；]{2,500}",
        0.85,
        veto=lambda value: _PERSONAL.search(value) is None,
        name="personal",
    ),
)
