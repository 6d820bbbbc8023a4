"""Refuses regular expressions that can take more than linear time, before they meet a hostile text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from secagg.errors import ConfigError

_REPEATS = ("MAX_REPEAT", "MIN_REPEAT")
MOST_WAYS = 100_000
"""Bound on the product of the variable repetitions that stand inside one another."""


def compile_safely(pattern: str, where: str) -> re.Pattern[str]:
    """Compile a pattern of the user's. Raises ConfigError, naming `where`, if it is none, matches nothing, or can blow up."""
    try:
        compiled = re.compile(pattern)
        tree = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"{where}: {error}") from error
    if compiled.match("") is not None:
        raise ConfigError(f"{where}: the pattern matches the empty text: it would be found everywhere")
    if (ways := most_ways(tree)) > MOST_WAYS:
        raise ConfigError(
            f"{where}: repetitions inside repetitions, as in (a+)+, can be read in {ways:.0e} ways and take exponential time;"
            " bound them, as in (?:a{1,8}){1,8}"
        )
    return compiled


def most_ways(tree: Any) -> float:  # noqa: ANN401  # the parser of `re` has no types
    """The largest product of variable repetitions along one path of nesting; an unbounded one counts 65,536."""
    worst = 1.0
    for operation, argument in tree:
        inner = max((most_ways(part) for part in _parts(argument)), default=1.0)
        if str(operation) in _REPEATS:
            low, high, _ = argument
            inner *= min(float(int(high)), 65_536.0) if int(high) != int(low) else (float(int(high)) if inner > 1 else 1.0)
        worst = max(worst, inner)
    return worst


def _parts(argument: Any) -> Iterator[Any]:  # noqa: ANN401
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for part in argument:
            yield from _parts(part)
