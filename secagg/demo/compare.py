"""What only the owner of all parties can compare: each opened mean with the updates behind it, and a share with what it hides."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from secagg.demo.record import Histogram, Share, View
from secagg.encode.layout import Layout
from secagg.encode.quantise import Quantiser
from secagg.errors import SecAggError
from secagg.round import Round, round_digest

BINS = 64
WEIGHT = "weight"
"""Where the metadata of a company's update says how many examples it stands for."""
Update = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Difference:
    """An opened mean against the plaintext mean of the same updates, in any coordinate, in the units of the update."""

    bound: float
    largest: float
    clipped: int


def load_update(path: Path) -> tuple[Update, int]:
    """A company's update and its weight, as it wrote them before it submitted."""
    with safe_open(str(path), framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, int(file.metadata()[WEIGHT])  # noqa: SIM118  # no mapping


def mean_difference(opened: Round, mean: Update, updates: Sequence[tuple[Update, int]]) -> Difference:
    """Compare an opened mean with the weighted mean of `updates` (update, weight), computed in the clear in float64."""
    layout = Layout.of(mean)
    quantiser = _quantiser(opened, layout)
    total = sum(weight for _, weight in updates)
    plain, clipped = np.zeros(layout.size, np.float64), 0
    for update, weight in updates:
        vector, shrunk = _clip(layout.flatten(update).astype(np.float64), opened)
        plain += vector * (weight / total)
        clipped += shrunk
    largest = float(np.abs(layout.flatten(mean) - plain).max())
    return Difference(quantiser.error_bound(len(updates), total), largest, clipped)


def view(opened: Round, company: str, variant: str, *, update: Update, weight: int, files: Mapping[str, Path]) -> View:
    """One update beside what each aggregator, or the one server, held of it. `files`: who to what was held, in ring words."""
    layout, ring = Layout.of(update), opened.description.encoding.ring
    shares = {name: np.load(file, allow_pickle=False) for name, file in files.items()}
    if not (split := opened.description.protocol == "additive"):  # what the one server got hides the update as it would be encoded
        encoded = _quantiser(opened, layout).encode(layout.flatten(update), weight, entropy=os.urandom)
    else:
        encoded = np.zeros(layout.size + opened.description.encoding.extra, ring.dtype)
        for words in shares.values():
            ring.add_into(encoded, words)
    decoded = _quantiser(opened, layout).decode(encoded)
    hidden, _ = _clip(layout.flatten(update).astype(np.float64), opened)
    close = float(np.abs(decoded.mean - hidden).max()) <= _quantiser(opened, layout).error_bound(1, weight)
    return View(
        company=company,
        variant=variant,
        round=opened.description.round,
        values=layout.size,
        update=_update_histogram(layout.flatten(update)),
        shares=tuple(_share(name, words, encoded, opened) for name, words in shares.items()),
        adds_up=bool(close and decoded.count == 1 and decoded.weight == weight) if split else None,
    )


def _quantiser(opened: Round, layout: Layout) -> Quantiser:
    return Quantiser(opened.description.encoding, layout, round_digest(opened.raw))


def _clip(vector: NDArray[np.float64], opened: Round) -> tuple[NDArray[np.float64], bool]:
    clip = opened.description.encoding.clip
    if isinstance(clip, tuple):
        raise SecAggError("the demo compares updates with a single clip")
    norm = float(np.linalg.norm(vector))
    return (vector * (clip / norm), True) if norm > clip else (vector, False)


def _share(name: str, words: NDArray[np.unsignedinteger], encoded: NDArray[np.unsignedinteger], opened: Round) -> Share:
    ring = opened.description.encoding.ring
    counts, _ = np.histogram(words.astype(np.float64) / 2.0**ring.bits, bins=BINS, range=(0.0, 1.0))
    return Share(
        aggregator=name,
        organisation=opened.roster.member(name).organisation,  # type: ignore[arg-type]  # it stands in the signed description
        histogram=Histogram(low=0.0, high=1.0, counts=tuple(int(count) for count in counts)),
        chi_square=uniformity(counts),
        correlation=_correlation(ring.center(words).astype(np.float64), ring.center(encoded).astype(np.float64)),
    )


def _correlation(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    if left.std() == 0 or right.std() == 0:
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])


def uniformity(counts: NDArray[np.int64]) -> float:
    """p-value of Pearson's chi-square test that `counts` come from equal bins.

    The tail by the cube-root normal approximation of Wilson and Hilferty (PNAS 17, 1931), better than 0.002 for 20 bins or more.
    """
    expected, freedom = counts.sum() / len(counts), len(counts) - 1
    statistic = float(((counts - expected) ** 2).sum() / expected)
    spread = 2.0 / (9.0 * freedom)
    return 0.5 * erfc(((statistic / freedom) ** (1 / 3) - (1.0 - spread)) / sqrt(2.0 * spread))


def _update_histogram(values: NDArray[np.float32]) -> Histogram:
    """Between the 0.1 % smallest and largest magnitudes: the rest would only squeeze the picture."""
    reach = float(np.quantile(np.abs(values), 0.999)) or 1.0
    counts, _ = np.histogram(values, bins=BINS, range=(-reach, reach))
    return Histogram(low=-reach, high=reach, counts=tuple(int(count) for count in counts))
