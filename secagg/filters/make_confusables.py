"""Cuts Unicode's and OpenCC's tables down to the two small ones that the package ships.

    python -m secagg.filters.make_confusables confusables.txt TSCharacters.txt

`confusables.txt` is UTS #39's (https://www.unicode.org/Public/security/latest/, Unicode licence), `TSCharacters.txt` is OpenCC's
(https://github.com/BYVoid/OpenCC, Apache-2.0). Kept are look-alikes whose target is one to three printable ASCII characters. Left out are
ASCII sources (plain text stays as it is), digits of other scripts (they are digits), what NFKD
decomposes, and Chinese, Japanese and Korean signs (they are text).
"""

from __future__ import annotations

import sys
import unicodedata
from collections import defaultdict
from pathlib import Path

_EAST_ASIAN = ("CJK", "KANGXI", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "YI ", "HALFWIDTH KATAKANA", "IDEOGRAPHIC")
_UNICODE_NOTICE = (
    "# Target, tab, its look-alikes. Derived from Unicode's confusables.txt (UTS #39) by secagg.filters.make_confusables.\n"
    "# © Unicode, Inc., used under the Unicode License v3: https://www.unicode.org/license.txt\n"
)
_OPENCC_NOTICE = (
    "# Simplified character, tab, traditional ones. Derived from OpenCC's TSCharacters.txt by secagg.filters.make_confusables.\n"
    "# © OpenCC contributors, used under the Apache License 2.0: https://www.apache.org/licenses/LICENSE-2.0\n"
)


def confusables(text: str) -> dict[str, str]:
    """Source to target of every look-alike that is kept, case included: a letter without an entry takes the one of its other case."""
    pairs = {}
    for line in text.splitlines():
        fields = line.lstrip("\ufeff").split("#")[0].split(";")
        if len(fields) < 3:
            continue
        source, target = (bytes.fromhex("".join(f"{int(p, 16):08x}" for p in field.split())).decode("utf-32-be") for field in fields[:2])
        plain = "".join(c for c in unicodedata.normalize("NFKD", target) if not unicodedata.combining(c)).casefold()
        if _kept(source) and plain.isascii() and plain.isprintable() and 1 <= len(plain.strip()) <= 3:
            pairs[source] = plain
    for source, target in list(pairs.items()):
        for other in (source.lower(), source.upper()):
            if len(other) == 1 and _kept(other):
                pairs.setdefault(other, target)
    return pairs


def simplified(text: str) -> dict[str, str]:
    """Traditional to simplified, where that is one character; followed to its end, so that the map is its own fixed point."""
    pairs = {source: targets.split(" ")[0] for source, targets in (line.split("\t") for line in text.splitlines() if line)}
    pairs = {source: target for source, target in pairs.items() if len(source) == len(target) == 1 and source != target}
    return {source: pairs.get(target, target) for source, target in pairs.items() if pairs.get(target, target) != source}


def _kept(source: str) -> bool:
    if len(source) != 1 or source.isascii() or source.isspace() or source.isdigit():
        return False
    if unicodedata.category(source) in {"Mn", "Me", "Cf", "Cc"} or unicodedata.normalize("NFKD", source).isascii():
        return False
    return not unicodedata.name(source, "").startswith(_EAST_ASIAN)


def _write(path: Path, notice: str, pairs: dict[str, str]) -> None:
    sources = defaultdict(list)
    for source, target in sorted(pairs.items()):
        sources[target].append(source)
    path.write_text(notice + "".join(f"{target}\t{''.join(of)}\n" for target, of in sorted(sources.items())), encoding="utf-8")


if __name__ == "__main__":
    tables = Path(__file__).parent / "tables"
    tables.mkdir(exist_ok=True)
    _write(tables / "confusables.txt", _UNICODE_NOTICE, confusables(Path(sys.argv[1]).read_text(encoding="utf-8")))
    _write(tables / "simplified.txt", _OPENCC_NOTICE, simplified(Path(sys.argv[2]).read_text(encoding="utf-8")))
