"""What the library's source may contain: its imports, its use of secrets, the length of its files, its generated code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.source import ROOT, imported_modules, library_files

EXPOSING = {
    "secagg/types.py": "defines it",
    "secagg/crypto/": "keys go into pyca/cryptography here",
    "secagg/math/": "secrets are shared and rebuilt here",
    "secagg/pki/": "a party writes its own key files, mode 0600, and hands its TLS key to gRPC",
    "secagg/snapshot.py": "a role's state is sealed here before anyone stores it",
}
"""Where a secret's bytes may be read, and why. Another file needs its line here, so that a reviewer sees it."""
GENERATORS = ("random", "numpy.random")
SCENES = "secagg/demo/"
"""The demo draws its street scenes from a public seed; nothing else of the library may draw from a generator that can be foretold."""
LONGEST_FILE = 500


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def exposes(tree: ast.AST) -> list[int]:
    """The lines that read the bytes of a `Secret`, by a call or by a reference to the method."""
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in ("expose", "_value")]


def generators(tree: ast.AST) -> list[int]:
    """The lines that import, or reach through an import of numpy, a generator that is not cryptographic."""
    named = [line for module, line in imported_modules(tree) if module in GENERATORS or module.startswith(("random.", "numpy.random."))]
    return named + [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node) in ("np.random", "numpy.random")
    ]


def offences(rule, exempt) -> list[str]:
    return [
        f"{relative(path)}:{line}"
        for path in library_files()
        if not relative(path).startswith(exempt)
        for line in rule(ast.parse(path.read_text(encoding="utf-8")))
    ]


def test_a_secret_is_exposed_only_where_it_is_used_as_a_key_or_shared() -> None:
    assert offences(exposes, tuple(EXPOSING)) == []


def test_no_randomness_comes_from_a_generator_that_can_be_foretold() -> None:
    assert offences(generators, SCENES) == []


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("key.expose()", exposes),
        ("read = key.expose", exposes),
        ("import random", generators),
        ("def f():\n    from numpy import random", generators),
        ("from numpy.random import default_rng", generators),
        ("import numpy as np\nnp.random.default_rng(0)", generators),
    ],
)
def test_the_two_rules_above_see_what_they_forbid(code, rule) -> None:
    assert rule(ast.parse(code))


def test_no_file_grows_beyond_one_sitting() -> None:
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in library_files()}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


PROTOCOLS = sorted(f"protocols.{path.parent.name}" for path in (ROOT / "protocols").glob("*/__init__.py"))


@pytest.mark.parametrize("module", ["secagg", "protocols", *PROTOCOLS])
def test_importing_it_loads_no_network_and_no_learning_stack(module: str) -> None:
    heavy = ("asyncio", "flwr", "grpc", "matplotlib", "nvflare", "opacus", "peft", "tenseal", "torch", "transformers")
    program = f"import sys, {module}; print(*sorted(set(sys.modules) & set({heavy})))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_every_module_of_the_library_has_its_place_in_the_import_contracts() -> None:
    contracts = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.importlinter]")[2]
    children = {
        path.stem if path.suffix == ".py" else path.name
        for path in (ROOT / "secagg").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    unplaced = sorted(
        child for child in children - {"__init__"} if f"secagg.{child})" not in contracts and f'"secagg.{child}"' not in contracts
    )
    assert not unplaced, f"in no layer of pyproject.toml: {', '.join(unplaced)}"
