"""Passport and travel-permit numbers."""

from __future__ import annotations

from secagg.filters.recogniser import GAP, Recogniser

CUES = r"护照|通行证|passport|travel doc"

RECOGNISERS = (
    Recogniser(
        "PASSPORT",
        rf"(?<![0-9a-z])(?:[eg]{GAP}[0-9](?:{GAP}[0-9]){{7}}|e{GAP}[a-z](?:{GAP}[0-9]){{7}}|[dspkh]{GAP}[0-9](?:{GAP}[0-9]){{6,7}})(?![0-9a-z])",
        0.55,
        cues=CUES,
        with_cue=0.95,
        veto=lambda value: any(mark in value for mark in ",/:"),  # a date, a list, a time
        name="zh",
    ),
    Recogniser(
        "PASSPORT",
        rf"(?:护照|通行证|passport)[^0-9\n]{{0,12}}?(?P<value>(?<![0-9a-z])[a-z]{{0,3}}{GAP}[0-9](?:{GAP}[0-9]){{5,9}}[a-z]?)(?![0-9a-z])",
        0.85,
        value="value",
        name="named",
    ),
)
