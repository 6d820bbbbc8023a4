"""A running sum split by range over Ray's workers: the same words as in one process, and a worker that is lost is made anew.

A worker holds one range of the sum and knows nothing else. What was added since the sum was last read is kept here, so a fresh worker is
brought to where the lost one was: additions in the ring commute, and give the same words in whatever order.

What crosses Ray, lies in its store or is spilled to its disks is ciphertext, or masked words of the sum: keys go sealed to the worker
that uses them. Ray's own network is trusted to connect this process with its workers and with nobody else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from secagg.crypto.expand import Stream
from secagg.crypto.keyring import open_keys, seal_keys
from secagg.crypto.seal import CannotOpen, OpenKey, SealKey
from secagg.errors import SessionAborted
from secagg.math.ring import Ring, Words
from secagg.payload import CHUNK, Payload, chunk_count
from secagg.tally import Mask, Opening, Tally, words_in_a_chunk

KEYS = "ray/keys"
PIECE = 64
"""Chunks of a vector, of 1 MiB each, that one call carries."""
TRIES = 4
"""How often a range is made anew for one step before the round is given up."""
KEPT = 4
"""How many times the size of the sum the vectors that are kept may have before the sum is read once and they are let go."""
STEPS = 256
"""How many additions are kept at most until then."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some chunks of a payload."""

    size: int
    first: int
    data: NDArray[np.uint8]

    def chunk(self, index: int) -> memoryview:
        start = (index - self.first) * CHUNK
        return memoryview(self.data[start : start + CHUNK])  # type: ignore[arg-type]  # ndarray is a buffer; typed so from 3.12 on


class Shard:
    """One range of a sum, in a worker."""

    def __init__(self, bits: int, length: int, first: int) -> None:
        self._own, self._first = OpenKey.generate(os.urandom), first
        self._tally = Tally.zero(Ring(bits), length)

    def public(self) -> bytes:
        """Under which key keys are sealed to it."""
        return self._own.seal_key().raw

    def load(self, words: Words) -> None:
        """Take this as the sum so far."""
        np.copyto(self._tally.words, words)

    def add(self, box: bytes, purpose: str, context: bytes, part: tuple[int, int, NDArray[np.uint8]], sign: int) -> str:
        """Add some chunks: all or none. Gives the reason if they do not open."""
        size, first, data = part
        try:
            (key,) = open_keys(self._own, box, purpose=KEYS, context=b"")
            piece = range(first, first + chunk_count(len(data)))
            self._from(first).add_chunks(Opening(key, purpose, context), Part(size, first, data), piece, sign)
        except CannotOpen as refused:
            return str(refused)
        return ""

    def apply(self, box: bytes, signs: Sequence[int]) -> None:
        """Add keystreams or take them away."""
        streams = [Stream(key) for key in open_keys(self._own, box, purpose=KEYS, context=b"")]
        self._tally.apply_from(list(zip(streams, signs, strict=True)), self._first * words_in_a_chunk(self._tally.ring))

    def words(self) -> Words:
        """The range as it is now."""
        return self._tally.words

    def _from(self, chunk: int) -> Tally:
        start = (chunk - self._first) * words_in_a_chunk(self._tally.ring)
        return Tally.of(self._tally.ring, self._tally.words[start:])


@dataclass(frozen=True, slots=True)
class Add:
    """A vector that is added."""

    opening: Opening
    payload: Payload
    sign: int

    def on(self, one: Range) -> None:
        """Raises CannotOpen, and then this range has not changed."""
        done: list[range] = []
        for piece in one.pieces():
            if reason := self._ask(one, piece, self.sign):
                for before in done:
                    self._ask(one, before, -self.sign)
                raise CannotOpen(reason)
            done.append(piece)

    def _ask(self, one: Range, piece: range, sign: int) -> str:
        box = seal_keys(one.public, [self.opening.key], purpose=KEYS, context=b"")
        data = np.concatenate([np.frombuffer(self.payload.chunk(index), np.uint8) for index in piece])
        part = (self.payload.size, piece.start, data)
        reason: str = one.ask("add", box, self.opening.purpose, self.opening.context, part, sign)
        return reason


@dataclass(frozen=True, slots=True)
class Apply:
    """Keystreams that are added or taken away."""

    masks: tuple[Mask, ...]

    def on(self, one: Range) -> None:
        box = seal_keys(one.public, [stream.key for stream, _ in self.masks], purpose=KEYS, context=b"")
        one.ask("apply", box, [sign for _, sign in self.masks])


Step = Add | Apply


