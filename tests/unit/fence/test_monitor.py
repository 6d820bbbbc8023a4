"""Counters and the review log: every rule is counted, and no text is in either."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from secagg.errors import ConfigError
from secagg.filters.fence import Fence, Phrases, Shape
from secagg.filters.fence.decoding import DecodingFence
from secagg.filters.fence.fence import Hit
from secagg.filters.fence.monitor import Monitor
from secagg.filters.fence.processor import FenceLogitsProcessor
from secagg.filters.fence.review import ReviewLog, read_key
from tests.unit.fence.test_decoding import EOS, FENCE, TINY

RULES = Fence(Phrases("projects", ("project falcon",)), Shape("mobile"))
KEY = bytes(range(32))


def series(monitor: Monitor) -> dict[str, float]:
    families = text_string_to_metric_families(monitor.render().decode())
    return {
        "".join([sample.name, *(f"/{value}" for value in sample.labels.values())]): sample.value
        for family in families
        for sample in family.samples
    }


def test_every_rule_is_there_from_the_start_and_is_counted():
    monitor = Monitor(RULES)
    assert series(monitor)["secagg_fence_hits_total/mobile"] == 0
    for text in ("Project Falcon and PROJECT FALCON", "clean"):
        monitor.text(len(RULES.apply(text, seen=monitor.hit).hits))
    monitor.text(1, refused=True)
    found = series(monitor)
    assert found["secagg_fence_hits_total/projects"] == 2
    assert found["secagg_fence_hits_total/mobile"] == 0
    assert [found[f"secagg_fence_texts_total/{outcome}"] for outcome in ("clean", "changed", "refused")] == [1, 1, 1]


def test_steps_and_suppressed_mass_are_counted():
    monitor = Monitor(FENCE)
    processor = FenceLogitsProcessor(DecodingFence(FENCE, TINY, eos=EOS), monitor=monitor)
    scores = torch.zeros(2, EOS + 1)
    processor(torch.tensor([[0], [1]]), scores)
    processor(torch.tensor([[0]]), torch.full((1, EOS + 1), -torch.inf))
    found = series(monitor)
    assert found["secagg_fence_steps_total"] == 3
    assert found["secagg_fence_dead_ends_total"] == 1
    assert found["secagg_fence_suppressed_mass_total"] == pytest.approx(processor.suppressed)
    assert 0.1 < processor.suppressed < 2


def test_counters_hold_no_text():
    monitor = Monitor(RULES)
    RULES.apply("project falcon 13800138000", seen=monitor.hit)
    assert b"falcon" not in monitor.render()
    assert b"138" not in monitor.render()


def test_two_spellings_have_one_hash_and_another_key_another(tmp_path):
    log = ReviewLog(tmp_path / "log", KEY, clock=lambda: 5.0)
    monitor = Monitor(RULES, log=log)
    for text in ("the project falcon", "PR0JECT\u200b f.a.l.c.o.n!", "13800138000"):
        RULES.apply(text, seen=monitor.hit)
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["rule"] for line in lines] == ["projects", "projects", "mobile"]
    assert lines[0]["hash"] == lines[1]["hash"] != lines[2]["hash"]
    assert lines[0] == {"time": 5.0, "rule": "projects", "start": 4, "characters": 14, "hash": lines[0]["hash"]}
    other = ReviewLog(tmp_path / "other", KEY[::-1], clock=lambda: 5.0)
    other.write(Hit("projects", 4, 18), "project falcon")
    other.close()
    assert json.loads((tmp_path / "other").read_text())["hash"] != lines[0]["hash"]


def test_the_log_is_for_the_owner_alone_and_holds_no_text(tmp_path):
    log = ReviewLog(tmp_path / "log", KEY)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: log.write(Hit("projects", 0, 14), "project falcon"), range(200)))
    log.close()
    text = (tmp_path / "log").read_text()
    assert len([json.loads(line) for line in text.splitlines()]) == 200
    assert "falcon" not in text
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_a_key_is_drawn_once_and_kept(tmp_path):
    key = read_key(tmp_path / "review.key")
    assert len(key) == 32
    assert read_key(tmp_path / "review.key") == key
    assert stat.S_IMODE((tmp_path / "review.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "zz", "00" * 31])
def test_a_file_without_a_key_is_refused(tmp_path, content):
    (tmp_path / "bad.key").write_text(content)
    with pytest.raises(ConfigError):
        read_key(tmp_path / "bad.key")


def test_a_log_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ConfigError):
        ReviewLog(tmp_path / "no" / "log", KEY)
    with pytest.raises(ConfigError, match="31 bytes"):
        ReviewLog(tmp_path / "log", KEY[1:])
    with pytest.raises(ConfigError):
        read_key(tmp_path / "no" / "key")
