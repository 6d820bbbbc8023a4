"""The fence under attack and against the clock, on three real vocabularies.

    SECAGG_DATA=… python -m benchmarks.fence [--outputs 10000] [--phrases 1000] [--only gpt2]

An output is what a model says that does nothing but try to say a blocked phrase: the phrase in a disguise, cut into tokens at random; a
token that is forbidden is replaced by another one, or, if none is left, skipped. In one output of `BIASED` the model is a row of logits of
noise with a bias for the phrase, through the logits processor. `leaks` counts outputs in which a plain search of canonical text
(`benchmarks.judge`) or the text fence finds any phrase; `free` is the same attack without a fence, and `transformers` with its bad-words
processor, which is given every phrase in its usual tokenisation.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import NoBadWordsLogitsProcessor

from benchmarks.judge import Judge
from benchmarks.measure import machine
from secagg.filters.fence import Fence, Phrases, Policy, Shape
from secagg.filters.fence.decoding import DecodingFence
from secagg.filters.fence.processor import FenceLogitsProcessor
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
BIASED, FREE, BRUTE, SHORT = 50, 20, 4, 40
"""One output in so many is a biased row of logits; is said without a fence too; states whose row is compared
with brute force; and short English words in a list for `auto`."""


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
        self.longest: dict[bytes, int] = {}
        """Bytes of the longest token that begins with these two."""
        for said in self.ids:
            self.longest[said[:2]] = max(min(24, len(said)), self.longest.get(said[:2], 0))
        self._noise = torch.randn(len(vocabulary.tokens) + (1 << 20))
        """A row of logits is a piece of it, from anywhere."""

    def choices(self, text: bytes, at: int) -> list[tuple[int, int]]:
        """(token, bytes) that go on at a place; a blank may come along."""
        ids, begin, rest = self.ids, text[at : at + 2], len(text) - at
        found = [
            (index, length)
            for length in range(1, min(self.longest.get(begin, 1), rest) + 1)
            for index in ids.get(text[at : at + length], ())
        ]
        after = min(self.longest.get(b" " + begin[:1], 1) - 1, rest)
        found += [(index, length) for length in range(1, after + 1) for index in ids.get(b" " + text[at : at + length], ())]
        return found

    def say(self, text: bytes, allowed: Callable[[list[int], int], bool]) -> list[int]:
        """At each place a random token of those that go on and are allowed; a byte that none says is left out."""
        at, said = 0, list[int]()
        while at < len(text):
            left = self.choices(text, at)
            while left:
                place = int(self.rng.random() * len(left))
                token, length = left[place]
                if allowed(said, token):
                    said.append(token)
                    at += length
                    break
                left[place] = left[-1]
                left.pop()
            else:
                at += 1
        return said

    def push(self, text: bytes, size: int, processor: FenceLogitsProcessor) -> list[int]:
        """A model of noise with a strong wish for whatever goes on; what it says instead may be anything."""
        at, said = 0, [size - 1]
        while at < len(text):
            wish = dict(self.choices(text, at))
            place = int(self.rng.random() * (len(self._noise) - size))
            scores = self._noise[None, place : place + size].clone()
            scores[0, list(wish)] += 12.0
            said.append(int(processor(torch.tensor([said]), scores).numpy().argmax()))
            at += wish.get(said[-1], 1)
        return said[1:]

    def usual(self, text: bytes) -> list[int]:
        """The usual tokenisation: byte pairs merged in the order of the vocabulary; the longest pieces first with WordPiece."""
        if b"##" in self.ids or bytes([255]) not in self.ids:
            return self._longest(text)
        pieces = [text[at : at + 1] for at in range(len(text))]
        while True:
            pairs = [(self.ids[a + b][0], at) for at, (a, b) in enumerate(pairwise(pieces)) if a + b in self.ids]
            if not pairs:
                return [self.ids[piece][0] for piece in pieces]
            at = min(pairs)[1]
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]

    def _longest(self, text: bytes) -> list[int]:
        said, at = [], 0
        while at < len(text):
            longest = min(self.longest.get(text[at : at + 2], 1), len(text) - at)
            length = next((n for n in range(longest, 0, -1) if text[at : at + n] in self.ids), 0)
            said += self.ids[text[at : at + length]][:1] if length else []
            at += length or 1
        return said


class Trial:
    """One vocabulary under attack, with a fence of one policy, in as many pieces as one likes."""

    def __init__(self, vocabulary: Vocabulary, phrases: tuple[str, ...], rng: random.Random, policy: Policy) -> None:
        start = time.process_time()
        self.fence = Fence(Phrases("list", phrases, policy))
        self.decoding = DecodingFence(self.fence, vocabulary, eos=len(vocabulary.tokens) - 1)
        self.built = time.process_time() - start
        self.attacker = Attack(vocabulary, rng)
        self.vocabulary, self.phrases, self.rng = vocabulary, phrases, rng
        self._processor = FenceLogitsProcessor(self.decoding)
        self._always = set(self.decoding.always.tolist())
        self._judge = Judge(phrases, policy)

    def run(self, outputs: int) -> Counter[str]:
        """Outputs by what became of them."""
        counts = Counter(outputs=outputs, biased=0, leaks=0, tried=0, free=0)
        size = len(self.vocabulary.tokens)
        for turn in range(outputs):
            phrase = self.rng.choice(self.phrases)
            text = list(DISGUISES.values())[turn % len(DISGUISES)](phrase, self.rng).encode()
            pushed = turn % BIASED == 0
            ids = self.attacker.push(text, size, self._processor) if pushed else self.attacker.say(text, self._gate())
            said = self.vocabulary.text(ids)
            counts["leaks"] += self._judge.says(said) or bool(self.fence.check(said))
            counts["biased"] += pushed
            if turn % FREE == 0:
                counts["tried"] += 1
                free = self.vocabulary.text(self.attacker.say(text, lambda said, token: True))
                counts["free"] += self._judge.says(free)
        return counts

    def _gate(self) -> Callable[[list[int], int], bool]:
        """Whether the fence allows a token after those said so far."""
        decoding, state = self.decoding, [self.decoding.start]

        def allowed(said: list[int], token: int) -> bool:
            while len(state) <= len(said):
                state.append(decoding.advance(state[-1], said[len(state) - 1]))
            row = decoding.allowed(state[-1])
            inside = bool((row.ids == token).any())
            return inside if row.only else not inside and token not in self._always

        return allowed


def attack(vocabulary: Vocabulary, phrases: tuple[str, ...], outputs: int, rng: random.Random, policy: Policy) -> dict[str, Any]:
    trial = Trial(vocabulary, phrases, rng, policy)
    counts = trial.run(outputs)
    leaked, tried = usual_list(trial.attacker, vocabulary, phrases, rng)
    return {
        "tokens": len(vocabulary.tokens),
        "build_s": round(trial.built, 2),
        **{name: counts[name] for name in ("outputs", "biased", "leaks")},
        "free": f"{counts['free']} of {counts['tried']}",
        "transformers": f"{leaked} of {tried}",
        "rows": rows(trial.decoding, trial.attacker, phrases, rng),
        **clocks(trial.decoding, trial.attacker, phrases, rng, policy),
    }


def usual_list(attacker: Attack, vocabulary: Vocabulary, phrases: tuple[str, ...], rng: random.Random, tried: int = 100) -> tuple[int, int]:
    """Random tokenisations of phrases as they are spelled, against transformers' own processor: how many said the phrase, of how many."""
    size, leaked = len(vocabulary.tokens), 0
    listed = [ids for phrase in phrases for lead in ("", " ") if (ids := attacker.usual((lead + phrase).encode()))]
    processor = NoBadWordsLogitsProcessor(listed, eos_token_id=size - 1)
    for phrase in rng.sample(phrases, tried):
        rows: list[torch.Tensor] = []

        def allowed(said: list[int], token: int, rows: list[torch.Tensor] = rows) -> bool:
            while len(rows) <= len(said):
                rows.append(processor(torch.tensor([[size - 1, *said]]), torch.zeros(1, size))[0])
            return bool(rows[-1][token] == 0)

        said = vocabulary.text(attacker.say(phrase.encode(), allowed))
        leaked += phrase in "".join(said.split()) if " " not in phrase else phrase in said
    return leaked, tried


