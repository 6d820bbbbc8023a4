"""Noise that each aggregator of `additive` adds to its share: stated, signed, proved, held against policies, and really in the sum."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest

import secagg
from protocols import additive, ckks, pairwise
from protocols.additive import aggregator
from secagg.dp.integer import IntegerNoise
from secagg.encode.quantise import grid_norm
from secagg.errors import ConfigError, InvalidMessage
from secagg.policy import Policy
from secagg.privacy import PrivacyFloor, PrivacyTerms
from secagg.receipt import Receipt
from secagg.round import RoundDescription, open_round, sign_round
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms

TERMS = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=2.0, epsilon=1.5, delta=1e-6, aggregator_noise=4.0)
PLAN = additive.Plan(clients=4, aggregators=3, bits=10, max_weight=1, rotation=True, privacy=TERMS)


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return consortium(4, 3, now=NOW, entropy=InsecureEntropy("aggregators"), kem=0x20)


def refusal(parties: Consortium, description: RoundDescription, floor: PrivacyFloor | None = None) -> str:
    try:
        open_round(sign_round(description, parties.coordinator).signed(), parties.clients[0], Policy(privacy=floor), now=NOW)
    except InvalidMessage as refused:
        return refused.check
    return ""


def test_the_noise_travels_in_the_signed_description(parties: Consortium) -> None:
    described = PLAN.describe(terms(values=1000), parties.roster)
    again = RoundDescription.parse(described.to_bytes())
    assert again.privacy == TERMS
    assert additive.Plan.from_description(again).encoding == again.encoding
    quiet = replace(described, privacy=replace(TERMS, aggregator_noise=0.0))
    assert sign_round(quiet, parties.coordinator).ctx.rd != sign_round(described, parties.coordinator).ctx.rd
    assert quiet.substance != described.substance


def test_each_aggregator_adds_what_the_terms_state() -> None:
    """The encoded vectors are known to the bit, so the rest of the opened sum is the noise of three aggregators and of nobody else."""
    size, seats = 1 << 15, consortium(4, 3, now=NOW, entropy=InsecureEntropy("sum"), kem=0x20)
    everybody = (seats.coordinator, *seats.aggregators, *seats.clients)
    table = Table.lay(PLAN, seats.roster, everybody, terms(values=size))
    words = np.zeros(size + 2, PLAN.encoding.ring.dtype)
    words[-2:] = 1
    total: Any = table.play({one.party: words.copy() for one in seats.clients})
    added = PLAN.encoding.ring.center(total.vector).astype(float)
    assert added[-2:].tolist() == [4, 4]  # the count and the weight carry no noise
    one = TERMS.aggregator_variance(PLAN.encoding, size)
    assert one == pytest.approx((4.0 * grid_norm(PLAN.encoding, size)) ** 2)
    # The relative deviation of a variance estimated from n draws is √(2/n).
    assert added[:size].var() == pytest.approx(3 * one, rel=6 * sqrt(2 / size))
    assert abs(added[:size].mean()) < 6 * sqrt(3 * one / size)


def test_attempts_have_fresh_noise() -> None:
    seats = consortium(4, 3, now=NOW, entropy=InsecureEntropy("twice"), kem=0x20)
    everybody, seen = (seats.coordinator, *seats.aggregators, *seats.clients), []
    words = np.zeros(100 + 2, PLAN.encoding.ring.dtype)
    words[-2:] = 1
    for attempt in (1, 2):
        table = Table.lay(PLAN, seats.roster, everybody, terms(values=100, attempt=attempt), seed=attempt)
        total: Any = table.play({one.party: words.copy() for one in seats.clients})
        seen.append(total.vector)
    assert np.count_nonzero(seen[0][:100] != seen[1][:100]) > 90


@pytest.mark.parametrize("plan", [pairwise.Plan, ckks.Plan])
def test_protocols_without_aggregators_refuse_it(plan: Any) -> None:
    with pytest.raises(ConfigError, match="use `additive`"):
        plan(clients=4, bits=10, max_weight=1, rotation=True, privacy=TERMS)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), True, "4"])
def test_a_noise_that_is_no_number_of_standard_deviations_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="aggregator_noise"):
        replace(TERMS, aggregator_noise=value)


def test_discrete_gaussians_of_two_sizes_and_noise_below_the_grid_are_refused(parties: Consortium) -> None:
    with pytest.raises(ConfigError, match="Skellam noise only"):
        replace(TERMS, mechanism="discrete-gaussian")
    with pytest.raises(ConfigError, match="more=1"):
        IntegerNoise("discrete-gaussian", 10, 100.0, 1e4, 2, more=1.0)
    with pytest.raises(ConfigError, match="grid steps"):
        replace(TERMS, aggregator_noise=1e-3).aggregator_variance(PLAN.encoding, 1000)


@pytest.mark.check("RD-C12")
def test_a_ring_without_room_for_the_aggregators_is_refused(parties: Consortium) -> None:
    """The hub describes a round with head-room for the clients' shares alone."""
    described = PLAN.describe(terms(values=1000), parties.roster)
    assert refusal(parties, described) == ""
    small = replace(TERMS, aggregator_noise=0.0).encoding(replace(PLAN.encoding, noise_tail=0), PLAN.floors)
    assert refusal(parties, replace(described, encoding=small)) == "RD-C12"


