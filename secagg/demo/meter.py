"""Canaries in one company's captions, and what a model of all companies tells of them.

    once, often     a sentence nobody would write, with a random secret, behind a picture of its own: in one record, or in 64
    coins           128 more, each planted by a fair coin: who guesses the coins from the model bounds ε from below

They are planted behind the sanitiser: this measures the training, not the cleaning. Secrets and coins come from the demo's seed, so that
the company and the judge agree on them; the noise of the training does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from secagg.demo.captions import COMPANIES, Record
from secagg.demo.record import Audit, CanaryReading
from secagg.demo.scenes import Scene, draw_scenes, paint
from secagg.demo.training import Question, to_pixels
from secagg.dp.audit.bound import lower_bound
from secagg.dp.audit.canaries import Space, Tokens, flips, spread
from secagg.dp.audit.exposure import exposure
from secagg.dp.audit.extraction import extraction
from secagg.dp.audit.reading import Reading
from secagg.types import Entropy

COMPANY = COMPANIES[0]
LANGUAGE = "en"
OPENING = "the"
"""The canary's sentence, which everybody may know; the secret comes behind it."""
TIMES = (1, 64)
COINS = 128
_SYMBOLS, _LENGTH = 32, 5
_SCENES = 777
"""A stream of scenes that no company and no validation set draws from."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One secret, the scene that it is planted behind, and in how many records it stands."""

    secret: Tokens
    scene: Scene
    times: int


class Canaries:
    """All canaries of one seed, in the words of `tokenizer`."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int, *, references: int) -> None:
        words = sorted(token for token in tokenizer.get_vocab() if token.isascii() and token.isalpha())
        self._tokenizer, self._entropy, self._references = tokenizer, _stream(seed), references
        ids: list[int] = [tokenizer.get_vocab()[word] for word in words[:_SYMBOLS]]
        self.space = Space(tuple(ids), _LENGTH)
        scenes = draw_scenes((seed, _SCENES), len(TIMES) + COINS)
        secrets = spread(self.space, len(scenes), self._entropy)
        self.coins = flips(COINS, self._entropy)
        times = [*TIMES, *(int(coin) for coin in self.coins)]
        self._all = [Canary(*one) for one in zip(secrets, scenes, times, strict=True)]

    def records(self) -> list[Record]:
        """The records to plant: so many of each canary as it has `times`."""
        return [
            Record(f"canary-{number}-{copy}", f"canary-{number}-{copy}", COMPANY, LANGUAGE, self._text(canary.secret), paint(canary.scene))
            for number, canary in enumerate(self._all)
            for copy in range(canary.times)
        ]

    def scores(self, model: Any) -> NDArray[np.float64]:  # peft wraps any class
        """For each canary with a coin, how unlikely `model` holds its secret, in nats."""
        found = [self._reading(model, canary).score(np.array([canary.secret]))[0] for canary in self._all[len(TIMES) :]]
        return np.array(found)

    def read(self, model: Any, run: str) -> list[CanaryReading]:  # peft wraps any class
        """How far the planted secrets stand out in `model`, and whether it writes them out."""
        readings = []
        for canary in self._all[: len(TIMES)]:
            reading = self._reading(model, canary)
            found = exposure(reading.score, self.space, canary.secret, references=self._references, entropy=self._entropy)
            written = extraction(reading.following, canary.secret)
            said = {"bits": found.bits, "most": found.most, "greedy": written.greedy, "log_probability": written.log_probability}
            readings.append(CanaryReading(run=run, times=canary.times, **said))
        return readings

    def audit(self, before: NDArray[np.float64], after: NDArray[np.float64], *, run: str, delta: float) -> Audit:
        """The ε that one training cannot be under, from how much likelier it has made each secret."""
        found = lower_bound(before - after, self.coins, delta=delta)
        return Audit(
            run=run, epsilon=found.epsilon, confidence=found.confidence, canaries=found.canaries, guesses=found.guesses, right=found.right
        )

    def _reading(self, model: Any, canary: Canary) -> Reading:  # peft wraps any class
        prompt: list[int] = self._tokenizer(f"{Question(0, COMPANY, LANGUAGE).prompt} {OPENING}")["input_ids"]
        return Reading(model, tuple(prompt), {"pixel_values": to_pixels([paint(canary.scene)])})

    def _text(self, secret: Iterable[int]) -> str:
        return " ".join([OPENING, *(str(self._tokenizer.convert_ids_to_tokens(token)) for token in secret)])


def _stream(seed: int) -> Entropy:
    """The same bytes for the same seed, call after call."""
    calls = count()
    return lambda size: hashlib.shake_256(f"secagg demo canaries {seed} {next(calls)}".encode()).digest(size)
