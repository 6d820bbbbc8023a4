"""What the tensors do not show travels beside them, and two parties learn in what they differ."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from secagg.encode.layout import Layout
from secagg.encode.note import KEY, difference, found, in_float32, written
from secagg.errors import ConfigError

STATE = {"a": np.zeros((2, 3), np.float32), "head": np.zeros(4, np.float32)}
BOUND = Layout.of(STATE, binding={"adapter-config": b'{"lora_alpha":16}', "base": bytes(32)}, groups={"head": "full"})


def test_a_layout_comes_back_from_the_metadata_with_facts_and_groups() -> None:
    assert found(written(BOUND), STATE) == BOUND
    assert found({"format": "pt"}, STATE) == Layout.of(STATE)


def test_a_half_precision_adapter_is_noted_as_what_is_summed() -> None:
    half = Layout.of(
        {name: values.astype(np.float16) for name, values in STATE.items()}, binding=dict(BOUND.binding), groups={"head": "full"}
    )
    assert half.digest != BOUND.digest
    assert found(written(half), STATE).digest == in_float32(half).digest == BOUND.digest


@pytest.mark.parametrize("text", ["?", base64.b64encode(b"no layout").decode(), ""])
def test_metadata_that_holds_no_layout_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="holds no layout"):
        found({KEY: text}, STATE)


def test_metadata_of_other_tensors_is_refused() -> None:
    with pytest.raises(ConfigError, match="other tensors than the file"):
        found(written(BOUND), {"a": STATE["a"]})
    with pytest.raises(ConfigError, match="other tensors than the file"):
        found(written(BOUND), STATE | {"a": np.zeros((3, 2), np.float32)})


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (BOUND, None),
        (Layout.of({"a": STATE["a"]}), "names or shapes of tensors"),
        (Layout.of({name: values.astype(np.float16) for name, values in STATE.items()}), "dtypes"),
        (
            Layout.of(STATE, binding={"adapter-config": b"alpha 8", "base": bytes(32)}, groups={"head": "full"}),
            "bound facts: adapter-config",
        ),
        (Layout.of(STATE, groups={"head": "full"}), "bound facts: adapter-config, base"),
        (Layout.of(STATE, binding=dict(BOUND.binding)), "scale groups"),
    ],
)
def test_what_differs_is_named_without_its_values(other: Layout, said: str | None) -> None:
    assert difference(BOUND, other) == said
