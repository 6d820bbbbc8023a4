"""The cipher: ring-LWE with integers packed in the coefficients, added exactly. Symmetric; the uniform half is a 32-byte seed.

    c1 = a,  uniform, from the seed;      c0 = Δ·m + e − a·s   in Z_q[X]/(X^4096 + 1),  q = p1·p2 ≈ 2^60

m packs `lanes` signed words of the ring side by side in each coefficient. A sum of ciphertexts is the ciphertext of the sum while
n · 21 < Δ/2: e is centred binomial with parameter 21 (σ = 3.24), so its bound is a bound and not a tail.

The secret is uniform ternary. Security: the tables of the Homomorphic Encryption Standard (Albrecht et al. 2018) allow 109 bits of q
for 128-bit security at this degree and 75 bits for 192; q has 60.
Source: Brakerski 2012 and Fan and Vercauteren 2012 (BFV), with the message scaled by a power of two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.derive import derive
from secagg.crypto.expand import Stream
from secagg.errors import ConfigError
from secagg.math.ntt import Ntt, Residues
from secagg.math.ring import WIDTHS, Ring
from secagg.payload import Blob, Payload
from secagg.roles import Vector
from secagg.round import RoundDescription
from secagg.types import Context, Entropy, PartyId, Secret

from .residues import CannotDecrypt, pack_residues, packed_residues, unpack_residues

DEGREE = 4096
PRIMES = (1073692673, 1073668097)
"""The two largest primes below 2^30 that are 1 modulo 8192."""
NOISE = 21
"""Largest magnitude of one error coefficient."""
GROUP = 16
"""Polynomials that are worked on side by side: both residues of a group fill half a chunk of payload."""

_PLAIN_BITS = 59
"""Bits of Δ·m with its sign: Δ · |m| ≤ 2^58, well inside q/2."""
_MOST_LANES = 4
_SPARE_WORDS = 64
_COIN_BYTES = 8
"""Bytes of the coin stream that one error takes."""

_TRANSFORMS = tuple(Ntt(prime, DEGREE) for prime in PRIMES)
Key = tuple[Residues, Residues]


@dataclass(frozen=True)
class Packing:
    """How many words share a coefficient, and what is left for the noise.

    Raises:
        ConfigError: the sum of `parties` ciphertexts could not be decrypted, with what to change.
    """

    ring: Ring
    length: int
    parties: int
    draws: int = 1
    """How many errors of bound `NOISE` each coefficient carries: more than one where what is opened tells something of them."""

    def __post_init__(self) -> None:
        if not self._fits(1):
            most = most_parties(self.ring.bits, self.noise)
            fitting = max((width for width in WIDTHS if self.parties <= most_parties(width, self.noise)), default=None)
            narrower = f", bits or max_weight until clients · max_weight · 2^bits, and noise, fit {fitting}-bit words" if fitting else ""
            raise ConfigError(
                f"ckks: {self.ring.bits}-bit words leave no room for the noise of {self.parties} clients in a 60-bit modulus, only for that"
                f" of {most}: lower clients{narrower}"
            )

    @classmethod
    def of(cls, described: RoundDescription, draws: int = 1) -> Packing:
        """The packing of a round: the coordinates of the update, and the words that carry count and weight."""
        encoding = described.encoding
        return cls(encoding.ring, described.values + encoding.extra, encoding.max_parties, draws)

    @cached_property
    def lanes(self) -> int:
        """Words in one coefficient: as many as the noise leaves room for."""
        return max(lanes for lanes in range(1, _MOST_LANES) if self._fits(lanes))

    @property
    def scale_bits(self) -> int:
        """log2 Δ."""
        return _PLAIN_BITS - self.lanes * self.ring.bits

    @property
    def blocks(self) -> int:
        """Polynomials of one ciphertext."""
        return -(-self.length // (self.lanes * DEGREE))

    @property
    def coefficients(self) -> int:
        """Coefficients that carry words. Those after them would say nothing: they are not sent."""
        return -(-self.length // self.lanes)

    @property
    def residues(self) -> int:
        """Residues of the half that travels: two for each coefficient that carries words."""
        return 2 * self.coefficients

    @property
    def size(self) -> int:
        """Bytes of the half that travels, 30 bits for each residue."""
        return packed_residues(self.residues)

    @property
    def noise(self) -> int:
        """Largest magnitude of an error in one ciphertext."""
        return NOISE * self.draws

    def groups(self) -> Iterator[tuple[int, int]]:
        """(first polynomial, how many) of each group."""
        return ((start, min(GROUP, self.blocks - start)) for start in range(0, self.blocks, GROUP))

    def carrying(self, start: int, count: int) -> int:
        """How many coefficients of a group carry words: all, but in the last one."""
        return min(count * DEGREE, self.coefficients - start * DEGREE)

    def _fits(self, lanes: int) -> bool:
        return self.parties <= most_parties(lanes * self.ring.bits, self.noise)


def most_parties(bits: int, noise: int = NOISE) -> int:
    """Of how many ciphertexts, each with errors up to `noise`, the sum decrypts exactly beside `bits` bits of words in a coefficient."""
    room = _PLAIN_BITS - bits
    return ((1 << (room - 1)) - 1) // noise if room >= 2 else 0


def secret_key(seed: Secret, ctx: Context) -> Key:
    """The ternary secret that `seed` stands for in this round, transformed."""
    stream = Stream(derive(seed, salt=ctx.rd, label="ckks/secret"))
    pairs = np.empty(2 * DEGREE, np.uint8)  # a quarter is refused: 2 · 4096 draws lack 4096 good ones with probability < 2^-1000
    stream.fill(pairs)
    pairs &= 3
    ternary = pairs[pairs < 3][:DEGREE].astype(np.int64) - 1
    return _both(ternary[:, None])


def uniform(seed: Secret, ctx: Context, client: PartyId, packing: Packing) -> Iterator[Key]:
    """The half that the seed stands for, group by group, uniform in the transformed domain."""
    return uniform_groups(derive(seed, salt=ctx.rd, label="ckks/uniform", info=(client.encode(),)), packing)


def drawn_for(wanted: int) -> int:
    """30-bit words from which `wanted` residues are left: by rejection sampling at most one in 14,000 is not below its prime."""
    return wanted + wanted // 1024 + _SPARE_WORDS


def uniform_groups(key: Secret, packing: Packing) -> Iterator[Key]:
    """Uniform polynomials from the keystream of `key`, group by group, in the transformed domain."""
    stream, offset = Stream(key), 0
    for _, count in packing.groups():
        halves = []
        for prime in PRIMES:
            wanted = count * DEGREE
            words = np.empty(drawn_for(wanted), np.uint32)
            stream.fill(words, offset)
            offset += words.nbytes
            words &= np.uint32((1 << 30) - 1)
            halves.append(words[words < prime][:wanted].astype(np.uint64).reshape(DEGREE, count))
        yield halves[0], halves[1]


def encrypt(
    vector: Vector, packing: Packing, key: Secret, seed: Secret, *, ctx: Context, client: PartyId, entropy: Entropy
) -> NDArray[np.uint32]:
    """c0 of `vector`: for each group the residues modulo p1, then those modulo p2, of the coefficients that carry words."""
    return encrypt_under(secret_key(key, ctx), vector, packing, uniform(seed, ctx, client, packing), entropy)


def encrypt_under(secret: Key, vector: Vector, packing: Packing, halves: Iterator[Key], entropy: Entropy) -> NDArray[np.uint32]:
    """c0 of `vector` beside the c1 in `halves`, under a secret that is transformed already."""
    return encrypt_with(secret, vector, packing, halves, Stream.fresh(entropy))


def encrypt_with(secret: Key, vector: Vector, packing: Packing, halves: Iterator[Key], coins: Stream) -> NDArray[np.uint32]:
    """`encrypt_under`, with errors from `coins`."""
    out = np.empty(packing.residues, np.uint32)
    at, secret = 0, _shrunk(secret)
    for (start, count), half in zip(packing.groups(), halves, strict=True):
        message = _pack(vector, packing, start, count)
        message <<= packing.scale_bits
        message += _noise(coins, start, count, packing.draws)
        used = packing.carrying(start, count)
        for transform, a, s in zip(_TRANSFORMS, half, secret, strict=True):
            p = np.uint64(transform.prime)
            masked = transform.unscaled_inverse(a * s % p)
            residues = _residues(message, transform.prime)
            residues += p - masked
            np.minimum(residues, residues - p, out=residues)
            out[at : at + used] = residues.reshape(-1)[:used]
            at += used
    return out


def decrypt(total: NDArray[np.uint32], halves: list[Iterator[Key]], packing: Packing, key: Secret, ctx: Context) -> Vector:
    """The sum whose c0 is `total` and whose c1 is the sum of `halves`, recomputed here.

    Raises:
        CannotDecrypt: the noise is larger than that of honest ciphertexts, so `total` is not the sum of what was sent.
    """
    return decrypt_under(secret_key(key, ctx), total, packing, map(add_keys, zip(*halves, strict=True)), len(halves))


def add_keys(keys: Iterable[Key]) -> Key:
    """The sum of polynomials that are transformed already, residue by residue."""
    one, two = np.zeros(1, np.uint64), np.zeros(1, np.uint64)
    for first, second in keys:  # residues are below 2^30: no number of parties makes 64 bits overflow
        one, two = one + first, two + second
    return one % np.uint64(PRIMES[0]), two % np.uint64(PRIMES[1])


def decrypt_under(secret: Key, total: NDArray[np.uint32], packing: Packing, halves: Iterator[Key], parties: int) -> Vector:
    """The sum of `parties` ciphertexts whose c0 is `total` and whose c1 is in `halves`. Raises CannotDecrypt."""
    vector = np.zeros(packing.length, packing.ring.dtype)
    delta, half_delta = packing.scale_bits, np.int64(1 << (packing.scale_bits - 1))
    for (start, count), lifted in zip(packing.groups(), phases(secret, total, packing, halves), strict=True):
        message = (lifted + half_delta) >> delta
        _refuse_noise(lifted - (message << delta), packing.noise, parties, f"polynomials {start} to {start + count - 1}")
        _unpack_into(vector, message, packing, start)
    return vector


def _refuse_noise(errors: NDArray[np.int64], most: int, parties: int, where: str) -> None:
    if int(np.abs(errors).max()) > most * parties:
        raise CannotDecrypt(f"{where} carry more noise than {parties} honest ciphertexts")


def phases(secret: Key, total: NDArray[np.uint32], packing: Packing, halves: Iterator[Key]) -> Iterator[NDArray[np.int64]]:
    """c0 + a·s, group by group: the sum of the messages times Δ, and of the errors."""
    at, secret = 0, _shrunk(secret)
    for (start, count), half in zip(packing.groups(), halves, strict=True):
        used, phase = packing.carrying(start, count), []
        for transform, a, s in zip(_TRANSFORMS, half, secret, strict=True):
            p = np.uint64(transform.prime)
            masked = transform.unscaled_inverse(a * s % p).reshape(-1)[:used]
            phase.append((total[at : at + used] + masked) % p)
            at += used
        yield _lift(phase[0], phase[1])


def add_into(total: NDArray[np.uint32], payload: Payload, packing: Packing) -> None:
    """Add a c0 to a running sum. Raises CannotDecrypt for residues out of range, and then `total` is as before."""
    add_residues(total, read_residues(payload, packing), packing)


def add_residues(total: NDArray[np.uint32], words: NDArray[np.uint32], packing: Packing) -> None:
    """Add residues that are below their primes to a running sum."""
    for part, prime in _planes(packing):
        run = total[part]
        run += words[part]
        np.minimum(run, run - np.uint32(prime), out=run)


def read_residues(payload: Payload, packing: Packing) -> NDArray[np.uint32]:
    """The inverse of `as_payload`. Raises CannotDecrypt unless every residue is below its prime."""
    words = unpack_residues(payload, packing.residues)
    for part, prime in _planes(packing):
        if int(words[part].max()) >= prime:
            raise CannotDecrypt(f"a residue that is not below {prime}")
    return words


def as_payload(words: NDArray[np.uint32]) -> Blob:
    """Residues as they travel."""
    return Blob(pack_residues(words))


def _planes(packing: Packing) -> Iterator[tuple[slice, int]]:
    at = 0
    for start, count in packing.groups():
        used = packing.carrying(start, count)
        for prime in PRIMES:
            yield slice(at, at + used), prime
            at += used


def _pack(vector: Vector, packing: Packing, start: int, count: int) -> NDArray[np.int64]:
    """Σ 2^(k·lane) · word as signed integers: a carry out of a lane is undone when its sum is taken off again."""
    size, first = packing.carrying(start, count), start * DEGREE * packing.lanes
    message = np.zeros(count * DEGREE, np.int64)
    for lane in range(packing.lanes):
        words = vector[first + lane * size : first + (lane + 1) * size]
        if len(words):
            message[: len(words)] += packing.ring.center(words) << (lane * packing.ring.bits)
    return message.reshape(DEGREE, count)


def _unpack_into(vector: Vector, message: NDArray[np.int64], packing: Packing, start: int) -> None:
    """The inverse of `_pack` for sums that fit the ring."""
    rest, size, bits = message.copy(), message.size, packing.ring.bits
    first = start * DEGREE * packing.lanes
    for lane in range(packing.lanes):
        low = (rest << (64 - bits)) >> (64 - bits)
        room = vector[first + lane * size : first + (lane + 1) * size]
        room[:] = packing.ring.from_signed(low[: len(room)])
        rest -= low
        rest >>= bits


def _noise(coins: Stream, start: int, count: int, draws: int = 1) -> NDArray[np.int64]:
    """Centred binomial, `draws` times: the ones among 21 coins less the ones among 21 others."""
    words = np.empty((draws, count * DEGREE), np.uint64)
    coins.fill(words, start * DEGREE * _COIN_BYTES * draws)
    mask = np.uint64((1 << NOISE) - 1)
    ones = np.bitwise_count(words & mask).astype(np.int64)
    ones -= np.bitwise_count((words >> np.uint64(NOISE)) & mask)
    noise: NDArray[np.int64] = ones.sum(axis=0).reshape(DEGREE, count)
    return noise


def _residues(values: NDArray[np.int64], prime: int) -> Residues:
    return (values % np.int64(prime)).view(np.uint64)


def _both(values: NDArray[np.int64]) -> Key:
    one, two = (transform.forward(_residues(values, transform.prime)) for transform in _TRANSFORMS)
    return one, two


def _shrunk(key: Key) -> Key:
    """The key divided by the degree, once: no product with it has to be."""
    one, two = (part * np.uint64(transform.shrink) % np.uint64(transform.prime) for transform, part in zip(_TRANSFORMS, key, strict=True))
    return one, two


def _lift(one: Residues, two: Residues) -> NDArray[np.int64]:
    """The integer of least magnitude with these residues. [Garner]"""
    p1, p2 = (np.uint64(prime) for prime in PRIMES)
    inverse = np.uint64(pow(PRIMES[0], -1, PRIMES[1]))
    step = (two + p2 - one % p2) % p2 * inverse % p2
    lifted = (one + p1 * step).view(np.int64)
    modulus = PRIMES[0] * PRIMES[1]
    lifted[lifted > modulus // 2] -= modulus
    return lifted