def rows(decoding: DecodingFence, attacker: Attack, phrases: tuple[str, ...], rng: random.Random) -> str:
    """Rows of states in the middle of a phrase, and what trying every token gives."""
    equal = 0
    for _ in range(BRUTE):
        ids = attacker.say(rng.choice(phrases).encode(), lambda said, token: True)
        state = decoding.prompted(ids[: len(ids) // 2 + 1])
        equal += decoding.forbidden(state) == brute(decoding, state)
    return f"{equal} of {BRUTE} equal"


def brute(decoding: DecodingFence, state: Any) -> set[int]:
    """What is said from here with each token: never UTF-8, or dead in one of the machines."""
    bad = set()
    for token, said in enumerate(decoding.vocabulary.tokens):
        if token in decoding.eos:
            continue
        try:
            text = (state.pending + (b"\xff" if said is None else said)).decode()
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                bad.add(token)
                continue
            text = (state.pending + (said or b""))[: error.start].decode()
        for states in {state.machines, state.alone}:
            if any(row.advance(at, text)[1] for row, at in zip(decoding._rows, states, strict=True)):
                bad.add(token)
    return bad


def clocks(
    decoding: DecodingFence, attacker: Attack, phrases: tuple[str, ...], rng: random.Random, policy: Policy = "auto"
) -> dict[str, Any]:
    """CPU time of a step of the processor at batch 1: in states never seen, and again."""
    fresh = DecodingFence(Fence(Phrases("list", phrases, policy)), decoding.vocabulary, eos=decoding.eos)
    scores = torch.zeros(1, len(decoding.vocabulary.tokens))
    prefixes = []
    for phrase in rng.sample(phrases, 200):
        ids = attacker.say(phrase.encode(), lambda said, token: True)
        prefixes += [torch.tensor([[ids[0], *ids[:end]]]) for end in range(1, len(ids))]
    spent: list[list[float]] = []
    for _ in range(2):
        processor, times = FenceLogitsProcessor(fresh), []
        for prefix in prefixes:
            start = time.thread_time()
            processor(prefix, scores)
            times.append((time.thread_time() - start) * 1e3)
        spent.append(sorted(times))
    first, warm = ({"median": round(statistics.median(times), 3), "p99": round(times[int(len(times) * 0.99)], 3)} for times in spent)
    return {"first_visit_ms": first, "warm_step_ms": warm, "steps": len(prefixes)}


def resident() -> float:
    """Megabytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory() -> dict[str, Any]:
    """What 50,000 phrases take, as text fence and on the largest vocabulary."""
    vocabulary = Vocabulary.tiktoken(DATA / "vocabularies/qwen.tiktoken", specials=1)
    listed = tuple(p for p in Phrases.read(DATA / "blocklists/houbb-65k.zh.txt").phrases if len(p) > 1)[:50_000]
    before, start = resident(), time.process_time()
    fence = Fence(Phrases("list", listed))
    text, made = resident() - before, time.process_time() - start
    start = time.process_time()
    decoding = DecodingFence(fence, vocabulary, eos=len(vocabulary.tokens) - 1)
    return {
        "phrases": fence.phrases,
        "text_fence_mb": round(text),
        "decoding_fence_mb": round(resident() - before - text),
        "always": len(decoding.always),
        "text_build_s": round(made, 2),
        "decoding_build_s": round(time.process_time() - start, 2),
    }


def text_fence(rng: random.Random) -> dict[str, Any]:
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
    few = Fence(Phrases("list", (*rng.sample([p for p in phrases.phrases if len(p) > 2], 500), "project falcon", "master password")))
    tried = [p for p in few.rules[0].phrases for _ in range(2)]  # type: ignore[union-attr]
    found = {
        name: sum(any(hit.start <= 3 for hit in few.check(f"在 {make(p, rng)}。")) for p in tried) / len(tried)
        for name, make in DISGUISES.items()
    }
    return {
        "phrases": fence.phrases,
        "captions": len(captions),
        "captions_per_cpu_s": round(len(captions) / spent),
        "false_hits": false,
        "worst_disguise": min(found.items(), key=lambda item: item[1]),
        **english(),
        **crossed(captions),
    }


def crossed(chinese: list[str]) -> dict[str, Any]:
    """False hits of a list on clean text of the other language: what is found there that no line of the list spells."""
    vehicles = json.loads((DATA / "incidents/community-vehicles.en.json").read_text(encoding="utf-8"))
    english = [text for text in strings(vehicles) if " " in text]
    for name in ("energy-gas-incidents", "urban-city-reports", "community-city-reports"):
        english += (DATA / f"incidents/{name}.en.csv").read_text(encoding="utf-8").splitlines()
    found = {}
    for name, texts in (("houbb-65k.zh", english), ("ldnoobw.zh", english), ("ldnoobw.en", chinese)):
        lines = (DATA / f"blocklists/{name}.txt").read_text(encoding="utf-8").splitlines()
        listed = Phrases(name, tuple(line for line in lines if any(map(str.isalnum, line))))
        spelled, fence = {bare(phrase) for phrase in listed.phrases}, Fence(listed)
        false = sum(any(bare(text[hit.start : hit.end]) not in spelled for hit in fence.check(text)) for text in texts)
        found[f"false_hits_{name}"] = f"{false} of {len(texts)}"
    return found


def bare(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


def verdicts(results: dict[str, Any]) -> list[str]:
    """Each goal with what was measured."""
    text, memory = results["text"], results["memory"]
    attacked = {name: found for name, found in results.items() if isinstance(found, dict) and "leaks" in found}
    largest = max(attacked.values(), key=lambda found: found["tokens"])
    crossed = {name: text[name] for name in text if name.startswith("false_hits_")}
    goals = [
        ("outputs that leak", sum(found["leaks"] for found in attacked.values()), 0),
        ("build, seconds", largest["build_s"], 3),
        ("step, warm, median, ms", largest["warm_step_ms"]["median"], 0.2),
        ("step, first visit, 99th of 100, ms", largest["first_visit_ms"]["p99"], 1),
        ("50,000 phrases, text fence, MB", memory["text_fence_mb"], 100),
        ("50,000 phrases, decoding fence on it, vocabulary included, MB", memory["decoding_fence_mb"], 100),
        ("text fence, microseconds a caption (50,000 a second)", round(1e6 / text["captions_per_cpu_s"], 1), 20),
        ("worst of the disguises, missed, %", round(100 * (1 - text["worst_disguise"][1]), 2), 1),
        ("false hits, Chinese captions, %", round(100 * text["false_hits"] / text["captions"], 3), 0.1),
        ("false hits, English texts, %", round(100 * text["english_false_hits"] / text["english_texts"], 3), 0.1),
        *((f"{name}, other language, %", percent(of), 0.1) for name, of in crossed.items()),
    ]
    return [f"{name}: {value} (goal {goal}) {'met' if value <= goal else 'NOT MET'}" for name, value, goal in goals]


def percent(share: str) -> float:
    count, _, whole = share.partition(" of ")
    return round(100 * int(count) / int(whole), 3)


def english() -> dict[str, Any]:
    """False hits on English: descriptions of vehicles and incident reports, which are clean but for what the list names."""
    lines = (DATA / "blocklists/ldnoobw.en.txt").read_text(encoding="utf-8").splitlines()
    words = Phrases("ldnoobw", tuple(line for line in lines if any(map(str.isalnum, line))), "word")  # without its one emoji
    long = Phrases("long", tuple(p for p in words.phrases if sum(map(str.isalnum, p)) >= 8))
    vehicles = json.loads((DATA / "incidents/community-vehicles.en.json").read_text(encoding="utf-8"))
    texts = [text for text in strings(vehicles) if " " in text]
    for name in ("energy-gas-incidents", "urban-city-reports", "community-city-reports"):
        texts += (DATA / f"incidents/{name}.en.csv").read_text(encoding="utf-8").splitlines()
    fence = Fence(words, long, Shape("mobile"), Shape("identity"), Shape("plate"))
    spelled = {p.lower() for p in words.phrases}
    hits = [text for text in texts if (found := fence.check(text)) and not any(text[h.start : h.end].lower() in spelled for h in found)]
    return {"english_texts": len(texts), "english_false_hits": len(hits)}


def strings(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [text for part in value for text in strings(part)]
        case dict():
            return [text for part in value.values() for text in strings(part)]
    return []


def chosen_phrases(count: int, rng: random.Random, *, short: int = 0) -> tuple[str, ...]:
    """So many of the 65,000, those of one or two characters left out, five that a company may have, and some short English words."""
    listed = Phrases.read(DATA / "blocklists/houbb-65k.zh.txt").phrases
    words = [line for line in (DATA / "blocklists/ldnoobw.en.txt").read_text(encoding="utf-8").splitlines() if 3 <= len(line) <= 6]
    english = ("project falcon", "confidential tariff", "master password", "valve seventeen", "black start plan")
    return (*(p for p in rng.sample(listed, count) if len(p) > 2), *english, *rng.sample(words, short))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outputs", type=int, default=10_000, help="a vocabulary")
    parser.add_argument("--phrases", type=int, default=1000)
    parser.add_argument("--policy", choices=get_args(Policy)[:2], default="auto")
    parser.add_argument("--only", help="one vocabulary, and nothing else: three runs beside each other")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(options.seed)
    torch.manual_seed(options.seed)
    kept = None if options.only else memory()
    phrases = chosen_phrases(options.phrases, rng, short=SHORT if options.policy == "auto" else 0)
    chosen = {name: vocabulary for name, vocabulary in vocabularies().items() if options.only in (None, name)}
    results = {name: attack(vocabulary, phrases, options.outputs, rng, options.policy) for name, vocabulary in chosen.items()}
    beside = {} if options.only else {"text": text_fence(rng), "memory": kept}
    whole = {"machine": machine(), **beside, **results}
    print(json.dumps(whole if options.only else {**whole, "goals": verdicts(whole)}, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
