"""What a run of the demo leaves behind: `results.json`, and from it alone the report and the table.

Every field is described here; `Results.model_json_schema()` is the schema of the file. Times are seconds, sizes bytes, scores in [0, 1].
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from secagg.filters.audit import Report as AuditReport

FEDERATED, POOLED, BASE = "federated", "pooled", "base"
"""Names of the models beside the companies' own."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Setting(_Record):
    """What was run, and on what."""

    task: str = Field(description="`scenes` or `text`")
    protocol: str = Field(description="protocol of the secure rounds, as registered under `secagg.protocols`")
    rounds: int
    steps: int = Field(description="optimiser steps of one company in one round")
    seed: int
    quick: bool = Field(description="a short run: shows that everything works, is not judged")
    sanitised: bool = Field(description="captions passed the sanitiser before training, which is the default")
    peer: bool = Field(description="every company ran an aggregator beside its client")
    aggregators: tuple[str, ...] = Field(
        description="parties that held a share, the leader first; in ckks the key holder; none in pairwise"
    )
    values: int = Field(description="numbers in one update")
    bits: int = Field(description="precision of one value")
    ring_bits: int = Field(description="width of a word on the wire")
    clip: float = Field(description="L2 bound of an update")
    floor: int = Field(description="fewest organisations whose sum may be opened")
    machine: str
    cores: int
    versions: dict[str, str] = Field(description="package to version")


class Point(_Record):
    """The first metric of a model after a round."""

    round: int
    score: float


class Model(_Record):
    """One row of the table."""

    name: str = Field(description="a company (trained alone), `federated`, `pooled` (all data in one place) or `base` (untrained)")
    variant: str = Field(description="`disjoint`, `overlap`, or of a private run `private` and `exact`; empty for `base`")
    scores: dict[str, float] = Field(description="metric to value on the joint validation set")
    by_company: dict[str, float] = Field(description="the first metric on each company's own part")
    curve: tuple[Point, ...] = ()


class RoundRecord(_Record):
    """One secure round of the training."""

    variant: str
    round: int
    attempt: int
    rd: str = Field(description="SHA-256 of the signed round description, hexadecimal")
    included: tuple[str, ...]
    missing: dict[str, str] = Field(description="party to why its update is not in the sum")
    signed_by: tuple[str, ...] = Field(description="parties whose signature under the set was verified")
    weight: int = Field(description="sum of the weights")
    result: str = Field(description="SHA-256 of the opened mean, hexadecimal")
    seconds: float = Field(description="from the description to the opened sum, training included")
    waited: float = Field(description="seconds of that in which the hub waited for updates")
    bytes_up: int
    bytes_down: int
    bound: float = Field(description="largest difference that quantisation allows between opened and plaintext mean, in any coordinate")
    difference: float = Field(description="largest difference measured against the plaintext mean of the same updates")
    terms: str = Field(default="", description="the privacy terms that the receipt carries; empty where the sum is exact")
    booked: tuple[str, ...] = Field(default=(), description="parties whose signed statement of what they spent stands in the receipt")
    clipped: int = Field(default=0, description="updates longer than the clip, scaled down to it before the comparison")

    @property
    def holds(self) -> bool:
        return self.difference <= self.bound


class Cost(_Record):
    """The same rounds, secure and in plaintext, interleaved on the same transport with no training and nothing else running."""

    values: int
    rounds: int = Field(description="measured rounds of each kind, after a warm-up round")
    secure_seconds: tuple[float, ...]
    plain_seconds: tuple[float, ...]
    secure_bytes: int = Field(description="handed to the network by all parties in one round")
    plain_bytes: int

    @property
    def secure_median(self) -> float:
        return median(self.secure_seconds)

    @property
    def plain_median(self) -> float:
        return median(self.plain_seconds)

    @property
    def seconds_ratio(self) -> float:
        """Of the medians."""
        return self.secure_median / self.plain_median

    @property
    def bytes_ratio(self) -> float:
        return self.secure_bytes / self.plain_bytes


class Cleaned(_Record):
    """What stood in one company's captions and what the sanitiser did before training: counts, and nothing that was found."""

    company: str
    variant: str
    captions: int
    planted: dict[str, int] = Field(description="entity to values that the demo had planted in the captions")
    found: dict[str, int] = Field(description="entity to planted values that lay wholly inside a finding")
    left: int = Field(description="planted values that still stand in the captions trained on")
    audit: AuditReport | None = Field(description="the sanitiser's own report; none where it was turned off")


class FencedModel(_Record):
    """What the joint model said that was biased to say a secret, without the fence and with it."""

    secrets: tuple[str, ...]
    asked: int = Field(description="questions")
    free: int = Field(description="answers that held a secret, without the fence")
    fenced: int = Field(description="the same with the fence")
    said_free: str = Field(description="the first answer without the fence")
    said_fenced: str = Field(description="the first answer with the fence")
    suppressed: float = Field(description="probability of forbidden words, mean over the steps")


