"""Reads the library's own source for the tests in this folder: files, imports, spec quotes, check ids."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ("secagg", "protocols")
CHECK_ID = re.compile(r"[A-Z]{2}-[A-Z]{1,2}\d+")
_RAISED = re.compile(rf"({CHECK_ID.pattern})(?:: .*)?", re.DOTALL)
_QUOTE = re.compile(r"\s*# > ?(.*)")


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of the specification in a comment: `# > …`, over as many lines as it takes."""

    path: Path
    line: int
    """The last line of the quote, from 1."""
    text: str


@dataclass(frozen=True, slots=True)
class Check:
    """A place in the library where a numbered check refuses."""

    id: str
    where: str
    says: str
    """The quoted sentence above the refusal; without one, the message of the error."""


def library_files(root: Path = ROOT) -> list[Path]:
    """Every written Python file of the two import roots; generated ones are left out."""
    return [path for name in LIBRARY for path in sorted((root / name).rglob("*.py")) if not path.name.endswith("_pb2.py")]


def imported_modules(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is imported anywhere in `tree`, in functions too, with its line; `from a import b` gives `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def squeeze(text: str) -> str:
    """`text` with every run of white space as one space."""
    return " ".join(text.split())


def quotes(path: Path) -> list[Quote]:
    """The spec quotes of one file, in order."""
    found: list[Quote] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = _QUOTE.fullmatch(line)
        if match is None:
            continue
        if found and found[-1].line == number - 1:
            found[-1] = Quote(path, number, squeeze(f"{found[-1].text} {match[1]}"))
        else:
            found.append(Quote(path, number, squeeze(match[1])))
    return found


def checks(path: Path, root: Path = ROOT) -> list[Check]:
    """Every check in the code of one file: its id is a string of its own, or begins an error's text as in `"AD-A9: …"`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    spec = quotes(path)
    found = []
    for scope, call, literal, identifier in _ids(tree, (), None):
        name = ".".join(getattr(node, "name", "") for node in scope) or "module"
        first = scope[-1].lineno if scope else 0
        above = [quote for quote in spec if first < quote.line < literal.lineno]
        named = [quote for quote in above or spec if f"({identifier})" in quote.text]
        said = (named or above)[-1].text if named or above else _message(call, literal)
        found.append(Check(identifier, f"{path.relative_to(root).as_posix()} · {name}", said))
    return found


_Scope = tuple[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, ...]


def _ids(node: ast.AST, scope: _Scope, call: ast.Call | None) -> Iterator[tuple[_Scope, ast.Call | None, ast.Constant, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str) and (match := _RAISED.fullmatch(child.value)):
            yield scope, call, child, match[1]
        inner = (*scope, child) if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else scope
        yield from _ids(child, inner, child if isinstance(child, ast.Call) else call)


def _message(call: ast.Call | None, literal: ast.Constant) -> str:
    """The text that the error itself gives, with `…` where a value stands."""
    for argument in call.args if call else []:
        if argument is literal:
            continue
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            return squeeze(argument.value)
        if isinstance(argument, ast.JoinedStr):
            return squeeze("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in argument.values))
    return ""


def marked_checks(path: Path) -> set[str]:
    """The ids that a test file carries as `pytest.mark.check("ID", …)`."""
    return {
        argument.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.check"
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
