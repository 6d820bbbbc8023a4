"""Writes noise.json: `python -m tests.vectors.make_noise`. Everything in it follows from seeds: every run writes the same bytes.

Three parts: vectors with their share of noise, word by word, with the bytes of entropy that each client drew; rounds of `additive` and
`pairwise` that sum them; and what has to be refused: descriptions, by the number of the check, and a payment that passes the budget.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from protocols import additive, pairwise
from secagg.crypto.expand import SPARE, Stream
from secagg.dp.noisy import encode_noisy
from secagg.dp.sampler import sampler
from secagg.encode.quantise import Quantiser
from secagg.policy import Floors
from secagg.privacy import PrivacyFloor, PrivacyTerms
from secagg.round import RoundDescription, sign_round
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, terms
from tests.vectors.make_additive import Recording, keys_of

FILE = Path(__file__).with_name("noise.json")
VALUES, CLIENTS = 12, 4
SHARES = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=4.0, epsilon=1.5, delta=1e-6)
GAUSSIAN = replace(SHARES, mechanism="discrete-gaussian")
WITH_AGGREGATORS = replace(SHARES, aggregator_noise=2.0)
FLOOR = PrivacyFloor(unit="organisation", epsilon=1.5, delta=1e-6)
NUMBERS: dict[str, Any] = {"clients": CLIENTS, "bits": 10, "max_weight": 1, "rotation": True}
ROUNDS: dict[str, Any] = {
    "additive, skellam": additive.Plan(**NUMBERS, privacy=SHARES),
    "additive, discrete-gaussian": additive.Plan(**NUMBERS, privacy=GAUSSIAN),
    "additive, skellam, noise of the aggregators": additive.Plan(**NUMBERS, privacy=WITH_AGGREGATORS),
    "pairwise, skellam": pairwise.Plan(**NUMBERS, privacy=SHARES),
    "pairwise, discrete-gaussian": pairwise.Plan(**NUMBERS, privacy=GAUSSIAN),
}
BUDGET = {"unit": "organisation", "units": CLIENTS, "epsilon": 2.0, "delta": 1e-6}


def parties_of() -> Consortium:
    """Four clients and two aggregators, of which `pairwise` needs none."""
    return consortium(CLIENTS, 2, now=NOW, entropy=InsecureEntropy("vectors/noise"), kem=0x20)


def update_of(index: int) -> np.ndarray:
    """Exact in float32: no platform rounds it another way."""
    return ((np.arange(VALUES) * (index + 3) % 11 - 5) / np.float32(64)).astype(np.float32)


def content() -> dict[str, Any]:
    parties = parties_of()
    everybody = (parties.coordinator, *parties.aggregators, *parties.clients)
    return {
        "format": 1,
        "comment": "Secrets are in clear: never use these keys. Words are integers modulo the ring; entropy is what was drawn, in order.",
        "keys": {one.party: keys_of(one) for one in everybody},
        "roster": parties.roster.raw.hex(),
        "rounds": [a_round(name, plan, parties) for name, plan in ROUNDS.items()],
        "failures": failures(parties),
        "budget": budget(parties),
    }


def a_round(name: str, plan: Any, parties: Consortium) -> dict[str, Any]:
    description = plan.describe(terms(values=VALUES), parties.roster)
    opened, ring = sign_round(description, parties.coordinator), description.encoding.ring
    noise = description.noise()
    assert noise is not None
    clients, total = {}, ring.zeros(VALUES + 2)
    for index, one in enumerate(parties.clients):
        clients[one.party], words = a_client(description, opened.ctx.rd, f"vectors/noise/{name}/{one.party}", update_of(index))
        ring.add_into(total, words)
    added = {}
    if variance := description.privacy.aggregator_variance(description.encoding, VALUES):
        for one in parties.aggregators:
            entropy = Recording(f"vectors/noise/{name}/{one.party}")
            words = ring.zeros(VALUES)
            sampler("skellam", variance).add_into(words, ring, entropy=entropy)
            ring.add_into(total[:VALUES], words)
            added[one.party] = {"entropy": [given.hex() for given in entropy.given], "draws": ring.center(words).tolist()}
    return {
        "name": name,
        "protocol": plan.PROTOCOL,
        "description": opened.signed().hex(),
        "rd": opened.ctx.rd.hex(),
        "norm": noise.norm,
        "bound": noise.bound,
        "variance": int(noise.variance),
        "aggregator_variance": variance,
        "tail": description.encoding.noise_tail,
        "epsilon": noise.epsilon(1e-6),
        "clients": clients,
        "aggregators": added,
        "sum": [int(word) for word in total],
    }


def a_client(description: RoundDescription, rd: bytes, seed: str, update: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
    """One client's words: the last key that it drew is that of its noise, those before are of roundings, of which the last one held."""
    noise, entropy = description.noise(), Recording(seed)
    assert noise is not None
    quantiser = Quantiser(description.encoding, VALUES, rd)
    words = encode_noisy(quantiser, update, noise, entropy=entropy)
    fixed = InsecureEntropy(seed)
    for _ in entropy.given[:-2]:
        fixed(32)
    rounded = quantiser.encode(update, entropy=fixed)
    over = words.copy()
    quantiser.ring.sub_into(over, rounded)
    room = np.empty(VALUES * 8 + SPARE, np.uint8)
    Stream.fresh(fixed).draw(room.data, VALUES * 8, 0)
    told = {
        "update": update.tobytes().hex(),
        "entropy": [given.hex() for given in entropy.given],
        "rounded": [int(word) for word in quantiser.ring.center(rounded)],
        "uniform": room[: VALUES * 8].tobytes().hex(),
        "draws": quantiser.ring.center(over)[:VALUES].tolist(),
        "words": [int(word) for word in words],
    }
    return told, words


