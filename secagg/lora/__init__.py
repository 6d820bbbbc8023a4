"""peft adapters under a secure sum: state dicts in and out, and what to aggregate and how.

```
model ── adapter_state ──> state ── rule.outgoing(old, new) ──> what is summed ──┐
                                                                                 │  the protocol: only the mean opens
model <── load_adapter ── state <── rule.incoming(old, mean) ── mean ────────────┘
```
`adapter_layout` binds the tensors, the adapter's configuration and the frozen weights into one digest, so parties that would
average apples with oranges are refused before anything is sent. Nothing here knows a round's messages or a network.
torch and peft are loaded by the first name that is used, not by `import secagg.lora`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secagg.lora.average import FFA, FedIT, FedSA, RoLoRA
    from secagg.lora.canonical import canonical_config
    from secagg.lora.change import apply_delta, delta
    from secagg.lora.fedsb import FedSB, attach_cores
    from secagg.lora.fingerprint import adapter_digest, base_hash
    from secagg.lora.first import save_first
    from secagg.lora.layout import adapter_layout, scale_groups
    from secagg.lora.linearity import Linearity, averaging_error
    from secagg.lora.product import ExactProduct
    from secagg.lora.ranks import PaddedRanks, truncate
    from secagg.lora.rule import Rule
    from secagg.lora.rules import find_rule, freeze
    from secagg.lora.start import check_initialisation, check_same_start
    from secagg.lora.state import adapter_state, load_adapter

_HOME = {
    "FFA": "average",
    "FedIT": "average",
    "FedSA": "average",
    "FedSB": "fedsb",
    "ExactProduct": "product",
    "Linearity": "linearity",
    "PaddedRanks": "ranks",
    "RoLoRA": "average",
    "Rule": "rule",
    "adapter_digest": "fingerprint",
    "adapter_layout": "layout",
    "adapter_state": "state",
    "apply_delta": "change",
    "attach_cores": "fedsb",
    "averaging_error": "linearity",
    "base_hash": "fingerprint",
    "canonical_config": "canonical",
    "check_initialisation": "start",
    "check_same_start": "start",
    "delta": "change",
    "find_rule": "rules",
    "freeze": "rules",
    "load_adapter": "state",
    "save_first": "first",
    "scale_groups": "layout",
    "truncate": "ranks",
}

__all__ = [
    "FFA",
    "ExactProduct",
    "FedIT",
    "FedSA",
    "FedSB",
    "Linearity",
    "PaddedRanks",
    "RoLoRA",
    "Rule",
    "adapter_digest",
    "adapter_layout",
    "adapter_state",
    "apply_delta",
    "attach_cores",
    "averaging_error",
    "base_hash",
    "canonical_config",
    "check_initialisation",
    "check_same_start",
    "delta",
    "find_rule",
    "freeze",
    "load_adapter",
    "save_first",
    "scale_groups",
    "truncate",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'secagg.lora' has no attribute {name!r}")
    return getattr(importlib.import_module(f"secagg.lora.{_HOME[name]}"), name)
