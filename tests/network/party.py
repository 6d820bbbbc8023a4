"""A party as a process of its own, to be killed: `python -m tests.network.party ROLE JSON`. It prints what happens, one line each."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from protocols import additive
from secagg.errors import SessionAborted
from secagg.identity import Identity
from secagg.runtime import attend, join, serve
from tests.network.conftest import CLIENTS, PLANS, model, update

PLAN = additive.Plan(clients=4, aggregators=2, clip=10.0, bits=20, max_weight=10)


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def hub(pki: Path, state: Path, address: str, rounds: int) -> None:
    inside = [Identity.load(pki / "a0")]
    with serve(
        PLAN, address, identity=Identity.load(pki / "hub"), model=model(), state=state / "hub", aggregators=inside, finish=5.0
    ) as server:
        say(address=server.address, round=server.round)
        while server.round <= rounds:
            server.wait_for(4, 30)
            try:
                result = server.aggregate(15)
            except SessionAborted as aborted:
                say(aborted=str(aborted))
                continue
            say(round=result.round, attempt=result.attempt, included=result.included, weight=result.weight, mean=float(result.mean["w"][0]))
            server.publish(result.mean)


def client(pki: Path, state: Path, address: str, name: str, seconds: float) -> None:
    with join(address, identity=Identity.load(pki / name), plans=PLANS, state=state / name) as session:
        for _ in session.rounds(timeout=40):
            say(training=session.round)
            time.sleep(seconds)
            session.submit(update(CLIENTS.index(name)), weight=CLIENTS.index(name) + 1)
            say(submitted=session.round)
        say(receipts=len(session.receipts), missed=len(session.missed))


def aggregator(pki: Path, state: Path, address: str, name: str) -> None:
    with attend(address, identity=Identity.load(pki / name), plans=PLANS, state=state / name) as attendance:
        say(attending=name)
        attendance.wait(60)


if __name__ == "__main__":
    settings = json.loads(sys.argv[2])
    folders = Path(settings.pop("pki")), Path(settings.pop("state"))
    parts: dict[str, Any] = {"hub": hub, "client": client, "aggregator": aggregator, "keyholder": aggregator}
    parts[sys.argv[1]](*folders, **settings)