@dataclass(slots=True)
class Range:
    """One range of the sum, on whichever worker holds it now."""

    ring: Ring
    chunks: range
    length: int
    patience: float
    make: Callable[..., Any]
    saved: Words | None = None
    steps: list[Step] = field(default_factory=list)
    lost: int = 0
    worker: Any = None
    public: SealKey = field(init=False)

    @property
    def start(self) -> int:
        """Its first word."""
        return self.chunks.start * words_in_a_chunk(self.ring)

    def pieces(self) -> Iterator[range]:
        """Its chunks, as many as one call carries."""
        return (self.chunks[start : start + PIECE] for start in range(0, len(self.chunks), PIECE))

    def ask(self, method: str, *given: Any) -> Any:
        """One call of the worker. Raises what Ray raises if it is gone."""
        return ray.get(getattr(self.worker, method).remote(*given), timeout=self.patience)

    def do(self, act: Callable[[Range], Any]) -> Any:
        """Call `act`; if the worker is lost on the way, with another one that is where this one was. Raises SessionAborted."""
        reason: Exception | None = None
        for _ in range(TRIES):
            try:
                if self.worker is None:
                    self._begin()
                return act(self)
            except ray.exceptions.RayTaskError:
                raise  # the worker is there, and its code failed
            except ray.exceptions.RayError as lost:
                reason = lost
                self.drop()
                self.lost += 1
        raise SessionAborted(f"a range of the sum was lost {TRIES} times in a row on Ray: {type(reason).__name__}: {reason}") from reason

    def drop(self) -> None:
        """Let go of the worker."""
        worker, self.worker = self.worker, None
        if worker is not None:
            with suppress(Exception):  # it is gone already, or Ray is
                ray.kill(worker)

    def take_back(self, step: Add) -> None:
        """Undo a step that another range has refused. A worker that is lost meanwhile has nothing of it when it is made anew."""
        if self.worker is not None:
            try:
                Add(step.opening, step.payload, -step.sign).on(self)
            except ray.exceptions.RayError:
                self.drop()

    def _begin(self) -> None:
        self.worker = self.make(self.ring.bits, self.length, self.chunks.start)
        self.public = SealKey(self.ask("public"))
        if self.saved is not None:
            self.ask("load", self.saved)
        for step in self.steps:
            step.on(self)


class ShardedTally:
    """A `RunningSum` over several workers.

    Args:
        make: `make(bits, length, first chunk)` gives the handle of a new `Shard`.
        shards: ranges, at most one for each chunk of a vector.
        patience: seconds after which a worker that does not answer counts as lost.

    Guarantees: words identical to those of `Tally` for the same additions, whichever workers are lost, as long as one can be started.
    Until the sum is read, or has grown by a few vectors, the keys of what was added stay here.
    """

    def __init__(self, ring: Ring, length: int, make: Callable[..., Any], *, shards: int, patience: float = 600.0) -> None:
        step = words_in_a_chunk(ring)
        count = -(-length // step)
        edges = [count * index // min(shards, count) for index in range(min(shards, count) + 1)]
        self.ring, self.length, self.beside = ring, length, False
        self.ranges = [
            Range(ring, range(low, high), min(high * step, length) - low * step, patience, make) for low, high in pairwise(edges)
        ]
        self._pool = ThreadPoolExecutor(len(self.ranges), "secagg-ray")
        self._whole: Words | None = None
        self._kept = 0

    @property
    def empty(self) -> bool:
        return False

    @property
    def words(self) -> Words:
        if self._whole is None:
            whole: Words = np.empty(self.length, self.ring.dtype)
            parts = [whole[one.start : one.start + one.length] for one in self.ranges]

            def read(one: Range, part: Words) -> None:
                np.copyto(part, one.do(lambda one: one.ask("words")))

            _first(self._pool.map(_caught(read), self.ranges, parts))
            for one, part in zip(self.ranges, parts, strict=True):
                one.saved, one.steps = part, []
            self._whole, self._kept = whole, 0
        return self._whole

    def add(self, opening: Opening, payload: Payload, sign: int = 1) -> None:
        step = Add(opening, payload, sign)
        failed = list(self._pool.map(_caught(lambda one: one.do(step.on)), self.ranges))
        if any(failed):
            for one, failure in zip(self.ranges, failed, strict=True):
                if failure is None:
                    one.take_back(step)
            _first(failed)
        self._keep(step, payload.size)

    def apply(self, masks: Sequence[Mask]) -> None:
        if masks:
            step = Apply(tuple(masks))
            _first(self._pool.map(_caught(lambda one: one.do(step.on)), self.ranges))
            self._keep(step, 0)

    def _keep(self, step: Step, size: int) -> None:
        """Remember a step that every range has taken, until the sum is read."""
        self._whole, self._kept = None, self._kept + size
        for one in self.ranges:
            one.steps.append(step)
        if self._kept > KEPT * self.ring.packed_size(self.length) or len(self.ranges[0].steps) > STEPS:
            self.words  # noqa: B018  # reads the sum, and lets go of what led to it

    def close(self) -> None:
        """Let go of the workers."""
        for one in self.ranges:
            one.drop()
        self._pool.shutdown()

    def __del__(self) -> None:
        with suppress(Exception):  # at the end of the process Ray may be gone before this
            self.close()

    def __repr__(self) -> str:
        return f"ShardedTally({self.length} words of {self.ring.bits} bits over {len(self.ranges)} workers)"


def _caught(act: Callable[..., Any]) -> Callable[..., Exception | None]:
    """`act`, which gives what it raised: all ranges end before one of them is heard."""

    def attempt(*given: Any) -> Exception | None:
        try:
            act(*given)
        except (CannotOpen, SessionAborted) as failed:
            return failed
        return None

    return attempt


def _first(failures: Iterable[Exception | None]) -> None:
    for failure in list(failures):
        if failure is not None:
            raise failure
