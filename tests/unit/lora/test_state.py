"""An adapter leaves a model as copies, and enters it whole, checked, or not at all."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import pytest
import torch
from opacus import GradSampleModule
from peft import LoraConfig, PromptTuningConfig, ShiraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from torch import nn

from secagg.errors import ConfigError
from secagg.lora import adapter_state, load_adapter
from secagg.lora.state import aliases, l2_norm, live_tensors
from tests.unit.lora.models import FAMILIES, adapted, batch, gpt2, llama, nudged, with_adapter


def test_importing_the_package_loads_no_torch() -> None:
    code = "import secagg, secagg.lora, sys; assert not {'torch', 'peft', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_state_survives_the_way_out_and_in(family: str) -> None:
    model, other = adapted(family), adapted(family, seed=1)
    load_adapter(model, trained := nudged(adapter_state(model), 7))
    load_adapter(other, adapter_state(model))
    read = adapter_state(other)
    assert list(read) == sorted(trained)
    assert all(torch.equal(read[name], trained[name]) for name in trained)
    model(**batch(family))


def test_pefts_values_alias_live_parameters_and_ours_do_not() -> None:
    model = adapted()
    theirs, ours = get_peft_model_state_dict(model), adapter_state(model)
    before = {name: value.clone() for name, value in ours.items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert not any(torch.equal(theirs[name], before[name]) for name in before)
    assert all(torch.equal(ours[name], before[name]) for name in before)


def test_the_hub_is_not_asked_about_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", lambda name, *_: asked.append(name))
    model = adapted()
    model.peft_config["default"].base_model_name_or_path = "someone/some-model"
    adapter_state(model)
    assert asked == []
    with pytest.warns(UserWarning, match="config file"):
        get_peft_model_state_dict(model)  # what "auto" does, so that this test can fail
    assert asked == ["someone/some-model"]


@pytest.mark.filterwarnings("ignore")
def test_wrapped_models_give_the_state_of_the_model_inside() -> None:
    model = adapted("bert", task_type="SEQ_CLS")
    expected = adapter_state(model)
    assert any(name.endswith("classifier.weight") for name in expected)
    for wrapped in (GradSampleModule(model), torch.compile(model)):
        assert isinstance(wrapped, nn.Module)
        assert adapter_state(wrapped).keys() == expected.keys()
        load_adapter(wrapped, nudged(expected, 3))
    assert torch.equal(
        adapter_state(model)["base_model.model.classifier.weight"], nudged(expected, 3)["base_model.model.classifier.weight"]
    )


def test_a_model_without_an_adapter_is_refused() -> None:
    with pytest.raises(ConfigError, match="get_peft_model"):
        adapter_state(llama())


def test_an_empty_state_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secagg.lora.state.get_peft_model_state_dict", lambda *_, **__: {})
    with pytest.raises(ConfigError, match="holds no tensor: peft matched no module"):
        adapter_state(adapted())


def test_several_active_adapters_are_refused() -> None:
    model = adapted()
    model.add_adapter("second", LoraConfig(r=2, target_modules=["q_proj"]))
    tuner: Any = model.base_model
    tuner.set_adapter(["default", "second"])
    with pytest.raises(ConfigError, match="2 adapters are active"):
        adapter_state(model)


def test_an_adapter_of_any_name_has_the_same_tensor_names() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        named = with_adapter(llama(), LoraConfig(r=2, target_modules=["q_proj", "v_proj"]), adapter_name="energy")
    assert adapter_state(named).keys() == adapter_state(adapted()).keys()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("options", "tied"),
    [
        ({"modules_to_save": ["wte", "lm_head"]}, {"base_model.model.transformer.wte.weight": "base_model.model.lm_head.weight"}),
        (
            {"target_modules": ["wte", "lm_head"]},
            {
                "base_model.model.transformer.wte.lora_embedding_A": "base_model.model.lm_head.lora_B.weight",
                "base_model.model.transformer.wte.lora_embedding_B": "base_model.model.lm_head.lora_A.weight",
            },
        ),
    ],
)
def test_tied_weights_appear_once_and_are_loaded_together(options: dict[str, Any], tied: dict[str, str]) -> None:
    model = adapted("gpt2", ensure_weight_tying=True, **options)
    state = adapter_state(model)
    assert aliases(live_tensors(model)) == tied
    assert not tied.keys() & state.keys()
    load_adapter(model, trained := nudged(state, 5))
    live = live_tensors(model)
    for alias, kept in tied.items():
        assert torch.equal(live[alias] if live[alias].shape == trained[kept].shape else live[alias].T, trained[kept])


def _name(state: dict[str, torch.Tensor]) -> str:
    return sorted(state)[1]


def _missing(state: dict[str, torch.Tensor]) -> None:
    del state[_name(state)]


def _unknown(state: dict[str, torch.Tensor]) -> None:
    state["base_model.model.stranger"] = torch.zeros(2)


def _nan(state: dict[str, torch.Tensor]) -> None:
    state[_name(state)][0, 0] = float("nan")


def _infinite(state: dict[str, torch.Tensor]) -> None:
    state[_name(state)][0, 0] = float("inf")


def _shape(state: dict[str, torch.Tensor]) -> None:
    state[_name(state)] = state[_name(state)].T


def _dtype(state: dict[str, torch.Tensor]) -> None:
    state[_name(state)] = state[_name(state)].double()


SPOILED = [(_missing, "1 missing"), (_unknown, "1 unknown"), (_nan, "NaN"), (_infinite, "infinity"), (_shape, "shape"), (_dtype, "float64")]


@pytest.mark.parametrize(("spoil", "reason"), SPOILED)
def test_a_spoiled_state_is_refused_and_the_model_stays_as_it_was(spoil: Any, reason: str) -> None:
    model = adapted()
    before = adapter_state(model)
    spoil(state := nudged(before, 1))
    with pytest.raises(ConfigError, match=reason):
        load_adapter(model, state)
    after = adapter_state(model)
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("spoil", [_missing, _unknown, _nan, _dtype])
def test_peft_itself_accepts_what_we_refuse(spoil: Any) -> None:
    model = adapted()
    spoil(state := adapter_state(model))
    set_peft_model_state_dict(model, state)


def test_a_state_above_the_norm_bound_is_refused() -> None:
    model = adapted()
    state = nudged(adapter_state(model), 1)
    load_adapter(model, state, max_norm=l2_norm(state))
    with pytest.raises(ConfigError, match="L2 norm"):
        load_adapter(model, state, max_norm=0.9 * l2_norm(state))


def test_a_load_that_fails_half_way_puts_the_old_adapter_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted()
    before = adapter_state(model)
    copies = iter([True, True, False])
    real = torch.Tensor.copy_

    def failing(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if not next(copies, True):
            raise RuntimeError("the device is gone")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "copy_", failing)
    with pytest.raises(RuntimeError, match="device is gone"):
        load_adapter(model, nudged(before, 1))
    after = adapter_state(model)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_state_that_does_not_read_back_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted()
    before = adapter_state(model)
    lost = _name(before)

    def forgetful(target: nn.Module, state: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in live_tensors(target).items():
                if name != lost:
                    tensor.copy_(state[name])

    monkeypatch.setattr("secagg.lora.state._write", forgetful)
    with pytest.raises(ConfigError, match=f"{lost} does not read back"):
        load_adapter(model, nudged(before, 1))
    after = adapter_state(model)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_bf16_adapter_keeps_its_dtype() -> None:
    model = with_adapter(llama().to(torch.bfloat16), LoraConfig(r=2, target_modules=["q_proj"]), autocast_adapter_dtype=False)
    state = adapter_state(model)
    assert {value.dtype for value in state.values()} == {torch.bfloat16}
    load_adapter(model, nudged(state, 1))
    with pytest.raises(ConfigError, match="bfloat16 expected"):
        load_adapter(model, {name: value.float() for name, value in state.items()})


def test_index_tensors_stay_behind() -> None:
    model = with_adapter(llama(), ShiraConfig(r=2, target_modules=["q_proj"]))
    assert [name.rsplit(".", 1)[1] for name in adapter_state(model)] == ["shira_weight"]
    load_adapter(model, nudged(adapter_state(model), 1))


def test_prompts_go_out_and_in() -> None:
    torch.manual_seed(0)
    model = with_adapter(llama(), PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"))
    load_adapter(model, trained := nudged(adapter_state(model), 1))
    assert torch.equal(adapter_state(model)["prompt_embeddings"], trained["prompt_embeddings"])


def test_an_embedding_adapter_goes_out_and_in() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = with_adapter(gpt2(), LoraConfig(r=2, target_modules=["wpe"]))
    load_adapter(model, nudged(adapter_state(model), 1))
    assert list(adapter_state(model)) == [f"base_model.model.transformer.wpe.lora_embedding_{factor}" for factor in "AB"]
