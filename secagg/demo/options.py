"""What a run of the demo is asked to do, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from secagg.demo.plans import PlanFacts
from secagg.demo.private import BITS, PRIVATE, RUNS, UPDATE_CLIP, PrivateFacts, private_facts
from secagg.demo.task import VARIANTS
from secagg.demo.tasks import check_task, companies_of
from secagg.errors import ConfigError

HUB, BESIDE_HUB, ELSEWHERE, JUDGE, POOL = _TAKEN = ("hub", "aggregator", "auditor", "judge", "pool")
"""The hub, the aggregator that lives in its process, and the one (or key holder) of an independent organisation, in a process of its own;
who scores the models, and who trains with all data in one place to compare with."""

MOST_ROUNDS = 200
QUICK_ROUNDS = 3
FEWEST = 3
"""Organisations below which no sum is ever opened."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is trained, and how long an update may be."""

    rounds: int
    steps: int
    clip: float
    scores: int
    """How often the models that are only compared with are scored: scoring takes as long as training."""


EFFORT: Mapping[str, Effort] = {"scenes": Effort(12, 20, 12.0, 4), "text": Effort(8, 8, 12.0, 1)}
CRITERIA: Mapping[str, tuple[tuple[str, str, float], ...]] = {
    "scenes": (("federated", "disjoint", 0.60), ("gain", "overlap", 0.03)),
    "text": (("gain", "disjoint", 0.10),),
}
"""Task to (criterion, variant, what is required of the first metric)."""
PRIVATE_CRITERIA: tuple[tuple[str, str, float], ...] = (("audit", PRIVATE, 0.0),)
"""What is audited must not exceed the claim."""


