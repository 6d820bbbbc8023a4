"""Privacy terms of a round: what a party refuses, and what the receipt says of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import secagg
from protocols import additive, ckks, pairwise
from protocols.ckks import threshold
from secagg import round as rounds
from secagg.encode.encoding import Encoding
from secagg.errors import ConfigError, InvalidMessage, MalformedMessage
from secagg.policy import Floors, Policy
from secagg.privacy import PrivacyFloor, PrivacyTerms, certain
from secagg.receipt import Receipt
from secagg.round import Round, RoundDescription, open_round, sign_round
from secagg.spent import Spent
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.insecure_plaintext import Plan as Plaintext
from secagg.testing.table import NOW, terms
from secagg.types import PartyId

SHARES = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=2.0, epsilon=3.0, delta=1e-6)
TRAINED = PrivacyTerms(unit="customer", mechanism="dp-sgd", noise_multiplier=1.0, epsilon=3.0, delta=1e-5, clip=1.0)
FLOOR = PrivacyFloor(unit="organisation", epsilon=3.0, delta=1e-6)
PLAN = additive.Plan(clients=4, aggregators=2, bits=10, max_weight=1, rotation=True, privacy=SHARES)


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return consortium(4, 2, now=NOW, entropy=InsecureEntropy("privacy"), kem=0x20)


def described(parties: Consortium, **changes: Any) -> RoundDescription:
    return replace(PLAN.describe(terms(values=1000), parties.roster), **changes)


def opened(parties: Consortium, description: RoundDescription, floor: PrivacyFloor | None = None) -> Round:
    signed = sign_round(description, parties.coordinator).signed()
    return open_round(signed, parties.clients[0], Policy(privacy=floor), now=NOW)


def test_terms_travel_in_the_description_and_change_the_round(parties: Consortium) -> None:
    description = described(parties)
    assert opened(parties, description, FLOOR).description.privacy == SHARES
    other = described(parties, privacy=replace(SHARES, noise_multiplier=4.0))
    assert sign_round(other, parties.coordinator).ctx.rd != sign_round(description, parties.coordinator).ctx.rd
    assert other.substance != description.substance
    assert RoundDescription.parse(described(parties, privacy=TRAINED).to_bytes()).privacy == TRAINED
    assert RoundDescription.parse(described(parties, privacy=None).to_bytes()).privacy is None


@pytest.mark.parametrize("plan", [additive.Plan, pairwise.Plan, ckks.Plan, threshold.Plan, Plaintext])
def test_every_protocol_states_terms_and_makes_room_for_the_noise(plan: Any) -> None:
    numbers: dict[str, Any] = {"clients": 5, "bits": 10, "max_weight": 1, "rotation": True}
    noisy = plan(**numbers, privacy=SHARES)
    assert noisy.encoding.noise_tail > 0
    assert plan(**numbers, privacy=TRAINED).encoding == plan(**numbers).encoding
    with pytest.raises(ConfigError, match="max_weight"):
        plan(**numbers | {"max_weight": 2}, privacy=TRAINED).encoding  # noqa: B018  # a plan for tests proves it only then


@pytest.mark.parametrize(
    "wrong",
    [
        {"unit": "person"},
        {"mechanism": "laplace"},
        {"noise_multiplier": 0.0},
        {"noise_multiplier": float("nan")},
        {"noise_multiplier": True},
        {"noise_multiplier": 1e300},
        {"epsilon": -1.0},
        {"delta": 1e-4},
        {"delta": 0.0},
        {"unit": "record"},
        {"clip": 1.0},
        {"mechanism": "dp-sgd"},
        {"mechanism": "dp-sgd", "unit": "record"},
        {"mechanism": "dp-sgd", "unit": "record", "clip": 0.0},
    ],
)
def test_terms_that_promise_nothing_are_refused(wrong: dict[str, Any]) -> None:
    numbers: dict[str, Any] = {"unit": "organisation", "mechanism": "skellam", "noise_multiplier": 2.0, "epsilon": 3.0, "delta": 1e-6}
    with pytest.raises(ConfigError):
        PrivacyTerms(**numbers | wrong)


@pytest.mark.parametrize("wrong", [{"unit": "person"}, {"epsilon": 0.0}, {"delta": 1e-4}, {"mechanisms": frozenset({"laplace"})}])
def test_a_floor_that_asks_for_nothing_is_refused(wrong: dict[str, Any]) -> None:
    numbers: dict[str, Any] = {"unit": "organisation", "epsilon": 3.0, "delta": 1e-6}
    with pytest.raises(ConfigError):
        PrivacyFloor(**numbers | wrong)


def test_terms_that_are_none_are_malformed(parties: Consortium) -> None:
    wire = RoundDescription.to_bytes(described(parties))
    assert wire.count(b"skellam") == 1
    with pytest.raises(MalformedMessage, match="mechanism"):
        RoundDescription.parse(wire.replace(b"skellam", b"laplace"))


@pytest.mark.check("RD-C12")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"privacy": replace(SHARES, epsilon=0.5)}, "costs ε"),
        ({"privacy": replace(SHARES, noise_multiplier=0.5)}, "a multiplier of"),
        ({"floors": Floors(colluders=2)}, None),
        ({"floors": Floors(n_min=4, colluders=2)}, None),
        ({"privacy": TRAINED, "encoding": replace(PLAN.encoding, max_weight=2)}, "max_weight"),
        ({"encoding": replace(PLAN.encoding, max_weight=2)}, "max_weight"),
        ({"encoding": replace(PLAN.encoding, noise_tail=1000, ring_bits=24)}, "room for noise"),
        ({"encoding": replace(PLAN.encoding, bits=4, rotation=False), "privacy": replace(SHARES, noise_multiplier=1.0)}, "more bits"),
    ],
)
def test_terms_that_do_not_hold_what_they_state_are_refused(parties: Consortium, changes: dict[str, Any], reason: str | None) -> None:
    """Two colluders leave the same two certain shares: the terms still hold then."""
    description = described(parties, **changes)
    if reason is None:
        opened(parties, description, FLOOR)
        return
    with pytest.raises(InvalidMessage, match=f"RD-C12.*{reason}") as refused:
        opened(parties, description)
    assert refused.value.culprits == (parties.coordinator.party,)


def test_the_multiplier_that_an_error_names_is_enough(parties: Consortium) -> None:
    with pytest.raises(InvalidMessage, match="RD-C12") as refused:
        opened(parties, described(parties, privacy=replace(SHARES, epsilon=1.0)))
    named = float(refused.value.reason.split("a multiplier of ")[1].split()[0])
    tail = replace(SHARES, noise_multiplier=1.001 * named).tail(PLAN.encoding, PLAN.floors)
    enough = replace(SHARES, noise_multiplier=1.001 * named, epsilon=1.0)
    opened(parties, described(parties, privacy=enough, encoding=replace(PLAN.encoding, noise_tail=tail, ring_bits=32)))


def test_a_threshold_that_no_protocol_keeps_makes_no_share_smaller(parties: Consortium) -> None:
    floors = Floors(threshold=1000)
    assert certain(floors) == certain(Floors()) == 2
    assert described(parties, floors=floors).noise() == described(parties).noise()


@pytest.mark.parametrize(("clip", "value_clip"), [(1e15, 1e-15), (1e-15, 1e-15), (1e15, None)])
@pytest.mark.parametrize("multiplier", [1e6, 1e-300])
def test_numbers_at_the_ends_of_their_ranges_are_refused_and_not_a_crash(clip: float, value_clip: float | None, multiplier: float) -> None:
    wild = Encoding(max_parties=4, clip=clip, value_clip=value_clip, bits=24)
    with pytest.raises(ConfigError):
        replace(SHARES, noise_multiplier=multiplier).prove(wild, 1 << 40, Floors())


@pytest.mark.check("RD-C13")
def test_an_organisation_with_two_clients_is_not_hidden_by_noise_for_one(parties: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Round, "organisations", lambda _, names: len(names) - 1)
    with pytest.raises(InvalidMessage, match="RD-C13"):
        opened(parties, described(parties))
    opened(parties, described(parties, privacy=TRAINED))


@pytest.mark.check("RD-C14")
@pytest.mark.parametrize(
    ("changes", "floor", "reason"),
    [
        ({"privacy": None}, FLOOR, "adds no noise"),
        ({"privacy": TRAINED}, FLOOR, "hides one customer"),
        ({}, replace(FLOOR, epsilon=1.0), "costs ε"),
        ({}, replace(FLOOR, delta=1e-9), "costs ε"),
        ({}, replace(FLOOR, mechanisms=frozenset({"discrete-gaussian"})), "mechanism is skellam"),
        ({"privacy": TRAINED}, PrivacyFloor(unit="record", epsilon=2.0, delta=1e-5), "may cost ε = 3"),
        ({"privacy": TRAINED}, PrivacyFloor(unit="customer", epsilon=3.0, delta=1e-6), "may cost ε = 3"),
    ],
)
def test_a_round_that_protects_less_than_a_party_asks_for_is_refused(
    parties: Consortium, changes: dict[str, Any], floor: PrivacyFloor, reason: str
) -> None:
    description = described(parties, **changes)
    opened(parties, description)  # who insists on nothing takes part
    with pytest.raises(InvalidMessage, match=f"RD-C14.*{reason}") as refused:
        opened(parties, description, floor)
    assert refused.value.culprits == (parties.coordinator.party,)


def test_without_the_check_a_hub_gets_the_exact_sum_of_a_party_that_insists_on_noise(
    parties: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack on a weakened copy: nobody holds the terms against the policy, and the party joins a round without noise."""
    description = described(parties, privacy=None)
    with monkeypatch.context() as weak:
        weak.setattr(rounds, "_check_privacy", lambda *_: None)
        assert opened(parties, description, FLOOR).description.noise() is None
    with pytest.raises(InvalidMessage, match="RD-C14"):
        opened(parties, description, FLOOR)


