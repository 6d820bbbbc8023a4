"""Numbers that other states give to persons: tax, insurance and identity numbers, by their shape where it is one of a kind, else by a cue."""

from __future__ import annotations

from secagg.filters.recogniser import GAP, Recogniser

_CUES = (
    r"aadhaar|aadhar|uidai|steuer|tax|sozialversicherung|national insurance|nino|nhs|my ?number|マイナンバー|個人番号|个人番号|codice fiscale|"
    r"dni|nie|bsn|personnummer|pesel|insee|identi|rrn|주민|주민등록"
)

RECOGNISERS = (
    Recogniser(
        "ID_NUMBER",
        r"(?<![0-9a-z])[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]) ?- ?[1-4][0-9]{6}(?![0-9])",
        0.75,
        name="korea",
    ),
    Recogniser(
        "ID_NUMBER",
        r"(?<![0-9a-z])[abceghj-prstw-z][abceghj-nprstw-z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[abcd](?![0-9a-z])",
        0.7,
        name="united kingdom",
    ),
    Recogniser("ID_NUMBER", r"(?<![0-9a-z])[a-z]{3}[abcfghljpt][a-z][0-9]{4}[a-z](?![0-9a-z])", 0.7, name="india, tax"),
    Recogniser(
        "ID_NUMBER",
        r"(?<![0-9a-z])[a-z]{6}[0-9]{2}[abcdehlmprst][0-9]{2}[a-z][0-9]{3}[a-z](?![0-9a-z])",
        0.9,
        name="italy",
    ),
    Recogniser(
        "ID_NUMBER",
        rf"(?<![0-9a-z])[0-9](?:{GAP}[0-9]){{7,12}}(?![0-9])",
        0.1,
        cues=_CUES,
        with_cue=0.75,
        name="named abroad",
    ),
)
