"""The layout of what an adapter sends, bound to all that its tensors do not show, and small enough to mean it."""

from __future__ import annotations

import hashlib

from torch import nn

from secagg.encode.layout import Layout
from secagg.errors import ConfigError
from secagg.lora.canonical import canonical_config
from secagg.lora.fingerprint import adapter_digest, base_hash
from secagg.lora.names import Part, part
from secagg.lora.rule import Rule
from secagg.lora.start import check_initialisation
from secagg.lora.state import Tensors, adapter_state, live_tensors, peft_config, unwrap

MAX_VALUES = 64_000_000
"""Rank 64 on all linear layers of a 3-billion-parameter model, or rank 16 of a 14-billion one; a full `lm_head` goes past it."""

_GROUPS = {Part.MAGNITUDE: "magnitude", Part.FULL: "full"}


def scale_groups(state: Tensors) -> dict[str, str]:
    """The tensors that are clipped and scaled apart from the factors: DoRA's into `magnitude`, saved modules into `full`.

    One scale for all would let a head's step set the grid of the factors, which are far smaller, and round them to zero.
    The tensors that are not named here stay together in the layout's unnamed group.
    """
    return {name: _GROUPS[kind] for name in sorted(state) if (kind := _part_of_sent(name)) in _GROUPS}


def _part_of_sent(name: str) -> Part:
    """Products and sketches stand for factors."""
    return Part.OTHER if name.endswith((".product", ".product.range", ".product.corange")) else part(name)


def adapter_layout(
    model: nn.Module,
    *,
    rule: Rule | None = None,
    round: int = 0,
    base: bytes | None = None,
    agreed_base: bytes | None = None,
    agreed_start: bytes | None = None,
    padded_rank: int | None = None,
    max_values: int = MAX_VALUES,
) -> Layout:
    """The layout of what `rule` sends of this model's adapter in `round` (without a rule: of the whole adapter).

    Its digest covers names, shapes, dtypes and order, the adapter's canonical configuration, the frozen base weights, the rule, and the
    index tensors that some methods keep (SHiRA): parties that differ in one of them are refused before anything is sent.

    Args:
        base: `base_hash(model)` where the caller keeps it; computed here otherwise, one pass over the weights.
        agreed_base: the hash that all parties agreed on, for initialisations that rewrite the base (`check_initialisation`).
        agreed_start: the digest of the agreed initial adapter, for initialisations that look at local data.
        padded_rank: the common rank where the parties' own ranks differ (`PaddedRanks`).
        max_values: most numbers that a party may send; above it the layout is refused and shown, largest tensors first.

    Raises:
        ConfigError: no adapter, a refused initialisation, or a layout over its budget.
    """
    inner = unwrap(model)
    check_initialisation(inner, agreed_base=agreed_base, agreed_start=agreed_start)
    old = adapter_state(inner)
    state = old if rule is None else rule.outgoing(old, old, round)
    check_budget(state, max_values)
    binding = {
        "adapter-config": canonical_config(peft_config(inner), padded_rank=padded_rank),
        "base-weights": base if base is not None else base_hash(inner),
        "rule": b"" if rule is None else hashlib.sha256(repr(rule).encode()).digest(),
        "indices": adapter_digest({name: tensor for name, tensor in live_tensors(inner).items() if not tensor.is_floating_point()}),
    }
    return Layout.of(state, binding=binding, groups=scale_groups(state))


def check_budget(state: Tensors, max_values: int) -> None:
    """Refuse a state with more than `max_values` numbers, and say which tensors make it large."""
    total = sum(tensor.numel() for tensor in state.values())
    if total <= max_values:
        return
    largest = sorted(state, key=lambda name: -state[name].numel())[:5]
    shown = "; ".join(f"{name} ({part(name).value}) {tuple(state[name].shape)} = {state[name].numel():,}" for name in largest)
    raise ConfigError(
        f"the adapter sends {total:,} values, {max_values:,} are allowed. Largest: {shown}. Whole heads, lm_head and embeddings come from "
        "modules_to_save (task_type SEQ_CLS adds the classifier): adapt them with LoRA, leave them out, or raise max_values"
    )
