"""`secagg budget plan`: from a target ε to the numbers of the round, before anybody has set anything up."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from secagg.cli.options import Json
from secagg.cli.output import Output, begin

if TYPE_CHECKING:
    from secagg.dp.planning import SumPlan, TrainingPlan
    from secagg.privacy import PrivacyTerms


def plan(  # typer takes options by name
    epsilon: Annotated[float, typer.Option(help="ε for all rounds together.")],
    rounds: Annotated[int, typer.Option(help="Rounds in all; one that is repeated counts again.")],
    unit: Annotated[str, typer.Option(help="Whose presence is hidden: record, customer or organisation.")] = "organisation",
    delta: Annotated[
        float | None, typer.Option(help="δ; by default 1e-6 for organisations, and a tenth of one in the number of units.")
    ] = None,
    clip: Annotated[float, typer.Option(help="L2 bound: of an update, or of one unit's gradient.")] = 1.0,
    clients: Annotated[int, typer.Option(help="Organisation: clients in the cohort.")] = 0,
    survivors: Annotated[int, typer.Option(help="Organisation: clients that a sum always has (n_min).")] = 0,
    colluders: Annotated[int, typer.Option(help="Organisation: clients that may work with the server.")] = 1,
    values: Annotated[int, typer.Option(help="Organisation: values of an update.")] = 0,
    bits: Annotated[int | None, typer.Option(help="Organisation: bits of a value; by default as few as cost nothing.")] = None,
    rotation: Annotated[bool, typer.Option(help="Organisation: rotate updates first.")] = True,
    mechanism: Annotated[str, typer.Option(help="Organisation: skellam or discrete-gaussian.")] = "skellam",
    aggregators: Annotated[int, typer.Option(help="Organisation: aggregators of `additive`.")] = 0,
    aggregator_noise: Annotated[float, typer.Option(help="Organisation: noise that each of them adds, over the clip.")] = 0.0,
    units: Annotated[int, typer.Option(help="Record, customer: how many a party has.")] = 0,
    batch: Annotated[int, typer.Option(help="Record, customer: how many a training step takes on average.")] = 0,
    steps: Annotated[int, typer.Option(help="Record, customer: training steps in a round.")] = 0,
    as_json: Json = False,
) -> None:
    """Work out the noise, the ring and the bytes that a target ε asks for, and what each reader of the sums learns."""
    from secagg.dp.planning import plan_sums, plan_training
    from secagg.errors import ConfigError
    from secagg.policy import Floors

    out = begin(as_json)
    needed = {"clients": clients, "values": values} if unit == "organisation" else {"units": units, "batch": batch, "steps": steps}
    if missing := [f"--{name}" for name, value in needed.items() if not value]:
        raise ConfigError(f"unit {unit!r}: {', '.join(missing)} must be given, each at least 1")
    usual = 1e-6 if unit == "organisation" else 0.1 / units
    chosen = usual if delta is None else delta
    with out.progress("accounting"):
        if unit == "organisation":
            found = plan_sums(
                epsilon=epsilon,
                delta=chosen,
                rounds=rounds,
                clients=clients,
                floors=Floors(n_min=survivors or max(3, clients), colluders=colluders),
                values=values,
                clip=clip,
                bits=bits,
                rotation=rotation,
                mechanism=mechanism,  # type: ignore[arg-type]  # it is checked
                aggregators=aggregators,
                aggregator_noise=aggregator_noise,
            )
            _show_sums(out, found, rounds, chosen)
            return
        trained = plan_training(
            epsilon=epsilon,
            delta=chosen,
            rounds=rounds,
            steps=steps,
            units=units,
            batch=batch,
            clip=clip,
            unit=unit,  # type: ignore[arg-type]  # it is checked
        )
    _show_training(out, trained, rounds, chosen)


def _show_sums(out: Output, found: SumPlan, rounds: int, delta: float) -> None:
    out.table(
        f"{rounds} sums within ε = {found.total:.4g} at δ = {delta:g}",
        ("what", "value"),
        [
            ("noise multiplier", f"{found.terms.noise_multiplier:g}"),
            ("bits of a value, of a word", f"{found.bits}, {found.ring_bits}"),
            ("bytes up, one client and round", f"{found.bytes_up:,}"),
            ("noise in a coordinate of the mean", f"{found.deviation:.3g} times the clip"),
            ("noise in the whole mean", f"{found.noise_norm:.3g} times the clip"),
        ],
    )
    rows = [(one.name, f"{one.all_stay:.4g}", f"{one.fewest:.4g}") for one in found.readers]
    out.table(f"ε of all {rounds} rounds", ("who reads the sums", "all clients stay", "fewest survivors"), rows)
    _toml(out, found.terms)
    out.record(asdict(found) | {"rounds": rounds})


def _show_training(out: Output, found: TrainingPlan, rounds: int, delta: float) -> None:
    out.say(f"{rounds} trainings within ε = {found.total:.4g} at δ = {delta:g}: noise multiplier {found.terms.noise_multiplier:g}.")
    _toml(out, found.terms)
    out.record(asdict(found) | {"rounds": rounds})


def _toml(out: Output, terms: PrivacyTerms) -> None:
    """The hub's table, to be copied."""
    out.say("[protocol.privacy]")
    for name, value in asdict(terms).items():
        if value:
            out.say(f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value!r}")
