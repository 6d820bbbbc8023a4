"""The built-in recognisers: one file an entity family, pattern, validator and cues beside each other."""

from __future__ import annotations

from secagg.filters.recogniser import Recogniser
from secagg.filters.recognisers import (
    address,
    address_en,
    address_world,
    bank_card,
    credential,
    email,
    gps,
    meter,
    national_id,
    network,
    passport,
    phone,
    plate,
    resident_id,
    url,
    user_id,
)

BUILT_IN: tuple[Recogniser, ...] = tuple(
    recogniser
    for module in (
        phone,
        resident_id,
        national_id,
        passport,
        bank_card,
        email,
        plate,
        address,
        address_en,
        address_world,
        meter,
        gps,
        user_id,
        credential,
        network,
        url,
    )
    for recogniser in module.RECOGNISERS
)

ENTITIES: tuple[str, ...] = (*dict.fromkeys(recogniser.entity for recogniser in BUILT_IN), "NAME")
"""Every entity that is found without a recogniser of one's own."""
