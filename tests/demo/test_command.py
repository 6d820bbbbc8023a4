"""`secagg demo` before anything starts: exit statuses and messages for a wrong command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from secagg.cli.app import app


def invoke(tmp_path, *arguments):
    return CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "out"), *arguments])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--task", "speech"], "scenes or text"),
        (["--task", "text"], "--data FOLDER"),
        (["--protocol", "telepathy"], "the demo runs additive"),
        (["--rounds", "0"], "--rounds 0"),
        (["--lang", "de"], "en and zh"),
    ],
)
def test_a_wrong_argument_ends_with_status_2_and_what_to_write(tmp_path, arguments, says):
    result = invoke(tmp_path, *arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "file" / "out")])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"secagg: {tmp_path / 'file' / 'out'}: Not a directory"
    assert "Traceback" not in result.stderr


def test_json_says_the_error_to_a_machine(tmp_path):
    result = invoke(tmp_path, "--json", "--task", "speech")
    assert json.loads(result.stdout)["exit"] == 2
