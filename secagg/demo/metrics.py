"""How good captions are: facts stated, BLEU-4 and ROUGE-L, over tokens (English by word, Chinese by character).

BLEU: Papineni et al., ACL 2002. ROUGE-L: Lin, ACL workshop on text summarisation 2004.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from secagg.demo.captions import SLOTS, WORDS, tokens
from secagg.demo.scenes import Scene

Pair = tuple[str, str]
"""(what the model says, the reference)."""


def stated(text: str, slot: str, language: str) -> set[str]:
    """The values of `slot` whose words stand in `text`, as unbroken runs of tokens."""
    said = tokens(text)
    return {value for value, words in WORDS[slot].items() if _contains(said, tokens(words[language]))}


def is_right(text: str, scene: Scene, aspect: str, language: str) -> bool:
    """Whether `text` states the fact: for both slots of the aspect the true value, and no other value beside it.

    A fact is the whole statement ("the gas meter is leaking gas"), so the right device in the wrong state counts nothing,
    and a caption that lists several values to be on the safe side counts nothing either. Wording around the values is free.
    `facts` in the table is the share of right answers over scenes × aspects × languages.
    """
    return all(stated(text, slot, language) == {getattr(scene, slot)} for slot in SLOTS[aspect])


def bleu4(pairs: Sequence[Pair]) -> float:
    """Corpus BLEU-4 with one reference, uniform weights, brevity penalty and no smoothing: 0 if no 4-gram matches anywhere."""
    matched, offered = [0] * 4, [0] * 4
    said_length = reference_length = 0
    for said, reference in ((tokens(said), tokens(reference)) for said, reference in pairs):
        said_length += len(said)
        reference_length += len(reference)
        for n in range(1, 5):
            grams = _grams(said, n)
            matched[n - 1] += (grams & _grams(reference, n)).total()
            offered[n - 1] += grams.total()
    if min(matched) == 0:
        return 0.0
    brevity = min(0.0, 1.0 - reference_length / said_length)
    return math.exp(brevity + sum(math.log(hit / of) for hit, of in zip(matched, offered, strict=True)) / 4)


def rouge_l(pairs: Sequence[Pair]) -> float:
    """Mean over the pairs of the F1 of the longest common subsequence."""
    return sum(_longest_common_f1(tokens(said), tokens(reference)) for said, reference in pairs) / len(pairs)


def _contains(said: list[str], words: list[str]) -> bool:
    return any(said[start : start + len(words)] == words for start in range(len(said) - len(words) + 1))


def _grams(said: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(said[start : start + n]) for start in range(len(said) - n + 1))


def _longest_common_f1(said: list[str], reference: list[str]) -> float:
    row = [0] * (len(reference) + 1)
    for word in said:
        above = row
        row = [0]
        for column, other in enumerate(reference):
            row.append(above[column] + 1 if word == other else max(above[column + 1], row[column]))
    return 2 * row[-1] / (len(said) + len(reference)) if said or reference else 1.0
