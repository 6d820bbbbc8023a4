"""CKKS through SEAL: the integers of the update as reals in the slots, and their sum rounded to integers before it leaves the key holder.

    values 2j and 2j+1 are the real and the imaginary part of slot j:  as many values in a ciphertext as it has coefficients

With the scale Δ = 2^d, n clients and a sum of at most M, all in units of Δ: a ciphertext carries |z| ≤ √2·M·Δ, which has to stay below
q/2. Errors are centred binomial of 21 coins (σ² = 10.5), encoding rounds each coefficient by up to ½. In one real or imaginary part that
is at most
    E(n) = √(2·ln(2^75)·10.5·N/2·n)  (but for 2^-40, over 2^34 values)  +  n·N/π  (rounding, always)
and Δ ≥ 2^8·E: the grid that the sum is rounded to is 2^8 times the bound of what the noise may be. Even if all errors were 21 at once,
less than Δ/2 would come together: the rounded sum is exact, always, not only but for 2^-40.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, log, log2, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from secagg.crypto import ckks, ckks_workers
from secagg.crypto.derive import derive, digest
from secagg.errors import ConfigError
from secagg.math.ring import Ring
from secagg.payload import Blob, Payload, join
from secagg.roles import Vector
from secagg.round import RoundDescription
from secagg.threads import spread, threads
from secagg.types import Context, Entropy, PartyId, Secret

from .cipher import most_parties
from .messages import Seed
from .residues import CannotDecrypt
from .scheme import Report, Total

GRID_BITS = 8
"""log2 of how many times the noise bound the grid is."""
MOST_BITS = 31
"""Sums beyond 2^31 would carry the rounding errors of doubles: 2^-39.7 of the sum at most, see docs/spec/ckks.md."""
_TAIL_BITS, _VARIANCE = 75, 10.5
_FULL = 1.5
"""A little more than √2, so that the noise has room beside the message."""
_LEAST_APART = 128
"""Ciphertexts from which on a vector is worth several processes."""


@dataclass(frozen=True, slots=True)
class Set:
    """A parameter set: addition only, so one prime, and no key but the secret one.

    `security` is what the tables of the Homomorphic Encryption Standard (2018) allow this degree and modulus for, with a ternary secret.
    """

    name: str
    degree: int
    prime: int
    security: int

    @property
    def bits(self) -> int:
        """log2 q, rounded up."""
        return self.prime.bit_length()


SETS = {
    one.name: one
    for one in (
        Set("n4096-q56", 4096, 72057594037641217, 256),  # ≤ 58 bits
        Set("n4096-q60", 4096, 1152921504606830593, 192),  # ≤ 75 bits
    )
}
"""The largest primes below 2^56 and 2^60 that are 1 modulo 8192."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Values in the slots of CKKS ciphertexts.

    Raises:
        ConfigError: sums up to `largest` of so many parties do not fit, with the set that would do.
    """

    set: Set
    ring: Ring
    length: int
    parties: int
    largest: int

    def __post_init__(self) -> None:
        if self._fits(self.set):
            return
        other = next((one.name for one in SETS.values() if self._fits(one)), None)
        packing = "leave `slots` out, packing holds more; or " if self.parties <= most_parties(self.ring.bits) else ""
        advice = f"use slots={other!r}" if other else f"{packing}lower bits, max_weight or clients"
        raise ConfigError(
            f"ckks: slots={self.set.name!r} holds sums of {self.parties} clients below 2^{log2(self._most(self.set)):.1f}, and these may"
            f" reach 2^{log2(self.largest):.1f}: {advice}"
        )

    @classmethod
    def of(cls, name: str, described: RoundDescription) -> Slots:
        """The slots of a round. Raises ConfigError."""
        encoding = described.encoding
        length = described.values + encoding.extra
        return cls(find(name), encoding.ring, length, encoding.max_parties, encoding.largest_sum)

    @property
    def blocks(self) -> int:
        """Ciphertexts."""
        return -(-self.length // self.set.degree)

    @property
    def size(self) -> int:
        return self.blocks * self.set.degree * self.set.bits // 8

    @property
    def seeds(self) -> int:
        return self.blocks * ckks.SEED

    @property
    def numbers(self) -> ckks.Numbers:
        """Degree, prime and scale: Δ is the largest power of two that leaves the sum its room."""
        return ckks.Numbers(self.set.degree, self.set.prime, _scale_bits(self.set, self.largest))

    def load(self) -> None:
        ckks.load()

    def prepare(self) -> None:
        if self._processes() > 1:
            ckks_workers.prepare(self._processes())

    def encrypt(self, vector: Vector, key: Secret, *, ctx: Context, client: PartyId, entropy: Entropy) -> Report:
        """SEAL takes its randomness from the operating system."""
        values, numbers, secret, processes = self._as_rows(vector), self.numbers, _secret(key, ctx), self._processes()
        c0, seeds = (
            ckks.encrypt(values, numbers, secret) if processes == 1 else ckks_workers.encrypt_apart(values, numbers, secret, processes)
        )
        beside = Blob(seeds.data.cast("B"))
        return Report(self.as_payload(c0), seeds_digest(beside), beside)

    def zero(self) -> Total:
        return np.zeros((self.blocks, self.set.degree), np.uint64)

    def add_into(self, total: Total, c0: Payload) -> None:
        words, prime = self._read(c0), np.uint64(self.set.prime)
        total += words
        np.minimum(total, total - prime, out=total)

    def as_payload(self, total: Total) -> Payload:
        out = np.empty((self.blocks, self.set.degree * self.set.bits // 8), np.uint8)

        def squeeze(rows: range) -> None:
            part = slice(rows.start, rows.stop)
            out[part] = _squeeze(total[part], self.set.bits).reshape(len(rows), -1)

        spread(squeeze, self.blocks, least=_LEAST_APART)
        return Blob(out.data.cast("B"))

    def check(self, c0: Payload) -> None:
        self._read(c0)

    def decrypt(self, c0: Payload, reports: Sequence[tuple[PartyId, Seed]], key: Secret, ctx: Context) -> Vector:
        halves = [np.frombuffer(join(report.seeds), np.uint8).reshape(-1, ckks.SEED) for _, report in reports if report.seeds is not None]
        reals = ckks.decrypt(self._read(c0), halves, self.numbers, _secret(key, ctx)).reshape(-1)[: self.length]
        grid = np.rint(reals)
        _refuse_noise(reals - grid, len(reports))
        # Only the integers leave, never the distance to them: see docs/spec/ckks.md, Release.
        return self.ring.from_signed(grid.astype(np.int64))

    def _fits(self, one: Set) -> bool:
        return self.largest < 1 << MOST_BITS and _scale_bits(one, self.largest) >= _least_scale_bits(one, self.parties)

    def _most(self, one: Set) -> float:
        return min(one.prime / 2 / _FULL / 2.0 ** _least_scale_bits(one, self.parties), 2.0**MOST_BITS - 1)

    def _processes(self) -> int:
        return max(1, min(threads(), self.blocks // _LEAST_APART))

    def _as_rows(self, vector: Vector) -> ckks.Integers:
        words = self.ring.center(vector)
        # Beyond it a sum would leave the range that was proved, and beyond 2^31 the words below would wrap.
        if int(np.abs(words).max()) > self.largest:
            raise ConfigError(f"ckks: a word of {int(np.abs(words).max())} in a vector whose sums are to stay below {self.largest}")
        values = np.zeros(self.blocks * self.set.degree, np.int32)
        values[: self.length] = words
        return values.reshape(self.blocks, self.set.degree)

    def _read(self, c0: Payload) -> NDArray[np.uint64]:
        words = _stretch(np.frombuffer(join(c0), np.uint8), self.set.bits).reshape(self.blocks, self.set.degree)
        if int(words.max()) >= self.set.prime:
            raise CannotDecrypt(f"a residue that is not below {self.set.prime}")
        return words


def _refuse_noise(errors: NDArray[np.float64], parties: int) -> None:
    # Twice what the noise may be: the doubles may add as much.
    if not float(np.abs(errors).max()) <= 2.0 ** (1 - GRID_BITS):
        raise CannotDecrypt(f"values further from the grid than the noise of {parties} honest ciphertexts reaches")


def find(name: str) -> Set:
    """The set called `name`. Raises ConfigError."""
    if name not in SETS:
        raise ConfigError(f"ckks: no parameter set {name!r} for slots: there are {', '.join(SETS)}")
    return SETS[name]


def _scale_bits(one: Set, largest: int) -> int:
    """log2 of the largest Δ with √2·M·Δ and the noise below q/2."""
    return int(log2(one.prime / 2 / (_FULL * largest)))


def _least_scale_bits(one: Set, parties: int) -> int:
    """log2 of the smallest Δ that is 2^8 times the noise bound."""
    return GRID_BITS + ceil(log2(noise_bound(one.degree, parties)))


def noise_bound(degree: int, parties: int) -> float:
    """E(n) of the module's head, in units of 1/Δ."""
    return sqrt(2 * log(2) * _TAIL_BITS * _VARIANCE * degree / 2 * parties) + parties * degree / pi


