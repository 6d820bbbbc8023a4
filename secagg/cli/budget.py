"""`secagg budget`: how much may be told about a data set, and how much was."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secagg.cli.budget_plan import plan
from secagg.cli.options import Json
from secagg.cli.output import begin

if TYPE_CHECKING:
    from secagg.dp.accountant import Spending

app = typer.Typer(no_args_is_help=True, help="Privacy budgets: what may be released about a data set in all, and what was.")

_File = Annotated[Path, typer.Argument(help="The party's budget ledger, a SQLite file.")]


app.command("plan")(plan)


@app.command("set")
def set_(
    file: _File,
    data: Annotated[str, typer.Option(help="Name of the data set that the budget is for.")],
    epsilon: Annotated[float, typer.Option(help="ε for everything that is ever released about the data.")],
    units: Annotated[int, typer.Option(help="Records, customers or organisations in the data.")],
    unit: Annotated[str, typer.Option(help="Whose presence is hidden: record, customer or organisation.")] = "record",
    delta: Annotated[
        float | None, typer.Option(help="δ; by default a tenth of one in the number of units, and 1e-6 for organisations.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Set the budget of a data set, or move its limit; what was spent stays spent."""
    from secagg.dp.budget import Budget, BudgetLedger

    out = begin(as_json)
    usual = 1e-6 if unit == "organisation" else 0.1 / max(units, 1)
    budget = Budget(unit, units, epsilon, usual if delta is None else delta)  # type: ignore[arg-type]  # it is checked
    with BudgetLedger(file) as ledger:
        ledger.allow(data, budget)
    out.say(f"{data}: ε = {budget.epsilon:g} at δ = {budget.delta:g} for one {budget.unit} of {budget.units}.")
    out.record({"data": data, "unit": budget.unit, "units": budget.units, "epsilon": budget.epsilon, "delta": budget.delta})


@app.command("show")
def show(file: _File, as_json: Json = False) -> None:
    """Limits, totals and every attempt that spent."""
    from secagg.dp.budget import BudgetLedger

    out = begin(as_json)
    with BudgetLedger(file, existing=True) as ledger, out.progress("accounting"):
        balances = [ledger.balance(data) for data in ledger.data()]
    for one in balances:
        title = f"{one.data}: {one.spent} spent, limit {one.budget.epsilon:g}, {one.left:.4g} left"
        rows = [(entry.task, entry.round, entry.attempt, step.count, *_noise(step)) for entry in one.entries for step in entry.steps]
        if one.adaptive is not None:
            title += (
                f" (by the filter for noise chosen along the way: ε = {one.adaptive:.4g}, which holds at 2δ, and at one δ more for each"
                " limit that was raised because of results)"
            )
        out.table(title, ("task", "round", "attempt", "steps", "noise", "noise multiplier", "sampling"), rows)
        if len(one.limits) > 1:
            moves = "; ".join(f"{limit.at} UTC ε = {limit.epsilon:g} after {limit.after} releases" for limit in one.limits)
            out.say(f"{one.data}: the limit was moved: {moves}.")
        out.record(
            {
                "data": one.data,
                "unit": one.budget.unit,
                "units": one.budget.units,
                "limit": one.budget.epsilon,
                "delta": one.budget.delta,
                "spent": one.spent.epsilon,
                "rdp": one.spent.rdp_epsilon,
                "adaptive": one.adaptive,
                "left": one.left,
                "limits": [asdict(limit) for limit in one.limits],
                "entries": [asdict(entry) for entry in one.entries],
            }
        )
    if not balances:
        out.say(f"{file} has no budget yet: `secagg budget set` makes one.")


def _noise(step: Spending) -> tuple[str, str, str]:
    """Its law, its standard deviation over the clip, and the part of the units that is in it."""
    from secagg.dp.integer import IntegerNoise

    if isinstance(step, IntegerNoise):
        return step.kind, f"{step.total**0.5 / step.norm:.4g}", "1"
    return "gaussian", f"{step.noise_multiplier:g}", f"{step.sampling:g}"
