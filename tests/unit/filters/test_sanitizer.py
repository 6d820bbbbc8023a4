"""What a policy does to a caption, and what it never lets out."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.filters.captions import disguised, plain
from secagg.errors import ConfigError
from secagg.filters import Policy, Sanitizer
from secagg.filters.audit import Audit, Report
from secagg.filters.audit_page import render
from secagg.filters.policy import Names, Treatment, read_policy
from secagg.filters.pseudonyms import Pseudonyms
from secagg.filters.regular import compile_safely

PHONE = "居民来电13812345678反映井盖松动"
NO_MODEL = Names(model=False)
KEY = b"0123456789abcdef0123456789abcdef"


def sanitizer(action: str, **treatment: object) -> Sanitizer:
    return Sanitizer(Policy(default=Treatment.model_validate({"action": action, **treatment}), names=NO_MODEL))


@pytest.mark.parametrize(
    ("action", "text"),
    [("redact", "居民来电[PHONE]反映井盖松动"), ("mask", "居民来电***********反映井盖松动"), ("keep", PHONE), ("drop", ""), ("hold", "")],
)
def test_the_policy_says_what_becomes_of_a_value(action: str, text: str) -> None:
    done = sanitizer(action).apply(PHONE)
    assert done.text == text
    assert done.outcome == {"drop": "dropped", "hold": "held"}.get(action, "kept")


def test_a_mask_keeps_no_more_than_asked() -> None:
    assert sanitizer("mask", keep_last=4).apply(PHONE).text == "居民来电*******5678反映井盖松动"


@pytest.mark.parametrize("action", ["redact", "mask", "pseudonymise"])
def test_a_second_pass_changes_nothing(action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECAGG_PSEUDONYM_KEY", KEY.decode())
    clean = sanitizer(action)
    for row in [*plain(5, 15), *disguised(6, 3)]:
        once = clean.apply(row.text)
        assert clean.apply(once.text).text == once.text, row.entity
        assert not clean.find(once.text)


@given(st.text(max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_text_at_all_is_sanitised_once(text: str) -> None:
    clean = sanitizer("redact")
    once = clean.apply(text)
    assert clean.apply(once.text).text == once.text


def test_pseudonyms_agree_on_disguises_and_depend_on_key_project_and_entity() -> None:
    names = Pseudonyms(KEY, "street")
    phone = names.surrogate("PHONE", "13812345678")
    assert phone == names.surrogate("PHONE", "１３８-1234 5678")
    assert phone.startswith("100")
    assert len(phone) == 11
    assert phone != Pseudonyms(KEY[::-1], "street").surrogate("PHONE", "13812345678")
    assert phone != Pseudonyms(KEY, "other").surrogate("PHONE", "13812345678")
    assert names.surrogate("NAME", "王建国")[0] == "佚"
    assert len(names.surrogate("NAME", "王建国")) == 3
    assert len(names.surrogate("NAME", "Mary Smith").split()) == 2


def test_a_key_does_not_leave_its_pseudonyms() -> None:
    names = Pseudonyms(KEY, "street")
    assert "0123" not in repr(names)
    with pytest.raises(TypeError, match="not pickled"):
        names.__reduce__()
    with pytest.raises(ConfigError, match="16"):
        Pseudonyms(b"short", "street")


def test_own_recognisers_lists_and_exceptions_come_from_the_policy_file(tmp_path: Path) -> None:
    (tmp_path / "sites.txt").write_text("# ours\n北郊调压站\nNorth Yard\n", encoding="utf-8")
    (tmp_path / "p.toml").write_text(
        'allow = ["13812345678"]\nparty = "energy"\n[names]\nmodel = false\n[entities.SITE]\naction = "mask"\n'
        '[[recogniser]]\nentity = "WORK_ORDER"\npattern = "gd-[0-9]{8}"\nconfidence = 0.2\nwith_cue = 0.9\ncues = ["工单"]\n'
        '[[gazetteer]]\nentity = "SITE"\nfile = "sites.txt"\n',
        encoding="utf-8",
    )
    clean = Sanitizer.from_policy(tmp_path / "p.toml")
    assert clean.apply("工单ＧＤ－20270001在北郊调压站，北 yard, north yards, NORTH YARD").text == (
        "工单[WORK_ORDER]在*****，北 yard, north yards, ***** ****"
    )
    assert clean.apply("gd-20270001").text == "gd-20270001"
    assert clean.apply(PHONE).text == PHONE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[default]\naction = 'erase'\n", "line 2: default.action"),
        ("colour = 1\n", "line 1: colour"),
        ("[default\n", "line 1"),
        ("[entities.phone]\naction = 'mask'\n", "phone"),
    ],
)
def test_a_policy_that_says_nothing_known_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_policy(tmp_path / "p.toml")


@pytest.mark.parametrize("pattern", ["(a+)+b", "(?:a*)*c", "([0-9]+,?)+x", "(", "a*"])
def test_a_pattern_that_can_blow_up_or_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="here"):
        compile_safely(pattern, "here")


@pytest.mark.parametrize("pattern", ["gd-[0-9]{8}", "(?:ab{1,3}){2,8}", "[a-z]+@[a-z]+"])
def test_a_pattern_that_cannot_blow_up_is_accepted(pattern: str) -> None:
    assert compile_safely(pattern, "here").pattern == pattern


def test_pseudonyms_without_a_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECAGG_PSEUDONYM_KEY", raising=False)
    with pytest.raises(ConfigError, match="SECAGG_PSEUDONYM_KEY"):
        sanitizer("pseudonymise")


def test_a_report_follows_its_schema_and_holds_no_value(caplog: pytest.LogCaptureFixture, rules: Sanitizer) -> None:
    rows = plain(7, 20)
    audit = Audit(rules.policy)
    with caplog.at_level(logging.DEBUG):
        done = [rules.apply(row.text) for row in rows]
        for row, one in zip(rows, done, strict=True):
            audit.add(row.text, one)
    report = audit.report()
    body = report.model_dump_json()
    jsonschema.validate(json.loads(body), Report.model_json_schema())
    shown = "\n".join([body, render(report), caplog.text, repr(done), repr(done[0].findings)])
    values = [row.text[row.start : row.end] for row in rows if row.entity != "NAME"]
    assert report.captions == len(rows)
    assert report.touched >= 0.9 * len(values)
    assert [value for value in values if value in shown] == []
    assert any(value in "\n".join(row.text for row in rows) for value in values)


@pytest.mark.slow
def test_names_reach_no_report_log_repr_or_error(caplog: pytest.LogCaptureFixture) -> None:
    """Names that stand in a caption as values and nowhere else in what the sanitiser writes."""
    clean, rows = Sanitizer(), [row for row in plain(8, 40) if row.entity == "NAME"]
    audit, errors = Audit(clean.policy), []
    with caplog.at_level(logging.DEBUG):
        done = [clean.apply(row.text) for row in rows]
        for row, one in zip(rows, done, strict=True):
            audit.add(row.text, one)
            with pytest.raises(ConfigError) as refused:
                clean.map_batch({"caption": [row.text]})
            errors.append(str(refused.value))
    report = audit.report()
    shown = "\n".join([report.model_dump_json(), render(report), caplog.text, repr(done), repr([one.findings for one in done]), *errors])
    values = {row.text[row.start : row.end] for row in rows}
    assert sum(bool(one.findings) for one in done) >= 0.95 * len(rows)
    assert [value for value in values if value in shown] == []
    assert all(value in "\n".join(row.text for row in rows) for value in values)


def test_the_page_escapes_what_comes_from_captions(rules: Sanitizer) -> None:
    audit = Audit(Policy(party="<script>alert(1)</script>"))
    audit.add("<b>13812345678</b>", rules.apply("<b>13812345678</b>"))
    assert "<script>" not in render(audit.report())
    assert "<b>" not in render(audit.report())


def test_rows_that_are_dropped_leave_every_column_of_a_batch() -> None:
    batch: dict[str, list] = {"text": [PHONE, "一只猫"], "id": [1, 2]}
    assert sanitizer("drop").map_batch(batch) == {"text": ["一只猫"], "id": [2]}
    with pytest.raises(ConfigError, match="caption"):
        sanitizer("drop").map_batch(batch, "caption")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("processes", [None, 2])
def test_a_hugging_face_dataset_is_mapped_and_rows_that_are_dropped_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int | None
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setenv("SECAGG_PSEUDONYM_KEY", KEY.decode())
    policy = Policy(default=Treatment(action="pseudonymise"), entities={"EMAIL": Treatment(action="drop")}, names=NO_MODEL)
    clean = Sanitizer(policy)
    texts = [PHONE, "一只猫", "write to mary@example.org", *(row.text for row in plain(3, 4))]
    given = datasets.Dataset.from_dict({"text": texts, "id": list(range(len(texts)))})
    mapped = given.map(clean.map_batch, batched=True, num_proc=processes)
    expected = [(one.text, number) for number, one in enumerate(map(clean.apply, texts)) if one.outcome == "kept"]
    assert list(zip(mapped["text"], mapped["id"], strict=True)) == expected
    assert 2 not in mapped["id"]


def test_a_sanitiser_is_pickled_as_its_policy_and_refuses_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECAGG_PSEUDONYM_KEY", KEY.decode())
    pickled = pickle.dumps(sanitizer("pseudonymise"))
    assert KEY not in pickled
    assert pickle.loads(pickled).apply(PHONE) == sanitizer("pseudonymise").apply(PHONE)
    monkeypatch.setenv("SECAGG_PSEUDONYM_KEY", KEY.decode()[::-1])
    with pytest.raises(ConfigError, match="differs"):
        pickle.loads(pickled)


@pytest.mark.slow
def test_importing_it_is_quick() -> None:
    program = "import time, secagg; began = time.process_time(); import secagg.filters; print(time.process_time() - began)"
    seconds = min(
        float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout) for _ in range(2)
    )
    assert seconds < 0.5
