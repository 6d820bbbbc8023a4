"""The order of the tensors in a vector: names, shapes, dtypes and scale groups, with a digest that all parties compare.

Two parties whose digests agree put the same coordinate in the same place; what else they must agree on (adapter configuration,
base weights) goes into the digest as `binding`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import numpy as np

from secagg.encode import tensors
from secagg.encode.canonical import Reader, Writer
from secagg.encode.tensors import Floats
from secagg.errors import ConfigError

_LABEL = b"secagg/v1/layout"
_SHOWN = 5
"""Faults that an error lists: enough to see the pattern, few enough to read."""

MAX_VALUES = 1 << 40
MAX_TENSORS = 1 << 20
MAX_AXES = 16


class Row(NamedTuple):
    """One tensor in the vector."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: int
    group: str


class Run(NamedTuple):
    """Coordinates `start` … `stop` that share one scale group."""

    start: int
    stop: int
    group: int


@dataclass(frozen=True)
class Layout:
    """Where each tensor lies in the vector. Make one with `Layout.of`; equal layouts have equal digests and the reverse.

    `names` are sorted; `shapes`, `dtypes` and `group_of` follow them. `groups` are the sorted names of the scale groups, and
    `group_of` says by index which one a tensor is in.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    groups: tuple[str, ...] = ("",)
    group_of: tuple[int, ...] = ()
    binding: tuple[tuple[str, bytes], ...] = ()

    def __post_init__(self) -> None:
        if not self.group_of:
            object.__setattr__(self, "group_of", (0,) * len(self.names))
        self._check()

    @classmethod
    def of(cls, state: Mapping[str, Any], *, binding: Mapping[str, bytes] | None = None, groups: Mapping[str, str] | None = None) -> Layout:
        """The layout of `state`: torch tensors or ndarrays of bfloat16, float16, float32 or float64, in the order of their sorted names.

        Args:
            binding: further facts that all parties must share, by name; they enter the digest only.
            groups: tensor name to scale group, for tensors that need a clip of their own (heads, DoRA magnitudes); the rest is group "".

        Raises:
            ConfigError: no tensors, or tensors that cannot be averaged; the first five are named.
        """
        faults = [f"{name!r} {reason}" for name in state if (reason := tensors.refusal(state[name]))]
        faults += [f"{name!r} has a scale group and is no tensor of this state" for name in (groups or {}) if name not in state]
        _refuse(faults)
        names = tuple(sorted(state))
        chosen = [(groups or {}).get(name, "") for name in names]
        labels = tuple(sorted(set(chosen)))
        return cls(
            names,
            tuple(tensors.shape_of(state[name]) for name in names),
            tuple(tensors.dtype_name(state[name]) for name in names),
            labels,
            tuple(labels.index(label) for label in chosen),
            tuple(sorted((binding or {}).items())),
        )

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where each tensor starts, and at the end the size."""
        return tuple(accumulate((prod(shape) for shape in self.shapes), initial=0))

    @property
    def size(self) -> int:
        """Coordinates of the vector."""
        return self.offsets[-1]

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The coordinates as maximal runs of one scale group, in order."""
        merged: list[Run] = []
        for start, stop, group in zip(self.offsets[:-1], self.offsets[1:], self.group_of, strict=True):
            if merged and merged[-1].group == group:
                merged[-1] = Run(merged[-1].start, stop, group)
            elif stop > start:
                merged.append(Run(start, stop, group))
        return tuple(merged)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of `to_bytes()`, 32 bytes."""
        return hashlib.sha256(self.to_bytes()).digest()

    def describe(self) -> tuple[Row, ...]:
        """One row per tensor: name, shape, dtype, values, group."""
        return tuple(
            Row(name, shape, dtype, prod(shape), self.groups[group])
            for name, shape, dtype, group in zip(self.names, self.shapes, self.dtypes, self.group_of, strict=True)
        )

    def flatten(self, state: Mapping[str, Any]) -> Floats:
        """The values of `state` as a new float32 vector of `size` coordinates, which aliases none of its tensors.

        bfloat16 and float16 convert exactly; float64 is rounded to the nearest float32.

        Raises:
            ConfigError: a tensor is missing, unknown, of another shape or dtype, or holds NaN or infinity; the first five are named.
        """
        _refuse(self._differences(state))
        vector = np.empty(self.size, np.float32)
        with np.errstate(over="ignore"):
            for name, part in self._parts(vector):
                tensors.copy_values(state[name], part)
        # All values at once: for each of many small tensors the calls would take as long as the values.
        if not tensors.is_finite(vector):
            _refuse(self._not_finite(vector), "an update with one such value would spoil the whole sum: find out why training gave it")
        return vector

    def restore(self, vector: Floats, like: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The tensors that `vector` holds, as new float32 ndarrays or, with `like`, of the kind, dtype, device and order of its tensors.

        Raises:
            ConfigError: a vector of another length, or `like` with other names or shapes.
        """
        if vector.shape != (self.size,):
            raise ConfigError(f"a vector of shape {vector.shape}; this layout has {self.size} values")
        floats = vector.astype(np.float32, copy=False)
        if like is None:
            return {name: part.reshape(shape).copy() for (name, part), shape in zip(self._parts(floats), self.shapes, strict=True)}
        _refuse(self._differences(like, dtypes=False))
        parts, shapes = dict(self._parts(floats)), dict(zip(self.names, self.shapes, strict=True))
        return {name: tensors.like(parts[name], shapes[name], template) for name, template in like.items()}

    def to_bytes(self) -> bytes:
        """The canonical description: what the digest covers, and what parties exchange to find out where they differ."""
        writer = Writer(_LABEL)
        writer.number(len(self.names))
        for row in self.describe():
            writer.text(row.name).text(row.dtype).text(row.group).numbers(row.shape)
        writer.number(len(self.binding))
        for name, fact in self.binding:
            writer.text(name).block(fact)
        return writer.finish()

    @classmethod
    def from_bytes(cls, data: bytes) -> Layout:
        """Parse what `to_bytes` wrote. Raises ConfigError for any other bytes: a layout has one encoding only."""
        reader = Reader(data, _LABEL)
        rows = [(reader.text(), reader.text(), reader.text(), reader.numbers(MAX_AXES)) for _ in range(reader.number(MAX_TENSORS))]
        binding = tuple((reader.text(), reader.block()) for _ in range(reader.number(MAX_TENSORS)))
        reader.finish()
        labels = tuple(sorted({group for _, _, group, _ in rows}))
        return cls(
            tuple(name for name, _, _, _ in rows),
            tuple(shape for _, _, _, shape in rows),
            tuple(dtype for _, dtype, _, _ in rows),
            labels,
            tuple(labels.index(group) for _, _, group, _ in rows),
            binding,
        )

    def _parts(self, vector: Floats) -> Iterator[tuple[str, Floats]]:
        for name, start, stop in zip(self.names, self.offsets[:-1], self.offsets[1:], strict=True):
            yield name, vector[start:stop]

    def _not_finite(self, vector: Floats) -> list[str]:
        faults = []
        for name, part in self._parts(vector):
            if bad := np.count_nonzero(~np.isfinite(part)):
                kind = "NaN" if np.isnan(part).any() else "an infinity"
                faults.append(f"{name!r} holds {kind} in {bad} of {len(part)} values")
        return faults

    def _differences(self, state: Mapping[str, Any], *, dtypes: bool = True) -> list[str]:
        faults = [f"{name!r} is missing" for name in self.names if name not in state]
        faults += [f"{name!r} is unknown to the layout" for name in state if name not in self._rows]
        for name, row in self._rows.items():
            if name not in state:
                continue
            tensor = state[name]
            if reason := tensors.refusal(tensor):
                faults.append(f"{name!r} {reason}")
            elif tensors.shape_of(tensor) != row.shape:
                faults.append(f"{name!r} has shape {tensors.shape_of(tensor)}, the layout {row.shape}")
            elif dtypes and tensors.dtype_name(tensor) != row.dtype:
                faults.append(f"{name!r} has dtype {tensors.dtype_name(tensor)}, the layout {row.dtype}")
        return faults

    @cached_property
    def _rows(self) -> dict[str, Row]:
        return {row.name: row for row in self.describe()}

    def _check(self) -> None:
        lengths = {len(self.names), len(self.shapes), len(self.dtypes), len(self.group_of)}
        if len(lengths) != 1 or not self.names or len(self.names) > MAX_TENSORS:
            raise ConfigError(f"a layout needs 1 to {MAX_TENSORS} tensors, each with a shape, a dtype and a group; {len(self.names)} given")
        if any(first >= second for first, second in zip(self.names, self.names[1:], strict=False)):
            raise ConfigError("the names of a layout must be sorted and distinct")
        if self.groups != tuple(sorted({self.groups[group] for group in self.group_of if 0 <= group < len(self.groups)})):
            raise ConfigError("the scale groups of a layout must be sorted, distinct and in use")
        if any(not 0 <= group < len(self.groups) for group in self.group_of):
            raise ConfigError("a tensor's scale group is none of the layout's")
        if unknown := [dtype for dtype in self.dtypes if dtype not in tensors.FLOATS]:
            raise ConfigError(f"dtype {unknown[0]!r}; only {', '.join(tensors.FLOATS)} can be averaged")
        if any(length < 0 for shape in self.shapes for length in shape) or any(len(shape) > MAX_AXES for shape in self.shapes):
            raise ConfigError(f"a shape has a negative length or more than {MAX_AXES} axes")
        if not 0 < self.size <= MAX_VALUES:
            raise ConfigError(f"the tensors hold {self.size} values; 1 to {MAX_VALUES} can be averaged")
        keys = [name for name, _ in self.binding]
        if keys != sorted(set(keys)):
            raise ConfigError("the bound facts of a layout must be sorted and distinct by name")


def _refuse(faults: list[str], advice: str = "all parties must send tensors of one layout") -> None:
    if not faults:
        return
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    raise ConfigError(f"{'; '.join(faults[:_SHOWN])}{more}: {advice}")
