"""What the demo refuses before it starts anything."""

from __future__ import annotations

import pytest

from secagg.demo.options import Options
from secagg.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"task": "speech"}, "scenes or text"),
        ({"task": "text"}, "--data FOLDER"),
        ({"protocol": "telepathy"}, "additive"),
        ({"rounds": 0}, "between 1 and"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_to_write(tmp_path, options, says):
    with pytest.raises(ConfigError, match=says):
        Options(out=tmp_path, **options)


def test_data_for_scenes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="drawn from the seed"):
        Options(out=tmp_path, data=tmp_path)


def test_a_missing_data_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        Options(out=tmp_path, task="text", data=tmp_path / "nowhere")


def test_an_out_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="taken"):
        Options(out=tmp_path / "taken")


def test_two_companies_are_too_few_for_a_sum(tmp_path):
    for name in ("north", "south"):
        rows = [f"report number {number},{'fire' if number % 2 else 'flood'}" for number in range(80)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *rows]))
    with pytest.raises(ConfigError, match="2 companies"):
        Options(out=tmp_path / "out", task="text", data=tmp_path)


def test_peer_mode_has_an_aggregator_in_every_company(tmp_path):
    assert Options(out=tmp_path, peer=True).aggregators == ("energy-aggregator", "community-aggregator", "urban-aggregator")


def test_a_quick_run_is_one_variant_and_has_no_criteria(tmp_path):
    quick = Options(out=tmp_path, quick=True)
    assert quick.variants == ("disjoint",)
    assert quick.criteria == ()
