"""Finds the letters of other scripts that are drawn like Latin ones and that Unicode's table leaves out, and writes the table of them.

    python -m secagg.filters.make_drawn

UTS #39 lists what can be taken for the same letter; someone who hides a word needs less than that. Each letter of the scripts below is
drawn in DejaVu Sans (which matplotlib carries), blurred and compared with every Latin letter on the same base line: the cosine of the two
pictures. Kept are those at or above `ALIKE`, or `NEAR` in the scripts that people write disguises in. `READ_AS` are letters that are used
for a Latin one whatever their picture: what a person reads, not what a font says. Both cases of a letter get one target, so that case
folding stays right. The table holds letters and nothing of the font.
"""

from __future__ import annotations

import string
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float64]
ALIKE, NEAR = 0.93, 0.88
CLOSE_SCRIPTS = ("ARMENIAN", "CYRILLIC", "GEORGIAN", "GREEK")
SCRIPTS = (*CLOSE_SCRIPTS, "COPTIC", "CHEROKEE", "LISU", "OLD ITALIC", "LATIN", "DESERET", "GLAGOLITIC", "RUNIC", "GOTHIC")
READ_AS = {
    "w": "ωшщ",
    "r": "я",
    "n": "иπղնը",
    "e": "єэəәԑ",
    "d": "δժ",
    "a": "λձ",
    "l": "լ",
    "i": "ւ",
    "f": "ֆ",
    "p": "թփ",
    "u": "վմպ",
    "t": "է",
}
TABLE = Path(__file__).parent / "tables" / "drawn.txt"
_SIZE, _SIDE, _WIDER = 64, 128, 0.3
_NOTICE = (
    "# Latin letter, tab, letters drawn like it or read as it that are not in confusables.txt. Written by secagg.filters.make_drawn.\n"
)


def drawn() -> dict[str, str]:
    """Letter to Latin letter, for letters that the canonical map does not fold without this table (so it is left out first)."""
    from secagg.filters.canonical import CanonicalMap

    TABLE.write_text(_NOTICE, encoding="utf-8")
    folded = CanonicalMap()
    latin = {letter: picture for letter in string.ascii_letters if (picture := _picture(letter)) is not None}
    pairs = {letter: target for target, letters in READ_AS.items() for letter in letters}
    for letter in _letters():
        small = letter.lower()
        if small in pairs or folded.char(small).isascii() or (picture := _picture(letter)) is None:
            continue
        best = max((_alike(picture, other), target) for target, other in latin.items())
        if best[0] >= (NEAR if unicodedata.name(letter).startswith(CLOSE_SCRIPTS) else ALIKE):
            pairs[small] = best[1].lower()
    return {form: target for small, target in pairs.items() for form in {small, small.upper()} if len(form) == 1}


def _letters() -> Iterator[str]:
    """Letters of the scripts that the font has and that are their own decomposition, small ones before their capitals."""
    from matplotlib.ft2font import FT2Font

    points = FT2Font(str(_font_file())).get_charmap()
    letters = [chr(point) for point in points if unicodedata.category(chr(point)).startswith("L")]
    named = [
        c for c in letters if unicodedata.name(c, "").startswith(SCRIPTS) and unicodedata.normalize("NFKD", c) == c and not c.isascii()
    ]
    yield from sorted(named, key=lambda c: (c != c.lower(), c))


def _font_file() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"


def _picture(letter: str) -> tuple[Picture, int] | None:
    """The letter on its base line in the middle of a square, and how wide it is; None if it shows nothing."""
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    image = Image.new("L", (_SIDE, _SIDE), 0)
    font = ImageFont.truetype(str(_font_file()), _SIZE)
    ImageDraw.Draw(image).text((_SIDE // 4, _SIDE * 3 // 4), letter, fill=255, font=font, anchor="ls")
    box = image.getbbox()
    if box is None:
        return None
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(2)), np.float64)
    return np.roll(soft, _SIDE // 2 - (box[0] + box[2]) // 2, axis=1), box[2] - box[0]


def _alike(one: tuple[Picture, int], other: tuple[Picture, int]) -> float:
    (a, wide), (b, broad) = one, other
    if abs(wide - broad) > _WIDER * max(wide, broad):
        return 0.0
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


if __name__ == "__main__":
    by_target = defaultdict(list)
    for source, latin_letter in sorted(drawn().items()):
        by_target[latin_letter].append(source)
    lines = "".join(f"{target}\t{''.join(sources)}\n" for target, sources in sorted(by_target.items()))
    TABLE.write_text(_NOTICE + lines, encoding="utf-8")
