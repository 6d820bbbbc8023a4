"""Addresses of other countries, in Latin script: `12 rue de la Paix`, `Hauptstraße 5`, `Rákóczi út 66`, `PSC 12, Box 34, APO AE 09012`.

Most of the world writes the kind of a street before its name, or as the end of it, and the number behind. Where neither is known
(`20789 Allika 46`), a unit behind it or a word that announces an address has to stand near. What follows on the next lines (a flat, a town, a
country, a postal code) belongs to it as long as it is written with capitals: `address_extent` walks on from there.
"""

from __future__ import annotations

from secagg.filters.recogniser import Recogniser
from secagg.filters.recognisers.address_en import PLAIN
from secagg.filters.recognisers.address_extent import UNIT, grown, named_and_on, with_first_names

_BEFORE = (
    r"(?:rue|r|avenue|av|ave|avenida|rua|calle|carrer|via|viale|piazza|plaza|paseo|passeig|travessa|praca|largo|corso|vicolo|boulevard|bd|blvd|"
    r"allee|impasse|chemin|quai|place(?= d[eu's]| la | st)|route|c/|ul|ulica|ulitsa|os|aleja|al|pl|plac|strada|str|bulevardul|calea|jalan|jl|prospekt|pr|camino|estrada|"
    r"alameda|ronda|cours|sentier|contrada|lungotevere|vico)"
)
_END = (
    r"(?:strasse|strase|str\.|gasse|weg|allee|platz|damm|ufer|gatan|vagen|vag|gata|gaten|gate|veien|vegen|vei|vej|gade|straat|laan|plein|dijk|kade|"
    r"singel|gracht|katu|tie|polku|kuja|stigen|backen|braut|stigur|stien|parken|straede)"
)
_BEHIND = r"(?:utca|u\.|ut|utja|rkp\.?|poik|korut|ter|tere|tn|mnt|pst|gatve|iela|ulice|ulica|namesti|sokak|sokagi|sok|caddesi|cad|bulvari|blv|trg|cesta|odos|bieri|str)\.?"
_NUMBER = r"[0-9]{1,5}(?: ?[a-z](?![a-z]))?(?:[\-/][0-9]{1,4})?(?![0-9a-z])"
_FIRST = r"(?:(?<![0-9a-z.$#:/\-])[0-9]{1,6}[a-z]?,? )"
_UNIT_TAIL = rf"[ ,\n>?]{{1,8}}{UNIT}"
_CUES = (
    r"address|lives? (?:at|on|in)|living (?:at|on)|located (?:at|on|in)|offices? (?:are|is)|ship|deliver|mail|sent to|return to|taxi to|meet|card to|"
    r"station is on|stop|drops? you off|resid|restaurant|home|house|directions to|go to|anschrift|adresse|direccion|indirizzo|adres|osoite|wohnhaft"
)

RECOGNISERS = (
    Recogniser(
        "ADDRESS",
        rf"{_FIRST}?(?<![a-z0-9]){_BEFORE}\.? (?:(?:de|da|do|dos|das|del|della|des|du|la|le|les|al|el|san|st)[ '’]){{0,3}}(?:{PLAIN} ){{0,4}}{PLAIN},? (?:n[o°]?\.? ?)?{_NUMBER}",
        0.7,
        settle=grown,
        name="kind before",
    ),
    Recogniser(
        "ADDRESS",
        rf"(?<![0-9a-z.$#])[0-9]{{1,5}}[a-z]?,? {_BEFORE}\.? (?:(?:de|da|do|dos|das|del|della|des|du|la|le|les|al|el|san|st)[ '’]){{0,3}}(?:{PLAIN} ){{0,3}}{PLAIN}",
        0.6,
        settle=grown,
        name="number, kind, name",
    ),
    Recogniser(
        "ADDRESS",
        rf"{_FIRST}?(?<![a-z0-9])[a-z]{{2,24}}(?:[ \-][a-z]{{2,20}})?[ \-]?{_END} {_NUMBER}",
        0.7,
        settle=with_first_names,
        name="kind as an end",
    ),
    Recogniser(
        "ADDRESS", rf"{_FIRST}?(?<![a-z0-9])(?:{PLAIN} ){{1,3}}{_BEHIND} {_NUMBER}", 0.7, settle=with_first_names, name="kind behind"
    ),
    Recogniser("ADDRESS", rf"{_FIRST}(?:{PLAIN} ){{1,5}}(?:[0-9]{{1,5}}[a-z]?)?{_UNIT_TAIL}", 0.7, settle=grown, name="with a unit"),
    Recogniser("ADDRESS", rf"{_FIRST}(?:{PLAIN} ){{1,5}}{_NUMBER}", 0.2, cues=_CUES, with_cue=0.6, settle=grown, name="with a cue"),
    Recogniser("ADDRESS", rf"{_FIRST}(?:{PLAIN} ){{1,4}}{_NUMBER}(?=[ .]{{0,2}}[,\n])", 0.6, settle=named_and_on, name="with a town"),
    Recogniser(
        "ADDRESS",
        r"(?<![a-z0-9])(?:(?:psc|unit|cmr) [0-9]{1,5},? box [0-9]{1,5}|us(?:ns|cgc|s|nv) [a-z]{2,20})[ ,\n]{1,4}(?:apo|fpo|dpo)[ ,]{1,2}(?:a[aep])[ ,]{1,2}[0-9]{5}(?:-[0-9]{4})?(?![0-9])",
        0.9,
        settle=grown,
        name="military",
    ),
    Recogniser(
        "ADDRESS",
        r"(?<![a-z])(?:p\.? ?o\.? ?box|postbox|apartado(?: postal)?|bp|postfach|casella postale) [0-9]{1,6}(?![0-9a-z])",
        0.6,
        settle=grown,
        name="box",
    ),
)
