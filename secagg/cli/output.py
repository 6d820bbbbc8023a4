"""What a command says: tables and one-line errors for people, JSON lines for machines, progress on standard error.

Exit status, the same for every command:

    0    done
    1    failed: a round aborted, the network failed, training raised
    2    the command line, a file or the configuration is wrong
    3    a peer misbehaved, or a file that should prove something does not
    130  interrupted
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO

from secagg.errors import ConfigError, InvalidMessage, PeerError, SecAggError, SessionAborted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

DONE, FAILED, MISUSED, MISBEHAVED, INTERRUPTED = 0, 1, 2, 3, 130
_WIDTH = 160
"""Columns where nobody looks: a pipe or a log keeps long lines whole."""


class Output:
    """Standard output for what a command found, standard error for how it gets on."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def say(self, text: str) -> None:
        """A sentence for a person."""
        if not self.as_json:
            _console(sys.stdout).print(text)

    def warn(self, text: str) -> None:
        """A sentence that a person must not miss; machines find it on standard error too."""
        _console(sys.stderr).print(text, style="bold yellow")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table for a person."""
        if self.as_json:
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(*columns, title=Text(title, style="bold"), title_justify="left")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        _console(sys.stdout).print(table)

    def record(self, body: Mapping[str, object]) -> None:
        """One line of JSON for a machine."""
        if self.as_json:
            sys.stdout.write(json.dumps(body, ensure_ascii=False, default=str) + "\n")
            sys.stdout.flush()

    @contextlib.contextmanager
    def progress(self, text: str, detail: Callable[[], str] = str) -> Iterator[None]:
        """Show that `text` is going on, with what `detail` says by now and the seconds it has taken; in a log, one line."""
        console = _console(sys.stderr)
        if self.as_json:
            yield
        elif not console.is_terminal:
            console.print(f"{text} …")
            yield
        else:
            from rich.progress import Progress, RenderableColumn, SpinnerColumn, TimeElapsedColumn

            columns = (SpinnerColumn(), RenderableColumn(_Sentence(text, detail)), TimeElapsedColumn())
            with Progress(*columns, console=console, transient=True) as bar:
                bar.add_task(text, total=None)
                yield

    def error(self, error: BaseException) -> int:
        """One line that says what went wrong; the exit status it stands for."""
        status = exit_status(error)
        message = "interrupted" if status == INTERRUPTED else str(error) or type(error).__name__
        self.record({"error": {"kind": type(error).__name__, "message": message, **_details(error)}, "exit": status})
        for note in getattr(error, "__notes__", ()):
            _console(sys.stderr).print(note, soft_wrap=True)
        _console(sys.stderr).print(f"secagg: {' '.join(message.split())}", style="red", soft_wrap=True)
        return status


class _Sentence:
    """A text that says anew what it says each time it is drawn."""

    def __init__(self, text: str, detail: Callable[[], str]) -> None:
        self._text, self._detail = text, detail

    def __rich__(self) -> Text:
        from rich.text import Text

        return Text(" ".join(filter(None, (self._text, self._detail()))))


class StandardError(logging.Handler):
    """Log lines on whatever standard error is by then: while progress is shown, they go above it."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"secagg: {record.getMessage()}\n")


_CURRENT: ContextVar[Output | None] = ContextVar("output", default=None)


def begin(as_json: bool) -> Output:  # the value of an option, passed on
    """The output of the command that begins now; errors will go the same way."""
    output = Output(as_json=as_json)
    _CURRENT.set(output)
    return output


def current() -> Output:
    """The output of the command that is running."""
    return _CURRENT.get() or Output(as_json=False)


def exit_status(error: BaseException) -> int:
    """The exit status for an error."""
    if isinstance(error, PeerError):
        return MISBEHAVED
    if isinstance(error, ConfigError):
        return MISUSED
    if isinstance(error, SecAggError):
        return FAILED
    return INTERRUPTED


def _details(error: BaseException) -> dict[str, object]:
    details: dict[str, object] = {}
    if isinstance(error, InvalidMessage):
        details["check"] = error.check
    if isinstance(error, PeerError):
        details["culprits"] = list(error.culprits)
    if isinstance(error, SessionAborted):
        details |= {"answered": list(error.answered), "needed": error.needed}
    return details


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    # No markup and no highlighting: names come from partners, and brackets in them are just brackets.
    return Console(file=stream, markup=False, emoji=False, highlight=False, width=None if stream.isatty() else _WIDTH)
