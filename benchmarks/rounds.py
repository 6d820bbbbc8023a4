"""A whole secure round against the same round in plaintext, over the same transport, training excluded. `python -m benchmarks.rounds`.

Every party is a process of its own and dials two hubs over mutual TLS on loopback: one runs `additive`, one sums in the clear.
Rounds of the two alternate, so that both meet the same load. A round counts from its description to the opened sum.
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
_START = 60.0


def update(values: int, seed: int) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    return {"adapter": np.random.default_rng(seed).normal(0, 1e-4, values).astype(np.float32)}


def client(address: str, folder: str, values: int, seed: int) -> None:
    """One company at one hub: what it submits is made beforehand, so that no training is timed."""
    mine = update(values, seed)
    with secagg.join(address, identity=secagg.Identity.load(folder), plans=PLANS) as session:
        for _ in session.rounds():
            session.submit(mine, weight=100 + seed)


def company(addresses: Sequence[str], folders: Sequence[str], values: int, seed: int) -> None:
    """One company's process: a session at each hub, of which one is idle while the other's round runs."""
    sessions = [Thread(target=client, args=(address, folder, values, seed)) for address, folder in zip(addresses, folders, strict=True)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()


def aggregator(address: str, folder: str) -> None:
    with secagg.attend(address, identity=secagg.Identity.load(folder)) as attendance:
        attendance.wait()


@contextmanager
def running(values: int, clients: int, root: Path) -> Iterator[tuple[Server, Server]]:
    """Both hubs with all their parties there."""
    names = [f"company-{index}" for index in range(clients)]
    model = {"adapter": np.zeros(values, np.float32)}
    secure, plain = make_trial(root / "secure", clients=names, aggregators=["leader", "auditor"]), make_trial(root / "plain", clients=names)
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        leader = secagg.Identity.load(secure.folder / "leader")
        hub = secagg.Identity.load(secure.folder / "hub")
        other = secagg.Identity.load(plain.folder / "hub")
        numbers = {"clients": clients, "clip": 1.0, "max_weight": 4096}
        first = stack.enter_context(secagg.serve(additive.Plan(**numbers), "127.0.0.1:0", identity=hub, model=model, aggregators=[leader]))  # type: ignore[arg-type]
        second = stack.enter_context(secagg.serve(insecure_plaintext.Plan(**numbers), "127.0.0.1:0", identity=other, model=model))  # type: ignore[arg-type]
        addresses = (f"127.0.0.1:{first.address.rsplit(':', 1)[1]}", f"127.0.0.1:{second.address.rsplit(':', 1)[1]}")
        processes = [context.Process(target=aggregator, args=(addresses[0], str(secure.folder / "auditor")))]
        for index, name in enumerate(names):
            folders = (str(secure.folder / name), str(plain.folder / name))
            processes.append(context.Process(target=company, args=(addresses, folders, values, index)))
        for process in processes:
            process.start()
        first.wait_for(clients, _START)
        second.wait_for(clients, _START)
        yield first, second
    for process in processes:
        process.join(30)
        process.kill()


def main() -> None:
    parser = arguments(__doc__, 4e6)
    parser.add_argument("--clients", type=int, default=3, help="companies, each a process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, running(options.values, options.clients, Path(root)) as (secure, plain):
        results: list[tuple[Result, Result]] = []
        for repeat in range(options.repeats + 1):
            pair = (secure.aggregate(deadline=60), plain.aggregate(deadline=60))
            if repeat:  # the first round of each warms connections and caches
                results.append(pair)
    medians = [statistics.median(pair[which].seconds for pair in results) * 1000 for which in (0, 1)]
    last = results[-1]
    up = [sum(result.bytes_up[name] for name in result.included) / len(result.included) for result in last]
    difference = float(np.abs(last[0].mean["adapter"] - last[1].mean["adapter"]).max())
    facts = {
        "values": options.values,
        "clients": options.clients,
        "bytes up per client, secure": round(up[0]),
        "plaintext": round(up[1]),
        "ratio": f"{up[0] / up[1]:.5f}",
        "largest difference of the means": f"{difference:.1e}",
        "seconds": " ".join(f"{pair[0].seconds:.3f}/{pair[1].seconds:.3f}" for pair in results),
    }
    line = Line("additive, 2 aggregators: median round", medians[0], "plaintext round", medians[1], 1.25, clock="wall")
    show("A round over gRPC, training excluded", [line], facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
