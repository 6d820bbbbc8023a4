"""`secagg fence`: places and rules are told, what was found is not."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from secagg.cli.app import app


def run(*arguments, text=None):
    return CliRunner().invoke(app, ["fence", *map(str, arguments)], input=text)


def test_check_names_place_and_rule_and_never_the_phrase(tmp_path):
    (tmp_path / "names.txt").write_text("# projects\nproject falcon\n")
    (tmp_path / "answers.txt").write_text("fine\nthe pr0ject FALCON flies\ncall 13800138000\n")
    result = run("check", tmp_path / "answers.txt", "-p", tmp_path / "names.txt", "-s", "mobile", "--json")
    assert result.exit_code == 1
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"line": 2, "column": 5, "characters": 14, "rule": "names.txt"},
        {"line": 3, "column": 6, "characters": 11, "rule": "mobile"},
    ]
    shown = run("check", tmp_path / "answers.txt", "-p", tmp_path / "names.txt").output
    assert "names.txt" in shown
    assert "FALCON" not in shown


def test_check_of_clean_text_succeeds():
    assert run("check", "-", "-s", "plate", text="nothing here\n").exit_code == 0


def test_clean_writes_the_text_without_what_is_blocked(tmp_path):
    (tmp_path / "words.txt").write_text("ass\n")
    assert run("clean", "-", "-w", tmp_path / "words.txt", text="class\nan ass\n").stdout == "class\nan ████\n"


def test_a_fence_without_rules_or_without_a_file_is_a_usage_error(tmp_path):
    assert run("check", "-", text="a").exit_code == 2
    assert run("check", tmp_path / "none", "-s", "mobile").exit_code == 2
