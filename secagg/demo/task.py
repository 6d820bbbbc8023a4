"""What the demo learns, as the rest of it sees it: a task trains, scores and shows examples, and knows no network and no protocol.

```
initial_state ─> train(company, …) ─> delta ─┐
                 train(company, …) ─> delta ─┼─ weighted mean ─> state of the next round ─> evaluate, samples
                 train(company, …) ─> delta ─┘      (in the clear here: `secagg.demo.reference`; as a secure sum in the demo)
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import torch

    from secagg.demo.record import Cleaned, FencedModel

State: TypeAlias = "dict[str, torch.Tensor]"
"""An adapter as peft names it: tensor name to a copy of its values (never an alias of a live parameter)."""

VARIANTS: tuple[str, ...] = ("disjoint", "overlap")
"""`disjoint`: a company's training set speaks of its own aspect only; `overlap`: 60 % of it, and 20 % of each other's."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model is worth on the joint validation set."""

    values: Mapping[str, float]
    """Metric to value in [0, 1], in the order of `Task.metrics`; the criteria are written in the first."""
    by_company: Mapping[str, float]
    """The first metric again, on each company's own part of the validation set."""

    def __getitem__(self, metric: str) -> float:
        return self.values[metric]

    @property
    def headline(self) -> float:
        """The first metric."""
        return next(iter(self.values.values()))


@dataclass(frozen=True, slots=True)
class Line:
    """One question about a sample: what is right, what each model says, and which of them are right."""

    company: str
    """Whose aspect is asked for."""
    language: str
    """`en` or `zh`."""
    reference: str
    said: Mapping[str, str]
    """Model name to its answer."""
    right: Mapping[str, bool]
    """Model name to whether the answer counts in the first metric."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One example of the joint validation set with the answers of several models."""

    picture: bytes | None
    """The scene as PNG, already magnified; None where the example is text."""
    text: str
    """The text that was asked about; empty where the example is a picture."""
    lines: tuple[Line, ...]


class Task(Protocol):
    """A learning task for the demo. Everything is determined by the seed that the task was built with and by the arguments.

    One seed gives the same numbers on one machine with one torch thread; `torch.set_num_threads` belongs to the process entry.
    """

    @property
    def name(self) -> str:
        """What `secagg demo --task` calls it."""

    @property
    def companies(self) -> tuple[str, ...]:
        """The parties, in table order."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The columns of the table; the first is the one that criteria are written in."""

    @property
    def cannot_claim(self) -> tuple[str, ...]:
        """Sentences that stand under the table: what its numbers do not show."""

    def initial_state(self) -> State:
        """The adapter that every party starts from, A drawn once from the task's seed: averaging needs it to be shared."""

    def base_hash(self) -> bytes:
        """SHA-256 (32 bytes) over the names, shapes and values of the frozen base weights."""

    def adapter_config(self) -> Mapping[str, object]:
        """What peft knows of the adapter and its tensors do not show (rank, alpha, targets …), as JSON types."""

    def train(
        self, company: str, variant: str, state: State, *, round: int, steps: int, seed: int, alone: bool = False
    ) -> tuple[State, int]:
        """Train `steps` steps from `state` on one company's data; `state` is not changed. `round` counts from 0.

        `alone`: for the comparison with a company that has no partners, which then knows of theirs nothing at all.

        Returns the new adapter and the number of examples the company holds, the weight of its delta in the mean.
        """

    def train_pooled(self, variant: str, state: State, *, round: int, steps: int, seed: int) -> tuple[State, int]:
        """The same with the data of all companies in one place: what no company may do, as the upper comparison."""

    def cleaned(self, company: str, variant: str) -> Cleaned | None:
        """What was done to a company's captions before it trained on them; None if it has not yet."""

    def evaluate(self, state: State) -> Scores:
        """Score the base model with this adapter on the joint validation set, which all companies' aspects annotate."""

    def fenced(self, state: State) -> FencedModel | None:
        """What this model says that is biased to say a secret, without the fence and with it; None if the task writes no text."""

    def samples(self, states: Mapping[str, State], n: int) -> list[Sample]:
        """The first `n` examples of the validation set, answered by each named model."""


def mean_delta(before: State, after: Sequence[tuple[State, int]]) -> State:
    """The mean of `after - before` over the parties, weighted by their examples: what a secure round opens, here in the clear.

    A and B of each LoRA layer are averaged on their own (FedIT); that is why all parties start from one A.
    """
    total = sum(examples for _, examples in after)
    mean = {name: 0 * value for name, value in before.items()}
    for state, examples in after:
        for name, value in state.items():
            mean[name] += (value - before[name]) * (examples / total)
    return mean


def add(state: State, delta: State) -> State:
    """`state + delta`, tensor by tensor, as new tensors."""
    return {name: value + delta[name] for name, value in state.items()}
