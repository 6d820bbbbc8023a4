from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.encode.rotate import BLOCK, Rotation, deviation
from secagg.errors import ConfigError

SEED = bytes(range(32))
sizes = st.integers(1, 3000) | st.sampled_from([BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 12345])


def rotated(rotation: Rotation, vector, direction: str):
    out = vector.copy()
    spare = np.empty(2 * BLOCK, np.float32)
    for span, (start, stop) in enumerate(rotation.spans):
        getattr(rotation, direction)(span, out[start:stop], spare)
    return out


def normal(size: int, seed: int = 0):
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


@given(sizes, st.binary(min_size=32, max_size=32))
@settings(deadline=None, max_examples=40)
def test_the_rotation_keeps_lengths_and_is_undone_under_the_same_seed(size, seed):
    rotation, vector = Rotation(size, seed), normal(size)
    turned = rotated(rotation, vector, "forward")
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(vector), rel=1e-5)
    assert np.allclose(rotated(rotation, turned, "inverse"), vector, atol=1e-5)


@given(sizes)
@settings(deadline=None, max_examples=20)
def test_the_rotation_keeps_angles_too(size):
    rotation, one, two = Rotation(size, SEED), normal(size, 1), normal(size, 2)
    turned = np.dot(rotated(rotation, one, "forward").astype(float), rotated(rotation, two, "forward"))
    assert turned == pytest.approx(np.dot(one.astype(float), two), abs=1e-4 * size**0.5 + 1e-5)


@given(sizes)
def test_spans_cover_every_coordinate_once(size):
    spans = Rotation(size, SEED).spans
    assert [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])]
    assert spans[-1][1] == size
    assert all(stop - start < 2 * BLOCK for start, stop in spans)


@pytest.mark.parametrize("size", [1 << k for k in range(11)])
def test_a_block_is_the_hadamard_matrix_after_signs(size):
    matrix: Any = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.kron([[1, 1], [1, -1]], matrix)
    rotation = Rotation(size, SEED)
    probe = normal(size)
    turned = rotated(rotation, probe, "forward")
    unsigned = matrix @ turned / np.sqrt(size)  # undoes H, leaves D · x
    assert np.allclose(np.abs(unsigned), np.abs(probe), atol=1e-5)


def test_half_of_the_signs_are_flipped_and_another_seed_flips_others():
    def flips(seed: bytes):
        vector = np.ones(BLOCK, np.float32)
        spare = np.empty(BLOCK, np.float32)
        Rotation(BLOCK, seed)._sign_and_scale(0, vector, spare)
        return vector < 0

    one, two = flips(SEED), flips(bytes(32))
    for pattern in (one, two, one ^ two):
        assert abs(int(pattern.sum()) - BLOCK // 2) < 6 * BLOCK**0.5 / 2


@pytest.mark.parametrize("size", [100, BLOCK, BLOCK + 1, 2 * BLOCK - 1])
def test_no_coordinate_of_a_spike_stands_out(size):
    for at in (0, size // 2, size - 1):
        spike = np.zeros(size, np.float32)
        spike[at] = 1
        turned = rotated(Rotation(size, SEED), spike, "forward")
        assert np.abs(turned).max() <= deviation(size, -20) / np.sqrt(Rotation(size, SEED).block)


def test_wrong_sizes_and_seeds_are_refused():
    for size, seed in ((0, SEED), (5, b"short")):
        with pytest.raises(ConfigError):
            Rotation(size, seed)
