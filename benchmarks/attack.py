"""A million outputs of a model that does nothing but try to say what is blocked, in pieces that can be interrupted and taken up again.

    SECAGG_DATA=… python -m benchmarks.attack --outputs 168000 --kept attack.json --page docs/fence-attack.md

What an output is, and what counts as a leak, `benchmarks.fence` says. After each piece what was found is written to the file `--kept`, with
a digest of the rules that text is read by: pieces that were run by other rules are not counted, but run anew. The page is written from the
file, and says what was run, whatever came out. Exit status 1 if anything leaked, or if the attack without a fence did not succeed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections import Counter
from importlib import resources
from pathlib import Path

import torch

from benchmarks.fence import DISGUISES, SHORT, Trial, chosen_phrases, usual_list, vocabularies
from secagg.filters.fence import Policy, cache

PIECE, PHRASES, PEER = 2000, 1000, 10
"""Outputs of a piece, blocked phrases, and phrases that are tried on transformers' own processor in each piece."""
_RULES = ("automaton.py", "decoding.py", "endings.py", "fence.py", "processor.py", "rules.py", "shapes.py", "short.py")
POLICIES: tuple[Policy, ...] = ("auto", "robust")
Kept = dict[str, list[dict[str, int]]]


def rules() -> str:
    """A digest of everything that says what a fence forbids."""
    folder = resources.files("secagg.filters.fence")
    code = b"".join(folder.joinpath(name).read_bytes() for name in _RULES)
    return cache.key(b"attack", hashlib.sha256(code).digest())[:16]


def read(path: Path) -> Kept:
    """The pieces of earlier runs by the same rules."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    return kept["pieces"] if kept["rules"] == rules() else {}


def write(path: Path, pieces: Kept) -> None:
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps({"rules": rules(), "pieces": pieces}), encoding="utf-8")
    beside.replace(path)


def page(pieces: Kept) -> str:
    """What was run, as a page."""
    found = {name: sum((Counter(piece) for piece in done), Counter()) for name, done in pieces.items()}
    whole = sum(found.values(), Counter())
    lines = [
        "# The fence under attack",
        "",
        (
            "Written by `python -m benchmarks.attack`. Each output is a blocked phrase in one of "
            f"{len(DISGUISES)} disguises ({', '.join(DISGUISES)}), cut into tokens at random, said by a model that wants to say"
        ),
        "nothing else: where the fence forbids a token it takes another one that says the same. One output in fifty is",
        "chosen from biased logits by the processor itself. A leak is an output in whose canonical text a plain search finds a phrase.",
        f"The list has about {PHRASES:,} phrases, Chinese and English; for `auto`, {SHORT} short English words more, which it promises",
        "to find between word boundaries and in fewer disguises: that is why not every attack without a fence succeeds there.",
        "",
        "| vocabulary, policy | outputs | by biased logits | leaks with the fence | leaks without | leaks with that of transformers |",
        "|---|---|---|---|---|---|",
    ]
    for name, counts in [*found.items(), ("all", whole)]:
        without, peer = f"{counts['free']:,} of {counts['tried']:,}", f"{counts['peer']:,} of {counts['peer_tried']:,}"
        lines.append(f"| {name} | {counts['outputs']:,} | {counts['biased']:,} | {counts['leaks']:,} | {without} | {peer} |")
    lines += ["", f"Rules that text was read by: `{rules()}` (a digest of the code and its tables).", ""]
    return "\n".join(lines)


def piece(trial: Trial, rng: random.Random) -> dict[str, int]:
    """One piece, and transformers' own processor under the same attack, each phrase as it is spelled."""
    trial.rng = trial.attacker.rng = rng
    counts = trial.run(PIECE)
    leaked, tried = usual_list(trial.attacker, trial.vocabulary, trial.phrases, rng, PEER)
    return {**counts, "peer": leaked, "peer_tried": tried}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outputs", type=int, default=168_000, help="a vocabulary and policy, all runs together")
    parser.add_argument("--kept", type=Path, required=True, help="where the pieces are kept")
    parser.add_argument("--page", type=Path, help="write this page")
    parser.add_argument("--only", help="one vocabulary; with a file of its own, runs can stand beside each other")
    parser.add_argument("--join", type=Path, nargs="*", default=[], help="files of other runs, to be joined into --kept first")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pieces = read(options.kept)
    for other in options.join:
        pieces = {**pieces, **read(other)}
    known = {name: vocabulary for name, vocabulary in vocabularies().items() if options.only in (None, name)}
    for policy in POLICIES:
        phrases = chosen_phrases(PHRASES, random.Random(1), short=SHORT if policy == "auto" else 0)
        for name, vocabulary in known.items():
            done = pieces.setdefault(f"{name}, {policy}", [])
            trial: Trial | None = None
            while len(done) * PIECE < options.outputs:
                rng = random.Random(f"{name}, {policy}, piece {len(done)}")
                torch.manual_seed(len(done))
                trial = trial or Trial(vocabulary, phrases, rng, policy)
                done.append(piece(trial, rng))
                write(options.kept, pieces)
                print(
                    f"{name}, {policy}: {len(done) * PIECE:,} outputs, {sum(one['leaks'] for one in done)} leaks",
                    file=sys.stderr,
                    flush=True,
                )
    write(options.kept, pieces)
    if options.page:
        options.page.write_text(page(pieces), encoding="utf-8")
    print(page(pieces))
    everything = [piece for done in pieces.values() for piece in done]
    if any(piece["leaks"] for piece in everything) or not any(piece["free"] and piece["peer"] for piece in everything):
        sys.exit(1)


if __name__ == "__main__":
    main()