@dataclass(frozen=True)
class Options:
    """The arguments of `secagg demo`.

    Raises:
        ConfigError: a task, protocol or number that there is none of; says what to write instead.
    """

    out: Path
    task: str = "scenes"
    data: Path | None = None
    protocol: str = "additive"
    rounds: int | None = None
    seed: int = 0
    quick: bool = False
    peer: bool = False
    sanitise: bool = True
    """Whether captions pass the sanitiser before training."""
    dp: float | None = None
    """ε of a private run; None: no noise is added."""
    dp_noise: str = "local"

    def __post_init__(self) -> None:
        check_task(self.task, str(self.data) if self.data else None)
        if self.rounds is not None and not 1 <= self.rounds <= MOST_ROUNDS:
            raise ConfigError(f"--rounds {self.rounds}: between 1 and {MOST_ROUNDS}")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"--seed {self.seed}: between 0 and {2**31 - 1}")
        if self.out.exists() and not self.out.is_dir():
            raise ConfigError(f"--out {self.out}: this is a file; name a folder")
        if self.peer and self.protocol != "additive":
            raise ConfigError(f"--peer: every company runs an aggregator, and {self.protocol} has none: leave --peer out, or use additive")
        if self.dp is None and self.dp_noise != "local":
            raise ConfigError(f"--dp-noise {self.dp_noise}: say how much with --dp 8")
        if self.dp is not None and find_spec("opacus") is None:
            raise ConfigError("--dp needs opacus: run `pip install 'secagg[dp]'`")
        if self.dp is not None and self.task != "scenes":
            raise ConfigError("--dp: the private run is of --task scenes; the texts of --data are too few to hide one among")
        if self.dp is not None and self.dp_noise == "distributed" and self.protocol not in ("additive", "pairwise"):
            raise ConfigError(
                f"--dp-noise distributed: shares of noise are for additive and pairwise; {self.protocol} takes --dp-noise local"
            )
        self.private  # noqa: B018  # refuses an ε that means nothing
        self.plan  # noqa: B018  # proves the protocol and reads the companies now

    @cached_property
    def companies(self) -> tuple[str, ...]:
        """The companies of the task, in table order. Raises ConfigError."""
        found = companies_of(self.task, str(self.data) if self.data else None, self.seed)
        if len(found) < FEWEST:
            raise ConfigError(f"{len(found)} companies in --data; {FEWEST} are needed: a sum of fewer would show one's update to another")
        if taken := sorted(set(found) & set(_TAKEN)):
            raise ConfigError(f"--data has a company {taken[0]!r}, which is a name of the demo's own: rename its file")
        return found

    @cached_property
    def private(self) -> PrivateFacts | None:
        """The numbers of a private run. Raises ConfigError."""
        return None if self.dp is None else private_facts(self.dp_noise, self.dp, rounds=self.rounds, quick=self.quick)

    @property
    def plan(self) -> PlanFacts:
        """Of rounds without noise."""
        return PlanFacts(
            self.protocol,
            len(self.companies),
            len(self.aggregators),
            clip=EFFORT[self.task].clip,
            bits=16,
            rotation=True,
            max_weight=1 if self.private else 4096,
        )

    @property
    def private_plan(self) -> PlanFacts | None:
        """Of rounds with noise: what is hidden decides how an update is clipped and encoded."""
        if self.private is None:
            return None
        if self.private.local:
            return replace(self.plan, private=self.private.to_json())
        return replace(self.plan, private=self.private.to_json(), clip=UPDATE_CLIP, bits=BITS)

    @property
    def aggregators(self) -> tuple[str, ...]:
        """Those that hold a share, in their own processes or beside somebody; `pairwise` and `ckks` have none."""
        if self.protocol != "additive":
            return ()
        return tuple(f"{company}-aggregator" for company in self.companies) if self.peer else (BESIDE_HUB, ELSEWHERE)

    @property
    def keyholders(self) -> tuple[str, ...]:
        """Who decrypts the sum: in `ckks` an independent organisation, in `ckks-threshold` all companies together."""
        if self.holding:
            return tuple(f"{company}-keyholder" for company in self.companies)
        return (ELSEWHERE,) if self.protocol == "ckks" else ()

    @property
    def holding(self) -> bool:
        """Whether every company runs a key holder beside its client."""
        return self.protocol == "ckks-threshold"

    @property
    def beside(self) -> str:
        """The role of the party that every company runs beside its client; empty if there is none."""
        return "keyholder" if self.holding else "aggregator" if self.peer else ""

    @property
    def has_auditor(self) -> bool:
        """Whether an organisation that trains nothing has a part, in a process of its own."""
        return ELSEWHERE in (*self.aggregators, *self.keyholders)

    @property
    def variants(self) -> tuple[str, ...]:
        """The trainings that are compared, the one of examples and views first."""
        if self.private:
            return RUNS
        return VARIANTS[:1] if self.quick else VARIANTS

    @property
    def compared(self) -> tuple[str, ...]:
        """Who trains beside the secure rounds: in a private run nobody, because each training of a company spends of its budget."""
        return () if self.private else (*self.companies, POOL)

    @property
    def number_of_rounds(self) -> int:
        if self.private:
            return self.private.rounds
        return self.rounds or (QUICK_ROUNDS if self.quick else EFFORT[self.task].rounds)

    @property
    def steps(self) -> int:
        return self.private.steps if self.private else EFFORT[self.task].steps

    @property
    def every(self) -> int:
        """Rounds between two scores of the models that are only compared with."""
        return self.number_of_rounds if self.quick else -(-self.number_of_rounds // EFFORT[self.task].scores)

    @property
    def rehearsals(self) -> tuple[tuple[int | None, int], ...]:
        """(values of an update, or None for as many as the task's, rounds of each kind) to measure secrecy with."""
        return ((None, 5),) if self.quick or self.private else ((None, 9), (4_000_000, 5))

    @property
    def criteria(self) -> tuple[tuple[str, str, float], ...]:
        if self.quick:
            return ()
        return PRIVATE_CRITERIA if self.private else CRITERIA[self.task]
