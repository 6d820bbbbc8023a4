"""The probe tells from the model itself whether averaging an adapter averages the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import (
    FourierFTConfig,
    IA3Config,
    LoHaConfig,
    LoraConfig,
    MissConfig,
    PeftConfig,
    PromptTuningConfig,
    ShiraConfig,
    VeraConfig,
)

from secagg.errors import ConfigError
from secagg.lora import FFA, FedSB, RoLoRA, Rule, adapter_state, attach_cores, averaging_error, freeze
from tests.unit.lora.models import FAMILIES, adapted, batch, llama, with_adapter

TARGETS: Any = {"target_modules": ["q_proj", "v_proj"]}
EXACT: dict[str, PeftConfig] = {
    "IA3": IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "FourierFT": FourierFTConfig(**TARGETS, n_frequency=8),
    "SHiRA": ShiraConfig(**TARGETS, r=2),
    "MiSS": MissConfig(**TARGETS, r=4),
}
INEXACT: dict[str, PeftConfig] = {
    "LoRA": LoraConfig(**TARGETS, r=2),
    "DoRA": LoraConfig(**TARGETS, r=2, use_dora=True),
    "VeRA": VeraConfig(**TARGETS, r=4),
    "LoHa": LoHaConfig(**TARGETS, r=2),
}


def _model(config: PeftConfig) -> torch.nn.Module:
    torch.manual_seed(0)
    return with_adapter(llama(), config)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # SHiRA's own
@pytest.mark.parametrize("method", EXACT)
def test_methods_that_are_linear_in_what_they_train_pass(method: str) -> None:
    found = averaging_error(_model(EXACT[method]), batch("llama"))
    assert found.exact
    assert found.layers == 2


@pytest.mark.parametrize("method", INEXACT)
def test_methods_that_are_not_fail_by_far(method: str) -> None:
    found = averaging_error(_model(INEXACT[method]), batch("llama"))
    assert not found.exact
    assert found.error > 0.01


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("rule", "round"), [(FFA(), 0), (RoLoRA(), 0), (RoLoRA(), 1)])
def test_one_factor_at_a_time_passes_on_every_model(family: str, rule: Rule, round: int) -> None:
    model = adapted(family)
    assert not averaging_error(model, batch(family)).exact
    freeze(model, rule, round)
    assert averaging_error(model, batch(family)).exact


def test_cores_pass() -> None:
    model = adapted()
    attach_cores(model)
    freeze(model, FedSB(), 0)
    assert averaging_error(model, batch("llama")).exact


def test_a_dora_with_a_frozen_factor_still_fails() -> None:
    model = adapted(use_dora=True)
    freeze(model, FFA(), 0)
    assert not averaging_error(model, batch("llama")).exact


def test_saved_modules_pass_beside_a_frozen_factor() -> None:
    model = adapted("bert", task_type="SEQ_CLS")
    freeze(model, FFA(), 0)
    found = averaging_error(model, batch("bert"))
    assert found.exact
    assert found.layers == 3


def test_the_probe_works_in_bf16_and_leaves_the_model_as_it_was() -> None:
    model = with_adapter(llama().to(torch.bfloat16), LoraConfig(**TARGETS, r=2), autocast_adapter_dtype=False).train()
    before = adapter_state(model)
    freeze(model, FFA(), 0)
    assert averaging_error(model, batch("llama")).exact
    after = adapter_state(model)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_prompts_cannot_be_probed() -> None:
    model = with_adapter(llama(), PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"))
    with pytest.raises(ConfigError, match="prompt methods"):
        averaging_error(model, batch("llama"))


def test_a_batch_that_reaches_no_layer_is_refused() -> None:
    model = adapted("captioner", target_modules=["c_attn"])
    encoder = model.get_submodule("base_model.model")
    encoder.forward = lambda **_: None
    with pytest.raises(ConfigError, match="reaches no adapted layer"):
        averaging_error(model, batch("captioner"))
