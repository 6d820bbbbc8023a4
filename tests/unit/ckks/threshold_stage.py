"""One round of `ckks-threshold`, step by step: its roles, and the genuine message of each kind and sender."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from protocols.ckks import threshold
from protocols.ckks.threshold.messages import Committed, Fixed, Offer, Report, Share
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.roles import Outgoing, Role, Vector
from secagg.round import Round, open_round, sign_round
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, terms
from secagg.types import Entropy, PartyId

PLAN = threshold.Plan(clients=4, keyholders=3)
HUB = PartyId("coordinator")
FIRST, SECOND, THIRD = HOLDERS = tuple(PartyId(f"keyholder-{index}") for index in range(3))
ONE, TWO = PartyId("client-0"), PartyId("client-1")


def made_up(clients: int = 4, keyholders: int = 3) -> Consortium:
    return consortium(clients, keyholders=keyholders, now=NOW, entropy=InsecureEntropy("threshold"), kem=0x20)


def opened_by(parties: Consortium, me: Identity, *, values: int = 4, attempt: int = 1, **changes: object) -> Round:
    description = replace(PLAN.describe(terms(values=values, attempt=attempt), parties.roster), **changes)  # type: ignore[arg-type]
    return open_round(sign_round(description, parties.coordinator).signed(), me, Policy(), now=NOW)


class Stage:
    """The parties after all clients have reported; nothing has reached the coordinator yet."""

    def __init__(self, parties: Consortium, *, values: int = 4, attempt: int = 1, ledgers: dict[PartyId, Ledger] | None = None) -> None:
        self.parties, self.values, self.attempt = parties, values, attempt
        self.ledgers = ledgers if ledgers is not None else {}
        self.hub = self.role(HUB)
        self.hub.start()
        self.holders = {name: self.role(name) for name in HOLDERS}
        offered = {name: role.start()[0].message for name, role in self.holders.items()}
        self.offers = {name: message for name, message in offered.items() if isinstance(message, Offer)}
        self.reports: dict[PartyId, Report] = {identity.party: self.report(identity.party) for identity in parties.clients}

    def role(self, name: PartyId, entropy: Entropy | None = None) -> Role:
        me = self.parties.identity(name)
        ledger = self.ledgers.setdefault(name, Ledger())
        self.opened = opened_by(self.parties, me, values=self.values, attempt=self.attempt)
        given = entropy or InsecureEntropy(f"{name}/{self.attempt}")
        return PLAN.role(self.opened, me, policy=Policy(), ledger=ledger, entropy=given)

    def vector(self, name: PartyId) -> Vector:
        """1000, 1001, … in every word of the first, second, … client."""
        return np.full(self.values + 2, 1000 + int(name[-1]), PLAN.encoding.ring.dtype)

    def report(self, name: PartyId, entropy: Entropy | None = None) -> Report:
        role = self.role(name, entropy)
        role.start()
        for holder, offer in self.offers.items():
            role.receive(holder, offer)
        (sent,) = role.contribute(self.vector(name), version=0)  # type: ignore[attr-defined]
        assert isinstance(sent.message, Report)
        return sent.message

    def fixed(self) -> dict[PartyId, Fixed]:
        """What the coordinator asks each key holder, once it has all reports."""
        sent: list[Outgoing] = []
        for name, message in self.reports.items():
            sent += self.hub.receive(name, message)
        return {item.recipient: item.message for item in sent if isinstance(item.message, Fixed)}

    def committed(self) -> dict[PartyId, Committed]:
        """What each key holder answers."""
        answers = {name: self.holders[name].receive(HUB, fixed)[0].message for name, fixed in self.fixed().items()}
        return {name: message for name, message in answers.items() if isinstance(message, Committed)}

    def shares(self, committed: dict[PartyId, Committed] | None = None) -> dict[PartyId, Share]:
        """What each gives once all have committed."""
        told, found = committed or self.committed(), dict[PartyId, Share]()
        for name, role in self.holders.items():
            for other in HOLDERS:
                if other != name:
                    for item in role.receive(other, told[other]):
                        assert isinstance(item.message, Share)
                        found[name] = item.message
        return found

    def opened_sum(self) -> Vector:
        """The whole round."""
        told = self.committed()
        for name, share in self.shares(told).items():
            self.hub.receive(name, told[name])
            self.hub.receive(name, share)
        assert self.hub.result is not None
        return self.hub.result.vector
