"""Split an encoded update among aggregators, and rebuild secrets, against the raw keystream of the same volume.

All shares but one are 32-byte seeds, so the work of a client is one keystream per further aggregator, taken from the vector in place.
"""

from __future__ import annotations

import os

import numpy as np

from benchmarks.encode import keystream
from benchmarks.measure import Line, Work, arguments, best, on_threads, show
from secagg.crypto.expand import Stream
from secagg.crypto.many import combine
from secagg.math import additive, shamir
from secagg.math.ring import Ring
from secagg.types import Secret

THREADS = 2


def shamir_works(parties: int, threshold: int) -> dict[str, Work]:
    secret = Secret(os.urandom(32))
    shares = shamir.share(secret, threshold, range(1, parties + 1), os.urandom)

    def rebuild() -> None:
        shamir._weights_at_zero.cache_clear()
        assert shamir.combine(shares, threshold) == secret

    return {
        "share": lambda: shamir.share(secret, threshold, range(1, parties + 1), os.urandom),
        "rebuild": rebuild,
        "rebuild next": lambda: shamir.combine(shares, threshold),
    }


def main() -> None:
    parser = arguments(__doc__, 1e7)
    parser.add_argument("--aggregators", type=int, default=3, help="parties that hold a share")
    parser.add_argument("--ring-bits", type=int, default=32, help="bits of a word")
    options = parser.parse_args()
    ring, others = Ring(options.ring_bits), options.aggregators - 1
    words = additive.uniform(options.values, ring, os.urandom)
    copy, packed = words.copy(), bytearray(ring.packed_size(options.values))
    masks = [(Stream.fresh(os.urandom), -1) for _ in range(others)]

    def split(threads: int) -> Work:
        def run() -> None:
            with on_threads(threads):
                combine(masks, words, ring)

        return run

    times = best(
        {
            "copy": lambda: np.copyto(copy, words),
            "aes": keystream(others * words.nbytes),
            "split": split(1),
            "threads": split(THREADS),
            "pack": lambda: ring.pack_into(words, packed),
            "explicit": lambda: additive.split(words, options.aggregators, ring, os.urandom),
            **shamir_works(100, 51),
        },
        options.repeats,
    )
    fastest, wall = times.cpu, times.wall
    limit, millions = fastest["copy"] + fastest["aes"], options.values / 1e7
    lines = [
        Line(f"limit: copy, {others} keystreams", limit),
        Line("split", fastest["split"], "the limit", limit, 1.3),
        Line("split", fastest["split"], "20 ms per 1e7 values", 20 * millions, 1.0),
        Line(f"split, {THREADS} threads", wall["threads"], "the limit", limit, 0.75, clock="wall"),
        Line("split", fastest["split"], "explicit shares from os.urandom", fastest["explicit"]),
        Line("pack", fastest["pack"], "copy", fastest["copy"]),
        Line("Shamir: 100 shares, threshold 51", fastest["share"], "0.7 ms", 0.7, 1.0),
        Line("Shamir: rebuild from 51", fastest["rebuild"], "0.5 ms", 0.5, 1.0),
        Line("Shamir: the next secret of the same parties", fastest["rebuild next"]),
    ]
    up = ring.packed_size(options.values) + others * 32
    facts = {
        "values": options.values,
        "ring": options.ring_bits,
        "bytes up / packed vector": f"{up / ring.packed_size(options.values):.6f}",
    }
    show(f"Splitting among {options.aggregators} aggregators", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
