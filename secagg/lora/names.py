"""Which part of an adapter a tensor is, read from the name that peft gives it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Part(Enum):
    """What a tensor does in W + s·B·A (Hu et al. 2021, arXiv:2106.09685)."""

    A = "A"
    """The factor that reads the input: rank × in. Random at the start, so every party needs the same one."""
    B = "B"
    """The factor that writes the output: out × rank. Zero at the start."""
    CORE = "core"
    """Fed-SB's R: rank × rank, the only trained part of B = basis · R."""
    BASIS = "basis"
    """Fed-SB's fixed left factor: out × rank."""
    MAGNITUDE = "magnitude"
    """DoRA's column norms: hundreds of times a LoRA entry."""
    PROJECTION = "projection"
    """A random projection that peft draws from a seed and never trains (VeRA, PVeRA, RandLoRA, FRoD)."""
    FULL = "full"
    """A whole module that is trained and saved: a classifier, an `lm_head`, an embedding (`modules_to_save`)."""
    OTHER = "other"
    """A trained tensor of another peft method."""


_MARKS: tuple[tuple[Part, re.Pattern[str]], ...] = (
    (Part.CORE, re.compile(r"\.lora_B\.core\.weight$")),
    (Part.BASIS, re.compile(r"\.lora_B\.basis\.weight$")),
    (Part.A, re.compile(r"\.lora_(A\.weight|embedding_A)$")),
    (Part.B, re.compile(r"\.lora_(B\.weight|embedding_B)$")),
    (Part.MAGNITUDE, re.compile(r"\.lora_magnitude_vector$")),
    (Part.PROJECTION, re.compile(r"(^|\.)(vera|pvera|randlora|frod)_[ABV]$")),
)
_TUNER_TENSOR = re.compile(
    r"(lora|ia3|fourierft|shira|miss|vera|pvera|hada|lokr|oft|boft|hra|vblora|randlora|c3a|waveft|delora|gralora|hira|road|psoft|"
    r"beft|adamss|tinylora|unilora|deft|frod|glora|lily|osf|peanut|poly|supertuning)_\w+(\.|$)|"
    r"\.ln_tuning_layers\.|trainable_tokens_delta|^prompt_embeddings$"
)


def part(name: str) -> Part:
    """The part that the tensor `name` of a peft state dict plays."""
    for kind, mark in _MARKS:
        if mark.search(name):
            return kind
    return Part.OTHER if _TUNER_TENSOR.search(name) else Part.FULL


@dataclass(frozen=True, slots=True)
class Pair:
    """The names of the two factors of one adapted matrix."""

    stem: str
    a: str
    b: str


def pairs(names: Iterable[str]) -> list[Pair]:
    """The matrices of which both factors are in `names`, sorted by stem."""
    present = set(names)
    found = []
    for a in sorted(present):
        b = re.sub(r"lora_(embedding_)?A", r"lora_\1B", a)
        if part(a) is Part.A and b in present:
            stem = re.sub(r"\.lora_(embedding_)?A(\.weight)?$", "", a)
            found.append(Pair(stem, a, b))
    return found
