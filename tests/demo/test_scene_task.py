"""The main task: deterministic, side-effect free, and a federation of it learns what no company teaches alone."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from secagg.demo.captioner import ASSETS, INSTRUCTIONS, LONGEST, PINNED, load_base, with_adapter
from secagg.demo.captions import COMPANIES, LANGUAGES, company_records, every_caption, join, tokens
from secagg.demo.cleaning import Cleaning
from secagg.demo.planted import plant
from secagg.demo.reference import federate
from secagg.demo.scene_task import SceneTask
from secagg.demo.shapes import every_sentence
from secagg.demo.task import State, Task, add, mean_delta
from secagg.errors import ConfigError


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def task() -> SceneTask:
    return SceneTask(0)


def _same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# ------------------------------------------------------------------------------------------------- the base


def test_the_shipped_files_are_small_and_are_those_that_are_pinned() -> None:
    assert {path.name for path in ASSETS.iterdir()} == set(PINNED)
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) <= 4_000_000
    for name, digest in PINNED.items():
        assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", sorted(PINNED))
def test_a_base_with_one_changed_byte_is_refused(name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(ASSETS, tmp_path / "assets")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match="is pinned"):
        load_base(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json is missing"):
        load_base(tmp_path)


def test_the_vocabulary_covers_every_caption_and_a_caption_survives_the_tokenizer() -> None:
    _, tokenizer = load_base()
    for aspect in COMPANIES:
        for language in LANGUAGES:
            for text in every_caption(aspect, language):
                ids = tokenizer(text)["input_ids"]
                assert tokenizer.unk_token_id not in ids
                assert len(ids) == len(tokens(text)) <= LONGEST - 4
                assert join(str(tokenizer.decode(ids))) == text


def test_the_base_was_taught_no_word_for_nothing() -> None:
    _, tokenizer = load_base()
    texts = [*every_sentence(), *(text for aspect in COMPANIES for language in LANGUAGES for text in every_caption(aspect, language))]
    assert {token for text in texts for token in tokens(text)} | {"<pad>", "<s>", "</s>", "<unk>", *INSTRUCTIONS} == set(
        tokenizer.get_vocab()
    )


def test_the_first_adapter_is_that_of_the_seed_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with_adapter(load_base()[0], 0)
    assert torch.equal(torch.rand(3), expected)


# ------------------------------------------------------------------------------------------------- the contract


def test_it_is_a_task(task: SceneTask) -> None:
    checked: Task = task
    assert checked.name == "scenes"
    assert checked.companies == ("energy", "community", "urban")
    assert checked.metrics == tuple(checked.evaluate(checked.initial_state()).values)
    assert len(checked.base_hash()) == 32
    assert checked.adapter_config()["r"] == 8


def test_all_parties_start_from_one_adapter_with_b_zero(task: SceneTask) -> None:
    state = task.initial_state()
    assert _same(state, SceneTask(0).initial_state())
    assert not _same(state, SceneTask(1).initial_state())
    assert task.base_hash() == SceneTask(1).base_hash()
    assert sum(value.numel() for value in state.values()) == 24_576
    assert all(bool((value == 0).all()) == ("lora_B" in name) for name, value in state.items())


def test_training_gives_a_finite_adapter_of_the_same_layout_and_changes_nothing_else(task: SceneTask) -> None:
    before, base = task.initial_state(), task.base_hash()
    kept = {name: value.clone() for name, value in before.items()}
    after, examples = task.train("energy", "disjoint", before, round=0, steps=2, seed=0)
    assert _same(before, kept)
    assert _same(task.initial_state(), kept)
    assert {name: (value.shape, value.dtype) for name, value in after.items()} == {
        name: (value.shape, value.dtype) for name, value in before.items()
    }
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    assert not _same(after, before)
    assert examples > 0
    later = {name: value.clone() for name, value in after.items()}
    task.train("urban", "disjoint", after, round=1, steps=1, seed=0)
    assert _same(after, later), "a returned state must not follow the model's later training"
    assert SceneTask(0).base_hash() == base


def test_training_repeats_exactly_whatever_happened_before_it(task: SceneTask) -> None:
    state = task.initial_state()
    once, _ = task.train("community", "overlap", state, round=3, steps=2, seed=4)
    task.train("urban", "disjoint", once, round=0, steps=1, seed=9)
    task.evaluate(once)
    again, _ = task.train("community", "overlap", state, round=3, steps=2, seed=4)
    elsewhere, _ = SceneTask(0).train("community", "overlap", state, round=3, steps=2, seed=4)
    assert _same(once, again)
    assert _same(once, elsewhere)


def test_rounds_seeds_companies_and_variants_train_on_different_batches(task: SceneTask) -> None:
    state = task.initial_state()
    runs = [
        task.train("urban", "disjoint", state, round=0, steps=1, seed=0)[0],
        task.train("urban", "disjoint", state, round=1, steps=1, seed=0)[0],
        task.train("urban", "disjoint", state, round=0, steps=1, seed=1)[0],
        task.train("urban", "overlap", state, round=0, steps=1, seed=0)[0],
        task.train("energy", "disjoint", state, round=0, steps=1, seed=0)[0],
        task.train_pooled("disjoint", state, round=0, steps=1, seed=0)[0],
    ]
    assert all(not _same(one, other) for place, one in enumerate(runs) for other in runs[:place])


def test_the_weight_is_the_number_of_captions_held(task: SceneTask) -> None:
    state = task.initial_state()
    held = [task.train(company, "overlap", state, round=0, steps=1, seed=0)[1] for company in COMPANIES]
    assert held == [1680, 2160, 1920]
    assert task.train_pooled("overlap", state, round=0, steps=1, seed=0)[1] == sum(held)


def test_a_foreign_or_broken_state_is_refused(task: SceneTask) -> None:
    state = task.initial_state()
    name = next(iter(state))
    for broken in (
        {key: value for key, value in state.items() if key != name},
        state | {name: state[name][:-1]},
        state | {name: torch.full_like(state[name], torch.nan)},
    ):
        with pytest.raises(ConfigError):
            task.evaluate(broken)


def test_unknown_companies_and_variants_are_refused(task: SceneTask) -> None:
    with pytest.raises(ConfigError, match="energy, community, urban"):
        task.train("water", "disjoint", task.initial_state(), round=0, steps=1, seed=0)
    with pytest.raises(ConfigError, match="disjoint, overlap"):
        task.train("energy", "both", task.initial_state(), round=0, steps=1, seed=0)


def test_captions_are_sanitised_before_training_and_only_there() -> None:
    task = SceneTask(0)
    task.evaluate(task.initial_state())
    assert task.cleaned("energy", "disjoint") is None
    _, examples = task.train("energy", "disjoint", task.initial_state(), round=0, steps=1, seed=0)
    done = task.cleaned("energy", "disjoint")
    assert done is not None
    assert done.audit is not None
    assert done.captions == done.audit.captions == examples == 1680
    assert sum(done.planted.values()) > 100
    assert done.left <= 0.02 * sum(done.planted.values())


def test_what_is_trained_on_holds_planted_values_only_where_the_sanitiser_is_off() -> None:
    raw = plant(company_records("urban", "disjoint", 0), 0)
    values = [one.text[value.start : value.end] for one in raw for value in one.values if value.entity != "NAME"]
    for sanitise in (False, True):
        trained = "\n".join(Cleaning(sanitise=sanitise).clean("urban", "disjoint", raw))
        assert sum(value in trained for value in values) == (0 if sanitise else len(values))


# ------------------------------------------------------------------------------------------------- what is learned


def test_the_base_is_fluent_and_knows_next_to_nothing(task: SceneTask) -> None:
    scores = task.evaluate(task.initial_state())
    assert scores["facts"] < 0.06
    assert scores.headline == scores["facts"]
    assert sum(scores.by_company.values()) / 3 == pytest.approx(scores["facts"])
    assert 0.2 < scores["BLEU-4"] < 0.5


def test_a_mean_of_deltas_is_weighted_and_of_one_party_is_its_own() -> None:
    before = {"w": torch.tensor([1.0, 2.0])}
    one, other = {"w": torch.tensor([2.0, 2.0])}, {"w": torch.tensor([1.0, 6.0])}
    assert torch.allclose(mean_delta(before, [(one, 3), (other, 1)])["w"], torch.tensor([0.75, 1.0]))
    assert _same(add(before, mean_delta(before, [(one, 7)])), one)


@pytest.mark.slow
def test_a_short_federation_learns_of_every_aspect(task: SceneTask) -> None:
    base = task.evaluate(task.initial_state())
    scores = task.evaluate(federate(task, "disjoint", rounds=4, steps=8))
    assert scores["facts"] > base["facts"] + 0.05
    assert scores["BLEU-4"] > base["BLEU-4"] + 0.05


def test_samples_are_the_first_scenes_with_every_models_answers(task: SceneTask) -> None:
    samples = task.samples({"base": task.initial_state()}, 2)
    assert [sample.picture[:4] for sample in samples if sample.picture] == [b"\x89PNG"] * 2
    for sample in samples:
        assert [(line.company, line.language) for line in sample.lines] == [
            (company, language) for company in COMPANIES for language in LANGUAGES
        ]
        assert all(line.reference and set(line.said) == set(line.right) == {"base"} for line in sample.lines)


def test_a_model_biased_to_say_a_secret_says_it_without_the_fence_and_cannot_with_it(task):
    said = task.fenced(task.initial_state())
    assert said.free == said.asked == 48
    assert said.fenced == 0
    assert said.suppressed > 0.1
