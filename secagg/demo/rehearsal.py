"""Rounds without training, secure and in plaintext in turn: what secrecy costs, with nothing else in the numbers."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secagg import Identity, join
from secagg.demo.plans import plans
from secagg.runtime import Result, Server
from secagg.testing import insecure_plaintext
from secagg.types import PartyId

WARM_UP = 1
PATIENCE = 120.0


def rehearse(
    identity: Identity, aggregator: Identity | None, *, secure: str, plaintext: str, update: Mapping[str, Any], state: Path
) -> None:
    """A client's part: the same update into every round of both hubs until they end."""

    def take_part(address: str, kind: str, **options: Any) -> None:
        with join(address, identity=identity, state=state / f"state-{identity.party}-{kind}", **options) as session:
            for _ in session.rounds(PATIENCE):
                session.submit(update, weight=1)

    size = len(update["update"])
    failures: list[BaseException] = []

    def in_plaintext() -> None:
        try:
            take_part(plaintext, f"plaintext-{size}", aggregator=aggregator, plans=[insecure_plaintext.Plan])
        except BaseException as error:  # raised again in the thread that waits
            failures.append(error)

    beside = threading.Thread(target=in_plaintext, name="plaintext")
    beside.start()
    try:
        take_part(secure, f"secure-{size}", aggregator=aggregator, plans=plans())
    finally:
        beside.join()
    if failures:
        raise failures[0]


def compare(secure: Server, plaintext: Server, *, rounds: int, beside: Sequence[str]) -> dict[str, Any]:
    """The hub's part: rounds of both kinds in turn, so that whatever else the machine does falls on both alike."""
    kept: dict[str, list[Result]] = {"secure": [], "plain": []}
    for number in range(WARM_UP + rounds):
        for kind, server in (("plain", plaintext), ("secure", secure)):
            result = server.aggregate(PATIENCE)
            if number >= WARM_UP:
                kept[kind].append(result)
    return {
        "secure_seconds": [result.seconds for result in kept["secure"]],
        "plain_seconds": [result.seconds for result in kept["plain"]],
        "secure_bytes": network_bytes(kept["secure"][-1].bytes_up, beside),
        "plain_bytes": network_bytes(kept["plain"][-1].bytes_up, beside),
    }


def network_bytes(moved: Mapping[PartyId, int], beside: Sequence[str]) -> int:
    """Bytes of all parties together, without those that live in the hub's process: theirs cross no network."""
    return sum(count for party, count in moved.items() if party not in beside)
