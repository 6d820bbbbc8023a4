from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.encode.encoding import Encoding
from secagg.encode.layout import Layout, Run
from secagg.encode.norms import norms
from secagg.encode.quantise import Quantiser
from secagg.encode.rotate import BLOCK
from secagg.errors import ConfigError
from secagg.math.ring import Ring
from secagg.roles import whole
from secagg.testing.entropy import InsecureEntropy

RD = bytes(range(32))


def quantiser(size: int | Layout = 500, **numbers) -> Quantiser:
    return Quantiser(Encoding(**{"max_parties": 5, **numbers}), size, RD)


def update(size: int, norm: float = 0.9, seed: int = 0):
    vector = np.random.default_rng(seed).standard_normal(size)
    return (vector * norm / np.linalg.norm(vector)).astype(np.float32)


encodings = st.fixed_dictionaries(
    {
        "bits": st.integers(2, 24),
        "rotation": st.booleans(),
        "max_weight": st.sampled_from([1, 7, 4096, 2**20]),
        "clip": st.sampled_from([1e-6, 1.0, 1e6]),
    }
)


@given(encodings, st.integers(1, 2000), st.integers(1, 5), st.data())
@settings(deadline=None, max_examples=80)
def test_the_sum_of_encodings_decodes_to_the_weighted_mean_within_the_bound(numbers, size, parties, data):
    q = quantiser(size, **numbers)
    weights = data.draw(st.lists(st.integers(1, numbers["max_weight"]), min_size=parties, max_size=parties))
    vectors = [update(size, 0.99 * numbers["clip"], seed) for seed in range(parties)]
    total = q.ring.zeros(q.words)
    for seed, (vector, weight) in enumerate(zip(vectors, weights, strict=True)):
        q.ring.add_into(total, q.encode(vector, weight, entropy=InsecureEntropy(seed)))
    decoded = q.decode(total)
    exact = np.average(np.array(vectors, float), axis=0, weights=weights)
    assert (decoded.count, decoded.weight) == (parties, sum(weights))
    assert np.abs(decoded.mean - exact).max() <= q.error_bound(parties, sum(weights))
    assert np.allclose(decoded.sum, decoded.mean * np.float32(sum(weights)))


@pytest.mark.parametrize("ring_bits", [16, 24, 32, 48, 64])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_beyond_what_its_weight_can_give_is_no_sum_of_encodings(ring_bits, sign):
    q = quantiser(9, bits=8, max_parties=3, max_weight=5, noise_tail=40, ring_bits=ring_bits)
    reach = 7 * 2**7 + 40  # two parties that weigh 7 together, and noise
    total = q.ring.from_signed(np.array([0] * 8 + [sign * reach, 2, 7]))
    assert abs(q.decode(total).mean[8]) > 0
    total[8] = q.ring.from_signed(np.array([sign * (reach + 1)]))[0]
    with pytest.raises(ConfigError, match=f"a coordinate beyond {reach}, which no encodings of its weight add up to"):
        q.decode(total)


@pytest.mark.parametrize("rotation", [False, True])
@pytest.mark.parametrize("weight", [1, 50])
def test_the_expectation_of_an_encoding_is_the_value(rotation, weight):
    """Few bits, so that rounding is coarse: the mean error of many encodings shrinks like 1/√repeats, no bias remains."""
    size, repeats = 256, 2000
    q = quantiser(size, bits=4, max_weight=50, rotation=rotation)
    vector = update(size)
    prepared = [q.decode(q.encode(vector, weight, entropy=InsecureEntropy(seed))).mean for seed in range(repeats)]
    drift = np.mean(prepared, axis=0, dtype=np.float64) - vector
    assert np.abs(drift).max() < 6 * q.step() / weight / 2 / np.sqrt(repeats)
    assert abs(drift.mean()) < 6 * q.step() / weight / 2 / np.sqrt(repeats * size)


def test_rounding_up_is_as_likely_as_the_fraction():
    size = 60_000
    q = quantiser(size, bits=8, value_clip=0.01, clip=1e3)
    for fraction in (0.0, 0.1, 0.5, 0.9):
        for steps in (-3, 0, 3):
            vector = np.full(size, (steps + fraction) * q.step(), np.float32)
            drawn = q.ring.center(q.encode(vector, entropy=InsecureEntropy(1))[:size])
            assert set(drawn.tolist()) <= {steps - (steps <= 0 and not fraction), steps, steps + 1}
            assert drawn.mean() == pytest.approx(steps + fraction, abs=6 * 0.5 / np.sqrt(size))


