"""The fence under attack and against the clock, on three real vocabularies.

    SECAGG_DATA=… python -m benchmarks.fence [--outputs 10000] [--phrases 1000]

Each output is a model that does nothing but try to say a blocked phrase: the phrase in a disguise, cut into tokens at random; a token
that is forbidden is replaced by another one, or, if none is left, skipped. `leaks` counts outputs in which a plain search of the
canonical text finds the phrase; `leaks_of_transformers` is the same attack against its bad-words list with the usual tokenisation.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models

from benchmarks.measure import machine
from secagg.filters.fence import Fence, Phrases
from secagg.filters.fence.decoding import DecodingFence
from secagg.filters.fence.tokens import Vocabulary

DATA = Path(os.environ.get("SECAGG_DATA", "."))
DISGUISES = {
    "plain": lambda p, rng: p,
    "upper": lambda p, rng: p.upper(),
    "full width": lambda p, rng: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in p),
    "zero width": lambda p, rng: "\u200b".join(p),
    "joiners": lambda p, rng: "\u2060\u200d".join(p),
    "blanks": lambda p, rng: " ".join(p),
    "dots": lambda p, rng: ".".join(p),
    "dashes": lambda p, rng: "-".join(p),
    "lines": lambda p, rng: "\n".join(p),
    "random marks": lambda p, rng: "".join(c + rng.choice(["", "*", "_", "·", " ", "～"]) for c in p),
    "combining": lambda p, rng: "".join(c + "\u0336" for c in p),
    "mathematical": lambda p, rng: "".join(chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in p),
    "look-alikes": lambda p, rng: p.translate(str.maketrans("aceopxy", "асеорху")),
    "leet": lambda p, rng: p.translate(str.maketrans("oieast", "013457")),
}


def vocabularies() -> dict[str, Vocabulary]:
    names = (DATA / "vocabularies/bert-base-chinese.vocab.txt").read_text(encoding="utf-8").split("\n")
    bert = Tokenizer(models.WordPiece({name: index for index, name in enumerate(names) if name}, unk_token="[UNK]"))  # noqa: S106
    bert.decoder = decoders.WordPiece()
    return {
        "qwen": Vocabulary.tiktoken(DATA / "vocabularies/qwen.tiktoken", specials=1),
        "gpt2": Vocabulary.of(Tokenizer.from_file(str(DATA / "vocabularies/gpt2.tokenizer.json"))),
        "bert-base-chinese": Vocabulary((*Vocabulary.of(bert).tokens, None)),
    }


class Attack:
    """Says a text in random tokens, whatever a fence leaves."""

    def __init__(self, vocabulary: Vocabulary, rng: random.Random) -> None:
        self.rng = rng
        self.ids: dict[bytes, list[int]] = {}
        for index, said in enumerate(vocabulary.tokens):
            if said:
                self.ids.setdefault(said, []).append(index)
        self.longest = min(24, max(map(len, self.ids)))

    def choices(self, text: bytes, at: int) -> list[tuple[int, int]]:
        """(token, bytes) that go on at a place, in random order; with WordPiece a blank may come along."""
        found = []
        for length in range(1, min(self.longest, len(text) - at) + 1):
            piece = text[at : at + length]
            found += [(index, length) for index in self.ids.get(piece, [])] + [(index, length) for index in self.ids.get(b" " + piece, [])]
        self.rng.shuffle(found)
        return found

    def say(self, text: bytes, allowed: Any) -> list[int]:
        at, said = 0, []
        while at < len(text):
            token, length = next(((t, n) for t, n in self.choices(text, at) if allowed(said, t)), (None, 1))
            if token is not None:
                said.append(token)
            at += length
        return said


def attack(vocabulary: Vocabulary, phrases: tuple[str, ...], outputs: int, rng: random.Random) -> dict[str, Any]:
    start = time.process_time()
    fence = Fence(Phrases("list", phrases))
    decoding = DecodingFence(fence, vocabulary, eos=len(vocabulary.tokens) - 1)
    built = time.process_time() - start
    attacker = Attack(vocabulary, rng)
    always, leaks, tried, plain, usual = set(decoding.always.tolist()), 0, 0, 0, 0
    symbols = fence.machines[0].symbols
    for turn in range(outputs):
        phrase = rng.choice(phrases)
        text = list(DISGUISES.values())[turn % len(DISGUISES)](phrase, rng).encode()
        state = [decoding.start]

        def allowed(said: list[int], token: int, state: list[Any] = state) -> bool:
            while len(state) <= len(said):
                state.append(decoding.advance(state[-1], said[len(state) - 1]))
            row = decoding.allowed(state[-1])
            inside = bool((row.ids == token).any())
            return inside if row.only else not inside and token not in always

        leaks += symbols(phrase) in symbols(vocabulary.text(attacker.say(text, allowed)))
        free = attacker.say(text, lambda said, token: True)
        if symbols(phrase) in symbols(vocabulary.text(free)):
            tried += 1
            if turn % len(DISGUISES) == 0:
                plain += 1
                listed = greedy(attacker, text)
                usual += not any(free[at : at + len(listed)] == listed for at in range(len(free)))
    return {
        "tokens": len(vocabulary.tokens),
        "build_s": round(built, 2),
        "outputs": outputs,
        "leaks": leaks,
        "leaks_without_fence": tried,
        "leaks_of_transformers": f"{usual} of {plain}",
    }


def greedy(attacker: Attack, text: bytes) -> list[int]:
    """The usual tokenisation, near enough: the longest token each time."""
    said, at = [], 0
    while at < len(text):
        length = next((n for n in range(min(attacker.longest, len(text) - at), 0, -1) if text[at : at + n] in attacker.ids), 0)
        said += attacker.ids[text[at : at + length]][:1] if length else []
        at += length or 1
    return said


def text_fence() -> dict[str, Any]:
    phrases = Phrases.read(DATA / "blocklists/houbb-65k.zh.txt")
    fence = Fence(phrases)
    rows = (DATA / "captions/coco-cn-ext.zh.tsv").read_text(encoding="utf-8").splitlines()
    captions = [row.split("\t")[1] for row in rows]
    list(fence.apply_all(captions[:500]))
    start = time.process_time()
    done = list(fence.apply_all(captions))
    spent = time.process_time() - start
    listed = {phrase.lower() for phrase in phrases.phrases}
    false = sum(
        bool(fenced.hits) and not any(caption[hit.start : hit.end] in listed for hit in fenced.hits)
        for caption, fenced in zip(captions, done, strict=True)
    )
    return {"phrases": fence.phrases, "captions": len(captions), "captions_per_cpu_s": round(len(captions) / spent), "false_hits": false}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outputs", type=int, default=10_000, help="a vocabulary")
    parser.add_argument("--phrases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    listed = Phrases.read(DATA / "blocklists/houbb-65k.zh.txt").phrases
    english = ("project falcon", "confidential tariff", "master password", "valve seventeen", "black start plan")
    phrases = (*(p for p in rng.sample(listed, options.phrases) if len(p) > 2), *english)
    results = {name: attack(vocabulary, phrases, options.outputs, rng) for name, vocabulary in vocabularies().items()}
    print(json.dumps({"machine": machine(), "text": text_fence(), **results}, indent=1))


if __name__ == "__main__":
    main()