def failures(parties: Consortium) -> list[dict[str, Any]]:
    """Descriptions that a client with the policy of `FLOOR` refuses, each with the check that does."""
    honest = ROUNDS["additive, skellam"].describe(terms(values=VALUES), parties.roster)
    twins = consortium(
        CLIENTS, 2, now=NOW, entropy=InsecureEntropy("vectors/noise/twins"), kem=0x20, organisations=["one", "one", "two", "three"]
    )
    shared = additive.Plan(**NUMBERS, privacy=SHARES, floors=Floors(n_min=3)).describe(terms(values=VALUES), twins.roster)
    asked = honest.encoding
    cases: list[tuple[str, str, RoundDescription]] = [
        ("shares too small for the grid", "RD-C12", replace(honest, privacy=replace(SHARES, noise_multiplier=0.01, epsilon=1e4))),
        ("shares finer than are drawn", "RD-C12", replace(honest, privacy=replace(SHARES, noise_multiplier=1e5))),
        ("an ε that the noise does not give", "RD-C12", replace(honest, privacy=replace(SHARES, epsilon=0.5))),
        ("no room for the noise", "RD-C12", replace(honest, encoding=replace(asked, noise_tail=asked.noise_tail - 1))),
        ("weights", "RD-C12", replace(honest, encoding=replace(asked, max_weight=2))),
        ("no room for the noise of the aggregators", "RD-C12", replace(honest, privacy=WITH_AGGREGATORS)),
        ("no noise", "RD-C14", replace(honest, privacy=None)),
        ("less than the policy asks for", "RD-C14", replace(honest, privacy=replace(SHARES, epsilon=3.0, noise_multiplier=2.0))),
        ("a record where an organisation is asked for", "RD-C14", replace(honest, privacy=trained())),
    ]
    found = [failure(name, check, described, parties) for name, check, described in cases]
    return [*found, failure("two clients of one organisation", "RD-C13", shared, twins)]


def trained() -> PrivacyTerms:
    return PrivacyTerms(unit="record", mechanism="dp-sgd", noise_multiplier=1.0, epsilon=1.0, delta=1e-6, clip=1.0)


def failure(name: str, check: str, described: RoundDescription, parties: Consortium) -> dict[str, Any]:
    me = parties.clients[0]
    signed = sign_round(described, parties.coordinator).signed().hex()
    return {"name": name, "check": check, "roster": parties.roster.raw.hex(), "keys": keys_of(me), "party": me.party, "description": signed}


def budget(parties: Consortium) -> dict[str, Any]:
    """A budget, attempts that are paid in order, the total after each, and the one that passes the limit: null."""
    from secagg.dp.integer import epsilon_of

    noise = ROUNDS["additive, skellam"].describe(terms(values=VALUES), parties.roster).noise()
    assert noise is not None
    totals: list[float | None] = []
    while not totals or totals[-1] is not None:
        spent = epsilon_of([noise.times(len(totals) + 1)], BUDGET["delta"])  # type: ignore[arg-type]  # a float
        totals.append(spent if spent <= BUDGET["epsilon"] else None)  # type: ignore[operator]  # a float
    return {"budget": BUDGET, "round": "additive, skellam", "totals": totals}


def text(made: Callable[[], dict[str, Any]] = content) -> str:
    return json.dumps(made(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
