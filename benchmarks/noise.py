"""Distributed noise: encode 2^20 values with a share of Skellam noise, against the encoding alone and the keystream that the draws take."""

from __future__ import annotations

import os

import numpy as np

from benchmarks.encode import keystream
from benchmarks.measure import Line, arguments, best, on_threads, show
from secagg.dp.integer import IntegerNoise
from secagg.dp.noisy import encode_noisy
from secagg.dp.sampler import Sampler
from secagg.encode import Encoding, Quantiser
from secagg.policy import Floors
from secagg.privacy import PrivacyTerms

FLOORS = Floors(n_min=4)
TERMS = PrivacyTerms(unit="organisation", mechanism="skellam", noise_multiplier=2.0, epsilon=10.0, delta=1e-6)


def made(values: int) -> tuple[Quantiser, IntegerNoise]:
    """Ten-bit values in a ring of 24 bits, rotated."""
    encoding = TERMS.encoding(Encoding(max_parties=10, bits=10, rotation=True), FLOORS)
    return Quantiser(encoding, values, bytes(32)), TERMS.noise(encoding, values, FLOORS)


def main() -> None:
    options = arguments(__doc__, 1 << 20).parse_args()
    vector = np.random.default_rng(0).standard_normal(options.values).astype(np.float32)
    vector *= np.float32(0.9 / np.linalg.norm(vector))
    quantiser, noise = made(options.values)
    variance = round(noise.variance)
    law, words = Sampler("skellam", variance), quantiser.ring.zeros(options.values)
    other = Sampler("discrete-gaussian", variance)
    with on_threads(1):
        times = best(
            {
                "aes": keystream(8 * options.values),
                "encode": lambda: quantiser.encode(vector, entropy=os.urandom),
                "noisy": lambda: encode_noisy(quantiser, vector, noise, entropy=os.urandom),
                "skellam": lambda: law.add_into(words, quantiser.ring, entropy=os.urandom),
                "gaussian": lambda: other.add_into(words, quantiser.ring, entropy=os.urandom),
                "table": lambda: Sampler("skellam", variance),
                "numpy": lambda: np.random.default_rng(0).poisson(variance / 2, options.values),
            },
            options.repeats,
        )
    fastest, millions = times.cpu, options.values / (1 << 20)
    lines = [
        Line("limit: keystream of 8 B/value", fastest["aes"]),
        Line("encode and noise", fastest["noisy"], "500 ms per 2^20 values", 500 * millions, 1.0),
        Line("encode and noise", fastest["noisy"], "encode alone", fastest["encode"]),
        Line("Skellam noise", fastest["skellam"], "the limit", fastest["aes"]),
        Line("discrete Gaussian noise", fastest["gaussian"], "the limit", fastest["aes"]),
        Line("Skellam noise", fastest["skellam"], "NumPy's Poisson once, not secure, not exact", fastest["numpy"]),
        Line("table, once for a law", fastest["table"]),
    ]
    facts = {"values": options.values, "deviation": f"{variance**0.5:.0f} steps", "ring": quantiser.ring.bits}
    show("Distributed noise", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
