"""Receipts: every kind of tampering is found by anybody who holds the roster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocols import additive
from secagg.errors import InvalidMessage, MalformedMessage
from secagg.receipt import Receipt, result_digest, sign_agreement
from secagg.roles import Sum
from secagg.testing.conformance import Case
from secagg.testing.consortium import consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW
from secagg.types import PartyId


@pytest.fixture(scope="module")
def case() -> Case:
    return Case.of(additive.Plan(clients=4, aggregators=2), clients=4, aggregators=2, due={})


@pytest.fixture(scope="module")
def receipt(case: Case) -> Receipt:
    table = case.table()
    total = table.play(case.vectors())
    assert isinstance(total, Sum)
    return Receipt.issue(table.opened, total, result=result_digest(b"mean"), coordinator=case.parties.coordinator)


def resigned(case: Case, receipt: Receipt, **changes: object) -> Receipt:
    """Changed, and signed again by the coordinator: what a malicious coordinator could hand out."""
    changed = replace(receipt, **changes)  # type: ignore[arg-type]
    total = Sum(None, changed.included, changed.roots, changed.agreement)  # type: ignore[arg-type]
    return Receipt.issue(changed.round, total, result=changed.result, coordinator=case.parties.coordinator)


def test_a_genuine_receipt_verifies_after_its_bytes(case: Case, receipt: Receipt) -> None:
    again = Receipt.parse(receipt.to_bytes(), case.parties.roster)
    again.verify()
    assert again.included == tuple(identity.party for identity in case.parties.clients)


@pytest.mark.check("RC-C1")
def test_a_receipt_of_another_roster_is_refused(receipt: Receipt) -> None:
    other = consortium(4, 2, now=NOW, entropy=InsecureEntropy("other"), kem=0x20).roster
    with pytest.raises(InvalidMessage, match="RC-C1"):
        Receipt.parse(receipt.to_bytes(), other).verify()


@pytest.mark.check("RC-C2")
@pytest.mark.parametrize("changes", [{"roots": bytes(32)}, {"result": bytes(32)}, {"signature": bytes(64)}])
def test_a_receipt_that_was_changed_is_refused(receipt: Receipt, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidMessage, match="RC-C2"):
        replace(receipt, **changes).verify()  # type: ignore[arg-type]


@pytest.mark.check("RC-C3")
def test_the_coordinator_alone_cannot_make_a_receipt(case: Case, receipt: Receipt) -> None:
    fewer = receipt.included[:3]
    with pytest.raises(InvalidMessage, match="RC-C3"):
        resigned(case, receipt, included=fewer).verify()
    with pytest.raises(InvalidMessage, match="RC-C3"):
        resigned(case, receipt, agreement=receipt.agreement[:1]).verify()
    with pytest.raises(InvalidMessage, match="RC-C3"):
        resigned(case, receipt, agreement=(receipt.agreement[0], receipt.agreement[0])).verify()


@pytest.mark.check("RC-C3")
def test_clients_cannot_sign_in_the_place_of_aggregators(case: Case, receipt: Receipt) -> None:
    """The coordinator and two clients make a receipt that no aggregator has seen."""
    rd, included = receipt.round.ctx.rd, receipt.included
    forged = tuple((identity.party, sign_agreement(identity, rd, included, receipt.roots)) for identity in case.parties.clients[:2])
    with pytest.raises(InvalidMessage, match=r"RC-C3.*all of"):
        resigned(case, receipt, agreement=forged).verify()


def test_a_receipt_of_another_round_is_refused_by_who_knows_its_round(receipt: Receipt) -> None:
    receipt.verify(rd=receipt.round.ctx.rd)
    with pytest.raises(InvalidMessage, match=r"RC-C1.*another round"):
        receipt.verify(rd=bytes(32))


@pytest.mark.check("RC-C4")
def test_a_set_outside_the_cohort_or_below_the_floor_is_refused(case: Case, receipt: Receipt) -> None:
    def agreed_by_all(included: tuple[PartyId, ...]) -> Receipt:
        agreement = tuple(
            (identity.party, sign_agreement(identity, receipt.round.ctx.rd, included, receipt.roots))
            for identity in case.parties.aggregators
        )
        return resigned(case, receipt, included=included, agreement=agreement)

    with pytest.raises(InvalidMessage, match=r"RC-C4.*3 needed"):
        agreed_by_all(receipt.included[:2]).verify()
    with pytest.raises(InvalidMessage, match=r"RC-C4.*not in the cohort"):
        agreed_by_all((PartyId("aggregator-0"), *receipt.included)).verify()


def test_bytes_that_are_no_receipt_are_malformed(case: Case, receipt: Receipt) -> None:
    raw = receipt.to_bytes()
    for damaged in (b"", raw[:-1], raw + b"\x00", InsecureEntropy("receipt")(300)):
        with pytest.raises(MalformedMessage):
            Receipt.parse(damaged, case.parties.roster)
