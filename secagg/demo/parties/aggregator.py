"""An aggregator of an organisation of its own: holds one share of every update, and adds; in `ckks` the key holder, which decrypts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from secagg import Identity
from secagg.demo.parties.desk import Command, Desk
from secagg.demo.plans import plans
from secagg.runtime import Attendance, attend
from secagg.testing import insecure_plaintext


def commands(desk: Desk) -> Mapping[str, Command]:
    """What the demo can tell it to do."""
    aggregator = Aggregator(desk)
    return {"attend": aggregator.attend, "leave": aggregator.leave}


class Aggregator:
    """Attends to every hub it is told of, until it is told to leave."""

    def __init__(self, desk: Desk) -> None:
        facts = desk.facts
        self._work = Path(facts["work"])
        self._identity = Identity.load(Path(facts["identities"]) / desk.name)
        self._watch: str = facts["watch"]
        self._there: dict[str, Attendance] = {}

    def attend(self, address: str, to: str, *, tap: bool) -> None:
        """Take part in the rounds at `address`; with `tap`, keep what it holds of one update for the report.

        Plaintext rounds have no part for an aggregator; it is there all the same, so that both kinds meet the same hub.
        """
        spoken = [*plans(tap=(self._work, self._watch) if tap else None), insecure_plaintext.Plan]
        self._there[to] = attend(address, identity=self._identity, plans=spoken, state=self._work / f"state-{self._identity.party}-{to}")

    def leave(self, to: str) -> dict[str, int]:
        """Wait for the end of the rounds there. Gives the number of receipts that it has verified."""
        with self._there.pop(to) as attendance:
            attendance.wait(30.0)
            return {"receipts": len(attendance.receipts)}
