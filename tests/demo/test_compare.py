"""The comparisons that only the owner of all parties can make, made on a round in memory."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np
import pytest
from safetensors.numpy import save_file

from protocols import additive
from secagg.demo.compare import WEIGHT, load_update, mean_difference, uniformity, view
from secagg.encode.layout import Layout
from secagg.encode.quantise import Quantiser
from secagg.round import Input, Round, Terms, round_digest, sign_round
from secagg.testing.consortium import consortium

SIZE = 4096


@dataclass
class Made:
    opened: Round
    updates: list
    mean: dict
    quantiser: Quantiser


@pytest.fixture
def made():
    people = consortium(3, 2, now=time.time(), entropy=os.urandom)
    plan = additive.Plan(clients=3, clip=4.0, rotation=True, max_weight=512)
    rng = np.random.default_rng(0)
    updates = [
        ({"w": (rng.normal(size=SIZE) * scale).astype(np.float32)}, weight) for scale, weight in ((0.02, 300), (0.03, 200), (0.05, 410))
    ]
    layout = Layout.of(updates[0][0])
    terms = Terms("t", 1, 1, layout.digest, SIZE, bytes(32), (Input(1, bytes(32)),), os.urandom(16), 60.0, 60.0)
    opened = sign_round(plan.describe(terms, people.roster), people.coordinator)
    quantiser = Quantiser(opened.description.encoding, layout, round_digest(opened.raw))
    ring = opened.description.encoding.ring
    total = ring.zeros(quantiser.words)
    for update, weight in updates:
        ring.add_into(total, quantiser.encode(layout.flatten(update), weight, entropy=os.urandom))
    return Made(opened, updates, layout.restore(quantiser.decode(total).mean), quantiser)


def test_an_honest_mean_is_within_the_bound(made):
    found = mean_difference(made.opened, made.mean, made.updates)
    assert 0 < found.largest <= found.bound
    assert found.clipped == 0


def test_a_mean_with_one_wrong_coordinate_is_outside_the_bound(made):
    made.mean["w"][7] += 0.001
    found = mean_difference(made.opened, made.mean, made.updates)
    assert found.largest > found.bound


def test_a_mean_with_wrong_weights_is_outside_the_bound(made):
    found = mean_difference(made.opened, made.mean, [(update, 1) for update, _ in made.updates])
    assert found.largest > found.bound


def test_an_update_longer_than_the_clip_is_compared_as_it_was_sent(made):
    long = {"w": made.updates[0][0]["w"] * np.float32(100)}
    words = made.quantiser.encode(long["w"], 300, entropy=os.urandom)
    found = mean_difference(made.opened, {"w": made.quantiser.decode(words).mean}, [(long, 300)])
    assert found.clipped == 1
    assert found.largest <= found.bound


def split(made, tmp_path):
    ring, (update, weight) = made.opened.description.encoding.ring, made.updates[0]
    words = made.quantiser.encode(update["w"], weight, entropy=os.urandom)
    mask = np.frombuffer(os.urandom(words.nbytes), ring.dtype).copy()
    left = words.copy()
    ring.sub_into(left, mask)
    files = {"aggregator-0": tmp_path / "a.npy", "aggregator-1": tmp_path / "b.npy"}
    np.save(files["aggregator-0"], left)
    np.save(files["aggregator-1"], mask)
    return files, update, weight


def test_shares_add_up_to_the_update_and_look_like_noise(made, tmp_path):
    files, update, weight = split(made, tmp_path)
    seen = view(made.opened, "client-0", "disjoint", update=update, weight=weight, files=files)
    assert seen.adds_up
    assert sum(seen.update.counts) >= 0.99 * SIZE
    for share in seen.shares:
        assert sum(share.histogram.counts) == SIZE + 2
        assert abs(share.correlation) < 0.1
        assert share.chi_square > 1e-6


def test_shares_of_another_update_do_not_add_up(made, tmp_path):
    files, update, weight = split(made, tmp_path)
    other = {"w": update["w"][::-1].copy()}
    assert not view(made.opened, "client-0", "disjoint", update=other, weight=weight, files=files).adds_up


def test_an_update_that_was_not_hidden_is_not_uniform(made, tmp_path):
    files, update, weight = split(made, tmp_path)
    ring = made.opened.description.encoding.ring
    np.save(files["aggregator-0"], made.quantiser.encode(update["w"], weight, entropy=os.urandom))
    np.save(files["aggregator-1"], ring.zeros(made.quantiser.words))
    bare = view(made.opened, "client-0", "disjoint", update=update, weight=weight, files=files).shares[0]
    assert bare.chi_square < 1e-6
    assert bare.correlation > 0.99


def test_p_values_agree_with_the_table_of_chi_square():
    # 63 degrees of freedom: the 5 % point is 82.53, the median 62.34 (Abramowitz and Stegun, table 26.8, interpolated).
    def p(statistic):
        step = np.sqrt(statistic * 1000 / 64)
        return uniformity(np.array([1000 + step, 1000 - step] * 32))

    assert p(82.53) == pytest.approx(0.05, abs=0.002)
    assert p(62.34) == pytest.approx(0.5, abs=0.002)


def test_an_update_comes_back_with_the_weight_that_was_written_beside_it(tmp_path):
    save_file({"a": np.arange(3, dtype=np.float32)}, tmp_path / "update", metadata={WEIGHT: "41"})
    update, weight = load_update(tmp_path / "update")
    assert (update["a"].tolist(), weight) == ([0.0, 1.0, 2.0], 41)
