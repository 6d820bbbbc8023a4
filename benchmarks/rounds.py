"""Whole secure rounds against the same round in plaintext, over the same transport. `python -m benchmarks.rounds`.

Every party is a process of its own and dials four hubs over mutual TLS on loopback. Two run `additive`: in 32-bit words, as wide as the
float32 values that averaging in the clear sends, and in the 24-bit words that 16-bit values of weight up to 64 need. One runs `pairwise` in
such words, and the last sums 32-bit words in the clear. Their rounds alternate, so that all meet the same load. A round counts from its
description to the opened and recorded mean, without training.

The last lines add what one local epoch takes, measured beside it: STEPS steps of a GPT-2-sized model whose LoRA has as many values.
"""

from __future__ import annotations

import logging
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

import secagg
from benchmarks.measure import Line, arguments, show
from protocols import additive, pairwise
from secagg.pki.trial import make_trial
from secagg.runtime.result import Result
from secagg.runtime.server import Server
from secagg.testing import insecure_plaintext

PLANS = (additive.Plan, pairwise.Plan, insecure_plaintext.Plan)
SYSTEMS = ("additive, 32-bit words", "additive, 24-bit words", "pairwise, 24-bit words", "plaintext")
GOALS = (None, 1.25, 1.5)
WEIGHT = 64
STEPS, BATCH, TOKENS = 4, 8, 32
_START = 60.0
_BETWEEN = 0.1
"""Seconds from one round to the next: receipts are written and memory is given back after a round has ended."""


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
    plans = [
        additive.Plan(**numbers, ring_bits=32),  # type: ignore[arg-type]
        additive.Plan(**numbers),  # type: ignore[arg-type]
        pairwise.Plan(**numbers),  # type: ignore[arg-type]
        insecure_plaintext.Plan(**numbers, ring_bits=32),  # type: ignore[arg-type]
    ]
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        hubs, trials = [], []
        for system, plan in zip(SYSTEMS, plans, strict=True):
            shared = isinstance(plan, additive.Plan)
            trial = make_trial(root / system, clients=names, aggregators=["leader", "auditor"] if shared else [])
            here = [secagg.Identity.load(trial.folder / "leader")] if shared else []
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


def training(values: int) -> float:
    """Milliseconds of STEPS steps of plain training, on one thread, of a GPT-2-sized model with LoRA of about `values` values."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=8192, bos_token_id=0, eos_token_id=0)
    width = config.n_layer * (10 + 10) * config.n_embd  # inputs and outputs of the four matrices of a block, in multiples of the width
    rank = max(1, round(values / width))
    adapter = LoraConfig(r=rank, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    model: Any = get_peft_model(GPT2LMHeadModel(config), adapter)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-4)
    began = 0.0
    for step in range(STEPS + 1):
        if step == 1:  # the first makes what the others use again
            began = time.perf_counter()
        tokens = torch.randint(0, config.vocab_size, (BATCH, TOKENS))
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    parser = arguments(__doc__, 4e6)
    parser.add_argument("--clients", type=int, default=3, help="companies, each a process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, running(options.values, options.clients, Path(root)) as hubs:
        results: list[list[Result]] = []
        for repeat in range(options.repeats + 1):
            turn = list[Result]()
            for hub in hubs:
                turn.append(hub.aggregate(deadline=60))
                time.sleep(_BETWEEN)
            if repeat:  # the first round of each warms connections and caches
                results.append(turn)
    *secure, plain = (statistics.median(turn[which].seconds for turn in results) * 1000 for which in range(len(SYSTEMS)))
    epoch = training(options.values)
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
    among = f"{options.clients} clients"
    lines = [
        Line(f"{system}, {among}: median round", mine, "plaintext", plain, goal, clock="wall")
        for system, mine, goal in zip(SYSTEMS, secure, GOALS, strict=False)
    ] + [
        Line(f"{system}, {among}, with {STEPS} steps of training", epoch + mine, "plaintext", epoch + plain, 1.02, clock="wall")
        for system, mine in zip(SYSTEMS[1:], secure[1:], strict=False)
    ]
    show("A round over gRPC", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
