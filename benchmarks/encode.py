"""Encode and decode an update, against what memory and AES allow on this machine and against plain NumPy.

The limit of encoding is one pass that reads the update (its norm), one that reads it and writes words, and two bytes of keystream a value.
"""

from __future__ import annotations

import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from benchmarks.measure import Line, Work, arguments, best, on_threads, show
from secagg.encode import Encoding, Quantiser
from secagg.encode.norms import norms

THREADS = 2
_STEP = 1 << 18
_ZEROS = memoryview(bytes(_STEP))


def keystream(size: int) -> Work:
    """Raw AES-256-CTR into one reused buffer that stays in cache."""
    cipher, buffer = Cipher(algorithms.AES(bytes(32)), modes.CTR(bytes(16))).encryptor(), bytearray(_STEP)

    def run() -> None:
        for start in range(0, size, _STEP):
            cipher.update_into(_ZEROS[: min(_STEP, size - start)], buffer)

    return run


def naive(vector: np.ndarray, scale: float) -> Work:
    """What one writes first: whole-vector NumPy with its own generator, which no secure library may use."""
    generator = np.random.default_rng(0)

    def run() -> np.ndarray:
        clipped = vector * min(1.0, 1.0 / float(np.linalg.norm(vector)))
        return np.floor(clipped * np.float32(scale) + generator.random(len(vector), np.float32)).astype(np.int32)

    return run


def main() -> None:
    parser = arguments(__doc__, 1e7)
    parser.add_argument("--bits", type=int, default=16, help="bits of a value")
    parser.add_argument("--ring-bits", type=int, default=32, help="bits of a word")
    options = parser.parse_args()
    vector = np.random.default_rng(0).standard_normal(options.values).astype(np.float32)
    vector *= np.float32(0.9 / np.linalg.norm(vector))
    plain = Quantiser(Encoding(max_parties=5, bits=options.bits, ring_bits=options.ring_bits), options.values, bytes(32))
    turned = Quantiser(Encoding(max_parties=5, bits=options.bits, ring_bits=options.ring_bits, rotation=True), options.values, bytes(32))
    out, copy = plain.ring.zeros(plain.words), np.zeros_like(vector)
    runs = plain.runs
    total = turned.encode(vector, entropy=os.urandom)
    plain_total = plain.encode(vector, entropy=os.urandom)

    def encode(quantiser: Quantiser, threads: int = 1, clip_hit: bool = False) -> Work:
        source = vector * np.float32(1.5) if clip_hit else vector

        def run() -> None:
            with on_threads(threads):
                quantiser.encode(source, entropy=os.urandom, out=out)

        return run

    with on_threads(1):
        times = best(
            {
                "read": lambda: norms(vector, runs, [1e15]),
                "copy": lambda: np.copyto(copy, vector),
                "aes": keystream(2 * options.values),
                "naive": naive(vector, plain.encoding.levels),
                "plain": encode(plain),
                "clipped": encode(plain, clip_hit=True),
                "threads": encode(plain, THREADS),
                "rotation": encode(turned),
                "rotation threads": encode(turned, THREADS),
                "decode": lambda: plain.decode(plain_total),
                "decode rotated": lambda: turned.decode(total),
            },
            options.repeats,
        )
    fastest, wall = times.cpu, times.wall
    limit, millions = fastest["read"] + fastest["copy"] + fastest["aes"], options.values / 1e7
    lines = [
        Line("limit: norm, copy, keystream of 2 B/value", limit),
        Line("encode", fastest["plain"], "the limit", limit),
        Line("encode", fastest["plain"], "20 ms per 1e7 values", 20 * millions, 1.0),
        Line("encode, an update beyond its clip", fastest["clipped"], "the limit", limit),
        Line(f"encode, {THREADS} threads", wall["threads"], "20 ms per 1e7 values", 20 * millions, 1.0, clock="wall"),
        Line("encode", fastest["plain"], "plain NumPy, its own generator", fastest["naive"]),
        Line("encode with rotation", fastest["rotation"], "the limit", limit),
        Line("rotation alone", fastest["rotation"] - fastest["plain"], "100 ms per 1e7 values", 100 * millions, 1.0),
        Line(f"encode with rotation, {THREADS} threads", wall["rotation threads"], "the limit", limit, clock="wall"),
        Line("decode", fastest["decode"], "the limit", limit),
        Line("decode with rotation", fastest["decode rotated"], "the limit", limit),
    ]
    facts = {"values": options.values, "bits": options.bits, "ring": options.ring_bits, "bytes per value": options.ring_bits / 8}
    show("Encoding", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
