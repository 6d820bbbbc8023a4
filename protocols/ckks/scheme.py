"""What the parties ask of a cipher, and the first one: integers packed in the coefficients, by the library's own arithmetic.

The other is `slots`. A report has two halves: c0 travels to the coordinator; of c1 the seed, or the seeds, travel to the key holder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from secagg.math.ring import Ring
from secagg.payload import Payload
from secagg.roles import Vector
from secagg.types import Context, Entropy, PartyId, Secret

from .cipher import Packing, add_into, as_payload, decrypt, encrypt, read_residues, uniform
from .messages import SEED, Seed

Total = NDArray[np.unsignedinteger[Any]]
"""A running sum of c0."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """One encrypted vector: c0, the 32 bytes that stand for c1, and the seeds of c1 where it has more than that one."""

    c0: Payload
    seed: bytes
    seeds: Payload | None = None


class Scheme(Protocol):
    """Encryption whose ciphertexts add up. A c0 is checked before it is added, and added whole or not at all."""

    @property
    def ring(self) -> Ring:
        """Of the sum."""

    @property
    def length(self) -> int:
        """Words of a vector."""

    @property
    def size(self) -> int:
        """Bytes of c0."""

    @property
    def seeds(self) -> int:
        """Bytes of the seeds that go to the key holder beside its message; 0 where the one in the message is all."""

    def load(self) -> None:
        """Raises ConfigError where encryption and decryption do not run on this machine."""

    def prepare(self) -> None:
        """Get ready to encrypt, while there is time."""

    def encrypt(self, vector: Vector, key: Secret, *, ctx: Context, client: PartyId, entropy: Entropy) -> Report:
        """Under the round's key, with fresh randomness."""

    def zero(self) -> Total:
        """A sum of nothing."""

    def add_into(self, total: Total, c0: Payload) -> None:
        """Raises CannotDecrypt for numbers out of range."""

    def as_payload(self, total: Total) -> Payload:
        """The sum in the form in which each c0 travelled."""

    def check(self, c0: Payload) -> None:
        """Raises CannotDecrypt for numbers out of range."""

    def decrypt(self, c0: Payload, reports: Sequence[tuple[PartyId, Seed]], key: Secret, ctx: Context) -> Vector:
        """The sum, of which c0 is `c0` and c1 that of `reports`. Raises CannotDecrypt if these do not belong together."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Several words in each coefficient; c1 of a whole report is one seed. See `cipher`."""

    packing: Packing
    seeds: int = 0

    @property
    def ring(self) -> Ring:
        return self.packing.ring

    @property
    def length(self) -> int:
        return self.packing.length

    @property
    def size(self) -> int:
        return self.packing.size

    def load(self) -> None:
        """NumPy is there."""

    def prepare(self) -> None:
        """NumPy is there."""

    def encrypt(self, vector: Vector, key: Secret, *, ctx: Context, client: PartyId, entropy: Entropy) -> Report:
        seed = entropy(SEED)
        return Report(as_payload(encrypt(vector, self.packing, key, Secret(seed), ctx=ctx, client=client, entropy=entropy)), seed)

    def zero(self) -> Total:
        return np.zeros(self.packing.residues, np.uint32)

    def add_into(self, total: Total, c0: Payload) -> None:
        add_into(total, c0, self.packing)

    def as_payload(self, total: Total) -> Payload:
        return as_payload(total)

    def check(self, c0: Payload) -> None:
        read_residues(c0, self.packing)

    def decrypt(self, c0: Payload, reports: Sequence[tuple[PartyId, Seed]], key: Secret, ctx: Context) -> Vector:
        halves = [uniform(Secret(report.seed), ctx, client, self.packing) for client, report in reports]
        return decrypt(read_residues(c0, self.packing), halves, self.packing, key, ctx)
