"""English addresses: `Flat 5, 12 Baker Street`, a street behind a word that says that somebody lives there, post codes, flats."""

from __future__ import annotations

from secagg.filters.recogniser import Recogniser
from secagg.filters.recognisers.address_extent import UNIT, grown, house, named, with_number, written_large

_TYPES = (
    r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|way|court|ct|place|pl|square|sq|terrace|ter|parkway|pkwy|highway|hwy|"
    r"close|crescent|cres|row|walk|hill|gardens|grove|circle|cir|trail|trl|mews|quay|alley|loop|plaza|green|park|view|path|pike|rise|wharf)"
)
_NOT_OF_A_ROAD = r"(?!(?:the|on|in|an?|of|and|is|are|at|with|to|from|by|for|near|people|along|into|over|across|down|this|that|was|were|cars?|men|women|days?|weeks?|months?|years?|hours?|minutes?|mins?|times?|feet|ft|inch(?:es)?|miles?|vehicles?|trucks?|persons?|houses?|lanes?)(?![a-z]))"
_WORD = _NOT_OF_A_ROAD + r"[^\W\d_][^\W_'’]{0,18}(?:['’][a-z]{1,2})?\.?"
PLAIN = r"(?!(?:the|on|in|an?|of|and|is|are|at|with|from|by|for|people|this|that|was|were|to|it)(?![a-z]))[^\W\d_][^\W_'’]{0,20}(?:['’\-][^\W_]{1,12})?\.?"
"""A word that can be part of the name of a street or a town."""
HOME = (
    r"(?:liv(?:es?|ed|ing) (?:at|on|in)|resid(?:es?|ing|ent) (?:at|on|in|of)|home (?:is|at|on)|located (?:at|on|in)|offices? (?:are|is) (?:at|on|in)|"
    r"station is (?:at|on)|(?:drops?|dropped) (?:you|me|us|him|her|them)? ?off at|return to|taxi to|meet(?: me| us| you)? (?:at|on)|arrived at|(?:sent|send|deliver(?:ed)?|"
    r"moved?|mail(?:ed)?|ship(?:ped)?) (?:it |this |them )?to|corner of|enter on|restaurant is at|(?:billing |home |new |my |his |her |their )?address(?: of [a-z ]{2,30})?(?: is| to|:| with)?)"
)
"""What announces where somebody is to be found."""

_FLAT = r"(?:(?:apt|apartment|suite)\.? ?#?[0-9]{1,5}[a-z]?(?![0-9a-z]))"

RECOGNISERS = (
    Recogniser(
        "ADDRESS",
        rf"(?<![0-9a-z.$#])(?:[0-9]{{1,6}} )?[0-9]{{1,6}}[a-z]?(?:[-/][0-9]{{1,4}})?,? (?:[nsew]\.? |north |south |east |west )?(?:(?:[0-9]{{1,3}}(?:st|nd|rd|th)|{_WORD}) ){{1,4}}?{_TYPES}(?![a-z])(?: [nsew](?![a-z]))?",
        0.75,
        settle=grown,
        name="en street",
    ),
    Recogniser(
        "ADDRESS",
        rf"(?<![a-z]){HOME}[ :\n]{{1,3}}(?P<value>(?:{PLAIN} and )?(?:[0-9]{{1,6}} ){{0,2}}(?:{PLAIN} ){{0,3}}{PLAIN} [0-9]{{1,5}}[a-z]?(?![0-9a-z:%/]))",
        0.6,
        value="value",
        settle=named,
        name="en home",
    ),
    Recogniser(
        "ADDRESS",
        rf"(?<![a-z])(?:liv(?:es?|ed|ing) (?:at|on)|resid(?:es?|ing|ent) (?:at|on|of)|home (?:is|at|on)|address(?: is|:)?)[ :\n]{{1,3}}(?P<value>(?:{PLAIN} ){{1,3}}{_TYPES}(?![a-z]))",
        0.6,
        value="value",
        settle=named,
        name="en home street",
    ),
    Recogniser(
        "ADDRESS",
        rf"(?<![a-z]){HOME}[ :\n]{{1,3}}(?P<value>[0-9]{{1,6}}(?: [0-9]{{1,6}})?(?= [^\W\d_]))",
        0.6,
        value="value",
        settle=house,
        name="en home, number first",
    ),
    Recogniser(
        "ADDRESS",
        rf"(?<![a-z])(?:the )?(?:corner|intersection) of (?:[^\W_][^\W_'’.\-]{{0,20}}(?:['’\-][^\W_]{{1,20}})?\.? ){{1,7}}and (?:[0-9]{{1,6}} )?(?:{PLAIN} ){{0,2}}{PLAIN}",
        0.6,
        fewest_digits=1,
        settle=with_number,
        name="en corner",
    ),
    Recogniser("ADDRESS", rf"(?<![a-z]){_FLAT}(?:[ ,]{{1,3}}{_FLAT}){{0,20}}", 0.55, settle=grown, name="en flat"),
    Recogniser(
        "ADDRESS", rf"(?<![0-9a-z.$#])[0-9]{{3,6}} {UNIT}", 0.2, cues="address|live", with_cue=0.6, settle=grown, name="en number and flat"
    ),
    Recogniser(
        "ADDRESS",
        r"(?<![a-z])(?:zip|postal|post) ?code(?: is| was|:| =|=|#){0,2} ?(?P<value>[0-9]{4,6}(?:-[0-9]{4})?|[a-z0-9]{2,4} [0-9][a-z0-9]{2})(?![0-9a-z])",
        0.75,
        value="value",
        name="post code",
    ),
    Recogniser(
        "ADDRESS", r"(?<![0-9a-z])[a-z]{1,2}[0-9][0-9a-z]? [0-9][a-z]{2}(?![0-9a-z])", 0.55, settle=written_large, name="uk post code"
    ),
    Recogniser(
        "ADDRESS",
        r"(?<![a-z])(?:p\.? ?o\.? ?box|unit|psc|room) [0-9]{3,6},? (?:box [0-9]{2,5}|(?:apo|dpo|fpo) [a-z]{2} [0-9]{5})?",
        0.2,
        cues=r"address|live|ship|mail|deliver|住",
        with_cue=0.6,
        name="en box",
    ),
)
