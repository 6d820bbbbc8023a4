"""Whole secure rounds against the same round in plaintext, over the same transport, training excluded. `python -m benchmarks.rounds`.

Every party is a process of its own and dials three hubs over mutual TLS on loopback. Two run `additive`: in 32-bit words, as wide as the
float32 values that averaging in the clear sends, and in the 24-bit words that 16-bit values of weight up to 64 need. The third sums
32-bit words in the clear. Their rounds alternate, so that all meet the same load. A round counts from its description to the opened sum.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import numpy as np

import secagg
from benchmarks.measure import Line, arguments, show
from protocols import additive
from secagg.pki.trial import make_trial
from secagg.runtime.result import Result
from secagg.runtime.server import Server
from secagg.testing import insecure_plaintext

PLANS = (additive.Plan, insecure_plaintext.Plan)
SYSTEMS = ("32-bit words", "24-bit words", "plaintext")
WEIGHT = 64
_START = 60.0


def update(values: int, seed: int) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    return {"adapter": np.random.default_rng(seed).normal(0, 1e-4, values).astype(np.float32)}


def client(address: str, folder: str, values: int, seed: int) -> None:
    """One company at one hub: what it submits is made beforehand, so that no training is timed."""
    mine = update(values, seed)
    with secagg.join(address, identity=secagg.Identity.load(folder), plans=PLANS) as session:
        for _ in session.rounds():
            session.submit(mine, weight=1 + seed % WEIGHT)


def company(addresses: Sequence[str], folders: Sequence[str], values: int, seed: int) -> None:
    """One company's process: a session at each hub, of which all are idle but the one whose round runs."""
    sessions = [Thread(target=client, args=(address, folder, values, seed)) for address, folder in zip(addresses, folders, strict=True)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()


def aggregator(addresses: Sequence[str], folders: Sequence[str]) -> None:
    with ExitStack() as stack:
        attending = [
            stack.enter_context(secagg.attend(address, identity=secagg.Identity.load(folder)))
            for address, folder in zip(addresses, folders, strict=True)
        ]
        for attendance in attending:
            attendance.wait()


@contextmanager
def running(values: int, clients: int, root: Path) -> Iterator[list[Server]]:
    """A hub for each of the SYSTEMS with all its parties there."""
    names = [f"company-{index}" for index in range(clients)]
    numbers = {"clients": clients, "clip": 1.0, "max_weight": WEIGHT}
    plans = [additive.Plan(**numbers, ring_bits=32), additive.Plan(**numbers), insecure_plaintext.Plan(**numbers, ring_bits=32)]  # type: ignore[arg-type]
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        hubs, trials = [], []
        for system, plan in zip(SYSTEMS, plans, strict=True):
            secure = isinstance(plan, additive.Plan)
            trial = make_trial(root / system, clients=names, aggregators=["leader", "auditor"] if secure else [])
            here = [secagg.Identity.load(trial.folder / "leader")] if secure else []
            model = {"adapter": np.zeros(values, np.float32)}
            hub = secagg.serve(plan, "127.0.0.1:0", identity=secagg.Identity.load(trial.folder / "hub"), model=model, aggregators=here)
            hubs.append(stack.enter_context(hub))
            trials.append(trial.folder)
        addresses = [f"127.0.0.1:{hub.address.rsplit(':', 1)[1]}" for hub in hubs]
        processes = [context.Process(target=aggregator, args=(addresses[:2], [str(folder / "auditor") for folder in trials[:2]]))]
        for index, name in enumerate(names):
            processes.append(context.Process(target=company, args=(addresses, [str(folder / name) for folder in trials], values, index)))
        for process in processes:
            process.start()
        for hub in hubs:
            hub.wait_for(clients, _START)
        yield hubs
    for process in processes:
        process.join(30)
        process.kill()


def main() -> None:
    parser = arguments(__doc__, 4e6)
    parser.add_argument("--clients", type=int, default=3, help="companies, each a process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, running(options.values, options.clients, Path(root)) as hubs:
        results: list[list[Result]] = []
        for repeat in range(options.repeats + 1):
            turn = [hub.aggregate(deadline=60) for hub in hubs]
            if repeat:  # the first round of each warms connections and caches
                results.append(turn)
    wide, narrow, plain = (statistics.median(turn[which].seconds for turn in results) * 1000 for which in range(len(SYSTEMS)))
    up = [sum(result.bytes_up[name] for name in result.included) / len(result.included) for result in results[-1]]
    means = [result.mean["adapter"] for result in results[-1]]
    facts = {
        "values": options.values,
        "clients": options.clients,
        "bytes up per client": " / ".join(str(round(size)) for size in up),
        "against plaintext": " / ".join(f"{size / up[-1]:.5f}" for size in up[:-1]),
        "largest difference of the means": " / ".join(f"{float(np.abs(mean - means[-1]).max()):.1e}" for mean in means[:-1]),
        "seconds": " ".join("/".join(f"{result.seconds:.3f}" for result in turn) for turn in results),
    }
    lines = [
        Line("additive, 2 aggregators, 24-bit words: median round", narrow, "plaintext, 4 bytes a value", plain, 1.25, clock="wall"),
        Line("additive, 2 aggregators, 32-bit words", wide, "plaintext, the same words", plain, clock="wall"),
    ]
    show("A round over gRPC, training excluded", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
