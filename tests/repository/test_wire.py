"""The committed wire code is what the compiler makes of the schema."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.repository.source import ROOT


@pytest.fixture
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_wire", ROOT / "proto" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_wire_code_is_what_the_schema_gives(generator: ModuleType, tmp_path: Path) -> None:
    assert generator.stale(tmp_path) == [], "run `python3 dev.py proto`"


def test_an_edited_a_missing_and_an_orphaned_file_are_stale(generator: ModuleType, tmp_path: Path) -> None:
    committed = tmp_path / "committed"
    written = generator.generate(committed)
    if not written:
        pytest.skip("no schema yet")
    assert generator.stale(tmp_path / "first", committed) == []
    (committed / written[0]).write_text("# edited\n")
    (committed / written[1]).unlink()
    orphan = Path(generator.SCHEMA) / "gone_pb2.py"
    (committed / orphan).touch()
    assert generator.stale(tmp_path / "second", committed) == sorted(map(str, [written[0], written[1], orphan]))


def test_generated_files_say_so_and_lie_nowhere_else() -> None:
    generated = sorted((ROOT / "secagg").rglob("*_pb2.py"))
    assert all("DO NOT EDIT" in path.read_text(encoding="utf-8")[:200] for path in generated)
    assert {path.parent.relative_to(ROOT).as_posix() for path in generated} <= {"secagg/wire/v1"}
