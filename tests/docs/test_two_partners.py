"""The guide `docs/guide/two-partners.md` is followed to the letter: every command of it, in order, and what it says that they print."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secagg.errors import ConfigError
from secagg.pki import load_identity
from tests.docs.markdown import blocks
from tests.docs.walk import Walk
from tests.repository.source import ROOT

GUIDE = ROOT / "docs" / "guide" / "two-partners.md"
PIECES = GUIDE.parent / "two_partners"
PORT = 7070
SECONDS = 120.0
"""For one command; a machine that does nothing else needs a few."""


@pytest.fixture
def rehearsed(tmp_path: Path) -> Path:
    """A copy of the guide and its pieces on a port that is free, which is all that differs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    copy = tmp_path / "repository" / "docs" / "guide"
    shutil.copytree(GUIDE.parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [copy / GUIDE.name, *(copy / PIECES.name).iterdir()]:
        path.write_text(path.read_text(encoding="utf-8").replace(str(PORT), port), encoding="utf-8")
    return copy / GUIDE.name


@pytest.mark.network
@pytest.mark.slow
def test_the_guide_works_to_the_letter(rehearsed: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    folder = tmp_path / "guide"
    folder.mkdir()
    environment = {
        "SECAGG": str(tmp_path / "repository"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",
    }
    walk = Walk(folder, rehearsed, environment)
    walk.run(SECONDS)
    together, longer = map(share, walk.printed["python energy/evaluate.py energy/results/model.safetensors"])
    alone = share(walk.printed["python energy/evaluate.py alone"][0])
    assert min(together, longer) >= max(0.75, alone + 0.15)
    assert expiry(folder) in rehearsed.read_text(encoding="utf-8")


def share(printed: str) -> float:
    """The figure that evaluate.py prints."""
    return float(printed.partition(" of 180 reports right")[0].split()[-1])


def expiry(folder: Path) -> str:
    """What the page says of an expired key, without its date: nobody waits a year for it."""
    with pytest.raises(ConfigError) as refused:
        load_identity(folder / "city/pki/client", now=datetime.now(UTC) + timedelta(days=366))
    return re.sub(r"until .* UTC", "until … UTC", str(refused.value).removeprefix(f"{folder}/"))


def test_the_guide_shows_its_pieces_as_they_are() -> None:
    pieces = {path.read_text(encoding="utf-8"): path.name for path in PIECES.iterdir() if path.suffix in {".py", ".toml"}}
    page = GUIDE.read_text(encoding="utf-8")
    shown = [pieces.get(block.code) for block in blocks(page) if block.language == "toml" or block.note == "skip"]
    assert shown == ["adapter.py", "train.py", "join.toml", "serve.toml", "aggregate.toml", "loop.py"]
