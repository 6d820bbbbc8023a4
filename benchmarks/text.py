"""The filters against the clock, with their goals and peers: sanitiser, text fence, decoding fence. `python -m benchmarks.text`.

Scores, leaks and disguises are those of `benchmarks.filters` and `benchmarks.fence`; here is only time, of one thread. The fences need
block lists and vocabularies in the folder that SECAGG_DATA names, and are left out without it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.filters.captions import plain
from benchmarks.filters.peers import presidio
from benchmarks.measure import Line, arguments, best, show
from secagg.filters import Policy, Sanitizer
from secagg.filters.policy import Names

_SLOW = 50
"""One text in so many goes through a peer that takes a hundred times as long."""


def sanitisers(repeats: int) -> list[Line]:
    """Milliseconds for a thousand captions with values."""
    texts = [row.text for row in plain(101, 100)]
    few = texts[::_SLOW]
    rules, names = Sanitizer(Policy(names=Names(model=False))), Sanitizer()

    def through(find: Callable[[str], object], some: Sequence[str]) -> Callable[[], object]:
        return lambda: [find(text) for text in some]

    works = {"rules": through(rules.find, texts), "names": through(names.find, texts)}
    peers = {name: through(find, few) for name, find in others().items()}
    spent = best(works | peers, repeats).cpu
    thousand = {name: 1000 * took / len(few if name in peers else texts) for name, took in spent.items()}
    lines = [
        Line("sanitise 1,000 captions with values, rules", thousand["rules"], "12,000 captions a CPU-second", 1000 / 12, 1.0),
        Line("sanitise 1,000 captions with values, rules and names", thousand["names"], "2,000 captions a CPU-second", 1000 / 2, 1.0),
    ]
    lines += [Line("sanitise 1,000 captions with values, rules", thousand["rules"], name, thousand[name]) for name in peers]
    return lines


def others() -> dict[str, Callable[[str], object]]:
    """What is installed of the tools that people use today, and how each finds what is personal in one text."""
    found = dict[str, Callable[[str], object]]()
    if importlib.util.find_spec("presidio_analyzer") is not None:
        engine = presidio()
        found["Presidio without its model of names"] = lambda text: engine.analyze(text, language="en")
    if importlib.util.find_spec("argus_redact") is not None:
        redact: Any = importlib.import_module("argus_redact").redact
        found["argus-redact, its fast mode"] = lambda text: redact(text, lang=["zh", "en"])
    return found


def fences(repeats: int) -> list[Line]:
    """The text fence on a thousand captions, and a step of the decoding fence beside transformers' own processor."""
    import torch
    from transformers import NoBadWordsLogitsProcessor

    from benchmarks.fence import DATA, Attack, clocks, vocabularies
    from secagg.filters.fence import Fence, Phrases
    from secagg.filters.fence.decoding import DecodingFence

    torch.set_num_threads(1)
    phrases = Phrases.read(DATA / "blocklists/houbb-65k.zh.txt")
    rows = (DATA / "captions/coco-cn-ext.zh.tsv").read_text(encoding="utf-8").splitlines()
    captions, fence, rng = [row.split("\t")[1] for row in rows], Fence(phrases), random.Random(1)  # chooses what is measured
    text = best({"text": lambda: list(fence.apply_all(captions))}, repeats).cpu["text"] * 1000 / len(captions)
    vocabulary = vocabularies()["qwen"]
    chosen = tuple(one for one in rng.sample(phrases.phrases, 1000) if len(one) > 2)
    began = time.process_time()
    decoding = DecodingFence(Fence(Phrases("list", chosen)), vocabulary, eos=len(vocabulary.tokens) - 1)
    built, attacker = (time.process_time() - began) * 1000, Attack(vocabulary, rng)
    step = clocks(decoding, attacker, chosen, rng)
    listed = [ids for one in chosen if (ids := attacker.usual(one.encode()))]
    usual, said = NoBadWordsLogitsProcessor(listed, eos_token_id=len(vocabulary.tokens) - 1), torch.tensor([[1, 2, 3, 4]])
    scores = torch.zeros(1, len(vocabulary.tokens))
    peer = best({"usual": lambda: usual(said, scores)}, 5 * repeats).cpu["usual"]
    work = f"decoding fence, {len(vocabulary.tokens):,} tokens and {len(chosen)} phrases"
    return [
        Line(f"text fence, {fence.phrases:,} phrases, 1,000 captions", text, "50,000 captions a CPU-second", 20, 1.0),
        Line(f"{work}: build", built, "3 s", 3000, 1.0),
        Line(f"{work}: a step, warm, median", step["warm_step_ms"]["median"], "0.2 ms", 0.2, 1.0),
        Line(f"{work}: a step, first visit, median", step["first_visit_ms"]["median"], "1 ms", 1.0, 1.0),
        Line(f"{work}: a step, first visit, 99th of 100", step["first_visit_ms"]["p99"], "1 ms", 1.0, 1.0),
        Line(f"{work}: a step, warm, median", step["warm_step_ms"]["median"], "transformers' bad-words processor", peer),
    ]


def main() -> None:
    parser = arguments(__doc__, 0)
    options = parser.parse_args()
    lines, facts = sanitisers(options.repeats), dict[str, object]()
    if "SECAGG_DATA" in os.environ:
        lines += fences(options.repeats)
    else:
        facts["left out"] = "the fences: SECAGG_DATA names no folder with block lists and vocabularies"
    show("Filters", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
