"""A LoRA state of 64 tensors beside one vector of its length: what a client of `ckks` and `ckks-threshold` does with either, and sends.

From the state to the message: flattened, clipped, encoded, encrypted. The same numbers in both, so that what differs is the tensors.
"""

from __future__ import annotations

import os

import numpy as np

from benchmarks import ckks, threshold
from benchmarks.measure import Line, Work, arguments, best, on_threads, show
from protocols.ckks.threshold import client
from secagg.encode import Quantiser
from secagg.encode.layout import Layout
from secagg.roles import Vector

GOAL = 1.01
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


def main() -> None:
    options = arguments(__doc__, 1e6).parse_args()
    many = ckks.state_of(options.values)
    one = {"all": np.concatenate(list(many.values()))}
    names = ("packed, 24-bit words", "slots n4096-q56")
    works: dict[str, Work] = {}
    with on_threads(1):
        for name in names:
            setting = ckks.Setting(options.values, ckks.MODES[name])
            works |= {f"{name}, 64": of_one_holder(setting, many), f"{name}, 1": of_one_holder(setting, one)}
        parts = threshold.Setting(options.values, 24)
        works |= {"threshold, 24-bit words, 64": of_many(parts, many), "threshold, 24-bit words, 1": of_many(parts, one)}
        times = best(works, options.repeats).cpu
    lines = [
        Line(f"{name}: 64 tensors", times[f"{name}, 64"], "one vector", times[f"{name}, 1"], GOAL)
        for name in (*names, "threshold, 24-bit words")
    ]
    show("Tensors", lines, facts={"values": options.values, "tensors": len(many)}, as_json=options.json)


if __name__ == "__main__":
    main()
