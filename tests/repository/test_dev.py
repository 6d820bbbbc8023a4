"""dev.py finds a way to an environment, finishes what was interrupted, and says what to do where it cannot."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.repository.source import ROOT

SCRIPT = ROOT / "dev.py"


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """dev.py as a module whose environment is an empty temporary folder."""
    monkeypatch.setenv("SECAGG_VENV", str(tmp_path / "env"))
    spec = importlib.util.spec_from_file_location("dev_under_test", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def interpreter(folder: Path, *, without: tuple[str, ...]) -> str:
    """A Python whose `-m …` fails for command lines that begin as one of `without`, as it does where a distribution left parts out."""
    cases = "".join(f'  "{start}"*) echo "Error: {start}: not in this Python"; exit 1;;\n' for start in without)
    script = folder / "python-with-parts-missing"
    script.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\nexec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return str(script)


def finished(dev: ModuleType, extras: list[str]) -> None:
    """An environment that looks finished and holds nothing."""
    dev.BIN.mkdir(parents=True)
    (dev.BIN / "python").symlink_to(sys.executable)
    dev.write_stamp(extras)


def test_it_parses_where_python_is_too_old_and_says_so_in_a_sentence(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 8))
    with monkeypatch.context() as older:
        older.setattr(sys, "version_info", (3, 10, 4))
        with pytest.raises(dev.Stop, match=r"needs Python 3\.11 or newer"):
            dev.prepare({"demo"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "without",
    [(), ("-m venv /", "-m virtualenv")],
    ids=["venv is whole", "Debian: no ensurepip, no virtualenv"],
)
def test_an_environment_with_pip_is_made(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...]
) -> None:
    bundled = Path(pytest.importorskip("ensurepip").__file__).parent / "_bundled"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(bundled))
    monkeypatch.setattr(sys, "executable", interpreter(tmp_path, without=without))
    dev.create()
    version = subprocess.run([dev.BIN / "python", "-m", "pip", "--version"], capture_output=True, text=True, check=True).stdout
    assert str(dev.ENV) in version
    assert not dev.ready(set())


def test_where_no_way_works_it_says_what_to_install(dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", interpreter(tmp_path, without=("-m venv", "-m virtualenv")))
    with pytest.raises(dev.Stop, match=r"(?s)-m venv: not in this Python.*apt install python3\.\d+-venv") as stop:
        dev.create()
    assert "virtualenv" in str(stop.value)
    assert not dev.ENV.exists()


def test_a_folder_that_is_not_its_own_is_left_alone(dev: ModuleType) -> None:
    dev.ENV.mkdir()
    (dev.ENV / "thesis.tex").write_text("five years")
    with pytest.raises(dev.Stop, match="was not made by dev"):
        dev.create()
    assert (dev.ENV / "thesis.tex").read_text() == "five years"


def test_an_interrupted_installation_is_made_anew(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[str] = []

    def create() -> None:
        steps.append("create")
        dev.BIN.mkdir(parents=True, exist_ok=True)
        (dev.BIN / "python").touch()
        dev.STAMP.write_text(json.dumps({"unfinished": True}))

    def interrupted(_: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dev, "create", create)
    monkeypatch.setattr(dev, "install", interrupted)
    assert dev.main(["env"]) == 130
    assert not dev.ready({"dev"})
    monkeypatch.setattr(dev, "install", lambda extras: steps.append(",".join(extras)))
    assert dev.main(["env"]) == 0
    assert dev.main(["env"]) == 0
    assert steps == ["create", "create", "ckks,demo,dev,dp,flower,ner,nvflare,ray,serve,text"]
    assert "next run makes good" in capsys.readouterr().err


def test_what_is_installed_stays_when_more_is_asked(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(dev, ["demo"])
    asked: list[list[str]] = []
    monkeypatch.setattr(dev, "install", asked.append)
    dev.prepare({"demo"})
    dev.prepare({"dev"})
    assert asked == [["demo", "dev"]]


def test_other_pins_are_installed_and_settings_of_tools_are_not_looked_at(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    finished(dev, ["demo"])
    with (tmp_path / "pyproject.toml").open("a") as settings:
        settings.write("\n[tool.other]\nline = 1\n")
    assert dev.ready({"demo"})
    with (tmp_path / "constraints.txt").open("a") as pins:
        pins.write("left-out==1.0\n")
    assert not dev.ready({"demo"})


def test_a_failed_installation_tells_what_pip_said_and_what_to_do(dev: ModuleType) -> None:
    dev.BIN.mkdir(parents=True)
    pip = dev.BIN / "python"
    pip.write_text("#!/bin/sh\necho 'ERROR: No matching distribution found for torch==2.13.0'\nexit 1\n")
    pip.chmod(0o755)
    with pytest.raises(dev.Stop, match=r"(?s)No matching distribution found for torch.*SECAGG_TORCH_INDEX.*same command again"):
        dev.install(["demo"])


def test_no_torch_index_is_asked_unless_the_variable_names_one(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    dev.BIN.mkdir(parents=True)
    (dev.BIN / "python").write_text('#!/bin/sh\necho "$@"\n')
    (dev.BIN / "python").chmod(0o755)
    monkeypatch.delenv("SECAGG_TORCH_INDEX", raising=False)
    dev.install(["demo"])
    assert "index" not in dev.LOG.read_text()
    monkeypatch.setenv("SECAGG_TORCH_INDEX", "https://wheels.example/cpu")
    dev.install(["demo"])
    assert "--extra-index-url https://wheels.example/cpu" in dev.LOG.read_text()


def test_the_exit_status_of_a_program_is_the_exit_status_of_dev_py(dev: ModuleType) -> None:
    finished(dev, ["demo", "dev", "dp", "text"])
    environment = {**os.environ, "SECAGG_VENV": str(dev.ENV)}
    done = subprocess.run([sys.executable, SCRIPT, "run", "sh", "-c", "exit 7"], env=environment, check=False)
    assert done.returncode == 7


@pytest.mark.parametrize("words", [["frobnicate"], ["run"]])
def test_an_unknown_command_is_refused_before_anything_is_made(dev: ModuleType, words: list[str]) -> None:
    assert dev.main(words) == 2
    assert not dev.ENV.exists()
