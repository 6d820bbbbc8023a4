"""Check digits and dates: what raises the confidence of a number. A number that fails is less certain, never cleared (see `recogniser`)."""

from __future__ import annotations

from datetime import date

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10x98765432"


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1: bank cards."""
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return len(digits) > 1 and sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def mod_11_2(number: str) -> bool:
    """ISO/IEC 7064 MOD 11-2 as GB 11643-1999 writes it: 17 digits and a check character, `x` for ten."""
    if len(number) != 18 or not number[:17].isdigit():
        return False
    return _CHECKS[sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number[:17], strict=True)) % 11] == number[17]


def is_birthday(digits: str) -> bool:
    """`yyyymmdd`, from 1900 to 2099: the calendar is checked, the region is not (tables of regions reject valid numbers)."""
    try:
        return 1900 <= date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).year < 2100
    except ValueError:
        return False


def social_security(digits: str) -> bool:
    """The Social Security Administration gives out no area 000, 666 or 9xx, no group 00 and no serial 0000."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"


def taiwan_id(number: str) -> bool:
    """The national identification number of Taiwan: the letter counts as two digits, weights 1, 9, 8, …, 1, 1, sum divisible by ten."""
    order = "abcdefghjklmnpqrstuvxywzio"
    value = order.index(number[0]) + 10
    digits = [value // 10, value % 10, *map(int, number[1:])]
    return sum(weight * digit for weight, digit in zip((1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1), digits, strict=True)) % 10 == 0
