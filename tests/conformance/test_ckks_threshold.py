"""`ckks-threshold` against the shipped suite."""

from __future__ import annotations

import pytest

from protocols.ckks import threshold
from secagg.testing import conformance
from secagg.testing.conformance import Case

DUE = {
    "client": frozenset({("waiting", "ckks-threshold/Offer"), ("holding", "ckks-threshold/Offer")}),
    "keyholder": frozenset(
        {("offering", "ckks-threshold/Fixed"), ("offering", "ckks-threshold/Committed"), ("committing", "ckks-threshold/Committed")}
    ),
    "coordinator": frozenset(
        {("gathering", "ckks-threshold/Report"), ("opening", "ckks-threshold/Committed"), ("opening", "ckks-threshold/Share")}
    ),
}


def case(clients: int = 5, keyholders: int = 3, ring_bits: int | None = None) -> Case:
    plan = threshold.Plan(clients=clients, keyholders=keyholders, ring_bits=ring_bits, max_weight=16, bits=8)
    return Case.of(plan, clients=clients, keyholders=keyholders, due=DUE)


@pytest.mark.parametrize(("clients", "keyholders", "ring_bits"), [(3, 2, 16), (5, 3, 24), (4, 5, 32), (3, 3, 48)])
def test_the_sum_is_the_sum_of_those_included(clients: int, keyholders: int, ring_bits: int) -> None:
    conformance.the_sum_is_the_sum_of_those_included(case(clients, keyholders, ring_bits), rounds=3)


def test_any_faults_give_the_sum_or_an_abort() -> None:
    sums, aborts = conformance.any_faults_give_the_sum_or_an_abort(case(), rounds=60)
    assert sums > 10, "the faults must leave some rounds alive, or nothing is tested"
    assert aborts > 10, "the faults must end some rounds, or nothing is tested"


def test_every_message_not_due_is_refused() -> None:
    assert conformance.every_message_not_due_is_refused(case(3)) >= 25


def test_decoders_on_any_bytes_give_a_message_or_malformed() -> None:
    assert conformance.decoders_give_a_message_or_malformed(case(3), rounds=1000) > 10
