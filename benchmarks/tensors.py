"""A LoRA state of 64 tensors beside one vector of its length: what a client of `ckks` and `ckks-threshold` does with either, and sends.

From the state to the message: flattened, clipped, encoded, encrypted. The same numbers in both, so that what differs is the tensors.

One in a hundred is looked for, and the fastest runs of one and the same work differ by more: each run with many tensors stands beside one
with a single vector, in turn before it and after it, and the median of their ratios counts. All that differs is
in the first line, up to the words that are encrypted.
"""

from __future__ import annotations

import os
import time
from statistics import median

import numpy as np

from benchmarks import ckks, threshold
from benchmarks.measure import Line, Work, arguments, on_threads, show
from protocols.ckks.threshold import client
from secagg.encode import Quantiser
from secagg.encode.layout import Layout
from secagg.roles import Vector

GOAL, TENSORS = 1.01, ckks.TENSORS
State = dict[str, np.ndarray]


def encoded(state: State, setting: ckks.Setting | threshold.Setting) -> Vector:
    """The state as the words of a round."""
    layout = Layout.of(state)
    quantiser = Quantiser(setting.opened.description.encoding, layout, setting.opened.ctx.rd)
    return quantiser.encode(layout.flatten(state), entropy=os.urandom)


def of_one_holder(setting: ckks.Setting, state: State) -> Work:
    def run() -> None:
        setting.words = encoded(state, setting)
        setting.report(setting.clients[0])

    return run


def of_many(setting: threshold.Setting, state: State) -> Work:
    def run() -> None:
        setting.holding = client.Holding(setting.holding.offers, encoded(state, setting), 0)
        setting.report(setting.clients[0])

    return run


def beside(name: str, many: Work, one: Work, repeats: int, goal: float | None = GOAL) -> Line:
    """Both works in pairs, on the processor's clock. The milliseconds are those of `one`, and its times the median ratio."""
    ratios, alone = [], []
    for number in range(repeats):
        first, second = (many, one) if number % 2 else (one, many)
        times = {work: spent(work) for work in (first, second)}
        ratios.append(times[many] / times[one])
        alone.append(times[one])
    return Line(f"{name}: {TENSORS} tensors", median(ratios) * median(alone), "one vector", median(alone), goal)


def spent(work: Work) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000


def main() -> None:
    parser = arguments(__doc__, 1e6)
    parser.set_defaults(repeats=41)
    options = parser.parse_args()
    many = ckks.state_of(options.values)
    one = {"all": np.concatenate(list(many.values()))}
    with on_threads(1):
        settings = {name: ckks.Setting(options.values, ckks.MODES[name]) for name in ("packed, 24-bit words", "slots n4096-q56")}
        parts = threshold.Setting(options.values, 24)
        first = settings["packed, 24-bit words"]
        lines = [beside("up to the words", lambda: encoded(many, first), lambda: encoded(one, first), options.repeats, None)]
        lines += [
            beside(name, of_one_holder(setting, many), of_one_holder(setting, one), options.repeats) for name, setting in settings.items()
        ]
        lines.append(beside("threshold, 24-bit words", of_many(parts, many), of_many(parts, one), options.repeats))
    show("Tensors", lines, facts={"values": options.values, "tensors": TENSORS}, as_json=options.json)


if __name__ == "__main__":
    main()
