"""A change is taken and put back in float32, whatever dtype the parameters have."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ConfigError
from secagg.lora import apply_delta, delta

FLOATS = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20)


@given(FLOATS, FLOATS)
def test_applying_the_change_of_bf16_states_gives_the_new_state(old: list[float], new: list[float]) -> None:
    size = min(len(old), len(new))
    before, after = ({"w": torch.tensor(values[:size]).to(torch.bfloat16)} for values in (old, new))
    change = delta(after, before)
    assert change["w"].dtype == torch.float32
    result = apply_delta(before, change)["w"]
    assert result.dtype == torch.bfloat16
    # The difference of two bf16 numbers may need more than 24 bits, so the way back may miss by its float32 rounding, seen in bf16.
    assert torch.allclose(result.double(), after["w"].double(), rtol=2**-7, atol=2**-14)


def test_the_change_is_finer_than_the_dtype_of_the_parameters() -> None:
    before = {"w": torch.tensor([1.0], dtype=torch.bfloat16)}
    after = {"w": torch.tensor([1.0 + 2**-7], dtype=torch.bfloat16)}
    mean = {"w": delta(after, before)["w"] / 4}
    assert mean["w"].item() == 2**-9
    assert apply_delta(before, mean)["w"].item() == 1.0  # lost by the second rounding, as documented
    assert apply_delta({"w": before["w"].float()}, mean)["w"].item() == 1.0 + 2**-9  # kept by a float32 copy


def test_the_learning_rate_scales_the_change_and_absent_tensors_are_copied() -> None:
    old = {"a": torch.ones(2), "b": torch.ones(2)}
    new = apply_delta(old, {"a": torch.ones(2)}, learning_rate=0.5)
    assert new["a"].tolist() == [1.5, 1.5]
    assert new["b"].tolist() == [1.0, 1.0]
    new["b"].zero_()
    assert old["b"].tolist() == [1.0, 1.0]


def test_double_states_are_subtracted_in_double() -> None:
    one = {"w": torch.tensor([1.0 + 2**-40], dtype=torch.float64)}
    assert delta(one, {"w": torch.ones(1, dtype=torch.float64)})["w"].item() == 2**-40


@pytest.mark.parametrize("other", [{}, {"w": torch.zeros(2), "v": torch.zeros(1)}])
def test_states_of_two_adapters_are_refused(other: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ConfigError, match="one of the two states only"):
        delta({"w": torch.zeros(2)}, other)


def test_states_of_two_shapes_are_refused_rather_than_broadcast() -> None:
    with pytest.raises(ConfigError, match="shape"):
        delta({"w": torch.zeros(2, 2)}, {"w": torch.zeros(2)})
    with pytest.raises(ConfigError, match="shape"):
        apply_delta({"w": torch.zeros(2, 2)}, {"w": torch.zeros(2)})


def test_a_change_of_an_unknown_tensor_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not have"):
        apply_delta({"w": torch.zeros(2)}, {"v": torch.zeros(2)})
