"""Every claim of the threat model names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
SHORT = {
    "attacks": "tests/attacks/test_additive_attacks.py",
    "checks": "tests/unit/additive/test_checks.py",
    **{name: f"tests/attacks/test_pairwise_{name}.py" for name in ("views", "replay", "wire", "told", "vouchers", "boxes")},
    "pairwise": "tests/attacks/test_pairwise_attacks.py",
    "threshold": "tests/attacks/test_threshold_attacks.py",
    "ckks": "tests/attacks/test_ckks_attacks.py",
    "ckks_views": "tests/attacks/test_ckks_views.py",
}


def named(page: str) -> list[tuple[str, str]]:
    """File and name of every test that the page cites; one without a file is in the file before it in its line, or the one that its
    section names."""
    found, usual = [], ""
    for line in page.splitlines():
        if line.startswith("#"):
            usual = ""
        elif stated := re.match(r"Tests in `([\w/.]+)` unless another file is named", line):
            usual = stated[1]
        file = usual
        for given, name in re.findall(r"`([\w/.]*)::(\w+)`", line):
            file = SHORT.get(given, given) or file
            if name != "test":  # the notation itself
                found.append((file, name))
    return found


def functions_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_the_page_names_exists() -> None:
    cited = named(PAGE)
    assert len(cited) > 30
    assert [(file, name) for file, name in cited if not (ROOT / file).is_file() or name not in functions_in(ROOT / file)] == []


@pytest.mark.parametrize("line", ["`attacks::test_that_nobody_wrote`", "`nowhere.py::test_x`"])
def test_a_name_without_a_test_is_noticed(line: str) -> None:
    ((file, name),) = named(line)
    assert not (ROOT / file).is_file() or name not in functions_in(ROOT / file)