def test_more_protection_than_asked_for_is_welcome(parties: Consortium) -> None:
    opened(parties, described(parties), PrivacyFloor(unit="record", epsilon=8.0, delta=1e-5))


@pytest.fixture(scope="module")
def receipt() -> Receipt:
    plan = additive.Plan(clients=4, bits=10, max_weight=1, rotation=True, privacy=SHARES)
    return secagg.simulate(plan, [{"w": np.full(100, 0.01, np.float32)}] * 4, drop=[3]).receipt


def test_a_receipt_carries_the_terms_what_was_booked_and_what_the_sum_costs(receipt: Receipt) -> None:
    receipt.verify()
    again = Receipt.parse(receipt.to_bytes(), receipt.round.roster)
    again.verify()
    assert again.round.description.privacy == SHARES
    assert [one.party for one in again.spent] == list(again.included)
    assert {(one.epsilon, one.delta) for one in again.spent} == {(SHARES.epsilon, SHARES.delta)}
    costs = again.costs()
    assert costs is not None
    noise = again.round.description.noise()
    assert noise is not None
    assert costs.server == noise.against(3).epsilon(1e-6) < costs.colluding == noise.epsilon(1e-6) <= SHARES.epsilon


@pytest.mark.check("RC-C6")
def test_statements_about_others_or_twice_are_refused(receipt: Receipt) -> None:
    for spent in ((receipt.spent[0],) * 2, receipt.spent[::-1], (replace(receipt.spent[0], party=PartyId("client-3")),)):
        with pytest.raises(InvalidMessage, match=r"RC-C6|RC-C2"):
            replace(receipt, spent=spent)._verify_spent()


@pytest.mark.check("DP-C1")
def test_a_statement_is_of_one_party_round_and_cost(parties: Consortium) -> None:
    rd, me = bytes(32), parties.clients[0]
    spent = Spent.sign(me, rd, SHARES)
    Spent.parse(spent.to_bytes()).verify(rd, SHARES, me.roster)
    wrong = [
        (spent, bytes([1]) * 32, SHARES),
        (spent, rd, replace(SHARES, epsilon=4.0)),
        (spent, rd, None),
        (replace(spent, signature=bytes(64)), rd, SHARES),
        (Spent.parse(replace(Spent.sign(me, rd, SHARES), raw=Spent.sign(parties.clients[1], rd, SHARES).raw).to_bytes()), rd, SHARES),
    ]
    for statement, of, asked in wrong:
        with pytest.raises(InvalidMessage, match="DP-C1"):
            statement.verify(of, asked, me.roster)
