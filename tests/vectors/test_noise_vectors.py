"""The published vectors of noise: replayed from the entropy that they state, drawn a second way, refused where they must be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ive

from protocols import additive, pairwise
from secagg.crypto.seal import OpenKey
from secagg.crypto.sign import SigningKey
from secagg.dp.budget import Budget, BudgetLedger, Purse
from secagg.dp.noisy import encode_noisy
from secagg.dp.sampler import sampler
from secagg.encode.quantise import Quantiser
from secagg.endpoint import Endpoint
from secagg.errors import BudgetExceeded, InvalidMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.roles import Sum
from secagg.roster import Roster
from secagg.round import Round, open_round
from secagg.runtime.payment import pay_attempt
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table
from secagg.types import Context, PartyId, Secret
from tests.vectors import make_noise

FILE = json.loads(Path(__file__).with_name("noise.json").read_text(encoding="utf-8"))
ROSTER = Roster.parse(bytes.fromhex(FILE["roster"]))
PLANS: dict[str, Any] = {"additive": additive.Plan, "pairwise": pairwise.Plan}
ROUNDS = pytest.mark.parametrize("told", FILE["rounds"], ids=lambda told: told["name"])


class Stated:
    """Gives the entropy of the file, in order, and nothing else."""

    def __init__(self, given: list[str], then: str = "") -> None:
        self._given = [bytes.fromhex(one) for one in given]
        self._then = InsecureEntropy(then) if then else None

    def __call__(self, count: int) -> bytes:
        if self._given and len(self._given[0]) == count:
            return self._given.pop(0)
        assert self._then is not None, "more was drawn than the file states"
        return self._then(count)


def identity(keys: dict[str, str], name: str, roster: Roster = ROSTER) -> Identity:
    opening = bytes.fromhex(keys["opening"])
    return Identity(PartyId(name), SigningKey(Secret(bytes.fromhex(keys["signing"]))), OpenKey(opening[0], Secret(opening[1:])), roster)


EVERYBODY = {PartyId(name): identity(keys, name) for name, keys in FILE["keys"].items()}


def opened(told: dict[str, Any]) -> Round:
    found = open_round(bytes.fromhex(told["description"]), EVERYBODY[PartyId("client-0")], Policy(privacy=make_noise.FLOOR), now=NOW)
    assert found.ctx.rd.hex() == told["rd"]
    return found


def test_the_file_follows_from_its_seeds() -> None:
    made = json.loads(make_noise.text())
    assert dict(walk(made)) == pytest.approx(dict(walk(FILE)))


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from walk(one, f"{path}/{key}")
    else:
        yield path, value


@ROUNDS
def test_words_follow_from_update_and_entropy(told: dict[str, Any]) -> None:
    described = opened(told).description
    noise, quantiser = described.noise(), Quantiser(described.encoding, described.values, bytes.fromhex(told["rd"]))
    assert noise is not None
    assert (noise.norm, noise.bound, noise.epsilon(1e-6)) == pytest.approx((told["norm"], told["bound"], told["epsilon"]))
    assert (noise.variance, described.encoding.noise_tail) == (told["variance"], told["tail"])
    for client in told["clients"].values():
        update = np.frombuffer(bytes.fromhex(client["update"]), np.float32)
        words = encode_noisy(quantiser, update, noise, entropy=Stated(client["entropy"]))
        assert words.tolist() == client["words"]
        added = [rounded + draw for rounded, draw in zip(client["rounded"], [*client["draws"], 0, 0], strict=True)]
        assert [one % quantiser.ring.modulus for one in added] == client["words"]
        assert sum(one**2 for one in client["rounded"][:-2]) <= told["bound"] ** 2
        assert client["rounded"][-2:] == [1, 1]


@ROUNDS
def test_a_second_implementation_draws_the_same(told: dict[str, Any]) -> None:
    """From the uniform words, with the law in floating point: exact enough, as no draw of the file lies near a step."""
    variance = told["variance"]
    magnitudes = np.arange(16 * round(variance**0.5))
    gaussian = "gaussian" in told["name"]
    weights = np.exp(-(magnitudes**2) / (2 * variance)) if gaussian else ive(magnitudes, variance)
    folded = np.where(magnitudes > 0, 2 * weights, weights)
    steps = np.cumsum(folded) / folded.sum()
    for client in told["clients"].values():
        uniform = np.frombuffer(bytes.fromhex(client["uniform"]), "<u8")
        points, negative = (uniform >> np.uint64(1)).astype(float) / 2**63, (uniform & np.uint64(1)).astype(bool)
        assert np.abs(steps - points[:, None]).min() > 1e-9
        drawn = np.searchsorted(steps, points, side="right")
        assert np.where(negative, -drawn, drawn).tolist() == client["draws"]


@ROUNDS
def test_the_round_opens_the_published_sum(told: dict[str, Any]) -> None:
    """The protocol sums the published words to the bit; aggregators draw what the file says, after the key of their share."""
    plan = PLANS[told["protocol"]].from_description(opened(told).description)
    signed = bytes.fromhex(told["description"])
    endpoints = {}
    for name in (opened(told).description.coordinator, *opened(told).description.servers, *opened(told).description.cohort):
        me, ledger = EVERYBODY[name], Ledger()
        seen = open_round(signed, me, Policy(), now=NOW)
        ledger.enter(seen.ctx)
        given = told["aggregators"].get(name, {}).get("entropy", [])
        entropy = After(given) if given else InsecureEntropy(f"protocol/{name}")
        role = plan.role(seen, me, policy=Policy(), ledger=ledger, entropy=entropy)
        endpoints[name] = Endpoint(role, seen, me, plan.CODEC)
    table = Table(plan, opened(told), endpoints, InsecureEntropy("order"))
    ring = plan.encoding.ring
    total = table.play({PartyId(name): np.array(client["words"], ring.dtype) for name, client in told["clients"].items()})
    assert isinstance(total, Sum)
    assert total.vector.tolist() == told["sum"]
    columns = zip(*([*one["rounded"]] for one in told["clients"].values()), strict=True)
    exact = np.array([sum(column) for column in columns])
    noise = [[*one["draws"], 0, 0] for part in ("clients", "aggregators") for one in told[part].values()]
    assert ring.center(total.vector).tolist() == (exact + np.sum(noise, axis=0)).tolist()


class After:
    """A key for the share first, then what the file states."""

    def __init__(self, given: list[str]) -> None:
        self._first, self._stated = True, Stated(given)

    def __call__(self, count: int) -> bytes:
        if self._first:
            self._first = False
            return bytes(range(count))
        return self._stated(count)


@ROUNDS
def test_aggregators_draws_follow_from_their_entropy(told: dict[str, Any]) -> None:
    ring = opened(told).description.encoding.ring
    assert bool(told["aggregators"]) == (told["aggregator_variance"] > 0)
    for one in told["aggregators"].values():
        words = ring.zeros(make_noise.VALUES)
        sampler("skellam", told["aggregator_variance"]).add_into(words, ring, entropy=Stated(one["entropy"]))
        assert ring.center(words).tolist() == one["draws"]


@pytest.mark.parametrize("told", FILE["failures"], ids=lambda told: told["name"])
def test_every_failure_is_refused_by_its_check(told: dict[str, Any]) -> None:
    roster = Roster.parse(bytes.fromhex(told["roster"]))
    me = identity(told["keys"], told["party"], roster)
    with pytest.raises(InvalidMessage) as refused:
        open_round(bytes.fromhex(told["description"]), me, Policy(privacy=make_noise.FLOOR), now=NOW)
    assert refused.value.check == told["check"]


def test_attempts_are_paid_until_the_budget_is_spent() -> None:
    told = FILE["budget"]
    found = opened(next(one for one in FILE["rounds"] if one["name"] == told["round"])).description
    noise, terms = found.noise(), found.privacy
    assert noise is not None
    assert terms is not None
    ledger = BudgetLedger(":memory:")
    ledger.allow("captions", Budget(**told["budget"]))
    purse = Purse(ledger, "captions")
    assert told["totals"][-1] is None
    for number, total in enumerate(told["totals"], 1):
        ctx = Context(number.to_bytes(32, "big"), "vectors", number, 1)
        if total is None:
            with pytest.raises(BudgetExceeded):
                pay_attempt(noise, terms, ctx, purse)
        else:
            pay_attempt(noise, terms, ctx, purse)
            assert ledger.balance("captions").spent.epsilon == pytest.approx(total)
    assert len(ledger.balance("captions").entries) == len(told["totals"]) - 1 >= 1