class CanaryReading(_Record):
    """What the model of one run tells of one planted secret."""

    run: str = Field(description="`private` or `exact`")
    times: int = Field(description="records that it stands in")
    bits: float = Field(description="exposure: how far the secret stands out among those that could have been planted")
    most: float = Field(description="bits that can be read at most")
    greedy: bool = Field(description="the model writes the secret out by itself")
    log_probability: float = Field(description="of the secret in one sample, in nats")


class Audit(_Record):
    """A lower bound on ε from one run, by guessing which of many canaries were planted."""

    run: str
    epsilon: float = Field(description="every smaller ε is refuted, with `confidence`; 0 refutes nothing")
    confidence: float
    canaries: int
    guesses: int
    right: int


class Meter(_Record):
    """The memorisation meter's readings."""

    company: str = Field(description="whose captions the canaries stand in")
    canaries: tuple[CanaryReading, ...]
    audits: tuple[Audit, ...]


class Account(_Record):
    """What stands in one company's budget ledger after the run."""

    company: str
    entries: int
    epsilon: float = Field(description="of everything that was spent, by privacy loss distributions or Rényi divergences")
    rdp_epsilon: float = Field(description="the upper bound that checks it")
    limit: float


class PrivacyRecord(_Record):
    """What a private run promised, spent and showed."""

    noise: Literal["local", "distributed"]
    unit: Literal["record", "organisation"]
    epsilon: float = Field(description="what all rounds may cost one unit")
    delta: float
    terms: str = Field(description="of one round, as its signed description and receipt state them")
    noise_multiplier: float
    clip: float = Field(description="of one record's gradient, or of a company's update")
    records: int = Field(description="of each company")
    batch: int = Field(description="records in a step, on average")
    accounts: tuple[Account, ...]
    server_epsilon: float | None = Field(default=None, description="distributed: what one round tells the hub alone")
    colluding_epsilon: float | None = Field(default=None, description="distributed: what it tells the hub and one company together")
    meter: Meter


class Histogram(_Record):
    """Counts in equal bins from `low` to `high`."""

    low: float
    high: float
    counts: tuple[int, ...]


class Share(_Record):
    """What one aggregator held of one update."""

    aggregator: str
    organisation: str
    histogram: Histogram = Field(description="of the share's ring words as fractions of the modulus")
    chi_square: float = Field(description="p-value of Pearson's test that the words are uniform over the bins; small would be suspicious")
    correlation: float = Field(description="Pearson correlation between the share and the update, coordinate by coordinate")


class View(_Record):
    """One update, and what each aggregator saw of it. Only a demo that owns all parties can put them side by side."""

    company: str
    variant: str
    round: int
    values: int
    update: Histogram = Field(description="of the update's values as trained, in their own units")
    shares: tuple[Share, ...]
    adds_up: bool | None = Field(description="the shares together give exactly the encoded update; none where there is one masked vector")


class Answer(_Record):
    """One question about an example, and what the models answered."""

    company: str
    language: str
    reference: str
    said: dict[str, str] = Field(description="model name to its answer")
    right: dict[str, bool]


class Example(_Record):
    """One example of the joint validation set."""

    picture: str = Field(description="PNG as base64; empty where the example is text")
    text: str
    answers: tuple[Answer, ...]


class Criterion(_Record):
    """What the run had to show."""

    name: Literal["federated", "gain", "mean", "audit"]
    variant: str
    required: float
    measured: float
    holds: bool


class Results(_Record):
    """Everything."""

    version: Literal["secagg-demo/1"] = "secagg-demo/1"
    created: str = Field(description="ISO 8601, UTC")
    seconds: float = Field(description="wall time of the whole demo")
    setting: Setting
    companies: tuple[str, ...]
    metrics: tuple[str, ...] = Field(description="columns of the table; criteria are written in the first")
    variants: tuple[str, ...]
    models: tuple[Model, ...]
    rounds: tuple[RoundRecord, ...]
    cleaned: tuple[Cleaned, ...] = Field(description="one for each company, of the first variant")
    costs: tuple[Cost, ...]
    views: tuple[View, ...]
    examples: tuple[Example, ...]
    fenced: FencedModel | None = Field(default=None, description="the joint model behind the fence; none where the task writes no text")
    privacy: PrivacyRecord | None = Field(default=None, description="of a private run")
    criteria: tuple[Criterion, ...] = Field(description="empty after a quick run")
    cannot_claim: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return all(criterion.holds for criterion in self.criteria)

    def model(self, name: str, variant: str) -> Model:
        """The row of `name` in `variant`. Raises KeyError."""
        for row in self.models:
            if (row.name, row.variant) == (name, variant):
                return row
        raise KeyError(f"{name} in {variant}")

    def rows(self, variant: str) -> list[Model]:
        """The rows of one variant in table order."""
        return [row for row in self.models if row.variant == variant]

    @property
    def exact_rounds(self) -> tuple[RoundRecord, ...]:
        """The rounds whose opened mean is to be the mean of the updates: those without noise of their own in the sum."""
        noisy = self.privacy is not None and self.privacy.noise == "distributed"
        return tuple(one for one in self.rounds if not (noisy and one.terms))

    @property
    def headline(self) -> str:
        """The metric that criteria are written in."""
        return self.metrics[0]


def median(values: tuple[float, ...]) -> float:
    """The middle value, or the mean of the two."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
