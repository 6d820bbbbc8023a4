"""`pairwise` against the shipped suite."""

from __future__ import annotations

import pytest

from protocols import pairwise
from protocols.pairwise.messages import Complaint
from secagg.privacy import Mechanism, PrivacyTerms
from secagg.testing import conformance
from secagg.testing.conformance import Case
from secagg.types import PartyId

DUE = {
    "client": frozenset(
        {
            ("advertised", "pairwise/Adverts"),
            ("shared", "pairwise/Inbox"),
            ("uploaded", "pairwise/Survivors"),
            ("confirmed", "pairwise/Agreement"),
        }
    ),
    "coordinator": frozenset(
        {
            ("advertising", "pairwise/Advert"),
            ("sharing", "pairwise/Shares"),
            ("masking", "pairwise/Masked"),
            ("masking", "pairwise/Complaint"),
            ("confirming", "pairwise/Confirm"),
            ("revealing", "pairwise/Reveal"),
        }
    ),
}
RARE = {Complaint.KIND: (PartyId("client-0"), Complaint(PartyId("client-1")))}


def case(clients: int = 5, ring_bits: int | None = None, **arguments: object) -> Case:
    plan = pairwise.Plan(clients=clients, ring_bits=ring_bits, **arguments)  # type: ignore[arg-type]
    return Case.of(plan, clients=clients, due=DUE, rare=RARE)


@pytest.mark.parametrize("mechanism", ["skellam", "discrete-gaussian"])
def test_the_laws_hold_under_noise(mechanism: Mechanism) -> None:
    terms = PrivacyTerms(unit="organisation", mechanism=mechanism, noise_multiplier=4.0, epsilon=1.5, delta=1e-6)
    noisy = case(bits=10, max_weight=1, rotation=True, privacy=terms)
    conformance.the_sum_is_the_sum_of_those_included(noisy, rounds=4)
    sums, aborts = conformance.any_faults_give_the_sum_or_an_abort(noisy, rounds=25)
    assert min(sums, aborts) > 3


@pytest.mark.parametrize(("clients", "ring_bits"), [(3, 32), (5, 48), (8, 64)])
def test_the_sum_is_the_sum_of_those_included(clients: int, ring_bits: int) -> None:
    conformance.the_sum_is_the_sum_of_those_included(case(clients, ring_bits), rounds=8)


def test_the_sum_is_the_sum_on_a_sparse_graph() -> None:
    conformance.the_sum_is_the_sum_of_those_included(case(66), rounds=1)


def test_any_faults_give_the_sum_or_an_abort() -> None:
    sums, aborts = conformance.any_faults_give_the_sum_or_an_abort(case(), rounds=100)
    assert sums > 20, "the faults must leave some rounds alive, or nothing is tested"
    assert aborts > 20, "the faults must end some rounds, or nothing is tested"


def test_every_message_not_due_is_refused() -> None:
    assert conformance.every_message_not_due_is_refused(case(3)) >= 60


def test_decoders_on_any_bytes_give_a_message_or_malformed() -> None:
    assert conformance.decoders_give_a_message_or_malformed(case(3)) > 10


def test_the_suite_notices_a_mask_that_is_left_in() -> None:
    """The suite itself can fail: a server that forgets one self-mask is caught."""
    from protocols.pairwise import opening, server

    genuine = opening.masks_to_remove
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "masks_to_remove", lambda *arguments, **named: genuine(*arguments, **named)[1:])
        with pytest.raises(AssertionError, match="not the sum"):
            conformance.the_sum_is_the_sum_of_those_included(case(3), rounds=1)