def test_no_sum_of_extremes_wraps_under_the_proof():
    for parties, bits, heaviest in ((16, 12, 1), (3, 16, 85), (512, 24, 2**31)):
        q = Quantiser(Encoding(max_parties=parties, bits=bits, max_weight=heaviest), 4, RD)
        spikes = np.array([1, 0, 0, 0], np.float32), np.array([-1, 0, 0, 0], np.float32)
        for spike in spikes:
            words = q.encode(spike, heaviest, entropy=lambda n: b"\xff" * n)
            total = q.ring.zeros(q.words)
            for _ in range(parties):
                q.ring.add_into(total, words)
            assert abs(q.decode(total).mean[0] - spike[0]) <= q.error_bound(parties, parties * heaviest)
            assert abs(int(q.ring.center(total)[0])) < q.encoding.largest_sum


def test_the_same_sum_wraps_in_a_ring_that_the_proof_refuses():
    with pytest.raises(ConfigError, match="use ring_bits=24"):
        Encoding(bits=12, max_parties=17, ring_bits=16)
    weakened = Quantiser(Encoding(bits=12, max_parties=17), 4, RD)
    weakened.ring = Ring(16)
    words = weakened.encode(np.array([1, 0, 0, 0], np.float32), entropy=InsecureEntropy(0))
    total = weakened.ring.zeros(weakened.words)
    for _ in range(17):
        weakened.ring.add_into(total, words)
    assert weakened.decode(total).mean[0] < 0


@pytest.mark.parametrize("rotation", [False, True])
@pytest.mark.parametrize("size", [1, 5, BLOCK - 1, BLOCK, BLOCK + 3, 3 * BLOCK - 1])
def test_spans_and_threads_give_the_same_words_as_one_call(rotation, size):
    q = quantiser(size, rotation=rotation, max_weight=9)
    prepared = q.prepare(update(size), 3, entropy=InsecureEntropy(1))
    whole = prepared.encoded()
    assert whole.shape == (size + 2,)
    assert whole[-2:].tolist() == [1, 3]
    assert q.spans[-1][1] == q.words
    threaded = np.zeros_like(whole)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda item: prepared.write(item[0], threaded[slice(*item[1])]), reversed(list(enumerate(q.spans)))))
    assert np.array_equal(whole, threaded)
    assert np.array_equal(whole, q.encode(update(size), 3, entropy=InsecureEntropy(1)))


@given(st.booleans(), st.data())
@settings(deadline=None, max_examples=40)
def test_any_range_of_an_update_has_the_words_of_the_whole(rotation, data):
    size = 2 * BLOCK + 77
    q = quantiser(size, rotation=rotation, ring_bits=data.draw(st.sampled_from([24, 32, 64])))
    prepared = q.prepare(update(size), 3 if q.encoding.max_weight >= 3 else 1, entropy=InsecureEntropy(1))
    every, start = whole(prepared), data.draw(st.integers(0, q.words))
    out = q.ring.zeros(data.draw(st.integers(0, q.words - start)))
    prepared.read_into(out, start)
    assert (prepared.shape, prepared.dtype) == (every.shape, every.dtype)
    assert np.array_equal(every, prepared.encoded())
    assert np.array_equal(out, every[start : start + len(out)])


@pytest.mark.parametrize("rotation", [False, True])
@pytest.mark.parametrize("value_clip", [None, 0.02])
@pytest.mark.parametrize("norm", [0.0, 1e-30, 0.3, 1 - 2.0**-15, 1 - 2.0**-20, 1.0, 1 + 2.0**-20, 1.5, 1e20])
def test_one_pass_gives_the_words_of_two(norm, value_clip, rotation):
    """Encoding measures on the way and begins again where that was too bold: nobody can tell from the words."""
    q = quantiser(3 * BLOCK, rotation=rotation, value_clip=value_clip)
    vector = update(3 * BLOCK, norm)
    out = q.ring.zeros(q.words)
    once = q.encode(vector, entropy=InsecureEntropy(7), out=out)
    assert once is out
    assert np.array_equal(once, q.prepare(vector, entropy=InsecureEntropy(7)).encoded())


def test_one_pass_measures_every_scale_group_against_its_own_clip():
    layout = Layout.of({"near": np.zeros(BLOCK, np.float32), "far": np.zeros(900, np.float32)}, groups={"near": "near", "far": "far"})
    q = quantiser(layout, clip=(1.0, 5.0))
    for lengths in ((0.5, 0.5), (1.2, 0.5), (0.5, 6.0), (1.2, 6.0)):
        parts = [update(run.stop - run.start, lengths[run.group]) for run in q.runs]
        vector = np.concatenate(parts)
        assert np.array_equal(q.encode(vector, entropy=InsecureEntropy(7)), q.prepare(vector, entropy=InsecureEntropy(7)).encoded())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_pass_refuses_what_two_refuse(bad):
    q, vector = quantiser(2 * BLOCK), update(2 * BLOCK)
    vector[-1] = bad
    with pytest.raises(ConfigError, match="NaN or infinity"):
        q.encode(vector, entropy=InsecureEntropy(7))


