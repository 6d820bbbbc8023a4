"""Whether all parties start from the same place: the initialisation, and the initial adapter itself."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

from peft import PeftConfig
from torch import nn

from secagg.errors import ConfigError
from secagg.lora.fingerprint import adapter_digest, base_hash
from secagg.lora.state import Tensors, adapter_state, peft_config, unwrap

_CHANGES_BASE: Mapping[str, str] = {
    "pissa": "takes its factors out of the base weights by SVD",
    "olora": "takes its factors out of the base weights by QR",
    "loftq": "replaces the base weights by quantised ones",
    "corda": "takes its factors out of the base weights, oriented by activations on local data",
    "lora_ga": "takes its factors out of the base weights, oriented by gradients on local data",
}
_READS_LOCAL_DATA: Mapping[str, str] = {
    "eva": "is computed from activations on local data (and moves ranks between layers)",
    "corda": _CHANGES_BASE["corda"],
    "lora_ga": _CHANGES_BASE["lora_ga"],
}


def _initialisation(config: PeftConfig) -> str:
    """`pissa_niter_16` is a PiSSA; a bool or None is a plain start."""
    value = getattr(config, "init_lora_weights", None)
    name = value.lower() if isinstance(value, str) else ""
    return "pissa" if name.startswith("pissa") else name


def check_initialisation(model: nn.Module, *, agreed_base: bytes | None = None, agreed_start: bytes | None = None) -> None:
    """Refuse an initialisation that leaves the parties with different models under equal tensor names.

    PiSSA, OLoRA, LoftQ, CorDA and LoRA-GA rewrite the base weights, so the mean of adapters fits nobody's base unless all parties hold
    the rewritten base: they pass when `agreed_base` is this model's `base_hash`. EVA, CorDA and LoRA-GA look at local data, so each party
    would start elsewhere (and the start would speak of the data): they pass when `agreed_start` is the digest of this initial adapter.

    Raises:
        ConfigError: which initialisation, why, and what to do.
    """
    inner = unwrap(model)
    name = _initialisation(peft_config(inner))
    if name in _CHANGES_BASE and not _agrees(agreed_base, lambda: base_hash(inner)):
        raise ConfigError(
            f"init_lora_weights={name!r} {_CHANGES_BASE[name]}: initialise once, give the rewritten base (model.unload()) "
            "to every party and pass agreed_base=base_hash(model); or use init_lora_weights=True"
        )
    if name in _READS_LOCAL_DATA and not _agrees(agreed_start, lambda: adapter_digest(adapter_state(inner))):
        raise ConfigError(
            f"init_lora_weights={name!r} {_READS_LOCAL_DATA[name]}: one party initialises on data that it may publish "
            "and sends its adapter to all, who pass agreed_start=adapter_digest(adapter_state(model)); or use init_lora_weights=True"
        )


def _agrees(agreed: bytes | None, own: Callable[[], bytes]) -> bool:
    """The hash is computed only where there is something to compare it with."""
    return agreed is not None and hmac.compare_digest(agreed, own())


def check_same_start(state: Tensors, agreed: bytes) -> None:
    """Refuse to train from an adapter (or a classifier head) that this party drew for itself.

    A is random at the start: with another A at each party the mean of the B speaks of directions that no party has. The first round
    broadcasts one initial adapter; `agreed` is its `adapter_digest`, which travels with the round's description.

    Raises:
        ConfigError: `state` is not the agreed adapter.
    """
    if not hmac.compare_digest(adapter_digest(state), agreed):
        raise ConfigError(
            f"this party's initial adapter is not the agreed one ({adapter_digest(state).hex()[:12]}…, agreed {agreed.hex()[:12]}…): "
            "load the broadcast initial adapter with load_adapter(model, state) before the first training step"
        )
