"""`secagg fence build`: a vocabulary from files, and what it refuses."""

from __future__ import annotations

import base64
import json

import pytest
from typer.testing import CliRunner

from secagg.cli.app import app
from secagg.errors import ConfigError
from secagg.filters.fence.files import read_tokenizer
from tests.unit.fence.parrot import parrot


@pytest.fixture
def folder(tmp_path):
    parrot()[1].save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("project falcon\n")
    return path


def run(*arguments):
    done = CliRunner().invoke(app, ["fence", "build", *map(str, arguments)])
    return done.exit_code, done.output


def test_a_folder_says_its_end_and_is_kept_in_the_cache(folder, listed, tmp_path):
    command = ("-t", folder, "-p", listed, "--shape", "mobile", "--cache", tmp_path / "kept", "--json")
    code, said = run(*command)
    assert code == 0, said
    facts = json.loads(said)
    assert facts["tokens"] == len(parrot()[1])
    assert facts["end"] == str(parrot()[1].eos_token_id)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    assert len(kept) == 3, "the vocabulary, and its order for two policies"
    assert run(*command)[0] == 0
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()} == kept


@pytest.mark.parametrize(
    ("described", "end"),
    [
        ({"generation_config.json": {"eos_token_id": [0, 5]}}, (0, 5)),
        ({"tokenizer_config.json": {"eos_token": {"content": "<|end|>"}}}, (0,)),
    ],
)
def test_the_end_is_what_the_model_says(folder, described, end):
    for name, content in described.items():
        (folder / name).write_text(json.dumps(content))
    assert read_tokenizer(folder).eos == end


def test_an_end_can_be_named_by_token_or_by_id(folder):
    assert read_tokenizer(folder / "tokenizer.json", eos="<|end|>").eos == (0,)
    assert read_tokenizer(folder / "tokenizer.json", eos="25").eos == (25,)
    with pytest.raises(ConfigError, match="no token"):
        read_tokenizer(folder, eos="</s>")
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(ConfigError, match="--eos"):
        read_tokenizer(folder)


def test_a_tiktoken_file_ends_with_the_id_after_the_last(tmp_path):
    path = tmp_path / "small.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(bytes([byte])) + b" %d\n" % byte for byte in range(256)))
    assert read_tokenizer(path).eos == (256,)
    assert read_tokenizer(path, eos="10").eos == (10,)


@pytest.mark.parametrize("content", [None, "{", '{"model": {}}'])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path, listed, content):
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    code, said = run("-t", path, "-p", listed)
    assert code == 2
    assert "tokenizer.json" in said


def test_lists_that_would_leave_nothing_to_say_are_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("secagg.filters.fence.decoding._TOO_MUCH", 0.0)  # letters are words of their own here, and one token is such a word
    path = tmp_path / "all.txt"
    path.write_text("\n".join("abcdefghijklmnopqrstuvwxyz"))
    code, said = run("-t", folder, "-p", path, "--cache", tmp_path / "kept")
    assert code == 2
    assert "take short phrases out" in " ".join(said.split())
