"""`ckks` against the shipped suite."""

from __future__ import annotations

import pytest

from protocols import ckks
from secagg.testing import conformance
from secagg.testing.conformance import Case

DUE = {
    "client": frozenset({("waiting", "ckks/Key"), ("holding", "ckks/Key")}),
    "keyholder": frozenset({("keeping", "ckks/Seed"), ("keeping", "ckks/Added")}),
    "coordinator": frozenset({("gathering", "ckks/Encrypted"), ("opening", "ckks/Opened")}),
}


def case(clients: int = 5, ring_bits: int | None = None, slots: str | None = None) -> Case:
    plan = ckks.Plan(clients=clients, ring_bits=ring_bits, slots=slots, max_weight=16, bits=8)
    return Case.of(plan, clients=clients, keyholders=1, due=DUE)


@pytest.mark.parametrize(("clients", "ring_bits"), [(3, 16), (5, 24), (4, 32), (3, 48)])
def test_the_sum_is_the_sum_of_those_included(clients: int, ring_bits: int) -> None:
    conformance.the_sum_is_the_sum_of_those_included(case(clients, ring_bits), rounds=3)


@pytest.mark.parametrize("name", ["n4096-q56", "n4096-q60"])
def test_the_sum_of_slots_is_the_sum_of_those_included(name: str) -> None:
    pytest.importorskip("tenseal")
    conformance.the_sum_is_the_sum_of_those_included(case(4, slots=name), rounds=2)


def test_any_faults_in_slots_give_the_sum_or_an_abort() -> None:
    pytest.importorskip("tenseal")
    sums, aborts = conformance.any_faults_give_the_sum_or_an_abort(case(4, slots="n4096-q56"), rounds=30)
    assert min(sums, aborts) > 2


def test_any_faults_give_the_sum_or_an_abort() -> None:
    sums, aborts = conformance.any_faults_give_the_sum_or_an_abort(case(), rounds=80)
    assert sums > 10, "the faults must leave some rounds alive, or nothing is tested"
    assert aborts > 10, "the faults must end some rounds, or nothing is tested"


def test_every_message_not_due_is_refused() -> None:
    assert conformance.every_message_not_due_is_refused(case(3)) >= 25


def test_decoders_on_any_bytes_give_a_message_or_malformed() -> None:
    assert conformance.decoders_give_a_message_or_malformed(case(3), rounds=1000) > 10
