"""What each rule sends, what the mean becomes, which are exact, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from secagg.errors import ConfigError
from secagg.lora import (
    FFA,
    ExactProduct,
    FedIT,
    FedSA,
    FedSB,
    PaddedRanks,
    RoLoRA,
    Rule,
    adapter_state,
    attach_cores,
    find_rule,
    freeze,
    load_adapter,
    truncate,
)
from secagg.lora.names import Part, pairs, part
from secagg.lora.state import State
from tests.unit.lora.models import adapted, batch, nudged

PARTIES = 3


def _trained(old: State, rule: Rule, round: int, seed: int) -> State:
    moved = nudged(old, seed)
    return {name: moved[name] if rule.trains(name, round) else old[name] for name in old}


def _mean(states: list[State]) -> State:
    return {name: torch.stack([state[name].double() for state in states]).mean(0) for name in states[0]}


def _round(rule: Rule, old: State, round: int = 0) -> tuple[list[State], State]:
    """The parties' states after training, and the next common one (for rules that keep a part: of the first party)."""
    new = [_trained(old, rule, round, seed) for seed in range(1, PARTIES + 1)]
    mean = _mean([rule.outgoing(old, state, round) for state in new])
    return new, rule.incoming(old, mean, round, own=new[0])


def _products(state: State) -> State:
    return {pair.stem: state[pair.b].double() @ state[pair.a].double() for pair in pairs(state)}


def _gap(new: list[State], merged: State) -> float:
    """The largest entry by which the merged product misses the mean of the products."""
    mean, got = _mean([_products(state) for state in new]), _products(merged)
    return max(float((mean[stem] - got[stem]).abs().max()) for stem in mean)


@pytest.fixture
def start() -> State:
    return nudged(adapter_state(adapted()), 0)


def test_fedit_averages_both_factors_and_misses_the_mean_product(start: State) -> None:
    new, merged = _round(FedIT(), start)
    for name, value in _mean(new).items():
        assert torch.allclose(merged[name].double(), value, atol=1e-6)
    assert _gap(new, merged) > 1e-3  # the inexactness that its docstring states


@pytest.mark.parametrize("round", [0, 1])
@pytest.mark.parametrize("exact", [FFA(), RoLoRA()])
def test_one_factor_at_a_time_is_exact(exact: Rule, round: int, start: State) -> None:
    new, merged = _round(exact, start, round)
    assert _gap(new, merged) < 1e-6


def test_rolora_trains_b_first_and_then_a(start: State) -> None:
    sent = [{part(name) for name in RoLoRA().outgoing(start, start, round)} for round in range(4)]
    assert sent == [{Part.B}, {Part.A}, {Part.B}, {Part.A}]


def test_ffa_sends_b_alone(start: State) -> None:
    assert {part(name) for name in FFA().outgoing(start, start, 5)} == {Part.B}


def test_a_factor_that_should_rest_and_changed_is_refused(start: State) -> None:
    with pytest.raises(ConfigError, match=r"lora_A.weight changed in round 0.*freeze"):
        FFA().outgoing(start, nudged(start, 1), 0)


def test_fedsa_shares_a_and_keeps_each_partys_b(start: State) -> None:
    new, merged = _round(FedSA(), start)
    assert {part(name) for name in FedSA().outgoing(start, new[0], 0)} == {Part.A}
    for name, value in merged.items():
        expected = new[0][name].double() if part(name) is Part.B else _mean(new)[name]
        assert torch.allclose(value.double(), expected, atol=1e-6)


def test_fedsa_needs_the_partys_own_state(start: State) -> None:
    mean = FedSA().outgoing(start, start, 0)
    with pytest.raises(ConfigError, match="own="):
        FedSA().incoming(start, mean, 0)
    with pytest.raises(ConfigError, match="own lacks"):
        FedSA().incoming(start, mean, 0, own={})


def test_saved_modules_travel_with_every_rule() -> None:
    old = adapter_state(adapted("bert", task_type="SEQ_CLS"))
    head = [name for name in old if part(name) is Part.FULL]
    assert len(head) == 2
    for each in (FedIT(), FFA(), RoLoRA(), FedSA(), ExactProduct(parties=PARTIES), PaddedRanks(rank=2)):
        assert set(head) <= each.outgoing(old, old, 0).keys()
        _round(each, old)


def test_a_mean_of_another_round_or_rule_is_refused(start: State) -> None:
    with pytest.raises(ConfigError, match="another rule, round or adapter"):
        RoLoRA().incoming(start, RoLoRA().outgoing(start, start, 0), 1)


def test_rules_for_factors_refuse_adapters_without_any() -> None:
    state = {"base_model.model.q_proj.lora_A.weight": torch.ones(2, 3)}
    with pytest.raises(ConfigError, match="sends no tensor"):
        FFA().outgoing(state, state, 0)
    with pytest.raises(ConfigError, match="no pair of factors"):
        ExactProduct(parties=2).outgoing({"x.ia3_l": torch.ones(2)}, {"x.ia3_l": torch.ones(2)}, 0)
    with pytest.raises(ConfigError, match="no pair of factors"):
        ExactProduct(parties=2).outgoing(state, state, 0)


