"""CKKS through SEAL (the package `tenseal`): reals in the slots of symmetric ciphertexts, of which one half is a seed.

A ciphertext is (c0, c1) with c1 uniform and c0 = m + e − c1·s modulo one prime. SEAL draws c1 from a seed of 64 bytes and writes the seed
in its place; both leave here as arrays, and only arrays come back: a file that SEAL reads is always one that was written here.
Nothing but addition is ever done, so there is one prime, and no key but the secret one. SEAL draws c1 and e from the operating system.

SEAL holds the interpreter's lock while it works: long vectors are encrypted by processes of their own, see `secagg.crypto.ckks_workers`.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from secagg.errors import ConfigError
from secagg.types import Secret

SEED = 64
"""Bytes of the seed that stands for the c1 of one ciphertext."""
KEY = 64
"""Bytes that a secret key is drawn from."""

_HEADER = struct.Struct("<HBBBBHQ")  # magic, own size, version, version, compression, reserved, size of the whole
_PLAIN, _ZSTD = 0, 2
_PREFIX = 97
"""Bytes before the words of c0: parameters' hash, form, sizes, scale, and the header of the array."""
_SCALE_AT = 57

_OTHERWISE = "where it has no wheel for this platform, leave `slots` out: exact packing needs neither"

Integers = NDArray[np.int32]
Reals = NDArray[np.float64]
Residues = NDArray[np.uint64]
Seeds = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Degree and prime of the ring, and the power of two that a value is multiplied with. `degree` reals fill one ciphertext."""

    degree: int
    prime: int
    scale_bits: int


def encrypt(values: Integers, numbers: Numbers, key: Secret) -> tuple[Residues, Seeds]:
    """Encrypt rows of `degree` whole numbers, one ciphertext for each: their c0, and the seeds of their c1."""
    engine = _engine(numbers.degree, numbers.prime)
    encryptor = engine.seal.Encryptor(engine.context, engine.secret(key))
    c0, seeds = np.empty(values.shape, np.uint64), np.empty((len(values), SEED), np.uint8)
    plain, scale = engine.seal.Plaintext(), 2.0**numbers.scale_bits
    with _File() as file:
        for index, row in enumerate(values):
            engine.encoder.encode(row.astype(np.float64).view(np.complex128).tolist(), scale, plain)
            encryptor.encrypt_symmetric(plain).save(file.path)
            c0[index], seeds[index] = engine.take_apart(file)
    return c0, seeds


def decrypt(c0: Residues, halves: Sequence[Seeds], numbers: Numbers, key: Secret) -> Reals:
    """The reals in ciphertexts whose c0 are the rows of `c0`, and whose c1 are the sums of those that the seeds in `halves` stand for."""
    engine, scale = _engine(numbers.degree, numbers.prime), 2.0**numbers.scale_bits
    decryptor, plain = engine.seal.Decryptor(engine.context, engine.secret(key)), engine.seal.Plaintext()
    out, nothing = np.empty(c0.shape, np.float64), np.zeros(numbers.degree, np.uint64)
    with _File() as file:
        for index, row in enumerate(c0):
            total = engine.put_together(file, row, halves[0][index], scale)
            for half in halves[1:]:
                engine.evaluator.add_inplace(total, engine.put_together(file, nothing, half[index], scale))
            decryptor.decrypt(total, plain)
            out[index] = np.array(engine.encoder.decode_complex(plain)).view(np.float64)
    return out


class _File:
    """What SEAL reads and writes has to have a name. Only ciphertexts pass through it."""

    def __enter__(self) -> Self:
        if hasattr(os, "memfd_create"):
            self._fd = os.memfd_create("secagg-ckks")
            self.path, self._named = f"/proc/self/fd/{self._fd}", False
        else:
            self._fd, self.path = tempfile.mkstemp(prefix="secagg-ckks-")
            self._named = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._fd)
        if self._named:
            Path(self.path).unlink()

    def read(self, size: int, at: int = 0) -> bytes:
        return os.pread(self._fd, size, at)

    def write(self, *parts: bytes | memoryview) -> None:
        at = 0
        for part in parts:
            at += os.pwrite(self._fd, part, at)
        os.ftruncate(self._fd, at)


class _Engine:
    """SEAL set up for one ring, and the shape of its files."""

    def __init__(self, degree: int, prime: int) -> None:
        self.seal, self._zstd = load()
        self._degree, self._prime = degree, prime
        self.context = self._context()
        self.encoder, self.evaluator = self.seal.CKKSEncoder(self.context), self.seal.Evaluator(self.context)
        # One ciphertext of nothing shows what stands around the numbers of every other.
        plain = self.seal.Plaintext()
        self.encoder.encode([0j] * (degree // 2), 1.0, plain)
        with _File() as file:
            self.seal.Encryptor(self.context, self.secret(Secret(bytes(KEY)))).encrypt_symmetric(plain).save(file.path)
            shape = self._unpacked(file)
        self._before, self._after = shape[:_PREFIX], shape[_PREFIX + 8 * degree : -SEED]
        self._size = len(shape)

    def secret(self, key: Secret) -> Any:  # noqa: ANN401  # SEAL has no stubs
        """The ternary secret that 64 bytes stand for."""
        words = struct.unpack(f"<{KEY // 8}Q", key.expose())
        return self.seal.KeyGenerator(self._context(self.seal.Blake2xbPRNGFactory(list(words)))).secret_key()

    def take_apart(self, file: _File) -> tuple[Residues, Seeds]:
        """c0 and the seed of the ciphertext that was saved last."""
        raw = self._unpacked(file)
        return np.frombuffer(raw, "<u8", self._degree, _PREFIX), np.frombuffer(raw, np.uint8, SEED, len(raw) - SEED)

    def put_together(self, file: _File, c0: Residues, seed: Seeds, scale: float) -> Any:  # noqa: ANN401
        """The ciphertext of these numbers."""
        head = _HEADER.pack(0xA15E, _HEADER.size, 4, 3, _PLAIN, 0, _HEADER.size + self._size)
        before = self._before[:_SCALE_AT] + struct.pack("<d", scale) + self._before[_SCALE_AT + 8 :]
        file.write(head, before, c0.astype("<u8", copy=False).data.cast("B"), self._after, seed.data.cast("B"))
        loaded = self.seal.Ciphertext()
        loaded.load(self.context, file.path)
        return loaded

    def _context(self, randomness: Any = None) -> Any:  # noqa: ANN401
        parameters = self.seal.EncryptionParameters(self.seal.SCHEME_TYPE.CKKS)
        parameters.set_poly_modulus_degree(self._degree)
        parameters.set_coeff_modulus([self.seal.Modulus(self._prime)])
        if randomness is not None:
            parameters.set_random_generator(randomness)
        return self.seal.SEALContext(parameters, False, self.seal.SEC_LEVEL_TYPE.TC128)

    def _unpacked(self, file: _File) -> bytes:
        *_, compression, _, size = _HEADER.unpack(file.read(_HEADER.size))
        raw = file.read(size - _HEADER.size, _HEADER.size)
        if compression == _ZSTD:
            unpacked: bytes = self._zstd.ZstdDecompressor().decompressobj().decompress(raw)
            return unpacked
        return raw


@lru_cache(4)
def _engine(degree: int, prime: int) -> _Engine:
    return _Engine(degree, prime)


def available() -> None:
    """Raises ConfigError where SEAL is not installed, with what to install. Does not load it."""
    for name in ("tenseal", "zstandard"):
        if not _found(name):
            raise ConfigError(f"CKKS slots need {name}: run `pip install 'secagg[ckks]'`; {_OTHERWISE}")


def load() -> tuple[Any, Any]:
    """SEAL and the unpacker of its files. Raises ConfigError where they are not installed, or do not run here."""
    available()
    try:
        import tenseal.sealapi
        import zstandard
    except (ImportError, OSError) as refused:  # a wheel for another system
        raise ConfigError(
            f"CKKS slots: what `pip install 'secagg[ckks]'` installed does not load here: {refused}; {_OTHERWISE}"
        ) from refused
    return tenseal.sealapi, zstandard


def _found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:  # of a hook that hides it
        return False
