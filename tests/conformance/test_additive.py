"""`additive` against the shipped suite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocols import additive
from protocols.additive import aggregator
from secagg.privacy import PrivacyTerms
from secagg.testing import conformance
from secagg.testing.conformance import Case

DUE = {
    "client": frozenset({("reported", "additive/Accepted")}),
    "aggregator": frozenset(
        {
            ("accepting", "additive/Report"),
            ("accepting", "additive/Close"),
            ("accepting", "additive/Listed"),
            ("listing", "additive/Listed"),
            ("listing", "additive/Agreed"),
            ("agreeing", "additive/Agreed"),
        }
    ),
    "coordinator": frozenset(
        {
            ("gathering", "additive/Accepted"),
            ("gathering", "additive/Ahead"),
            ("closing", "additive/Accepted"),
            ("closing", "additive/Agreed"),
            ("closing", "additive/Ahead"),
            ("closing", "additive/Share"),
            ("done", "additive/Accepted"),
        }
    ),
}


SHARES = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=4.0, epsilon=1.5, delta=1e-6)


def noisy(terms: PrivacyTerms) -> Case:
    plan = additive.Plan(clients=5, bits=10, max_weight=1, rotation=True, privacy=terms)
    return Case.of(plan, clients=5, aggregators=2, due=DUE)


@pytest.mark.parametrize("terms", [SHARES, replace(SHARES, mechanism="discrete-gaussian"), replace(SHARES, aggregator_noise=3.0)])
def test_the_laws_hold_under_noise(terms: PrivacyTerms) -> None:
    conformance.the_sum_is_the_sum_of_those_included(noisy(terms), rounds=4)
    sums, aborts = conformance.any_faults_give_the_sum_or_an_abort(noisy(terms), rounds=25)
    assert min(sums, aborts) > 3


def test_the_suite_notices_aggregators_that_add_no_noise_or_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = noisy(replace(SHARES, aggregator_noise=3.0))
    monkeypatch.setattr(aggregator, "noisy", lambda words, *_: words)
    with pytest.raises(AssertionError, match="there is none in the sum"):
        conformance.the_sum_is_the_sum_of_those_included(asked, rounds=1)
    monkeypatch.setattr(aggregator, "noisy", lambda words, *_: words + words.dtype.type(1 << 20))
    with pytest.raises(AssertionError, match="no noise of the aggregators"):
        conformance.the_sum_is_the_sum_of_those_included(asked, rounds=1)


def case(clients: int = 5, aggregators: int = 2, ring_bits: int | None = None) -> Case:
    plan = additive.Plan(clients=clients, aggregators=aggregators, ring_bits=ring_bits)
    return Case.of(plan, clients=clients, aggregators=aggregators, due=DUE)


@pytest.mark.parametrize(("clients", "aggregators", "ring_bits"), [(3, 2, 32), (5, 3, 48), (4, 2, 64)])
def test_the_sum_is_the_sum_of_those_included(clients: int, aggregators: int, ring_bits: int) -> None:
    conformance.the_sum_is_the_sum_of_those_included(case(clients, aggregators, ring_bits), rounds=8)


def test_any_faults_give_the_sum_or_an_abort() -> None:
    sums, aborts = conformance.any_faults_give_the_sum_or_an_abort(case(), rounds=150)
    assert sums > 20, "the faults must leave some rounds alive, or nothing is tested"
    assert aborts > 20, "the faults must end some rounds, or nothing is tested"


def test_every_message_not_due_is_refused() -> None:
    assert conformance.every_message_not_due_is_refused(case(3)) >= 30


def test_decoders_on_any_bytes_give_a_message_or_malformed() -> None:
    assert conformance.decoders_give_a_message_or_malformed(case(3)) > 10


def test_the_suite_notices_a_double_count() -> None:
    """The suite itself can fail: a collector that adds a share twice is caught."""
    from protocols.additive import collector

    def twice(state: collector.Closing, *, desk: collector.Desk) -> collector.Done:
        done = genuine(state, desk=desk)
        done.total.vector[0] += 1
        return done

    genuine = collector.open_sum
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collector, "open_sum", twice)
        with pytest.raises(AssertionError, match="not the sum"):
            conformance.the_sum_is_the_sum_of_those_included(case(3), rounds=1)
