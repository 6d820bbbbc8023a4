"""How a model travels with a round description, and when a party accepts it.

4 bytes  length n of the layout, little-endian          0 bytes …
n bytes  the layout, whose digest stands in the description
padding  zero bytes up to a multiple of 64
the values: float32, little-endian, in layout order; `model_digest` of them stands in the description
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secagg.encode.layout import Layout
from secagg.encode.note import difference, difference_of_tensors
from secagg.errors import ConfigError, InvalidMessage, MalformedMessage
from secagg.payload import Payload, join
from secagg.receipt import model_digest
from secagg.round import RoundDescription

LAYOUT_LIMIT = 16 << 20
"""Longest layout in bytes."""
_LENGTH, _ALIGN = struct.Struct("<I"), 64


@dataclass(frozen=True, slots=True)
class Model:
    """A model as values in layout order."""

    layout: Layout
    values: NDArray[np.float32]

    @property
    def digest(self) -> bytes:
        """What the round description says of the values."""
        return model_digest(float_bytes(self.values))

    def to_bytes(self) -> bytes:
        raw = self.layout.to_bytes()
        head = _LENGTH.pack(len(raw)) + raw
        return b"".join([head, bytes(-len(head) % _ALIGN), float_bytes(self.values)])

    @classmethod
    def parse(cls, payload: Payload, *, limit: int) -> Model:
        """The model in `payload`; `limit` is the number of values it may have. Raises MalformedMessage or InvalidMessage."""
        # > A model is refused by its size before it is read (TR-M1).
        if payload.size > size_limit(limit):
            raise InvalidMessage("TR-M1", f"a model of {payload.size} bytes; {limit} values were announced")
        data = memoryview(join(payload))
        if len(data) < _LENGTH.size:
            raise MalformedMessage("a model shorter than its header")
        length = _LENGTH.unpack_from(data)[0]
        start = _LENGTH.size + length
        start += -start % _ALIGN
        if length > LAYOUT_LIMIT or start > len(data) or (len(data) - start) % 4 or any(data[_LENGTH.size + length : start]):
            raise MalformedMessage("a model whose lengths or padding do not fit")
        try:
            layout = Layout.from_bytes(bytes(data[_LENGTH.size : _LENGTH.size + length]))
        except ConfigError as refused:
            raise MalformedMessage(f"model: {refused}") from refused
        values = np.frombuffer(data, "<f4", offset=start)
        if len(values) != layout.size:
            raise MalformedMessage(f"a model of {len(values)} values with a layout of {layout.size}")
        return cls(layout, values)


def size_limit(values: int) -> int:
    """Most bytes of a model of that many values."""
    return 4 * values + LAYOUT_LIMIT + _LENGTH.size + _ALIGN


def float_bytes(values: NDArray[np.float32]) -> memoryview:
    """float32, little-endian: what is hashed and sent. The values themselves where they lie so already, not a copy."""
    return np.ascontiguousarray(values, "<f4").data.cast("B")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What this party trains; None: it takes what comes.

    `exact` compares the whole layout, bound facts and scale groups included; `tensors` names, shapes and dtypes only.
    """

    tensors: Layout | None = None
    exact: Layout | None = None
    base_model: bytes | None = None

    def check(self, model: Model, described: RoundDescription) -> None:
        """The model is the one of the description and fits what this party trains. Raises InvalidMessage."""
        blame = [described.coordinator]
        # > Layout, number of values and model are those whose digests the description holds (TR-M2).
        if (model.layout.digest, model.layout.size, model.digest) != (described.layout, described.values, described.inputs[0].model):
            raise InvalidMessage("TR-M2", "the model that came with the round is not the one that its description names", culprits=blame)
        # > A party takes no round over other tensors than its own (TR-M3).
        if (differs := self._difference(model.layout)) is not None:
            raise InvalidMessage(
                "TR-M3", f"the round is over another layout than this party trains; they differ in {differs}", culprits=blame
            )
        # > A party takes no round over another base model than its own (TR-M4).
        if self.base_model is not None and self.base_model != described.base_model:
            theirs, own = described.base_model.hex()[:16], self.base_model.hex()[:16]
            raise InvalidMessage(
                "TR-M4", f"the round is over base model {theirs}…, this party holds {own}…: load the same file", culprits=blame
            )

    def _difference(self, layout: Layout) -> str | None:
        exact = difference(self.exact, layout) if self.exact is not None else None
        return exact or (difference_of_tensors(self.tensors, layout) if self.tensors is not None else None)