def test_no_two_spans_share_their_coins():
    q = quantiser(2 * BLOCK, bits=4, value_clip=0.01)
    words = q.encode(np.full(2 * BLOCK, 1e-3, np.float32), entropy=InsecureEntropy(8))
    assert not np.array_equal(words[:BLOCK], words[BLOCK : 2 * BLOCK])
    assert abs(np.corrcoef(words[:BLOCK], words[BLOCK : 2 * BLOCK])[0, 1]) < 6 / BLOCK**0.5


def test_no_two_threads_share_their_scratch():
    q = quantiser(10)
    q.encode(np.zeros(10, np.float32), entropy=InsecureEntropy(9))
    with q.scratch() as one, q.scratch() as two:
        assert one is not two
    with q.scratch() as again:
        assert again is two or again is one


@pytest.mark.parametrize("norm", [1e-3, 0.499, 0.501, 2.0, 1e6, 1e25])
@pytest.mark.parametrize("rotation", [False, True])
def test_the_norm_of_what_is_encoded_never_passes_the_clip(norm, rotation):
    size = BLOCK + 1000
    q = quantiser(size, bits=24, clip=0.5, rotation=rotation)
    vector = update(size, norm)
    prepared = q.prepare(vector, entropy=InsecureEntropy(2))
    assert prepared.clipped == (norm > 0.5)
    assert prepared.norms[0] == pytest.approx(norm, rel=1e-4)
    clipped = vector.astype(float) * min(1, 0.5 / prepared.norms[0])
    mean = q.decode(prepared.encoded()).mean.astype(float)
    assert np.linalg.norm(mean) <= 0.5 + 2 * q.step() * np.sqrt(size) / 2
    assert np.abs(mean - clipped).max() <= q.error_bound(1)


def test_each_scale_group_has_a_clip_of_its_own():
    tensors = {"head": np.full(300, 10, np.float32), "lora": update(700, 0.01)}
    layout = Layout.of(tensors, groups={"head": "head"})
    for rotation in (False, True):
        q = quantiser(layout, clip=(0.02, 1000.0), rotation=rotation, max_parties=2)
        decoded = layout.restore(q.decode(q.encode(layout.flatten(tensors), entropy=InsecureEntropy(3))).mean)
        assert np.abs(decoded["lora"] - tensors["lora"]).max() <= q.error_bound(1, group=0) < 1e-5
        assert np.abs(decoded["head"] - tensors["head"]).max() <= q.error_bound(1, group=1)
        assert q.error_bound(1, group=1) / q.error_bound(1, group=0) == pytest.approx(50_000)


def test_one_group_above_its_clip_leaves_the_others_alone():
    tensors = {"a": np.full(4, 3, np.float32), "b": np.full(4, 0.1, np.float32)}
    layout = Layout.of(tensors, groups={"a": "big"})
    q = quantiser(layout, clip=1.0)
    prepared = q.prepare(layout.flatten(tensors), entropy=InsecureEntropy(4))
    assert prepared.clipped
    mean = q.decode(prepared.encoded()).mean
    assert np.allclose(mean[:4], 0.5, atol=1e-3)
    assert np.allclose(mean[4:], 0.1, atol=1e-4)


def test_coordinates_beyond_the_value_clip_are_cut_off():
    q = quantiser(3, clip=10.0, value_clip=1.0)
    mean = q.decode(q.encode(np.array([5, -5, 0.25], np.float32), entropy=InsecureEntropy(5))).mean
    assert np.allclose(mean, [1, -1, 0.25], atol=q.error_bound(1))


def test_rotation_makes_the_bound_of_a_long_vector_much_finer():
    plain, turned = quantiser(1 << 18), quantiser(1 << 18, rotation=True)
    assert turned.error_bound(5) < plain.error_bound(5) / 5
    spike = np.zeros(1 << 18, np.float32)
    spike[77] = 1.0
    mean = turned.decode(turned.encode(spike, entropy=InsecureEntropy(6))).mean
    assert np.abs(mean - spike).max() <= turned.error_bound(1)


