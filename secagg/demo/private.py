"""What `secagg demo --dp` promises, in numbers that every party is told: whom the noise hides, how it is made, how much is trained.

local          DP-SGD in each company's own process: a record is one picture with its caption, and the updates are noisy already
distributed    each company adds a share of integer noise to its encoded update: what is hidden is all that a company brought
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any, Literal, get_args

from secagg.dp.accountant import Steps, account, noise_for
from secagg.dp.integer import IntegerNoise, least_variance
from secagg.encode.encoding import Encoding
from secagg.encode.quantise import grid_norm
from secagg.errors import ConfigError
from secagg.policy import Floors
from secagg.privacy import PrivacyTerms, certain

Noise = Literal["local", "distributed"]
PRIVATE, EXACT = "private", "exact"
"""The two trainings of a private run: the same data, steps and batches, with the noise and without it."""
RUNS = (PRIVATE, EXACT)

DATA = "captions"
"""The data set's name in each company's budget ledger."""
RECORDS, ROUNDS, STEPS, BATCH = 20_000, 12, 20, 128
QUICK_RECORDS, QUICK_STEPS, QUICK_BATCH = 2_000, 3, 64
REFERENCES, QUICK_REFERENCES = 1 << 16, (1 << 12) - 1
CLIP = 0.1
"""L2 bound of one record's gradient: a quarter of the median on pictures that nobody owns."""
UPDATE_CLIP = 1.0
"""L2 bound of a company's whole update where that is what is hidden."""
LEARNING_RATE = 8e-3
SERVER_RATE = 2.0
"""What the hub multiplies each opened mean by, in both runs: each company speaks of one aspect, and a mean moves a third as far."""
LEAST, MOST = 0.5, 64.0
"""Between them ε is taken: below, a company of this size learns nothing; above, ε means nothing."""
COLLUDERS = 1
_SLACK = 1.001
"""What one round's ε is rounded up by in the terms."""
VALUES = 14_336
"""Numbers in one update of the task, whose adapter is on the decoder: distributed noise is sized for them, and each party proves it."""


@dataclass(frozen=True, slots=True)
class PrivateFacts:
    """The numbers of a private run; travel to the parties as JSON.

    Attributes:
        epsilon, delta: what all rounds together may cost one unit.
        noise_multiplier: standard deviation of the noise over the clip: of each step, or of the honest shares together.
        round_epsilon: what one round costs at most, as its signed terms state it.
        clip: of one record's gradient, or of a company's whole update.
        records, batch: of each company; a record is in a step with probability batch / records.
    """

    noise: Noise
    epsilon: float
    delta: float
    noise_multiplier: float
    round_epsilon: float
    clip: float
    rounds: int
    steps: int
    records: int
    batch: int
    learning_rate: float = LEARNING_RATE
    server_rate: float = SERVER_RATE
    references: int = REFERENCES
    """Secrets that could have been planted, among which the meter ranks the one that was."""

    @property
    def local(self) -> bool:
        return self.noise == "local"

    @property
    def unit(self) -> Literal["record", "organisation"]:
        return "record" if self.local else "organisation"

    @property
    def units(self) -> int:
        """How many there are for δ to be small against: the records of one company, or the companies."""
        return self.records if self.local else 3

    @property
    def terms(self) -> PrivacyTerms:
        """What the signed description of each round says."""
        return PrivacyTerms(
            unit=self.unit,
            mechanism="dp-sgd" if self.local else "skellam",
            noise_multiplier=self.noise_multiplier,
            epsilon=self.round_epsilon,
            delta=self.delta,
            clip=self.clip if self.local else None,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def private_facts(noise: str, epsilon: float, *, rounds: int | None, quick: bool) -> PrivateFacts:
    """The noise that keeps all rounds within `epsilon`.

    Raises:
        ConfigError: a kind of noise that there is none of, or an ε that means nothing here.
    """
    if noise not in get_args(Noise):
        raise ConfigError(f"--dp-noise {noise!r}: choose local or distributed")
    if not LEAST <= epsilon <= MOST:
        raise ConfigError(f"--dp {epsilon:g}: an ε from {LEAST:g} to {MOST:g}; 8 is usual")
    records, steps, batch = (QUICK_RECORDS, QUICK_STEPS, QUICK_BATCH) if quick else (RECORDS, STEPS, BATCH)
    count, references = rounds or (3 if quick else ROUNDS), QUICK_REFERENCES if quick else REFERENCES
    if noise == "local":
        delta = 1 / (10 * records)
        multiplier = noise_for(epsilon, delta=delta, count=count * steps, sampling=batch / records)
        once = account([Steps(steps, multiplier, batch / records)], delta=delta, unit="record").epsilon
        return PrivateFacts("local", epsilon, delta, multiplier, once * _SLACK, CLIP, count, steps, records, batch, references=references)
    delta = 1e-5
    return PrivateFacts(
        "distributed", epsilon, delta, *_shares(epsilon, delta, count), UPDATE_CLIP, count, steps, records, batch, references=references
    )


BITS = 12
"""Precision of a value that noise is added to: the noise is far wider than its steps."""


def _shares(epsilon: float, delta: float, rounds: int) -> tuple[float, float]:
    """(noise multiplier, ε of one round) of integer shares that keep `rounds` sums within `epsilon`, seen by the hub and one company."""
    floors = Floors(colluders=COLLUDERS)
    norm = grid_norm(Encoding(clip=UPDATE_CLIP, bits=BITS, rotation=True, max_parties=3), VALUES)
    honest = certain(floors)
    variance = least_variance("skellam", values=VALUES, norm=norm, shares=honest, epsilon=epsilon, delta=delta, count=rounds)
    multiplier = sqrt(variance * honest) / norm
    once = IntegerNoise("skellam", VALUES, norm, variance, honest).epsilon(delta)
    return multiplier, once * _SLACK