def seeds_digest(seeds: Payload) -> bytes:
    """What stands for the seeds of a report."""
    return digest("ckks/seeds", join(seeds))


def repeats_seeds(one: Seed, others: Iterable[Seed]) -> bool:
    """Whether a seed stands in `one` twice, or in another report."""
    rows = _rows(one)
    return len(set(rows)) < len(rows) or not all(set(rows).isdisjoint(_rows(other)) for other in others)


def _rows(report: Seed) -> list[bytes]:
    raw = b"" if report.seeds is None else join(report.seeds)
    return [raw[start : start + ckks.SEED] for start in range(0, len(raw), ckks.SEED)]


def _secret(key: Secret, ctx: Context) -> Secret:
    return derive(key, salt=ctx.rd, label="ckks/slots", length=ckks.KEY)


def _squeeze(words: Total, bits: int) -> NDArray[np.uint8]:
    """56-bit words in 7 bytes each; two 60-bit words in 15."""
    flat = words.astype("<u8", copy=False).reshape(-1)
    if bits == 56:
        return np.ascontiguousarray(flat.view(np.uint8).reshape(-1, 8)[:, :7])
    low, high = flat[0::2] | (flat[1::2] << np.uint64(60)), flat[1::2] >> np.uint64(4)
    return np.concatenate([low.view(np.uint8).reshape(-1, 8), high.view(np.uint8).reshape(-1, 8)[:, :7]], axis=1)


def _stretch(packed: NDArray[np.uint8], bits: int) -> NDArray[np.uint64]:
    if bits == 56:
        out = np.zeros((len(packed) // 7, 8), np.uint8)
        out[:, :7] = packed.reshape(-1, 7)
        return out.view("<u8").reshape(-1).astype(np.uint64, copy=False)
    pairs = packed.reshape(-1, 15)
    low, high = np.ascontiguousarray(pairs[:, :8]).view("<u8").reshape(-1), np.zeros((len(pairs), 8), np.uint8)
    high[:, :7] = pairs[:, 8:]
    words = np.empty((len(pairs), 2), np.uint64)
    words[:, 0] = low & np.uint64((1 << 60) - 1)
    words[:, 1] = (low >> np.uint64(60)) | (high.view("<u8").reshape(-1) << np.uint64(4))
    return words.reshape(-1)
