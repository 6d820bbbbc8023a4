"""Mobile and landline numbers: Chinese ones, North American ones, and any international one with a plus or a cue."""

from __future__ import annotations

from secagg.filters.recogniser import GAP, Recogniser, digits

CUES = (
    r"电话|手机|手提|座机|热线|来电|拨打|联系|致电|呼叫|短信|号码|传真|机主|call|phone|mobile|cell|tel|contact|fax|text|dial|whatsapp|"
    r"reach|ring|sms|number|微信|ph[.:]|messages? to|office|registered"
)
_EXTENSION = r"(?:[ ,]{0,2}(?:ext\.?|x|转|分机)[ .:]{0,2}[0-9]{1,6}(?![0-9]))?"

RECOGNISERS = (
    Recogniser(
        "PHONE",
        rf"(?<![0-9])(?:(?:\+|00)?{GAP}8{GAP}6[)）]?{GAP})?1{GAP}[3-9](?:{GAP}[0-9]){{9}}(?![0-9])",
        0.85,
        name="zh mobile",
    ),
    Recogniser(
        "PHONE",
        rf"(?<![0-9.])(?:\+?86{GAP})?[(（]?0(?:10|2[0-9]|[3-9][0-9]{{2}})[)）]?{GAP}[2-9](?:{GAP}[0-9]){{6,7}}(?![0-9]){_EXTENSION}",
        0.7,
        name="zh landline",
    ),
    Recogniser(
        "PHONE",
        rf"(?<![0-9])[48]00{GAP}[0-9]{{3,4}}{GAP}[0-9]{{3,4}}(?![0-9])",
        0.3,
        cues=CUES,
        with_cue=0.8,
        validate=lambda number: 0.55 if len(number) == 10 else None,
        name="zh service",
    ),
    Recogniser(
        "PHONE",
        r"(?<![0-9])0[5789]0[ \-][0-9]{4}[ \-][0-9]{4}(?![0-9])|(?<![0-9])01[016-9][ \-][0-9]{3,4}[ \-][0-9]{4}(?![0-9])",
        0.75,
        name="japan, korea",
    ),
    Recogniser(
        "PHONE",
        rf"(?<![0-9a-z.])(?:\+?1[ .\-]{{0,2}})?(?:\([2-9][0-9]{{2}}\)[ .\-]{{0,2}}|[2-9][0-9]{{2}}[ .\-]{{1,2}})[2-9][0-9]{{2}}[ .\-]{{1,2}}[0-9]{{4}}(?![0-9]){_EXTENSION}",
        0.75,
        name="nanp",
    ),
    Recogniser(
        "PHONE",
        r"(?<![0-9a-z.\-#])(?!20[0-9]{2}(?:0[1-9]|1[0-2]))[2-9][0-9]{2}[2-9][0-9]{6}(?![0-9a-z.])",
        0.5,
        name="nanp, ten digits",
    ),
    Recogniser(
        "PHONE",
        r"(?<![0-9a-z.:/\-])0[1-9](?:[ .\-][0-9]{2}){4}(?![0-9:])|(?<![0-9a-z.])\(?0[1-9][0-9]{1,3}\)?[ /\-][0-9]{3,4}[ \-]?[0-9]{3,4}(?![0-9a-z:.])"
        r"|(?<![0-9a-z])\(0?[1-9][0-9]{0,3}\) ?[0-9]{3,4}[ \-][0-9]{3,4}(?![0-9])",
        0.6,
        name="national",
    ),
    Recogniser(
        "PHONE",
        rf"(?<![0-9a-z+])(?:\+|00)[1-9][0-9]{{0,2}}{GAP}(?:\(0?[0-9]{{0,4}}\){GAP})?{digits('6,12')}(?![0-9]){_EXTENSION}",
        0.7,
        name="international",
        veto=lambda value: value.startswith("00") and sum(map(str.isdigit, value)) < 11,
    ),
    Recogniser(
        "PHONE",
        rf"(?<![0-9a-z.])[(+]?[0-9](?:[ \-./()]{{0,2}}[0-9]){{6,14}}(?![0-9]){_EXTENSION}",
        0.2,
        cues=CUES,
        with_cue=0.65,
        name="any with a cue",
    ),
)
