"""The command tree. Only what `--help` needs is imported here; a command imports its work when it runs."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import secagg
from secagg.cli import aggregate, authority, bench, budget, certs, fence, join, receipt, roster, sanitize, serve, template, trial
from secagg.cli.output import current
from secagg.errors import SecAggError


class Unwritable(SecAggError):
    """The system refused a file; says which one and why."""


class Group(TyperGroup):
    """The root: turns errors into one line and an exit status, whatever command raised them."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  # as the class it extends, whichever click typer brings
        try:
            return super().invoke(ctx)
        except (SecAggError, KeyboardInterrupt, typer.Abort) as error:
            raise typer.Exit(current().error(error)) from error
        except BrokenPipeError:  # who reads the output has enough of it
            raise
        except OSError as error:  # a disk that is full or read-only is no bug of ours, wherever it is met
            where = f"{error.filename}: " if error.filename is not None else ""
            raise typer.Exit(current().error(Unwritable(f"{where}{error.strerror or error}"))) from error


app = typer.Typer(
    cls=Group,
    name="secagg",
    help="Train one model together and open only the sum of the updates. Exit status: 0 done, 1 failed or aborted, 2 usage or"
    " configuration, 3 a peer misbehaved, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks can show local variables, and those can be secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:  # typer passes an option's value this way
    if value:
        typer.echo(f"secagg {secagg.__version__}")
        raise typer.Exit


_Version = Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")]


@app.callback()
def root(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens in between, not only what goes wrong.")] = False,
    version: _Version = False,  # noqa: ARG001  # its callback has done the work by now
) -> None:
    """Logs go to standard error; they name parties, rounds and checks, never a value or a key."""
    if verbose:
        logging.getLogger("secagg").setLevel(logging.INFO)


certs.app.add_typer(roster.app, name="roster")
for module in (authority, trial):
    module.register(certs.app)
app.add_typer(certs.app, name="certs")
app.command("serve")(serve.serve)
app.command("aggregate")(aggregate.aggregate)
app.command("join")(join.join)
app.add_typer(receipt.app, name="receipt")
app.add_typer(bench.app, name="bench")
app.add_typer(budget.app, name="budget")
app.add_typer(fence.app, name="fence")
app.command("sanitize")(sanitize.sanitize)
app.command("template")(template.template)
if importlib.util.find_spec("secagg.cli.demo") is not None:
    app.command("demo")(importlib.import_module("secagg.cli.demo").demo)