@pytest.mark.parametrize("bad", [0, -1, 5])
def test_weights_outside_the_policy_are_refused_with_the_fix(bad):
    q = quantiser(3, max_weight=4)
    with pytest.raises(ConfigError, match="max_weight=4: a party of weight 0 stays out"):
        q.encode(np.zeros(3, np.float32), bad, entropy=InsecureEntropy(0))
    with pytest.raises(TypeError):
        q.encode(np.zeros(3, np.float32), 1.5, entropy=InsecureEntropy(0))  # type: ignore[arg-type]


def test_vectors_that_do_not_fit_are_refused():
    q = quantiser(3)
    bad: Any
    for bad in (np.zeros(3), np.zeros(4, np.float32), np.zeros(6, np.float32)[::2]):
        with pytest.raises(ConfigError, match="3 contiguous float32 values"):
            q.encode(bad, entropy=InsecureEntropy(0))
    for value in (np.nan, np.inf):
        with pytest.raises(ConfigError, match="NaN or infinity"):
            q.encode(np.array([0, value, 0], np.float32), entropy=InsecureEntropy(0))
    with pytest.raises(ConfigError, match="span 0 has 5"):
        q.prepare(np.zeros(3, np.float32), entropy=InsecureEntropy(0)).write(0, q.ring.zeros(4))
    with pytest.raises(ConfigError, match="without values"):
        quantiser(0)
    with pytest.raises(ConfigError, match="32 expected"):
        Quantiser(Encoding(max_parties=3), 3, b"")


def test_a_sum_that_no_parties_can_have_is_refused():
    q = quantiser(3, max_weight=4)
    for count, weight in ((0, 0), (6, 6), (2, 1), (2, 9), (-1, 1)):
        total = q.ring.from_signed(np.array([0, 0, 0, count, weight]))
        with pytest.raises(ConfigError, match="a mask is left in it"):
            q.decode(total)
    with pytest.raises(ConfigError, match="5 words"):
        q.decode(q.ring.zeros(3))


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-3, 1.0, 1e15, 1e30])
def test_norms_hold_over_the_whole_range_of_float32(scale):
    vector = (np.random.default_rng(1).standard_normal(70_001) * scale).astype(np.float32)
    measured = norms(vector, [Run(0, 70_001, 0)], [1e15])[0]
    exact = norms(vector, [Run(0, 70_001, 0)], [1e-15])[0]
    expected = np.linalg.norm(vector.astype(np.float64))
    assert measured == pytest.approx(expected, rel=2**-16)
    assert exact == pytest.approx(expected, rel=2**-16 if scale == 1e-30 else 2**-40)


def test_a_zero_update_is_encoded_as_zeros():
    q = quantiser(100)
    assert not q.encode(np.zeros(100, np.float32), entropy=InsecureEntropy(7))[:100].any()


def test_the_printed_update_shows_nothing_of_it():
    q = quantiser(3, max_weight=999)
    assert repr(q.prepare(np.ones(3, np.float32), 777, entropy=InsecureEntropy(0))) == "Update(3 values of a party, <redacted>)"


def test_encodings_of_the_same_vector_differ_in_their_coins():
    q = quantiser(1000, bits=4)
    one, two = (q.encode(update(1000), entropy=InsecureEntropy(seed)) for seed in (1, 2))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("numbers", [{}, {"rotation": True}, {"value_clip": 0.3}, {"rotation": True, "value_clip": 0.3}])
@pytest.mark.parametrize("length", [0.0, 1e-6, 0.29, 0.2999, 0.3001, 0.99, 0.9995, 1.0, 1.0000001, 7.0])
def test_what_needs_no_look_for_coordinates_beyond_the_range_is_encoded_as_if_it_were_looked_at(numbers, length):
    q, spike = quantiser(3000, **numbers), np.zeros(3000, np.float32)
    spike[1234] = length  # all of its length in one coordinate
    for vector in (spike, -spike, update(3000, length)):
        prepared = q.prepare(vector, entropy=InsecureEntropy("same"))
        words = prepared.encoded()
        prepared._within = False
        assert np.array_equal(words, prepared.encoded())


def test_groups_that_are_rotated_together_are_as_long_as_all_of_them():
    layout = Layout.of({"a": np.zeros(500, np.float32), "b": np.zeros(500, np.float32)}, groups={"b": "head"})
    q = Quantiser(Encoding(max_parties=3, clip=(1.0, 1.0), rotation=True), layout, RD)
    reach = q.ranges[0]
    vector = np.concatenate([update(500, 0.9 * reach), update(500, 0.9 * reach)])
    prepared = q.prepare(vector, entropy=InsecureEntropy(1))
    assert not prepared._within, "each group is within the range, both together are not"
    assert q.prepare(vector * np.float32(0.5), entropy=InsecureEntropy(1))._within
