"""Addresses of machines: IPv4, IPv6, MAC."""

from __future__ import annotations

import ipaddress
import re

from secagg.filters.recogniser import Recogniser

_DOT = r" {0,2}[.。·] {0,2}"


def _no_ipv4(value: str) -> bool:
    return any(int(part) > 255 for part in re.findall(r"[0-9]+", value))


def _no_ipv6(value: str) -> bool:
    try:
        ipaddress.IPv6Address(value.split("%", maxsplit=1)[0])
    except ValueError:
        return True
    return len(value) < 6


RECOGNISERS = (
    Recogniser("IP_ADDRESS", rf"(?<![0-9a-z.])(?:[0-9]{{1,3}}{_DOT}){{3}}[0-9]{{1,3}}(?![0-9]|\.[0-9])", 0.8, veto=_no_ipv4, name="v4"),
    Recogniser(
        "IP_ADDRESS",
        r"(?<![0-9a-z:.])(?:[0-9a-f]{1,4}:|:){2,8}(?:[0-9a-f]{1,4}|[0-9]{1,3}(?:\.[0-9]{1,3}){3}|:)?(?:%[0-9a-z]{1,12})?(?![0-9a-z:])",
        0.8,
        veto=_no_ipv6,
        name="v6",
    ),
    Recogniser(
        "MAC_ADDRESS",
        r"(?<![0-9a-z:\-])(?:[0-9a-f]{2}(?: ?[:\-] ?)){5}[0-9a-f]{2}(?![0-9a-z:\-])|(?<![0-9a-z.])[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?![0-9a-z.])",
        0.9,
        name="mac",
    ),
)
