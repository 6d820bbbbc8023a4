"""The coordinator's last word: the task is over, with the model as it is then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from secagg.errors import MalformedMessage
from secagg.payload import Payload
from secagg.types import Context


@dataclass(frozen=True, slots=True)
class Ending:
    """Coordinator to all. Body: digest of the model's values, or nothing; payload: the model, for clients."""

    KIND: ClassVar[str] = "round/Ending"
    digest: bytes
    model: Payload | None = None

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return self.digest, self.model

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        if len(body) not in (0, 32):
            raise MalformedMessage(f"ending: a digest of {len(body)} bytes")
        return cls(body, payload)


def ending_context(task: str) -> Context:
    """No round: `rd` is zero and so are the numbers, which no round has."""
    return Context(bytes(32), task, 0, 0)
