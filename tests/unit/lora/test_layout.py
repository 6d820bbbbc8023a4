"""One digest tells whether two parties may average: tensors, configuration, base weights and rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file

from secagg.cli.tensors import read_notes
from secagg.encode.layout import Layout
from secagg.encode.note import difference, found
from secagg.errors import ConfigError
from secagg.lora import (
    FFA,
    ExactProduct,
    FedIT,
    PaddedRanks,
    adapter_digest,
    adapter_layout,
    adapter_state,
    base_hash,
    delta,
    save_first,
    scale_groups,
)
from secagg.lora.rule import Rule
from tests.unit.lora.models import FAMILIES, adapted, llama, nudged, with_adapter


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_parties_have_equal_digests_and_the_vector_comes_back(family: str) -> None:
    model, other = adapted(family), adapted(family)
    layout = adapter_layout(model)
    assert adapter_layout(other).digest == layout.digest
    state = nudged(adapter_state(model), 1)
    restored = layout.restore(layout.flatten(state), like=state)
    assert all(torch.equal(restored[name], state[name]) for name in state)


def test_the_digest_does_not_see_the_values_of_the_adapter() -> None:
    model = adapted()
    before = adapter_layout(model).digest
    with torch.no_grad():
        next(parameter for parameter in model.parameters() if parameter.requires_grad).add_(1)
    assert adapter_layout(model).digest == before


@pytest.mark.parametrize(
    "options", [{"r": 4}, {"lora_alpha": 3}, {"use_rslora": True}, {"seed": 1}, {"target_modules": ["q_proj"]}, {"use_dora": True}]
)
def test_parties_that_differ_are_told_apart(options: dict[str, Any]) -> None:
    assert adapter_layout(adapted(**options)).digest != adapter_layout(adapted()).digest


def test_rules_are_told_apart_and_their_layouts_fit_what_they_send() -> None:
    model = adapted()
    old = adapter_state(model)
    rules: list[Rule] = [FedIT(), FFA(), ExactProduct(parties=2), ExactProduct(parties=3), PaddedRanks(rank=4)]
    layouts = [adapter_layout(model, rule=rule) for rule in rules]
    assert len({layout.digest for layout in layouts}) == len(rules)
    for rule, layout in zip(rules, layouts, strict=True):
        new = nudged(old, 1)
        new = {name: old[name] if not rule.trains(name, 0) else new[name] for name in old}
        assert layout.flatten(rule.outgoing(old, new, 0)).size == layout.size


def test_a_hash_that_the_caller_keeps_is_used() -> None:
    model = adapted()
    assert adapter_layout(model, base=base_hash(model)).digest == adapter_layout(model).digest
    assert adapter_layout(model, base=bytes(32)).digest != adapter_layout(model).digest


@pytest.mark.parametrize(
    ("options", "group", "tensors"), [({"use_dora": True}, "magnitude", 2), ({"modules_to_save": ["lm_head"]}, "full", 1)]
)
def test_magnitudes_and_saved_modules_have_scales_of_their_own(options: dict[str, Any], group: str, tensors: int) -> None:
    model = adapted(**options)
    assert list(scale_groups(adapter_state(model)).values()) == [group] * tensors
    layout = adapter_layout(model)
    assert layout.groups == ("", group)
    assert sum(row.group == group for row in layout.describe()) == tensors


def test_a_classifier_has_a_scale_of_its_own_in_what_a_product_rule_sends() -> None:
    layout = adapter_layout(adapted("bert", task_type="SEQ_CLS"), rule=ExactProduct(parties=2))
    assert {row.name.rsplit(".", 2)[-2]: row.group for row in layout.describe() if "classifier" in row.name} == {"classifier": "full"}
    assert {row.group for row in layout.describe() if "product" in row.name} == {""}


def test_a_layout_over_its_budget_is_refused_and_shown() -> None:
    model = adapted(modules_to_save=["lm_head"])
    with pytest.raises(
        ConfigError, match=r"sends 768 values, 700 are allowed. Largest: base_model.model.lm_head.weight \(full\) \(40, 16\) = 640"
    ):
        adapter_layout(model, max_values=700)
    adapter_layout(model, max_values=768)


def test_a_resized_vocabulary_shows_in_the_base_and_not_in_the_layout() -> None:
    torch.manual_seed(0)
    base = llama()
    base.resize_token_embeddings(41)  # type: ignore[operator]
    model = with_adapter(base, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    plain = adapted()
    assert adapter_layout(model).names == adapter_layout(plain).names
    assert adapter_layout(model).digest != adapter_layout(plain).digest


def test_an_initialisation_that_rewrites_the_base_is_refused() -> None:
    model = adapted(init_lora_weights="pissa")
    with pytest.raises(ConfigError, match="pissa"):
        adapter_layout(model)
    adapter_layout(model, agreed_base=base_hash(model))


def test_ranks_of_their_own_share_one_layout() -> None:
    large, small = adapted(r=4, lora_alpha=8), adapted(r=2, lora_alpha=4)
    rule = PaddedRanks(rank=4)
    digests = {adapter_layout(model, rule=rule, padded_rank=4).digest for model in (large, small)}
    assert len(digests) == 1
    assert len({adapter_layout(model, rule=rule).digest for model in (large, small)}) == 2


def test_the_layout_of_a_change_accepts_bf16_parties() -> None:
    model = with_adapter(llama().to(torch.bfloat16), LoraConfig(r=2, target_modules=["q_proj"]), autocast_adapter_dtype=False)
    old = adapter_state(model)
    layout = adapter_layout(model, rule=FedIT())
    assert set(layout.dtypes) == {"float32"}
    assert isinstance(layout, Layout)
    layout.flatten(delta(nudged(old, 1), old))


def test_the_first_adapter_is_saved_with_the_layout_that_every_party_expects(tmp_path: Path) -> None:
    model = adapted()
    path = tmp_path / "first.safetensors"
    layout = save_first(model, path)
    state = load_file(path)
    assert found(read_notes(path), state) == layout == adapter_layout(model)
    assert adapter_digest(state) == adapter_digest(adapter_state(model))
    assert difference(layout, adapter_layout(adapted(lora_alpha=3))) == "bound facts: adapter-config"
