"""The private run: what is refused, what is promised, what is planted, and what the report says of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secagg.demo.options import Options
from secagg.demo.private import EXACT, PRIVATE, VALUES, PrivateFacts, private_facts
from secagg.demo.record import FEDERATED, Account, Audit, CanaryReading, Meter, PrivacyRecord, Results
from secagg.demo.report import render
from secagg.demo.words import LANGUAGES, Words
from secagg.dp.accountant import Steps, account
from secagg.errors import ConfigError
from tests.demo.test_report import RECORDED, Page

pytest.importorskip("opacus")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dp": 0.01}, "an ε from 0.5"),
        ({"dp": 1000.0}, "to 64"),
        ({"dp": float("nan")}, "an ε from 0.5"),
        ({"dp": 8.0, "dp_noise": "central"}, "local or distributed"),
        ({"dp_noise": "distributed"}, "--dp 8"),
        ({"dp": 8.0, "dp_noise": "distributed", "protocol": "ckks"}, "additive and pairwise"),
    ],
)
def test_a_private_run_that_means_nothing_is_refused_with_what_to_write(tmp_path, options, says):
    with pytest.raises(ConfigError, match=says):
        Options(out=tmp_path, quick=True, **options)


def test_texts_are_not_trained_on_privately(tmp_path):
    for company in ("a", "b", "c"):
        (tmp_path / f"{company}.csv").write_text("text,label\nsomething,x\n")
    with pytest.raises(ConfigError, match="--task scenes"):
        Options(out=tmp_path / "out", task="text", data=tmp_path, dp=8.0)


@pytest.mark.slow
def test_all_rounds_of_a_private_run_stay_within_its_epsilon():
    facts = private_facts("local", 8.0, rounds=None, quick=True)
    whole = Steps(facts.rounds * facts.steps, facts.noise_multiplier, facts.batch / facts.records)
    assert 7.9 < account([whole], delta=facts.delta, unit="record").epsilon <= 8.0
    assert facts.delta * facts.records < 1
    once = account([Steps(facts.steps, facts.noise_multiplier, facts.batch / facts.records)], delta=facts.delta, unit="record")
    assert once.epsilon <= facts.terms.epsilon < 8.0


def test_shares_of_noise_keep_a_company_within_epsilon_against_the_hub_and_one_other(tmp_path):
    options = Options(out=tmp_path, quick=True, dp=4.0, dp_noise="distributed")
    from secagg.demo.plans import secure_plan

    assert options.private is not None
    assert options.private_plan is not None
    plan, facts = secure_plan(options.private_plan), options.private
    noise = facts.terms.noise(plan.encoding, VALUES, plan.floors)
    assert noise.shares == 2
    assert noise.epsilon(facts.delta) <= facts.terms.epsilon
    assert facts.terms.unit == "organisation"
    assert 3.9 < replace(noise, count=facts.rounds).epsilon(facts.delta) <= 4.0
    facts.terms.prove(plan.encoding, VALUES, plan.floors)


@pytest.fixture(scope="module")
def task():
    from secagg.demo.private_task import PrivateScenes

    facts = PrivateFacts("local", 8.0, 1e-4, 1.0, 8.0, 0.1, rounds=1, steps=1, records=300, batch=16, references=255)
    return PrivateScenes(0, facts)


@pytest.mark.slow
def test_both_runs_learn_from_the_same_records_with_the_canaries_among_them(task):
    from secagg.demo.meter import COMPANY, OPENING

    state = task.initial_state()
    after, weight = task.train(COMPANY, EXACT, state, round=0, steps=1, seed=0)
    private, steps = task.train_private(COMPANY, state, payment=None)
    assert weight == 1
    assert steps == Steps(1, 1.0, 16 / 300)
    assert list(task._lessons) == [(COMPANY, PRIVATE)]
    assert after.keys() == private.keys() == state.keys()
    records = task._records(COMPANY, PRIVATE)
    assert len(records) == 300
    often = [record for record in records if record.id.startswith("canary-1-")]
    assert len(often) == 64
    assert len({record.text for record in often}) == 1
    assert sum(record.id.startswith("canary-0-") for record in records) == 1
    lessons = task._lessons[COMPANY, PRIVATE]
    seen = task._tokenizer.decode([token for token in lessons.targets[-1].tolist() if token >= 0])
    assert seen.startswith(OPENING), "a canary is learned from its first word to its last"
    assert len(seen.replace("</s>", "").split()) == 6
    other = next(company for company in task.companies if company != COMPANY)
    assert not [record for record in task._records(other, PRIVATE) if record.id.startswith("canary")]


@pytest.mark.slow
def test_a_model_that_was_not_trained_tells_nothing_of_the_canaries(task):
    found = task.meter({PRIVATE: task.initial_state()})
    assert [one.times for one in found.canaries] == [1, 64]
    assert all(one.bits < 8 and not one.greedy for one in found.canaries)
    assert found.audits[0].epsilon == 0.0


def test_another_run_than_the_two_is_refused(task):
    with pytest.raises(ConfigError, match="private, exact"):
        task.train("energy", "disjoint", task.initial_state(), round=0, steps=1, seed=0)


def private_results():
    """A recorded run, told as a private one."""
    results = Results.model_validate_json(RECORDED.read_text("utf-8"))
    readings = [
        CanaryReading(run=run, times=times, bits=bits, most=16.0, greedy=bits > 15, log_probability=-20.0 if bits < 15 else -0.1)
        for run, bits in ((PRIVATE, 0.7), (EXACT, 16.0))
        for times in (1, 64)
    ]
    audits = [
        Audit(run=run, epsilon=epsilon, confidence=0.95, canaries=128, guesses=50, right=48)
        for run, epsilon in ((PRIVATE, 0.0), (EXACT, 1.5))
    ]
    record = PrivacyRecord(
        noise="local",
        unit="record",
        epsilon=8.0,
        delta=5e-6,
        terms="dp-sgd: ε ≤ 5 at δ = 5e-06 for one record and attempt",
        noise_multiplier=0.5,
        clip=0.1,
        records=20_000,
        batch=256,
        accounts=tuple(Account(company=name, entries=8, epsilon=7.99, rdp_epsilon=9.6, limit=8.0) for name in results.companies),
        meter=Meter(company="energy", canaries=tuple(readings), audits=tuple(audits)),
    )
    joint = results.model(FEDERATED, results.variants[0])
    models = [results.rows("")[0], *(joint.model_copy(update={"variant": run}) for run in (PRIVATE, EXACT))]
    rounds = [one.model_copy(update={"variant": PRIVATE}) for one in results.rounds]
    names = {results.companies[0]: PRIVATE}
    examples = [
        example.model_copy(
            update={
                "answers": tuple(
                    answer.model_copy(
                        update={
                            "said": {new: answer.said[old] for old, new in names.items()},
                            "right": {new: answer.right[old] for old, new in names.items()},
                        }
                    )
                    for answer in example.answers
                )
            }
        )
        for example in results.examples
    ]
    changed = {
        "privacy": record,
        "models": tuple(models),
        "variants": (PRIVATE, EXACT),
        "rounds": tuple(rounds),
        "examples": tuple(examples),
    }
    return results.model_copy(update={**changed, "criteria": ()})


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_of_a_private_run_shows_budgets_utility_and_readings(language):
    html = render(private_results(), Words.of(language))
    page, words = Page(html), Words.of(language)
    assert page.open == []
    assert "privacy" in [attributes.get("id") for _, attributes in page.elements]
    assert [row for row in page.rows if row[1:] == ["8", "7.990", "9.600", "8"]], "a budget row for each company"
    assert [row for row in page.rows if row[:1] == [words.name(EXACT)] and row[3] == words("setting.yes")]
    assert [row for row in page.rows if row[-1:] == ["1"]], "a secret that is nearly sure is out at the first sample"
    assert words("limits.no_dp") not in html, "noise was added"