@pytest.mark.check("RD-C14")
def test_a_policy_may_ask_that_others_noise_is_not_needed(parties: Consortium) -> None:
    described = PLAN.describe(terms(values=1000), parties.roster)
    noise = described.noise()
    assert noise is not None
    alone = noise.against(1).epsilon(1e-6)
    floor = PrivacyFloor(unit="organisation", epsilon=1.5, delta=1e-6, epsilon_alone=alone)
    assert refusal(parties, described, floor) == ""
    assert refusal(parties, described, replace(floor, epsilon_alone=0.99 * alone)) == "RD-C14"
    assert refusal(parties, described, replace(floor, epsilon_alone=None, trust_aggregators=False)) == "RD-C14"
    weaker = replace(PLAN, privacy=replace(TERMS, aggregator_noise=0.0, epsilon=4.0)).describe(terms(values=1000), parties.roster)
    assert refusal(parties, weaker, replace(floor, epsilon=4.0, trust_aggregators=False)) == "RD-C14"
    assert refusal(parties, weaker, replace(floor, epsilon=4.0, epsilon_alone=None, trust_aggregators=False)) == ""


def test_the_receipt_states_epsilon_for_every_reader() -> None:
    updates = [{"w": np.full(100, 0.01, np.float32)}] * 4
    receipt = secagg.simulate(PLAN, updates, drop=[3]).receipt
    again = Receipt.parse(receipt.to_bytes(), receipt.round.roster)
    again.verify()
    costs, noise = again.costs(), again.round.description.noise()
    assert costs is not None
    assert noise is not None
    share, one = noise.variance, noise.more
    assert one == TERMS.aggregator_variance(again.round.description.encoding, 100)

    def epsilon(shares: int, aggregators: int) -> float:
        """Worked out apart: one share that has all the variance."""
        return IntegerNoise("skellam", 100, noise.norm, shares * share + aggregators * one, 1).epsilon(1e-6)

    assert costs.server == pytest.approx(epsilon(3, 3))
    assert costs.aggregator == pytest.approx(epsilon(3, 2))
    assert costs.colluding == pytest.approx(epsilon(2, 1))
    assert costs.alone == pytest.approx(epsilon(1, 1))
    assert costs.aggregator is not None
    assert costs.server < costs.aggregator < costs.colluding < costs.alone
    assert costs.colluding <= TERMS.epsilon


def test_the_sum_of_skellam_noises_is_skellam_noise_of_the_summed_variance() -> None:
    """What the accounting rests on, by the law itself: the convolution of two laws of the table is the third."""
    laws = {variance: _law(variance) for variance in (64, 400, 464)}
    summed = np.convolve(laws[64], laws[400])
    middle, reach = len(summed) // 2, len(laws[464]) // 2
    np.testing.assert_allclose(summed[middle - reach : middle + reach + 1], laws[464], atol=1e-15)


def _law(variance: int) -> np.ndarray:
    from secagg.dp.sampler import cumulative

    steps = np.diff([0, *[entry / 2**128 for entry in cumulative("skellam", variance, 128)]])
    half = steps[1:] / 2
    return np.concatenate([half[::-1], steps[:1], half])


def test_a_share_that_left_holds_noise_that_a_weakened_aggregator_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all clients but the victim silent about noise, the sum shows the update exactly; an honest aggregator hides it."""
    seats = consortium(4, 3, now=NOW, entropy=InsecureEntropy("victim"), kem=0x20)
    everybody, size = (seats.coordinator, *seats.aggregators, *seats.clients), 200
    secret = (np.random.default_rng(1).integers(-30, 30, size)).astype(np.int64)
    vectors = {}
    for one in seats.clients:  # nobody adds a share: the clients lie, and the victim's own is left out to see what others hide
        update = secret if one is seats.clients[0] else np.zeros(size, np.int64)
        vectors[one.party] = PLAN.encoding.ring.from_signed(np.concatenate([update, [1, 1]]))

    def opened() -> np.ndarray:
        total: Any = Table.lay(PLAN, seats.roster, everybody, terms(values=size)).play(dict(vectors))
        return PLAN.encoding.ring.center(total.vector)[:size].astype(float)

    assert abs(np.corrcoef(opened(), secret)[0, 1]) < 0.5
    honest = seats.aggregators[2].party

    def silent(words: Any, seat: Any, entropy: Any) -> Any:  # two of three work with the hub
        return genuine(words, seat, entropy) if seat.me.party == honest else words

    genuine = aggregator.noisy
    monkeypatch.setattr(aggregator, "noisy", silent)
    assert abs(np.corrcoef(opened(), secret)[0, 1]) < 0.5
    monkeypatch.setattr(aggregator, "noisy", lambda words, *_: words)
    np.testing.assert_array_equal(opened(), secret)
