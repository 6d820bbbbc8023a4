"""What is wrong with a configuration file, in one line that names the file, the line, the key and the fix."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*[\w-]+)*)\s*=")


def explain(refused: ValidationError, path: Path, text: str, kind: type[BaseModel]) -> str:
    """The first error; how many more there are, if there are more."""
    errors = refused.errors(include_url=False, include_context=False)
    first = min(errors, key=lambda error: error["type"] != "extra_forbidden")  # a misspelt key also shows as a missing one
    steps = [str(step) for step in first["loc"]]
    line = line_of(text, steps)
    where = f"{path}:{line}" if line else str(path)
    more = f" ({len(errors) - 1} more after this one)" if len(errors) > 1 else ""
    return f"{where}: {_name(steps)}: {_advice(first['type'], first['msg'], steps, kind)}{more}"


def line_of(text: str, steps: list[str]) -> int | None:
    """The line on which a key, or else the table that it belongs to, is written; None if neither is."""
    table: list[str] = []
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if (header := _HEADER.match(line)) is not None:
            table = _split(header[1])
            found = table
        elif (key := _KEY.match(line)) is not None:
            found = table + _split(key[1])
        else:
            continue
        if found == steps[: len(found)] and (best is None or len(found) > best[0]):
            best = (len(found), number)
    return None if best is None else best[1]


def suggestion(word: str, known: list[str]) -> str:
    """`did you mean …`, or the list of what is known."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(sorted(known)) or 'nothing'}"


def _name(steps: list[str]) -> str:
    if len(steps) == 1:
        return f"[{steps[0]}]"
    return f"[{'.'.join(steps[:-1])}] {steps[-1]}"


def _advice(kind: str, message: str, steps: list[str], root: type[BaseModel]) -> str:
    table = _table(root, steps[:-1])
    if kind == "extra_forbidden":
        known = list(table.model_fields) if table is not None else []
        elsewhere = [name for name, field in root.model_fields.items() if steps[-1] in _fields(field.annotation)]
        if elsewhere and not difflib.get_close_matches(steps[-1], known, n=1, cutoff=0.8):
            return f"unknown key: it belongs into [{elsewhere[0]}]"
        return f"unknown {'table' if len(steps) == 1 else 'key'}: {suggestion(steps[-1], known)}"
    if kind == "missing":
        if len(steps) == 1:
            return f"the table is missing: add `[{steps[0]}]`"
        return f"missing: add `{steps[-1]} = …` to [{'.'.join(steps[:-1])}]"
    return message.removeprefix("Value error, ")


def _table(root: type[BaseModel], steps: list[str]) -> type[BaseModel] | None:
    model: type[BaseModel] | None = root
    for step in steps:
        field = model.model_fields.get(step) if model is not None else None
        model = _model(field.annotation) if field is not None else None
    return model


def _model(annotation: object) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _fields(annotation: object) -> list[str]:
    model = _model(annotation)
    return list(model.model_fields) if model is not None else []


def _split(key: str) -> list[str]:
    return [part.strip().strip("\"'") for part in key.split(".")]
