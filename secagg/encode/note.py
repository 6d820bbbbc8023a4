"""A layout in the metadata of a safetensors file: the first model of a task says what its tensors do not show.

Two adapters with equal shapes and another alpha, other targets or another base are different models. Whoever makes the first model writes
its layout, bound to these facts, beside the tensors; the hub announces it, and a party with another one stops before it sends anything.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from secagg.encode.layout import Layout
from secagg.encode.tensors import shape_of
from secagg.errors import ConfigError

KEY = "secagg.layout"


def written(layout: Layout) -> dict[str, str]:
    """The metadata that holds `layout`."""
    return {KEY: base64.b64encode(layout.to_bytes()).decode("ascii")}


def found(notes: Mapping[str, str], state: Mapping[str, Any]) -> Layout:
    """The layout in `notes`, for the float32 tensors of `state`; where there is none, the layout of the tensors alone.

    Raises:
        ConfigError: what stands there is no layout, or one of other tensors.
    """
    if KEY not in notes:
        return Layout.of(state)
    try:
        noted = Layout.from_bytes(base64.b64decode(notes[KEY], validate=True))
    except (binascii.Error, ConfigError) as refused:
        raise ConfigError(f"the metadata {KEY} holds no layout: write the file with `secagg.lora.save_first`") from refused
    if dict(zip(noted.names, noted.shapes, strict=True)) != {name: shape_of(tensor) for name, tensor in state.items()}:
        raise ConfigError(f"the metadata {KEY} is of other tensors than the file: write it again with `secagg.lora.save_first`")
    return in_float32(noted)


def in_float32(layout: Layout) -> Layout:
    """`layout` for tensors that are summed in float32, whatever dtype they are trained in."""
    return replace(layout, dtypes=("float32",) * len(layout.names))


def difference_of_tensors(own: Layout, theirs: Layout) -> str | None:
    """In what the tensors of two layouts differ, in a few words; None: in nothing."""
    if (own.names, own.shapes) != (theirs.names, theirs.shapes):
        return "names or shapes of tensors"
    return None if own.dtypes == theirs.dtypes else "dtypes"


def difference(own: Layout, theirs: Layout) -> str | None:
    """The same for whole layouts, bound facts and scale groups included; facts are named, their values are not told."""
    if own.digest == theirs.digest:
        return None
    ours, others = dict(own.binding), dict(theirs.binding)
    facts = sorted(name for name in ours | others if ours.get(name) != others.get(name))
    return difference_of_tensors(own, theirs) or (f"bound facts: {', '.join(facts)}" if facts else "scale groups")
