from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.encode.weights import Examples, Uniform
from secagg.errors import ConfigError


@given(st.integers(1, 10**9))
def test_uniform_weighs_everybody_alike(examples):
    assert Uniform().weight(examples) == Uniform().max_weight == 1


def test_examples_are_counted_in_units():
    policy = Examples(max_weight=4096, unit=1000)
    assert [policy.weight(count) for count in (20_000, 1_499, 1_500, 400, 1)] == [20, 1, 2, 1, 1]
    assert Examples(max_weight=500).weight(120) == 120


@given(st.integers(1, 10**9), st.integers(1, 5000), st.integers(1, 5000))
def test_a_weight_is_the_nearest_unit_and_never_outside_the_policy(examples, most, unit):
    policy = Examples(max_weight=most, unit=unit)
    try:
        weight = policy.weight(examples)
    except ConfigError as refused:
        advised = int(re.sub(r".*unit=(\d+) or more.*", r"\1", str(refused)))
        assert advised > unit
        assert 1 <= Examples(max_weight=most, unit=advised).weight(examples) <= most
        assert advised == 1 or not fits(examples, most, advised - 1)
        return
    assert 1 <= weight <= most
    assert abs(weight * unit - examples) <= unit / 2 or weight == 1


def fits(examples: int, most: int, unit: int) -> bool:
    return max(1, (2 * examples + unit) // (2 * unit)) <= most


@pytest.mark.parametrize("policy", [Uniform(), Examples(max_weight=5)])
@pytest.mark.parametrize("examples", [0, -3])
def test_a_party_without_examples_is_told_to_stay_out(policy, examples):
    with pytest.raises(ConfigError, match="stays out"):
        policy.weight(examples)


def test_policies_below_one_are_refused():
    for numbers in ({"max_weight": 0}, {"max_weight": 3, "unit": 0}):
        with pytest.raises(ConfigError):
            Examples(**numbers)
