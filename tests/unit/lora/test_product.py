"""The mean of B·A opens exactly, whole or from a sketch, and the sketch adds up."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.errors import ConfigError
from secagg.lora import ExactProduct
from secagg.lora.names import Part, part
from secagg.lora.public import public_matrix
from secagg.lora.sketch import Sketch
from secagg.lora.state import State

SEED = b"test"


def _draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(2, 60), columns=st.integers(2, 60), rank=st.integers(1, 4), spare=st.integers(0, 3), seed=st.integers(0, 2**32))
def test_a_sketch_as_wide_as_the_rank_gives_the_matrix_back(rows: int, columns: int, rank: int, spare: int, seed: int) -> None:
    rank = min(rank, rows, columns)
    left, right = _draw(seed, rows, rank), _draw(seed + 1, rank, columns)
    sketch = Sketch(rows, columns, rank + spare)
    rebuilt = sketch.rebuild(*sketch.of_product(left, right, SEED, "m"), SEED, "m")
    assert torch.allclose(rebuilt, left @ right, atol=1e-8 * float((left @ right).norm()))


def test_a_sketch_of_less_than_the_rank_cannot() -> None:
    left, right = _draw(1, 40, 6), _draw(2, 6, 40)
    sketch = Sketch(40, 40, 5)
    rebuilt = sketch.rebuild(*sketch.of_product(left, right, SEED, "m"), SEED, "m")
    assert float((rebuilt - left @ right).norm() / (left @ right).norm()) > 0.01


def test_sketches_add_up() -> None:
    sketch = Sketch(30, 20, 6)
    parts = [(_draw(seed, 30, 2), _draw(seed + 10, 2, 20)) for seed in range(3)]
    sums = [sum(values, start=torch.zeros(())) for values in zip(*(sketch.of_product(*pair, SEED, "m") for pair in parts), strict=True)]
    whole = sum((left @ right for left, right in parts), start=torch.zeros(()))
    assert torch.allclose(sketch.rebuild(sums[0], sums[1], SEED, "m"), whole, atol=1e-9)


def test_noise_in_the_sketch_is_not_blown_up() -> None:
    """What quantisation does: an error of 1e-4 of the entries stays of that order in the matrix."""
    left, right = _draw(1, 200, 8), _draw(2, 8, 300)
    sketch = Sketch(200, 300, 12)
    y, z = sketch.of_product(left, right, SEED, "m")
    noisy = [value + 1e-4 * value.square().mean().sqrt() * _draw(3, *value.shape) for value in (y, z)]
    rebuilt = sketch.rebuild(noisy[0], noisy[1], SEED, "m")
    assert float((rebuilt - left @ right).norm() / (left @ right).norm()) < 1e-3


def test_a_sketch_knows_whether_it_is_smaller() -> None:
    assert Sketch(1000, 1000, 32).is_smaller
    assert not Sketch(64, 64, 32).is_smaller
    assert Sketch(1000, 1000, 32).values == 1000 * 32 + 65 * 1000


def test_public_matrices_are_the_same_on_every_machine() -> None:
    assert torch.equal(public_matrix(SEED, "m", 3, 4), public_matrix(SEED, "m", 3, 4))
    expected = [0.9524821920786053, -0.19693027553148568, 0.22349511249922216]
    assert public_matrix(SEED, "m", 1, 3).flatten().tolist() == expected
    others = [public_matrix(b"other", "m", 3, 4), public_matrix(SEED, "n", 3, 4), public_matrix(SEED, "m", 4, 3).reshape(3, 4)]
    assert not any(torch.equal(public_matrix(SEED, "m", 3, 4), other) for other in others)
    assert float(public_matrix(SEED, "m", 400, 50).square().sum(1).mean()) == pytest.approx(1.0, rel=0.02)


def _state(width: int, fan_in: int, rank: int, seed: int) -> State:
    stem = "base_model.model.q_proj"
    return {
        f"{stem}.lora_A.weight": _draw(seed, rank, fan_in).float(),
        f"{stem}.lora_B.weight": 0.1 * _draw(seed + 1, width, rank).float(),
        "base_model.model.head.weight": _draw(seed + 2, 3, 4).float(),
    }


def _mean(states: list[State]) -> State:
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


@pytest.mark.parametrize(("width", "kind"), [(12, "dense"), (200, "sketch")])
def test_the_opened_product_is_the_mean_of_the_products(width: int, kind: str) -> None:
    old, new = _state(width, width, 2, 0), [_state(width, width, 2, seed) for seed in (10, 20, 30)]
    rule = ExactProduct(parties=3)
    sent = [rule.outgoing(old, state, 0) for state in new]
    assert any(name.endswith(".product") for name in sent[0]) == (kind == "dense")
    assert sum(value.numel() for value in sent[0].values()) <= width * width + 12
    a, b = (name for name in old if "lora" in name)
    opened = rule.mean_products(old, _mean(sent))["base_model.model.q_proj"]
    expected = torch.stack([state[b].double() @ state[a].double() for state in new]).mean(0)
    assert float((opened - expected).norm() / expected.norm()) < 1e-5


def test_the_next_factors_are_the_best_of_their_rank() -> None:
    old, new = _state(40, 30, 2, 0), [_state(40, 30, 2, seed) for seed in (10, 20)]
    rule = ExactProduct(parties=2)
    mean = _mean([rule.outgoing(old, state, 0) for state in new])
    merged = rule.incoming(old, mean, 0)
    product = rule.mean_products(old, mean)["base_model.model.q_proj"]
    a, b = (merged[name].double() for name in merged if "lora" in name)
    left_over = torch.linalg.svdvals(product)[2:].norm()
    assert float((product - b @ a).norm()) == pytest.approx(float(left_over), rel=1e-4)
    assert torch.allclose(merged["base_model.model.head.weight"], _mean(new)["base_model.model.head.weight"], atol=1e-6)
    assert {name: value.shape for name, value in merged.items()} == {name: value.shape for name, value in old.items()}


def test_a_direction_that_is_not_used_can_still_learn() -> None:
    old = _state(40, 30, 2, 0)
    zero = {name: torch.zeros_like(value) if part(name) is Part.B else value for name, value in old.items()}
    rule = ExactProduct(parties=2)
    merged = rule.incoming(zero, rule.outgoing(zero, zero, 0), 0)
    for name, value in merged.items():
        if part(name) is Part.B:
            assert not value.any()
        if part(name) is Part.A:
            assert (value.norm(dim=1) > 0.1).all()


def test_convolutions_are_products_of_flattened_kernels() -> None:
    stem = "base_model.model.conv"
    old = {f"{stem}.lora_A.weight": _draw(0, 2, 3, 3, 3).float(), f"{stem}.lora_B.weight": _draw(1, 8, 2, 1, 1).float()}
    rule = ExactProduct(parties=1)
    new = {name: value + 0.1 for name, value in old.items()}
    merged = rule.incoming(old, rule.outgoing(old, new, 0), 0)
    a, b = (merged[f"{stem}.lora_{factor}.weight"] for factor in "AB")
    assert a.shape == (2, 3, 3, 3)
    expected = new[f"{stem}.lora_B.weight"].flatten(1) @ new[f"{stem}.lora_A.weight"].flatten(1)
    assert torch.allclose(b.flatten(1) @ a.flatten(1), expected, atol=1e-4)


def test_a_mean_of_another_size_is_refused() -> None:
    old = _state(200, 200, 2, 0)
    mean = ExactProduct(parties=3).outgoing(old, old, 0)
    with pytest.raises(ConfigError, match="number of parties"):
        ExactProduct(parties=4).incoming(old, mean, 0)
