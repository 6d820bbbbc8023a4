"""Who is in a step: each unit by a coin of its own, from the operating system's generator.

A step of DP-SGD is a Poisson sample: sizes vary, and a sample may be empty. Shuffled batches of one size are not what the accountant
counts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence, Sized
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from secagg.errors import ConfigError
from secagg.types import Entropy

Example: TypeAlias = Mapping[str, Any]
Batch: TypeAlias = dict[str, torch.Tensor]
"""Tensors whose first dimension counts the records."""
Collate: TypeAlias = Callable[[list[Any]], Mapping[str, Any]]
Owned: TypeAlias = tuple[Batch, torch.Tensor]
"""A batch, and for each of its records the unit within the batch that it belongs to, counted from 0."""


class Units(Dataset[list[Any]]):
    """Examples by the unit that owns them; item u is what unit u brings to a step.

    Args:
        examples: what is trained on, by position.
        owners: for each example whom it belongs to; None where each example is a unit.
        most: examples that one unit brings; of more, so many are drawn anew each time.

    Raises:
        ConfigError: a data loader in place of data, data without length or positions, or not one owner for each example.
    """

    def __init__(self, examples: Sequence[Any], owners: Sequence[Hashable] | None, *, most: int, entropy: Entropy) -> None:
        _refuse_streams(examples)
        count = len(examples)
        if owners is not None and len(owners) != count:
            raise ConfigError(f"{len(owners)} customers for {count} examples: one user id for each example expected")
        self._examples, self._most, self._entropy = examples, most, entropy
        if owners is None:
            self._places = [[place] for place in range(count)]
        else:
            by_owner: dict[Hashable, list[int]] = {}
            for place, owner in enumerate(_told_apart(owners)):
                by_owner.setdefault(owner, []).append(place)
            self._places = list(by_owner.values())
        self.longest = min(max((len(places) for places in self._places), default=0), most)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, unit: int) -> list[Any]:
        return [self._examples[place] for place in self._chosen(self._places[unit])]

    def first(self, count: int) -> list[Any]:
        """The first examples, for a look at their shape."""
        return [self._examples[place] for place in range(min(count, len(self._examples)))]

    def _chosen(self, places: list[int]) -> list[int]:
        if len(places) <= self._most:
            return places
        keys = np.frombuffer(self._entropy(8 * len(places)), np.uint64)  # by the smallest of fresh keys: each choice alike
        return [places[index] for index in np.argsort(keys, kind="stable")[: self._most]]


class PoissonBatches(Sampler[list[int]]):
    """`steps` samples of `units` units, each taken with probability `sampling`, by coins from `entropy`. A sample may be empty."""

    def __init__(self, units: int, sampling: float, steps: int, entropy: Entropy) -> None:
        self._units, self._steps, self._entropy = units, steps, entropy
        self._sure = sampling >= 1
        self._threshold = np.uint64(int(sampling * 2.0**63) << 1) if not self._sure else np.uint64(0)  # rounded down: never more likely

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(self._steps):
            if self._sure:
                yield list(range(self._units))
            else:
                coins = np.frombuffer(self._entropy(8 * self._units), np.uint64)
                yield np.flatnonzero(coins < self._threshold).tolist()


def join(collate: Collate) -> Callable[[list[list[Any]]], Owned | None]:
    """Makes units into a batch of their examples, or into None where there is no unit: a model need not know a batch of nobody."""

    def joined(units: list[list[Any]]) -> Owned | None:
        if not units:
            return None
        owners = torch.repeat_interleave(torch.arange(len(units)), torch.tensor([len(examples) for examples in units]))
        return batch_of([example for examples in units for example in examples], collate), owners

    return joined


def batch_of(examples: list[Any], collate: Collate) -> Batch:
    """Collate `examples` and see that each tensor has one row for each. Raises ConfigError where not."""
    try:
        made = dict(collate(examples))
    except (ValueError, RuntimeError) as failed:
        raise ConfigError(
            f"the examples do not make a batch ({failed}): give `collate` something that pads them, such as transformers'"
            " DataCollatorForSeq2Seq, or examples of one length"
        ) from failed
    wrong = {
        name: tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        for name, value in made.items()
        if not isinstance(value, torch.Tensor) or value.dim() == 0 or len(value) != len(examples)
    }
    if wrong:
        raise ConfigError(
            f"a batch of {len(examples)} examples has {wrong}: every entry must be a tensor with one row for each example, because what"
            " belongs to several examples cannot be taken out with one of them; leave other entries out in `collate`"
        )
    return made


def _told_apart(owners: Sequence[Hashable]) -> Sequence[Hashable]:
    """User ids that are equal where the user is. Raises ConfigError where one is missing, or each differs from every other.

    Elements of a tensor, and the NaN that a table has for a missing id, are equal to nothing: each example would be a customer.
    """
    values = getattr(owners, "tolist", None)
    told: Sequence[Hashable] = values() if callable(values) else owners
    for place, owner in enumerate(told):
        if owner is None or isinstance(owner, torch.Tensor) or owner != owner:  # noqa: PLR0124  # NaN is not itself
            raise ConfigError(
                f"customers[{place}]={owner!r}: a user id is a text or a number; where it is missing, or a tensor, examples of one customer"
                " would count as several: leave such examples out, or give them an id"
            )
    return told


def _refuse_streams(examples: object) -> None:
    if isinstance(examples, DataLoader):
        raise ConfigError(
            "examples is a DataLoader: its batches are shuffled, or have one size, and the accountant counts Poisson samples; pass the data"
            " set itself (loader.dataset) and the average size as `batch`"
        )
    if isinstance(examples, IterableDataset) or not isinstance(examples, Sized) or not hasattr(examples, "__getitem__"):
        raise ConfigError(
            f"examples is a {type(examples).__name__}: a sequence with a length expected, because each unit is drawn on its own;"
            " make a list of it"
        )
