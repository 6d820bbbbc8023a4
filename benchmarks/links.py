"""Rounds over a link that is as slow as asked, beside the estimate that `secagg bench` makes for it. `python -m benchmarks.links`.

Every party dials the hub over gRPC and mutual TLS through a relay that holds back what comes faster than the link. The estimate comes
from bytes, kinds of messages and computing times of a round in memory, before the round over the link is run.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from threading import Thread

import numpy as np

import secagg
from benchmarks.measure import Line, arguments, show
from benchmarks.shaped import shaped
from secagg.bench.case import PLAINTEXT, Case
from secagg.bench.findings import LATENCY, over_link
from secagg.bench.play import plan_of, play
from secagg.pki.trial import make_trial
from secagg.roles import Plan

PROTOCOLS = (PLAINTEXT, "additive", "pairwise")
SERVERS = {"additive": ["leader", "auditor"]}
_START = 60.0


def over_the_link(case: Case, plan: Plan, rate: float, latency: float, repeats: int) -> float:
    """Seconds of the median round, from the description to the opened sum. One of the aggregators lives in the hub."""
    names, servers = [f"company-{index}" for index in range(case.clients)], SERVERS.get(case.protocol, [])
    model = {"adapter": np.zeros(case.values, np.float32)}
    update = {"adapter": np.sin(np.arange(case.values, dtype=np.float32)) / np.float32(2 * case.values**0.5)}

    def client(address: str, folder: Path) -> None:
        with secagg.join(address, identity=secagg.Identity.load(folder), plans=[type(plan)]) as session:
            for _ in session.rounds():
                session.submit(update, weight=1)

    with tempfile.TemporaryDirectory() as root, ExitStack() as stack:
        trial = make_trial(Path(root) / "trial", clients=names, aggregators=servers).folder
        identities = {name: secagg.Identity.load(trial / name) for name in ("hub", *servers)}
        hub = stack.enter_context(
            secagg.serve(
                plan, "127.0.0.1:0", identity=identities["hub"], model=model, aggregators=[identities[name] for name in servers[:1]]
            )
        )
        port = stack.enter_context(shaped(int(hub.address.rsplit(":", 1)[1]), rate, latency))
        for name in servers[1:]:
            stack.enter_context(secagg.attend(f"127.0.0.1:{port}", identity=identities[name]))
        threads = [Thread(target=client, args=(f"127.0.0.1:{port}", trial / name)) for name in names]
        for thread in threads:
            thread.start()
        hub.wait_for(case.clients, _START)
        took = [hub.aggregate(deadline=300).seconds for _ in range(repeats)]
        hub.close()
        for thread in threads:
            thread.join()
    return median(took)


def main() -> None:
    parser = arguments(__doc__, 1e6)
    parser.set_defaults(repeats=3)
    parser.add_argument("--clients", type=int, default=3, help="companies")
    parser.add_argument("--rate", type=float, default=100.0, help="Mbit/s of every link")
    parser.add_argument("--latency", type=float, default=LATENCY * 1000, help="milliseconds there and back")
    options = parser.parse_args()
    rate, latency = options.rate * 1e6, options.latency / 1000
    lines = []
    for protocol in PROTOCOLS:
        case = Case(protocol, options.clients, options.values)
        estimate = over_link(play(case), rate, latency)
        measured = over_the_link(case, plan_of(case), rate, latency, options.repeats)
        lines.append(Line(f"{protocol} over {options.rate:g} Mbit/s", measured * 1000, "estimate", estimate * 1000, clock="wall"))
    facts = {"values": options.values, "clients": options.clients, "Mbit/s": options.rate, "ms there and back": options.latency}
    show("Rounds over a shaped link", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
