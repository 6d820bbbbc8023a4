"""A peft configuration as bytes that two parties can compare: everything that gives the tensors their meaning, nothing local."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

from peft import PeftConfig

from secagg.errors import ConfigError

_LOCAL: Mapping[str, str] = {
    "base_model_name_or_path": "a folder of this machine, or a name without a revision: the base hash says which weights they are",
    "revision": "the same",
    "auto_mapping": "Python class paths, which differ between library versions",
    "peft_version": "filled in by peft; it does not change what a tensor means, and a patch release should not part the parties",
    "inference_mode": "set by how the adapter was loaded",
    "task_type": "chooses the wrapper class; what it adds shows in modules_to_save",
    "runtime_config": "where tensors are kept while computing",
    "cache_file": "a path",
    "covariance_file": "a path",
    "verbose": "output",
}
"""Fields that are left out, and why. Any `…dropout` is left out too: it is one party's regularisation, like its learning rate."""

_SETS = (
    "target_modules",
    "exclude_modules",
    "modules_to_save",
    "layers_to_transform",
    "layers_pattern",
    "target_parameters",
    "feedforward_modules",
)
"""Lists whose order means nothing."""


def canonical_config(config: PeftConfig, *, padded_rank: int | None = None) -> bytes:
    """Canonical JSON (UTF-8, sorted keys, no spaces) of what the tensors of an adapter do not show.

    Rank, alpha, rsLoRA, patterns, targets, bias, saved modules, initialisation, method: two adapters with equal tensors and another
    alpha are different models. Fields of `_LOCAL` are left out with the reason given there.

    `padded_rank`: the parties have ranks of their own, padded to this one (`PaddedRanks`). The rank is then replaced by it, and alpha
    by the factor that it stands for (alpha / r, or alpha / sqrt(r) with rsLoRA), because B·A is averaged under one factor only.

    Raises:
        ConfigError: a value that JSON cannot hold exactly, or `padded_rank` with rank or alpha patterns.
    """
    fields = config.to_dict()
    if padded_rank is not None:
        fields = _padded(fields, padded_rank)
    meaning = {name: _plain(name, value) for name, value in fields.items() if not _is_local(name)}
    return json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _is_local(name: str) -> bool:
    return name in _LOCAL or name.endswith("dropout")


def _padded(fields: Mapping[str, Any], rank: int) -> dict[str, Any]:
    if fields.get("rank_pattern") or fields.get("alpha_pattern"):
        raise ConfigError("padded ranks need one rank for all modules of a party: drop rank_pattern and alpha_pattern")
    own = int(fields["r"])
    if own > rank:
        raise ConfigError(f"rank {own} does not fit into padded rank {rank}: raise the round's rank or lower this party's")
    scale = fields["lora_alpha"] / (math.sqrt(own) if fields["use_rslora"] else own)
    return {**fields, "r": rank, "lora_alpha": None, "use_rslora": None, "scaling": float(scale)}


def _plain(name: str, value: object) -> object:
    """`value` as JSON types; raises ConfigError for what has no exact JSON form."""
    match value:
        case Enum():
            return _plain(name, value.value)
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            # 8 and 8.0 are one alpha, though JSON writes them differently.
            return int(value) if value.is_integer() else value
        case set() | frozenset():
            return sorted((_plain(name, item) for item in value), key=json.dumps)
        case list() | tuple():
            items = [_plain(name, item) for item in value]
            return sorted(items, key=json.dumps) if name in _SETS else items
        case Mapping():
            return {str(key): _plain(str(key), item) for key, item in value.items() if not _is_local(str(key))}
    if hasattr(value, "to_dict"):
        return _plain(name, value.to_dict())
    raise ConfigError(f"the adapter configuration's {name} is a {type(value).__name__}: it has no form that parties could compare")
