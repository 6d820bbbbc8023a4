"""What DP-SGD refuses to train, with the reason and the way out, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from secagg.errors import ConfigError
from secagg.lora.state import live_tensors, unwrap


def check_model(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are trained, once the model is one that can be trained with a guarantee.

    Raises:
        ConfigError: all that is wrong with it, each with the reason and the fix.
    """
    if problems := list(_problems(model)):
        listed = "; ".join(problems)
        raise ConfigError(f"this model cannot be trained with differential privacy: {listed}")
    return trained(model)


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that require gradients, each once."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _problems(model: nn.Module) -> Iterator[str]:
    yield from _wrapped(model)
    yield from _modules(model)
    yield from _parameters(model)


def _wrapped(model: nn.Module) -> Iterator[str]:
    inner = unwrap(model)  # refuses a model without an adapter
    if inner is not model:
        yield (
            f"it is wrapped in {type(model).__name__}, which has hooks or a compiled copy of its own: pass the peft model itself, and"
            " without Opacus' PrivacyEngine, torch.compile or DistributedDataParallel"
        )


def _modules(model: nn.Module) -> Iterator[str]:
    # Batch normalisation has one implementation class for all dimensions and for SyncBatchNorm, private in torch but stable.
    coupled = [name for name, module in model.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if coupled:
        yield (
            f"{_named(coupled, 'batch normalisation')} mixes the records of a batch, and its running statistics leave without noise:"
            " replace it by GroupNorm, or fold it into fixed weights (torchvision.ops.FrozenBatchNorm2d) and start from there"
        )
    stepped = [name for name, module in model.named_modules() if getattr(module, "gradient_checkpointing", False)]
    if stepped:
        yield (
            f"gradient checkpointing is on in {len(stepped)} modules: it runs each forward pass twice, which per-sample hooks count twice;"
            " call model.gradient_checkpointing_disable() and save memory with a smaller `at_once`"
        )
    sparse = [name for name, module in model.named_modules() if isinstance(module, nn.Embedding) and module.sparse]
    if sparse:
        yield f"{_named(sparse, 'sparse embedding')} gives gradients that name the tokens of a record: make it with sparse=False"
    weighed = [
        name
        for name, module in model.named_modules()
        if type(module).__name__.startswith("Dora") and next(module.parameters(), None) is not None
    ]
    if weighed:
        yield (
            f"{_named(weighed, 'DoRA')} divides by the norm of the whole weight, for which there are no per-sample gradients: set"
            " use_dora=False"
        )
    tracked = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.InstanceNorm1d | nn.InstanceNorm2d) and module.track_running_stats
    ]
    if tracked:
        yield (
            f"{_named(tracked, 'instance normalisation')} keeps running statistics, which leave without noise:"
            " set track_running_stats=False"
        )


def _parameters(model: nn.Module) -> Iterator[str]:
    names = {name: parameter for name, parameter in model.named_parameters(remove_duplicate=False) if parameter.requires_grad}
    if not names:
        yield "no parameter requires a gradient: peft's `inference_mode` is on, or everything was frozen; make the adapter trainable"
        return
    if tied := _tied(model, names):
        yield (
            f"trainable weights are tied ({', '.join(tied)}): the gradient of a shared weight comes in pieces that are clipped apart; give"
            " each place its own adapter (leave one of them out of target_modules), or freeze the shared weight"
        )
    inner = unwrap(model)
    saved = {tensor.untyped_storage().data_ptr() for tensor in live_tensors(inner).values()}
    if lost := [name for name, parameter in names.items() if parameter.untyped_storage().data_ptr() not in saved]:
        yield (
            f"{_named(lost, 'trained outside of the adapter')} would be lost when the adapter is saved or summed: freeze it"
            " (requires_grad_(False)), or name its module in modules_to_save"
        )
    if half := [name for name, parameter in names.items() if parameter.dtype == torch.float16]:
        yield (
            f"{_named(half, 'float16')} overflows in per-sample gradients: keep the adapter in float32"
            " (autocast_adapter_dtype=True) or bfloat16"
        )


def _tied(model: nn.Module, trainable: dict[str, nn.Parameter]) -> list[str]:
    """Pairs of names for the same memory, of which one is trained."""
    first: dict[tuple[int, int], str] = {}
    pairs = []
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.numel() == 0 or parameter.is_meta:
            continue
        memory = (parameter.untyped_storage().data_ptr(), int(parameter.storage_offset()))
        before = first.setdefault(memory, name)
        if before != name and (name in trainable or before in trainable):
            pairs.append(f"{before} = {name}")
    return pairs


def _named(names: list[str], what: str) -> str:
    return f"{what} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
