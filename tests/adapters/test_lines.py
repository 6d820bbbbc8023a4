"""How much a user writes: the lines of the guide's examples that are there for the secure sum, counted."""

from __future__ import annotations

import ast

import pytest

from tests.adapters.plain import STACKS

MOST = 10

STACK_FILES: dict[str, list[str]] = {
    "plain loop": ["loop.py"],
    "Trainer": ["trainer.py"],
    "Flower": ["flower_client.py", "flower_server.py"],
    "NVFlare": ["nvflare_job.py"],
    "NVFlare, its own workflow": ["nvflare_filters_job.py"],
}
_HELPERS = "secagg.lora"
"""Adapters in and out of models: a plaintext program needs these steps too."""


def lines_added(source: str) -> set[int]:
    """First lines of the statements that import from this library or use what was imported, or what one of those made."""
    tree, names, lines = ast.parse(source), set[str](), set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("secagg", "protocols"):
            if node.module != _HELPERS:
                lines.add(node.lineno)
                names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import) and any(alias.name.split(".")[0] in ("secagg", "protocols") for alias in node.names):
            lines.add(node.lineno)
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    imported = set(names)
    for node in ast.walk(tree):  # `plan = pairwise.Plan(…)` makes `plan` one of these names; what a plan gives is the program's own
        if isinstance(node, ast.Assign) and _uses(node.value, imported):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name) and target.id not in ("app", "job")}
        elif isinstance(node, ast.With):
            names |= {
                item.optional_vars.id
                for item in node.items
                if isinstance(item.optional_vars, ast.Name) and _uses(item.context_expr, imported)
            }
    return lines | {node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt) and any(_uses(part, names) for part in _own(node))}


def _own(node: ast.stmt) -> list[ast.AST]:
    """What stands in a statement's own first lines, without the block below it."""
    match node:
        case ast.Assign() | ast.Expr() | ast.Return():
            return [node]
        case ast.With():
            return list(node.items)
        case ast.For():
            return [node.iter]
    return []


def _uses(node: ast.AST, names: set[str]) -> bool:
    return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node))


def test_what_counts_as_a_line_of_ours() -> None:
    source = "import torch\nfrom secagg.adapters.flower import SecureMod\nmod = SecureMod()\nx = torch.ones(1)\napp = App(mods=[mod])\n"
    assert lines_added(source) == {2, 3, 5}


@pytest.mark.parametrize("stack", STACK_FILES)
def test_ten_lines_are_enough_in_each_stack(stack: str) -> None:
    added = {name: lines_added((STACKS / name).read_text(encoding="utf-8")) for name in STACK_FILES[stack]}
    assert all(added.values())
    assert sum(map(len, added.values())) <= MOST, added
