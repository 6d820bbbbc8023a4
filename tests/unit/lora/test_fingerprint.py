"""What must be equal at all parties has one digest: the frozen weights, the configuration, the start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, PromptTuningConfig, VeraConfig
from torch import nn

from secagg.errors import ConfigError
from secagg.lora import adapter_digest, adapter_state, base_hash, canonical_config, check_initialisation, check_same_start, load_adapter
from tests.unit.lora.models import FAMILIES, adapted, nudged, with_adapter


def _bare(family: str) -> nn.Module:
    torch.manual_seed(0)
    return FAMILIES[family][0]()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_base_hash_is_that_of_the_bare_model(family: str) -> None:
    assert base_hash(adapted(family)) == base_hash(_bare(family))


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(target_modules=["q_proj"], use_dora=True),
        LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"]),
        LoraConfig(target_modules=["q_proj"], trainable_token_indices=[1, 2]),
        LoraConfig(target_modules=["embed_tokens"]),
        IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
        VeraConfig(target_modules=["q_proj"], r=4),
        PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"),
    ],
    ids=lambda config: f"{config.peft_type.value}-{config.__dict__.get('modules_to_save')}",
)
def test_the_base_hash_does_not_see_the_adapter_or_its_training(config: PeftConfig) -> None:
    expected = base_hash(_bare("llama"))
    model = with_adapter(_bare("llama"), config)
    assert base_hash(model) == expected
    load_adapter(model, nudged(adapter_state(model), 1))
    assert base_hash(model) == expected


def test_trained_biases_are_not_part_of_the_base() -> None:
    model = adapted("bert", bias="all")
    before = base_hash(model)
    assert any(name.endswith(".bias") for name in adapter_state(model))
    load_adapter(model, nudged(adapter_state(model), 1))
    assert base_hash(model) == before


def _change_one_bit(model: nn.Module) -> None:
    weight = next(parameter for name, parameter in model.named_parameters() if "up_proj" in name)
    with torch.no_grad():
        weight.view(-1)[-1] = torch.nextafter(weight.view(-1)[-1], torch.tensor(2.0))


def _rename(model: nn.Module) -> None:
    layers = model.get_submodule("model.layers.0.mlp")
    layers.extra_proj = layers.up_proj
    del layers.up_proj


def _round(model: nn.Module) -> None:
    model.to(torch.bfloat16)


@pytest.mark.parametrize("alter", [_change_one_bit, _rename, _round])
def test_any_other_base_has_another_hash(alter: Callable[[nn.Module], None]) -> None:
    model = _bare("llama")
    before = base_hash(model)
    alter(model)
    assert base_hash(model) != before


def test_a_merged_adapter_is_refused_because_it_is_not_the_base() -> None:
    model = adapted()
    model.merge_adapter()
    with pytest.raises(ConfigError, match="unmerge_adapter"):
        base_hash(model)


def test_long_tensors_are_hashed_in_chunks_to_the_same_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"w": torch.arange(1000, dtype=torch.float32), "s": torch.tensor(3.0)}
    whole = adapter_digest(state)
    monkeypatch.setattr("secagg.lora.fingerprint._CHUNK", 64)
    assert adapter_digest(state) == whole


def test_shapes_of_the_same_bytes_have_different_digests() -> None:
    digests = {adapter_digest({"w": torch.zeros(shape)}) for shape in [(4,), (2, 2), (1, 4), (4, 1)]}
    assert len(digests) == 4


BASE: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}


@pytest.mark.parametrize(
    "meaning",
    [
        {"r": 8},
        {"lora_alpha": 16},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}},
        {"alpha_pattern": {"q_proj": 2}},
        {"target_modules": ["q_proj"]},
        {"bias": "all"},
        {"modules_to_save": ["lm_head"]},
        {"init_lora_weights": "gaussian"},
        {"use_dora": True},
        {"layers_to_transform": [0]},
        {"fan_in_fan_out": True},
        {"trainable_token_indices": [1]},
    ],
)
def test_what_changes_the_meaning_changes_the_configuration(meaning: dict[str, Any]) -> None:
    assert canonical_config(LoraConfig(**{**BASE, **meaning})) != canonical_config(LoraConfig(**BASE))


@pytest.mark.parametrize(
    "local",
    [
        {"base_model_name_or_path": "/home/someone/model"},
        {"revision": "main"},
        {"peft_version": "0.0.1"},
        {"inference_mode": True},
        {"lora_dropout": 0.1},
        {"target_modules": ["v_proj", "q_proj"]},
        {"lora_alpha": 8.0},
        {"task_type": "CAUSAL_LM"},
    ],
)
def test_what_is_local_does_not(local: dict[str, Any]) -> None:
    assert canonical_config(LoraConfig(**{**BASE, **local})) == canonical_config(LoraConfig(**BASE))


def test_the_method_is_part_of_the_configuration() -> None:
    assert b'"peft_type":"IA3"' in canonical_config(IA3Config(target_modules=["k_proj"], feedforward_modules=[]))


def test_padded_ranks_agree_when_the_scaling_does() -> None:
    large, small = LoraConfig(**BASE), LoraConfig(**{**BASE, "r": 2, "lora_alpha": 4})
    assert canonical_config(large) != canonical_config(small)
    assert canonical_config(large, padded_rank=8) == canonical_config(small, padded_rank=8)
    assert canonical_config(large, padded_rank=8) != canonical_config(LoraConfig(**{**BASE, "r": 2}), padded_rank=8)


@pytest.mark.parametrize(("options", "reason"), [({"r": 16}, "does not fit"), ({"rank_pattern": {"q_proj": 2}}, "rank_pattern")])
def test_padded_ranks_refuse_what_cannot_be_padded(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        canonical_config(LoraConfig(**{**BASE, **options}), padded_rank=8)


def test_a_configuration_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match="lora_alpha is a float"):
        canonical_config(LoraConfig(**{**BASE, "lora_alpha": float("nan")}))
    with pytest.raises(ConfigError, match="object"):
        canonical_config(LoraConfig(**{**BASE, "lora_alpha": object()}))


@pytest.mark.parametrize("initialisation", ["pissa", "pissa_niter_4", "olora"])
def test_initialisations_that_rewrite_the_base_need_an_agreed_base(initialisation: str) -> None:
    torch.manual_seed(0)
    model = adapted(target_modules=["q_proj"], init_lora_weights=initialisation)
    assert base_hash(model) != base_hash(_bare("llama"))  # so this test can fail
    with pytest.raises(ConfigError, match="agreed_base"):
        check_initialisation(model)
    with pytest.raises(ConfigError, match="agreed_base"):
        check_initialisation(model, agreed_base=base_hash(_bare("llama")))
    check_initialisation(model, agreed_base=base_hash(model))


def _pretend(model: PeftModel, initialisation: str) -> None:
    """These need data or other libraries to run; what is refused is the configuration."""
    config: Any = model.peft_config["default"]
    config.init_lora_weights = initialisation


@pytest.mark.parametrize(
    ("initialisation", "agreed"),
    [("loftq", "agreed_base"), ("corda", "agreed_base"), ("lora_ga", "agreed_base"), ("eva", "agreed_start")],
)
def test_initialisations_from_data_or_quantisation_are_refused(initialisation: str, agreed: str) -> None:
    model = adapted()
    _pretend(model, initialisation)
    with pytest.raises(ConfigError, match=agreed):
        check_initialisation(model)
    check_initialisation(model, agreed_base=base_hash(model), agreed_start=adapter_digest(adapter_state(model)))


def test_an_agreed_base_does_not_excuse_a_start_from_local_data() -> None:
    model = adapted()
    _pretend(model, "corda")
    with pytest.raises(ConfigError, match="agreed_start"):
        check_initialisation(model, agreed_base=base_hash(model))


@pytest.mark.parametrize("initialisation", [True, False, "gaussian", "orthogonal"])
def test_plain_initialisations_pass(initialisation: bool | str) -> None:
    check_initialisation(adapted(init_lora_weights=initialisation))


def test_every_party_draws_another_a_until_it_loads_the_broadcast_one() -> None:
    first, second = adapted(seed=0), with_adapter(_bare("llama"), LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    agreed = adapter_digest(adapter_state(first))
    assert base_hash(first) == base_hash(second)
    with torch.no_grad():  # as a party that seeds differently would have it
        for name, parameter in second.named_parameters():
            if "lora_A" in name:
                parameter.normal_()
    with pytest.raises(ConfigError, match="broadcast initial adapter"):
        check_same_start(adapter_state(second), agreed)
    load_adapter(second, adapter_state(first))
    check_same_start(adapter_state(second), agreed)


def test_a_classifier_head_that_was_drawn_alone_is_refused() -> None:
    first, second = adapted("bert", task_type="SEQ_CLS"), adapted("bert", task_type="SEQ_CLS")
    agreed = adapter_digest(adapter_state(first))
    check_same_start(adapter_state(second), agreed)
    nn.init.normal_(second.get_submodule("base_model.model.classifier.modules_to_save.default").weight)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not the agreed one"):
        check_same_start(adapter_state(second), agreed)
