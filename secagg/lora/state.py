"""The adapter out of a model and back into it: copies out, and in only what passed every check.

peft's own pair `get_peft_model_state_dict` / `set_peft_model_state_dict` hands out aliases of live parameters, asks a hub about the
vocabulary, and loads NaN, missing and unknown tensors in silence. These two functions close those holes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from torch import nn

from secagg.errors import ConfigError

State: TypeAlias = dict[str, torch.Tensor]
"""Tensors by peft's names."""

Tensors: TypeAlias = Mapping[str, torch.Tensor]
"""The same, to be read only."""

_WRAPPERS = ("_orig_mod", "_module", "module")
"""Where torch.compile, Opacus (`GradSampleModule`) and DistributedDataParallel keep the model that they wrap."""


def unwrap(model: nn.Module) -> nn.Module:
    """The model that carries the adapter, from inside any wrappers. Raises ConfigError where there is none.

    Wrappers pass `peft_config` on, but put their own name before every tensor's, so they come off first.
    """
    inner = model
    while not isinstance(inner, PeftModel) and (wrapped := _wrapped(inner)) is not None:
        inner = wrapped
    if not getattr(inner, "peft_config", None):
        raise ConfigError(f"{type(model).__name__} carries no peft adapter: wrap it with peft.get_peft_model(model, config) first")
    return inner


def _wrapped(model: nn.Module) -> nn.Module | None:
    return next((child for name, child in model.named_children() if name in _WRAPPERS), None)


def adapter_name(model: nn.Module) -> str:
    """The one adapter that is active; several at once are refused, because it is then not clear which one is meant."""
    active = getattr(model, "active_adapters", None)
    names = list(active() if callable(active) else active or ["default"])
    if len(names) != 1:
        raise ConfigError(f"{len(names)} adapters are active ({', '.join(names)}): choose one with model.set_adapter(name)")
    return cast(str, names[0])


def peft_config(model: nn.Module) -> PeftConfig:
    """The configuration of the active adapter; `model` must be unwrapped."""
    return cast("dict[str, PeftConfig]", model.peft_config)[adapter_name(model)]


def live_tensors(model: nn.Module) -> State:
    """The adapter's tensors by peft's names, sorted, still aliases of the parameters; `model` must be unwrapped.

    `save_embedding_layers=False`: "auto" asks the model hub whether the vocabulary was resized, and would add the whole embedding.
    """
    adapter = adapter_name(model)
    found = get_peft_model_state_dict(model, adapter_name=adapter, save_embedding_layers=False)
    # peft takes its own name for the adapter off the end of a key only; Fed-SB's cores have it one step further in.
    renamed = {name.replace(f".lora_B.{adapter}.", ".lora_B."): tensor for name, tensor in found.items()}
    return {name: renamed[name] for name in sorted(renamed)}


def aliases(live: Tensors) -> dict[str, str]:
    """Tensors that are the same memory as one before them: name to the name that is kept (weight tying, also transposed)."""
    first: dict[tuple[int, int, int], str] = {}
    tied = {}
    for name in sorted(live):
        tensor = live[name]
        memory = (tensor.untyped_storage().data_ptr(), int(tensor.storage_offset()), tensor.numel())
        if tensor.numel() and memory in first:
            tied[name] = first[memory]
        else:
            first[memory] = name
    return tied


def _kept(live: State) -> State:
    """Real-valued, one alias of each: what can be averaged. Index tensors (SHiRA's) are the same everywhere and stay where they are."""
    tied = aliases(live)
    return {name: tensor for name, tensor in live.items() if tensor.is_floating_point() and name not in tied}


def adapter_state(model: nn.Module) -> State:
    """The adapter of a peft model as copies on the CPU, in the parameters' dtypes, sorted by name.

    Works through torch.compile, Opacus and DDP wrappers. Weights that are tied appear once, under the first of their names.

    Raises:
        ConfigError: no adapter, several active adapters, or an adapter without a single real-valued tensor.
    """
    inner = unwrap(model)
    state = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in _kept(live_tensors(inner)).items()}
    if not state:
        raise ConfigError(
            f"the adapter of {type(inner).__name__} holds no tensor: peft matched no module, or the names of a wrapper hide it; "
            "compare target_modules with model.named_modules() and pass the model that get_peft_model returned"
        )
    return state


def _listed(word: str, names: Sequence[str]) -> str:
    return f"{len(names)} {word}" + (f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else "")


def _check_names(expected: Tensors, given: Tensors) -> None:
    missing, unknown = sorted(expected.keys() - given.keys()), sorted(given.keys() - expected.keys())
    if missing or unknown:
        raise ConfigError(
            f"not this adapter: {_listed('missing', missing)}, {_listed('unknown', unknown)}; "
            "build both models with the same peft configuration"
        )


def check_state(expected: Tensors, given: Tensors, *, max_norm: float | None = None) -> None:
    """Refuse a state that is not like `expected`: other names, shapes or dtypes, NaN or infinity, an L2 norm above `max_norm`."""
    _check_names(expected, given)
    for name, tensor in expected.items():
        value = given[name]
        if value.shape != tensor.shape:
            raise ConfigError(f"{name} has shape {tuple(value.shape)}, {tuple(tensor.shape)} expected: another rank or another base model")
        if value.dtype != tensor.dtype:
            raise ConfigError(f"{name} is {value.dtype}, {tensor.dtype} expected: cast with value.to({tensor.dtype}) where that is meant")
        if not bool(torch.isfinite(value).all()):
            raise ConfigError(f"{name} holds NaN or infinity: the training that made it diverged; keep the adapter of the round before")
    if max_norm is not None and not (norm := l2_norm(given)) <= max_norm:
        raise ConfigError(f"the adapter has L2 norm {norm:.4g}, at most {max_norm:.4g} is allowed: refused as a broken or hostile state")


def l2_norm(state: Tensors) -> float:
    """The L2 norm of all tensors together, accumulated in float64."""
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in state.values()))


def load_adapter(model: nn.Module, state: Tensors, *, max_norm: float | None = None) -> None:
    """Put `state` into the adapter of `model`: all of it, or nothing.

    Names, shapes, dtypes, finiteness and the norm are checked first; the model is read back after; on any difference the old
    adapter is restored. Tied weights follow the name that is kept. `max_norm` bounds the L2 norm of the whole state.

    Raises:
        ConfigError: which tensor differs and how. The model is as it was.
    """
    inner = unwrap(model)
    before = adapter_state(inner)
    check_state(before, state, max_norm=max_norm)
    try:
        _write(inner, state)
        written = adapter_state(inner)
    except BaseException:
        _write(inner, before)
        raise
    if wrong := [name for name in before if not torch.equal(written[name], state[name].detach().cpu())]:
        _write(inner, before)
        raise ConfigError(
            f"{wrong[0]} does not read back as it was written: this peft method derives its state and cannot be loaded while it trains"
        )


def _write(model: nn.Module, state: Tensors) -> None:
    """Through the aliases that peft hands out: it keeps devices and ties, and needs none of peft's renaming."""
    if peft_config(model).is_prompt_learning:  # prompts are copies, so peft has to put them back
        set_peft_model_state_dict(model, dict(state), adapter_name=adapter_name(model))
        return
    with torch.no_grad():
        for key, tensor in _kept(live_tensors(model)).items():
            tensor.copy_(state[key])
