"""Gaussian noise from the operating system's generator, on a grid: what hides one unit in a clipped sum.

    32 bytes of entropy ──▶ AES-256 keystream ──▶ Box–Muller in float64 ──▶ whole multiples of a grid ──▶ added to a sum on the same grid

Two things a usual generator gets wrong for privacy. Its state can be foretold or ends up in a checkpoint: here each draw has a key of its
own that nothing keeps. And the low bits of `sum + noise` in floating point tell the two apart (Mironov 2012; Haney et al. 2022): here both
are rounded to whole multiples of one power of two first and added exactly, so every value on the grid can come from any sum.
"""

from __future__ import annotations

from math import floor, log2, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.expand import Stream
from secagg.errors import ConfigError
from secagg.types import Entropy

FINENESS = 24
"""Binary digits between the clip-sized noise and the grid: 2^24 to 2^25 steps in one standard deviation."""

_EXACT = 2.0**52
"""Whole numbers of float64 up to here are added exactly."""

PASS = 256
"""Most units in one float32 pass."""
_COMPANY = 1e-4
"""Room for what a batched float32 pass rounds. Over a thousand pairs of batches it was 1e-7 of the clip; where a long record moves the
padding of 31 others that are all alike, and so moved the same way, it was less than 1e-5. It grows with the pass: hence PASS."""

_TAIL = 10.0
"""More standard deviations than a draw can have: its radius comes from 64 bits, which end at 9.5."""


class GaussianNoise:
    """Adds Gaussian noise to sums of clipped vectors.

    Args:
        noise_multiplier: standard deviation in units of the clip (σ).
        clip: L2 bound of what one unit adds.
        values: coordinates of a sum, over all tensors.
        most: units that a sum can hold.
        entropy: where keys come from: `os.urandom`.

    Guarantees:
        What `add` returns is a rounding of (sum on the grid) + N(0, `deviation`²), and `deviation` is σ times the most that one unit moves
        the sum on the grid, rounding included. So the Gaussian mechanism's guarantee at σ holds for it, up to the error of float64 within
        the sampler, which is far below a step of the grid.

    Raises:
        ConfigError: a sum that could leave the range in which float64 adds whole numbers exactly.
    """

    def __init__(self, *, noise_multiplier: float, clip: float, values: int, most: int, entropy: Entropy) -> None:
        self.grid = 2.0 ** (floor(log2(noise_multiplier * clip)) - FINENESS)
        # Float64 rounds the norm, the scaling and the sum, by at most (most² + values)·2^-52 of the clip together (Higham 2002, §4.2).
        # Float32 rounds a record's gradient a little differently in other company: `_COMPANY`. Then the grid moves each coordinate by half
        # a step or less, in the sum with the unit and in the one without it.
        self.sensitivity = clip * (1 + _COMPANY + ((most + 2) ** 2 + values) * 2.0**-52) + self.grid * sqrt(values)
        self.deviation = noise_multiplier * self.sensitivity
        self._entropy = entropy
        if (most * clip + _TAIL * self.deviation) / self.grid > _EXACT:
            raise ConfigError(
                f"{most} units at noise multiplier {noise_multiplier:g} do not fit an exact sum: so little noise hides nobody among so many"
            )

    def add(self, total: NDArray[np.float64]) -> NDArray[np.float64]:
        """`total` on the grid plus fresh noise on the grid; another key for each call."""
        noise = standard_normal(total.size, self._entropy).reshape(total.shape)
        noise *= self.deviation / self.grid
        return (np.rint(total / self.grid) + np.rint(noise)) * self.grid

    def __reduce__(self) -> str:
        raise TypeError("noise is not saved: whoever reads it could take it off again")


def standard_normal(count: int, entropy: Entropy) -> NDArray[np.float64]:
    """`count` independent draws of N(0, 1), by Box and Muller (1958), under a key from `entropy` that is forgotten on return.

    The radius comes from 64 bits, so the tail ends at 9.5 standard deviations; beyond lies a probability of 2^-65.
    """
    pairs = (count + 1) // 2
    words = np.empty(2 * pairs, np.uint64)
    Stream.fresh(entropy).fill(words)
    uniform = words.astype(np.float64)
    radius, angle = uniform[:pairs], uniform[pairs:]
    radius += 0.5
    radius *= 2.0**-64
    np.log(radius, out=radius)
    radius *= -2.0
    np.sqrt(radius, out=radius)
    angle *= 2 * pi * 2.0**-64
    drawn = np.empty(2 * pairs, np.float64)
    np.cos(angle, out=drawn[:pairs])
    np.sin(angle, out=drawn[pairs:])
    drawn[:pairs] *= radius
    drawn[pairs:] *= radius
    return drawn[:count]
