from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from secagg.encode.layout import Layout
from secagg.errors import ConfigError

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def state(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {
        "b.weight": torch.arange(6, dtype=dtype).reshape(2, 3),
        "a.bias": torch.tensor(0.5, dtype=dtype),
        "c": torch.ones(4, dtype=dtype),
    }


arrays = hnp.arrays(
    st.sampled_from([np.float16, np.float32]),
    hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
    elements=st.floats(-1000, 1000, width=16),
)
states = st.dictionaries(st.text(min_size=1, max_size=8), arrays, min_size=1, max_size=5)


@given(states)
@settings(deadline=None)
def test_restoring_undoes_flattening(tensors):
    layout = Layout.of(tensors)
    restored = layout.restore(layout.flatten(tensors), like=tensors)
    assert list(restored) == list(tensors)
    for name, tensor in tensors.items():
        assert restored[name].dtype == tensor.dtype
        assert np.array_equal(restored[name], tensor)


@given(states, st.dictionaries(st.text(max_size=5), st.binary(max_size=5), max_size=3))
@settings(deadline=None)
def test_the_description_parses_back_and_decides_the_digest(tensors, binding):
    layout = Layout.of(tensors, binding=binding)
    parsed = Layout.from_bytes(layout.to_bytes())
    assert parsed == layout
    assert parsed.digest == layout.digest
    assert len(layout.digest) == 32


@given(states, st.data())
@settings(deadline=None)
def test_no_other_bytes_parse_to_a_layout(tensors, data):
    raw = bytearray(Layout.of(tensors, binding={"rule": b"x"}).to_bytes())
    kept = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(ConfigError):
        Layout.from_bytes(bytes(raw[:kept]))
    with pytest.raises(ConfigError):
        Layout.from_bytes(bytes(raw) + b"\0")
    raw[kept] ^= 1 << data.draw(st.integers(0, 7))
    try:
        parsed = Layout.from_bytes(bytes(raw))
    except ConfigError:
        return
    assert parsed.to_bytes() == raw


def test_the_order_is_that_of_the_names_whatever_the_order_of_the_state():
    forward, backward = state(), dict(reversed(state().items()))
    assert Layout.of(forward) == Layout.of(backward)
    assert Layout.of(forward).names == ("a.bias", "b.weight", "c")
    assert Layout.of(forward).flatten(backward).tolist() == [0.5, 0, 1, 2, 3, 4, 5, 1, 1, 1, 1]


@pytest.mark.parametrize("dtype", FLOATS)
def test_torch_comes_back_as_torch_of_the_caller_s_dtype(dtype):
    tensors = state(dtype)
    layout = Layout.of(tensors)
    restored = layout.restore(layout.flatten(tensors), like=tensors)
    assert all(torch.equal(restored[name], tensors[name]) and restored[name].dtype == dtype for name in tensors)
    arrays = layout.restore(layout.flatten(tensors))
    assert all(array.dtype == np.float32 for array in arrays.values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_finite_half_precision_value_converts_exactly_both_ways(dtype):
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    tensors = {"x": every[torch.isfinite(every)]}
    layout = Layout.of(tensors)
    vector = layout.flatten(tensors)
    assert np.array_equal(vector.astype(np.float64), tensors["x"].double().numpy())
    assert torch.equal(layout.restore(vector, like=tensors)["x"], tensors["x"])


def test_float64_is_rounded_to_the_nearest_float32():
    tensors = {"x": np.array([1 + 2**-24 + 2**-30, 1 + 2**-26])}
    assert Layout.of(tensors).flatten(tensors).tolist() == [float(np.float32(1 + 2**-23)), 1.0]


def test_neither_direction_aliases_the_caller_s_tensors():
    tensors = {"x": torch.ones(3), "y": torch.ones(2)}
    layout = Layout.of(tensors)
    vector = layout.flatten(tensors)
    restored, arrays = layout.restore(vector, like=tensors), layout.restore(vector)
    vector[:] = 7
    assert tensors["x"].tolist() == restored["x"].tolist() == arrays["x"].tolist() == [1, 1, 1]
    tensors["x"].fill_(9)
    assert restored["x"].tolist() == [1, 1, 1]


def test_live_parameters_and_strided_views_are_read_in_row_major_order():
    weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
    tensors = {"w": weight, "v": np.arange(8.0, dtype=np.float32)[::2]}
    assert Layout.of(tensors).flatten(tensors).tolist() == [0, 2, 4, 6, 0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda s: s.pop("c"), "'c' is missing"),
        (lambda s: s.update(d=torch.ones(1)), "'d' is unknown"),
        (lambda s: s.update(c=torch.ones(5)), r"'c' has shape \(5,\), the layout \(4,\)"),
        (lambda s: s.update(c=torch.ones(4).bfloat16()), "'c' has dtype bfloat16, the layout float32"),
        (lambda s: s.update(c=torch.tensor([1, float("nan"), 0, float("nan")])), "'c' holds NaN in 2 of 4 values"),
        (lambda s: s.update(c=torch.tensor([1, 2, 3, float("-inf")])), "'c' holds an infinity in 1 of 4 values"),
        (lambda s: s.update(c=[1.0] * 4), "'c' is a list"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_the_name_of_its_tensor(change, named):
    layout, tensors = Layout.of(state()), state()
    change(tensors)
    with pytest.raises(ConfigError, match=named):
        layout.flatten(tensors)


def test_a_float64_beyond_float32_is_refused_by_name():
    tensors = {"x": np.array([1e300])}
    with pytest.raises(ConfigError, match="'x' holds an infinity"):
        Layout.of(tensors).flatten(tensors)


def test_large_finite_values_are_not_mistaken_for_infinite_ones():
    tensors = {"x": np.full(10, 3e38, np.float32)}
    assert Layout.of(tensors).flatten(tensors)[0] == np.float32(3e38)


def test_the_first_five_faults_are_named_and_the_rest_counted():
    tensors = {f"t{i}": np.ones(1, np.float32) for i in range(9)}
    layout = Layout.of(tensors)
    with pytest.raises(ConfigError, match=r"'t4' is missing; and 4 more: all parties"):
        layout.flatten({})


@pytest.mark.parametrize(
    ("tensor", "named"),
    [
        (torch.ones(2, dtype=torch.int64), "dtype int64"),
        (np.ones(2, bool), "dtype bool"),
        (np.ones(2, np.complex64), "dtype complex64"),
        (torch.ones(2, device="meta"), "meta device"),
        (torch.ones(2, 2).to_sparse(), "sparse"),
        (3.0, "is a float"),
    ],
)
def test_what_cannot_be_averaged_is_refused_by_name(tensor, named):
    with pytest.raises(ConfigError, match=rf"'bad' .*{named}"):
        Layout.of({"good": torch.ones(1), "bad": tensor})


def test_an_empty_state_is_refused():
    with pytest.raises(ConfigError, match="1 to"):
        Layout.of({})
    with pytest.raises(ConfigError, match="0 values"):
        Layout.of({"x": np.ones((0, 3), np.float32)})


def test_restoring_refuses_another_length_and_another_like():
    layout = Layout.of(state())
    with pytest.raises(ConfigError, match="11 values"):
        layout.restore(np.zeros(12, np.float32))
    with pytest.raises(ConfigError, match="'c' is missing"):
        layout.restore(np.zeros(11, np.float32), like={"a.bias": torch.ones(())})


def test_any_difference_changes_the_digest():
    base = {"x": np.ones((2, 3), np.float32), "y": np.ones(1, np.float32)}
    layouts = [
        Layout.of(base),
        Layout.of({**base, "x": np.ones((3, 2), np.float32)}),
        Layout.of({**base, "x": np.ones((2, 3), np.float16)}),
        Layout.of({"x1": base["x"], "y": base["y"]}),
        Layout.of(base, binding={"base": b"1"}),
        Layout.of(base, binding={"base": b"2"}),
        Layout.of(base, binding={"": b"base2"}),
        Layout.of(base, groups={"y": "head"}),
    ]
    assert len({layout.digest for layout in layouts}) == len(layouts)


def test_the_same_facts_give_the_same_digest_on_every_machine():
    layout = Layout.of({"w": np.ones((2, 3), np.float32)}, binding={"base": b"\x01"})
    assert layout.digest.hex() == "f7b2dfb6ac22f1e0b5d9d28e1fc996fab2be4e9c348f9ad6a97a8e2e74232886"


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(ConfigError, match="no valid Unicode"):
        _ = Layout.of({"\ud800": np.ones(1, np.float32)}).digest
    raw = Layout.of({"ab": np.ones(1, np.float32)}).to_bytes().replace(b"ab", b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        Layout.from_bytes(raw)


def test_groups_become_runs_of_coordinates():
    tensors = {name: np.ones(2, np.float32) for name in "abcd"}
    layout = Layout.of(tensors, groups={"b": "head", "c": "head"})
    assert layout.groups == ("", "head")
    assert [tuple(run) for run in layout.runs] == [(0, 2, 0), (2, 6, 1), (6, 8, 0)]
    assert [row.group for row in layout.describe()] == ["", "head", "head", ""]
    with pytest.raises(ConfigError, match="'z' has a scale group"):
        Layout.of(tensors, groups={"z": "head"})


def test_a_layout_is_frozen_and_its_table_lists_every_tensor():
    layout = Layout.of(state())
    with pytest.raises(dataclasses.FrozenInstanceError):
        layout.names = ()  # type: ignore[misc]
    assert [tuple(row) for row in layout.describe()] == [
        ("a.bias", (), "float32", 1, ""),
        ("b.weight", (2, 3), "float32", 6, ""),
        ("c", (4,), "float32", 4, ""),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"names": ("b", "a"), "shapes": ((1,), (1,)), "dtypes": ("float32",) * 2},
        {"names": ("a", "a"), "shapes": ((1,), (1,)), "dtypes": ("float32",) * 2},
        {"names": ("a",), "shapes": ((1,), (1,)), "dtypes": ("float32",)},
        {"names": ("a",), "shapes": ((-1,),), "dtypes": ("float32",)},
        {"names": ("a",), "shapes": ((1 << 41,),), "dtypes": ("float32",)},
        {"names": ("a",), "shapes": ((1,) * 17,), "dtypes": ("float32",)},
        {"names": ("a",), "shapes": ((1,),), "dtypes": ("int8",)},
        {"names": ("a",), "shapes": ((1,),), "dtypes": ("float32",), "groups": ("x", "y")},
        {"names": ("a",), "shapes": ((1,),), "dtypes": ("float32",), "group_of": (3,)},
        {"names": ("a",), "shapes": ((1,),), "dtypes": ("float32",), "binding": (("b", b""), ("a", b""))},
    ],
)
def test_a_layout_that_is_not_canonical_cannot_be_made(fields):
    with pytest.raises(ConfigError):
        Layout(**fields)


def test_arrays_need_no_torch():
    program = (
        "import sys, numpy as np; from secagg.encode import Layout; s = {'x': np.ones(2, np.float32)}; "
        "Layout.of(s).restore(Layout.of(s).flatten(s), like=s); assert 'torch' not in sys.modules and 'grpc' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
