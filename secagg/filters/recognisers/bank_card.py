"""Bank cards: 13 to 19 digits of an issuer's range with Luhn's check digit, or of any make with a cue; IBANs."""

from __future__ import annotations

from secagg.filters.checksums import luhn
from secagg.filters.recogniser import GAP, Recogniser

CUES = r"银行|卡号|储蓄|借记|信用卡|card|visa|master|credit|debit|账户|帐户|account|bank|打款|转账|尾号|工行|建行|农行|招行"


def _card(number: str) -> float | None:
    if len(set(number)) < 2:
        return 0.0
    if luhn(number):
        return 0.85 if number[0] in "23456" else 0.4
    return 0.3 if number.startswith(("62", "4", "5")) else 0.2


def _iban(number: str) -> float | None:
    turned = number[4:] + number[:4]
    return 0.95 if int("".join(str(int(character, 36)) for character in turned)) % 97 == 1 else 0.3


RECOGNISERS = (
    Recogniser(
        "BANK_CARD",
        rf"(?<![0-9])[2-9](?:{GAP}[0-9]){{12,18}}(?![0-9])",
        0.3,
        cues=CUES,
        with_cue=0.8,
        validate=_card,
        name="card",
    ),
    Recogniser(
        "BANK_CARD",
        rf"(?<![a-z])(?:card|cc|visa|amex|卡号|银行卡)[^0-9a-z\n]{{0,4}}(?:(?:no|number|num|is|ending|号码?|号|是|为)[^0-9a-z\n]{{0,3}}){{0,3}}(?P<value>[0-9](?:{GAP}[0-9]){{11,18}})(?![0-9])",
        0.8,
        value="value",
        name="named",
    ),
    Recogniser(
        "BANK_CARD",
        r"(?<![0-9a-z])[a-z]{2}[0-9]{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,3})?(?![0-9a-z])",
        0.3,
        cues=r"iban|account",
        with_cue=0.8,
        validate=_iban,
        name="iban",
    ),
)
