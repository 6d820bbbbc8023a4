"""Each record's gradient is its own, and one unit moves a clipped sum by no more than the clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from secagg.dp.local import caption_loss
from secagg.dp.local.optimiser import clipped_sums
from tests.unit.dp.local.data import FAMILIES, gradient, model, passes, per_sample, records, stacked

CLIP = 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_per_sample_gradients_are_those_of_a_loop_over_single_records(family):
    given, batch = model(family), stacked(records(6, family))
    found = per_sample(given, batch)
    for row in range(6):
        alone = gradient(given, {name: value[row : row + 1] for name, value in batch.items()})
        assert float(alone.norm()) > 1e-3
        assert float((found[row] - alone).abs().max()) <= 1e-6


def naive(given, batch):
    """The usual loss: the mean over all tokens of the batch, shared out to its records."""
    labels = batch["labels"]
    own, counts = caption_loss(given, batch), (labels[:, 1:] != -100).sum(1)
    return own * counts / counts.sum() * len(labels)


def alike(count, *, every=8):
    """Records that say the same word, every eighth of them after a long story: their gradients point the same way."""
    examples = records(count)
    for number, example in enumerate(examples):
        example["input_ids"] = examples[0]["input_ids"]
        last = 8 if number % every == 0 else 2
        example["labels"] = torch.where(torch.arange(8) < last, example["input_ids"], -100)
    return examples


@pytest.mark.slow
def test_removing_any_record_moves_the_clipped_sum_by_the_clip_at_most_and_by_far_more_with_the_naive_loss():
    given, draw = model("llama"), np.random.default_rng(1)
    pools = [stacked(records(64)), stacked(alike(64, every=32))]
    worst = dict.fromkeys((caption_loss, naive), 0.0)
    with passes(given) as rows_of:
        for pair in range(1100):
            pool, loss = pools[pair % 2], naive if pair % 11 == 10 else caption_loss
            size = 64 if loss is naive else draw.integers(2, 9)
            rows = draw.choice(64, size=size, replace=False)
            if loss is naive:
                rows = np.append([0], rows[rows != 0])  # the one that goes is long
            with_it, without = (rows_of({name: value[kept] for name, value in pool.items()}, loss) for kept in (rows, rows[1:]))
            clip = float(without.norm(dim=1).median())
            moved = clipped_sums([with_it], clip)[0] - clipped_sums([without], clip)[0]
            worst[loss] = max(worst[loss], float(moved.norm()) / clip)
    print(f"removing a record moves the sum by at most {worst[caption_loss]:.8f} C; with the naive loss by {worst[naive]:.2f} C")
    assert 0.9 < worst[caption_loss] <= 1 + 1e-5
    assert worst[naive] > 3


def test_in_a_constructed_case_the_naive_loss_moves_the_sum_by_many_times_the_clip():
    """Many records that say one word, and one that is long: taking it out makes all others heavier."""
    given, examples = model("llama"), alike(200, every=200)
    moved = {}
    for loss in (caption_loss, naive):
        raw = [per_sample(given, stacked(kept), loss) for kept in (examples, examples[1:])]
        clip = float(raw[1].norm(dim=1).max())  # nothing is clipped that was not coupled
        before, after = (clipped_sums([rows], clip)[0] for rows in raw)
        moved[loss] = float((before - after).norm()) / clip
    assert moved[caption_loss] <= 1 + 1e-5
    assert moved[naive] > 3


def test_a_float32_sum_moves_by_more_than_the_clip_and_this_one_does_not():
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(4096, 300, generator=draw)
    ours, plain = [], []
    for _ in range(20):
        rows = rows[torch.randperm(len(rows), generator=draw)]
        ours.append(float((clipped_sums([rows], CLIP)[0] - clipped_sums([rows[1:]], CLIP)[0]).norm()) / CLIP)
        clipped = rows * (CLIP / rows.norm(dim=1, keepdim=True)).clamp(max=1)
        plain.append(float((clipped.cumsum(0)[-1] - clipped[1:].cumsum(0)[-1]).norm()) / CLIP)
    assert max(ours) <= 1 + 1e-9
    assert max(plain) > 1 + 1e-7


def test_a_record_without_a_finite_gradient_adds_nothing():
    rows = torch.ones(3, 4)
    rows[1, 2] = float("inf")
    assert torch.equal(clipped_sums([rows], 1.0)[0], torch.ones(4, dtype=torch.float64))


def test_the_hooks_leave_no_trace():
    given = model()
    before = {name: set(vars(module)) for name, module in given.named_modules()}
    per_sample(given, stacked(records(3)))
    assert {name: set(vars(module)) for name, module in given.named_modules()} == before
    assert all(not hasattr(parameter, "grad_sample") for parameter in given.parameters())
