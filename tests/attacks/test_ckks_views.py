"""Attacks on `ckks` over several descriptions, rounds and restarts: each first works on a weakened copy, then fails on the real thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from protocols import ckks
from protocols.ckks import cipher, client, keyholder, server
from protocols.ckks.messages import Encrypted, Key, Opened, Seed, root_hash
from secagg.crypto.derive import derive
from secagg.errors import InvalidMessage, LocalProtocolError, SessionAborted
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.roles import Role, Vector
from secagg.round import Input, Round, RoundDescription, open_round, sign_round
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, terms
from secagg.types import PartyId, Secret

PLAN = ckks.Plan(clients=4, ring_bits=32)
VALUES = 20
HOLDER, HUB, VICTIM = PartyId("keyholder-0"), PartyId("coordinator"), PartyId("client-0")


def crowd(organisations: Sequence[str] | None = None) -> Consortium:
    return consortium(4, keyholders=1, now=NOW, entropy=InsecureEntropy("views"), organisations=organisations, kem=0x20)


class Attempt:
    """One description, and the roles that honest parties have under it."""

    def __init__(self, parties: Consortium, ledgers: dict[PartyId, Ledger] | None = None, **changes: object) -> None:
        self.parties, self.ledgers = parties, {} if ledgers is None else ledgers
        self.description: RoundDescription = replace(PLAN.describe(terms(values=VALUES), parties.roster), **changes)  # type: ignore[arg-type]
        self.signed = sign_round(self.description, parties.coordinator).signed()

    def round_of(self, name: PartyId) -> Round:
        return open_round(self.signed, self.parties.identity(name), Policy(), now=NOW)

    def role(self, name: PartyId, seed: str = "") -> Role:
        ledger = self.ledgers.setdefault(name, Ledger())
        entropy = InsecureEntropy(seed or f"{name}{self.description.attempt}")
        return PLAN.role(self.round_of(name), self.parties.identity(name), policy=Policy(), ledger=ledger, entropy=entropy)

    def report(self, name: PartyId, key: Key, index: int) -> tuple[Seed, Encrypted]:
        role = self.role(name)
        role.start()
        role.receive(HOLDER, key)
        seed, encrypted = role.contribute(vector(index), version=0)  # type: ignore[attr-defined]
        return seed.message, encrypted.message

    def opens(self, reports: dict[PartyId, tuple[Seed, Encrypted]], holder: Role) -> Vector:
        """What the coordinator gets for these reports."""
        hub = self.role(HUB)
        hub.start()
        for name, (seed, encrypted) in reports.items():
            holder.receive(name, seed)
            sent = hub.receive(name, encrypted)
        sent = sent or hub.expire()
        (opened,) = holder.receive(HUB, sent[0].message)
        assert isinstance(opened.message, Opened)
        hub.receive(HOLDER, opened.message)
        assert hub.result is not None
        return hub.result.vector


def vector(index: int) -> Vector:
    return np.full(VALUES + 2, 1000 * (index + 1), np.uint32)


def keys_of(holder: Role) -> dict[PartyId, Key]:
    return {item.recipient: item.message for item in holder.start()}  # type: ignore[misc]


# --- another model for one client, whose update then stands out in the sum (Pasquini et al. 2022) ------------------------------------


def shown_another_model() -> Vector:
    parties = crowd()
    genuine, other = Attempt(parties), Attempt(parties, inputs=(Input(0, b"\x01" * 32),))
    holder = genuine.role(HOLDER)
    keys, reports = keys_of(holder), {}
    for index, one in enumerate(parties.clients):
        reports[one.party] = (other if one.party == VICTIM else genuine).report(one.party, keys[one.party], index)
    return genuine.opens(reports, holder)


def test_a_client_shown_another_model_is_not_summed(weak: pytest.MonkeyPatch) -> None:
    weak.setattr(client, "key_context", lambda *_: b"")
    weak.setattr(keyholder, "key_context", lambda *_: b"")
    weak.setattr(cipher, "derive", lambda secret, *, salt, label, info=(): derive(secret, salt=bytes(32), label=label, info=info))
    weak.setattr(client, "root_hash", lambda ctx, *told: root_hash(replace(ctx, rd=bytes(32)), *told))
    assert (shown_another_model() == 10000).all(), "where the key knows no description, both models are in one sum"
    weak.undo()
    with pytest.raises(InvalidMessage) as refused:
        shown_another_model()
    assert refused.value.check == "CK-K1"


# --- many clients of one organisation -------------------------------------------------------------------------------------------------


def among_sybils() -> Vector:
    attempt = Attempt(crowd(["victim", "hub", "hub", "hub"]))
    holder = attempt.role(HOLDER)
    keys = keys_of(holder)
    names = [one.party for one in attempt.parties.clients]
    return attempt.opens({name: attempt.report(name, keys[name], index) for index, name in enumerate(names)}, holder)


def test_a_floor_is_not_reached_by_many_clients_of_one_organisation(weak: pytest.MonkeyPatch) -> None:
    weak.setattr(Round, "organisations", lambda self, names: len(names))
    assert (among_sybils() - sum(vector(index) for index in (1, 2, 3)) == vector(0)).all(), (
        "counting parties, three Sybils uncover the fourth"
    )
    weak.undo()
    with pytest.raises(InvalidMessage, match="RD-C6"):
        among_sybils()
    # The steps count for themselves: parties that let such a description in open nothing.
    weak.setattr(Attempt, "round_of", lambda self, _: sign_round(self.description, self.parties.coordinator))
    with pytest.raises(SessionAborted, match="CK-S3"):
        among_sybils()


# --- two sums over one model, one client apart ----------------------------------------------------------------------------------------


def differenced(again: dict[str, object]) -> Vector:
    parties, ledgers, sums = crowd(), dict[PartyId, Ledger](), list[Vector]()
    names = [one.party for one in parties.clients]
    for told, present in (({}, names), (again, names[1:])):
        attempt = Attempt(parties, ledgers, **told)
        holder = attempt.role(HOLDER)
        keys = keys_of(holder)
        sums.append(attempt.opens({name: attempt.report(name, keys[name], names.index(name)) for name in present}, holder))
    return sums[0] - sums[1]


@pytest.mark.parametrize("again", [{"attempt": 2}, {"round": 2}, {"task": "another"}], ids=["attempt", "round", "task"])
def test_two_sums_over_one_model_do_not_uncover_the_client_between_them(weak: pytest.MonkeyPatch, again: dict[str, object]) -> None:
    weak.setattr(Ledger, "release", lambda *arguments, **named: None)
    assert np.array_equal(differenced(again), vector(0)), "without the rule the difference is one update"
    weak.undo()
    with pytest.raises(InvalidMessage, match="RD-C10"):
        differenced(again)


# --- a client whose machine is put back, with its randomness ---------------------------------------------------------------------------


PACKING = cipher.Packing(PLAN.encoding.ring, VALUES + 2, 4)


def encrypted_twice() -> np.ndarray:
    """c0 of two vectors under one seed and one noise: what is between them needs no key."""
    attempt = Attempt(crowd())
    keys, halves = keys_of(attempt.role(HOLDER)), []
    for index in (0, 1):
        role = attempt.role(VICTIM, seed="the same after a restart")
        role.start()
        role.receive(HOLDER, keys[VICTIM])
        _, encrypted = role.contribute(vector(index), version=0)  # type: ignore[attr-defined]
        halves.append(cipher.read_residues(encrypted.message.payload, PACKING).astype(np.int64))
    return halves[1] - halves[0]


def test_a_client_put_back_to_before_its_report_encrypts_nothing_else(weak: pytest.MonkeyPatch) -> None:
    weak.setattr(Ledger, "use", lambda *_: None)
    between = encrypted_twice()[: VALUES + 2] % cipher.PRIMES[0]
    assert (between == (1000 << PACKING.scale_bits) % cipher.PRIMES[0]).all(), "two reports from one state give their difference away"
    weak.undo()
    with pytest.raises(LocalProtocolError, match="not used twice"):
        encrypted_twice()


# --- a report of another attempt -------------------------------------------------------------------------------------------------------


def test_a_report_of_another_attempt_opens_nothing(weak: pytest.MonkeyPatch) -> None:
    def replayed() -> Vector:
        parties, ledgers = crowd(), dict[PartyId, Ledger]()
        first, second = Attempt(parties, ledgers), Attempt(parties, ledgers, attempt=2)
        old, holder = keys_of(first.role(HOLDER)), second.role(HOLDER)
        keys = keys_of(holder)
        names = [one.party for one in parties.clients]
        reports = {name: second.report(name, keys[name], index) for index, name in enumerate(names[1:], 1)}
        reports[VICTIM] = first.report(VICTIM, old[VICTIM], 0)
        return second.opens(reports, holder)

    weak.setattr(keyholder, "Secret", lambda _: Secret(b"one key for all attempts, 32 byte"[:32]))
    weak.setattr(cipher, "derive", lambda secret, *, salt, label, info=(): derive(secret, salt=bytes(32), label=label, info=info))
    for module in (client, keyholder, server):
        weak.setattr(module, "root_hash", lambda ctx, *told: root_hash(replace(ctx, rd=bytes(32)), *told))
    assert (replayed() == 10000).all(), "one key over all attempts takes what was recorded"
    weak.undo()
    with pytest.raises(InvalidMessage) as refused:
        replayed()
    assert refused.value.check in {"CK-H4", "CK-H5"}