def test_padded_ranks_sum_in_one_shape_and_come_back_cut() -> None:
    common = nudged(adapter_state(adapted(r=4)), 0)
    padded = PaddedRanks(rank=4)
    sent, new = [], []
    for rank in (1, 2, 4):
        old = truncate(common, rank)
        new.append(nudged(old, rank))
        sent.append(padded.outgoing(old, new[-1], 0))
    assert len({tuple((name, step.shape) for name, step in state.items()) for state in sent}) == 1
    merged = padded.incoming(common, _mean(sent), 0)
    name = next(name for name in common if part(name) is Part.A)
    moved = sum((state[name][0].double() - common[name][0].double() for state in new), start=torch.zeros(()))
    assert torch.allclose(merged[name][0].double(), common[name][0].double() + moved / 3, atol=1e-6)
    assert truncate(merged, 2)[name].shape[0] == 2


def test_ranks_that_do_not_fit_are_refused(start: State) -> None:
    with pytest.raises(ConfigError, match="above the common rank 1"):
        PaddedRanks(rank=1).outgoing(start, start, 0)
    with pytest.raises(ConfigError, match="cannot be cut to 3"):
        truncate(start, 3)
    with pytest.raises(ConfigError, match="at least rank 1"):
        truncate(start, 0)
    with pytest.raises(ConfigError, match="at least 1"):
        PaddedRanks(rank=0)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_fedsb_averages_small_cores_exactly(family: str) -> None:
    model = adapted(family).eval()
    logits = model(**batch(family)).logits
    attach_cores(model)
    assert torch.equal(model(**batch(family)).logits, logits)  # a core of zeros changes nothing
    freeze(model, FedSB(), 0)
    assert {name.rsplit(".", 2)[-2] for name, parameter in model.named_parameters() if parameter.requires_grad} == {"core"}
    old = adapter_state(model)
    new, merged = _round(FedSB(), old)
    sent = FedSB().outgoing(old, new[0], 0)
    assert all(step.shape == (2, 2) for step in sent.values())
    assert all(torch.allclose(merged[name].double(), value, atol=1e-6) for name, value in _mean(new).items())
    load_adapter(model, merged)
    assert not torch.equal(model(**batch(family)).logits, logits)


def test_fedsb_takes_its_frame_from_the_weight_and_merges() -> None:
    model = adapted("gpt2").eval()
    attach_cores(model)
    layer: Any = model.get_submodule("base_model.model.transformer.h.0.attn.c_attn")
    weight, a, basis = layer.base_layer.weight.T, layer.lora_A["default"].weight, layer.lora_B["default"].basis.weight
    best = basis @ (basis.T @ weight @ a.T) @ a
    u, s, vh = torch.linalg.svd(weight)
    assert torch.allclose(best, (u[:, :2] * s[:2]) @ vh[:2], atol=1e-6)
    load_adapter(model, nudged(adapter_state(model), 1))
    logits = model(**batch("gpt2")).logits
    model.merge_adapter()
    assert torch.allclose(model(**batch("gpt2")).logits, logits, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"init_lora_weights": "gaussian", "target_modules": ["embed_tokens"]}, "linear layers"),
        ({"init_lora_weights": False}, "has trained"),
        ({"r": 20}, "rank 20"),
    ],
)
def test_fedsb_refuses_layers_that_it_cannot_frame(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        attach_cores(adapted(**options))


def test_cores_are_attached_once() -> None:
    model = adapted()
    attach_cores(model)
    with pytest.raises(ConfigError, match="has a core already"):
        attach_cores(model)


def test_freeze_follows_the_round_and_leaves_the_base_alone() -> None:
    model = adapted()
    for round, factor in enumerate(["lora_B", "lora_A", "lora_B"]):
        freeze(model, RoLoRA(), round)
        trains = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        assert trains
        assert all(factor in name for name in trains)


def test_a_frozen_round_trains_and_sends_what_it_should() -> None:
    model = adapted()
    old = adapter_state(model)
    freeze(model, FFA(), 0)
    optimiser = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1.0)
    model(**batch("llama"), labels=batch("llama")["input_ids"]).loss.backward()
    optimiser.step()
    assert any(step.any() for step in FFA().outgoing(old, adapter_state(model), 0).values())


@pytest.mark.parametrize("name", ["fedit", "ffa", "rolora", "fedsa", "fedsb"])
def test_rules_are_found_by_name(name: str) -> None:
    found = find_rule(name)
    assert found.name == name
    assert isinstance(found, Rule)


def test_rules_take_their_options() -> None:
    assert find_rule("product", parties=4) == ExactProduct(parties=4)
    assert find_rule("padded", rank=4) == PaddedRanks(rank=4)
    with pytest.raises(ConfigError, match="parties"):
        find_rule("product")
    with pytest.raises(ConfigError, match="most parties"):
        find_rule("product", parties=0)
    with pytest.raises(ConfigError, match="choose one of fedit"):
        find_rule("fedprox")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("flora", "list of every party's factors"),
        ("stacking", "list of every party's factors"),
        ("median", "compares single updates"),
        ("krum", "compares single updates"),
        ("Trimmed-Mean", "compares single updates"),
        ("leave_one_out", "that party's update as their difference"),
        ("shapley", "that party's update as their difference"),
    ],
)
def test_what_would_open_single_updates_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        find_rule(name)


def test_stacking_indeed_opens_every_factor() -> None:
    """What the refusal prevents: the sum of padded slots is the list of the parties' factors."""
    factors = [torch.randn(2, 5, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    slots = [torch.cat([factor if party == own else torch.zeros(2, 5) for party in range(3)]) for own, factor in enumerate(factors)]
    opened = torch.stack(slots).sum(0)
    assert all(torch.equal(opened[2 * party : 2 * party + 2], factor) for party, factor in enumerate(factors))
