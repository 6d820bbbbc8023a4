"""`secagg serve`: the hub of a task, round after round."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secagg.cli.options import Json
from secagg.cli.output import Output, begin

if TYPE_CHECKING:
    from secagg.cli.results import ResultFolder
    from secagg.cli.tensors import State
    from secagg.config import CoordinatorSettings
    from secagg.runtime import Result, Server

_COLUMNS = ["round", "attempt", "in", "out", "weight", "up", "down", "seconds", "waited"]


def serve(file: Annotated[Path, typer.Argument(help="TOML file of the coordinator.")], as_json: Json = False) -> None:
    """Run the hub: wait for the parties, run the rounds, keep models, means and receipts."""
    from secagg.cli import plans, tensors
    from secagg.cli.results import ResultFolder
    from secagg.cli.signals import stoppable
    from secagg.config import CoordinatorSettings, load
    from secagg.identity import Identity
    from secagg.runtime import serve as start

    out = begin(as_json)
    settings = load(file, CoordinatorSettings)
    identity = Identity.load(settings.party.identity)
    plan = plans.build(settings.protocol, identity.roster, file)
    kept = ResultFolder(settings.results.folder)
    first = tensors.read(settings.task.model)
    layout = tensors.read_layout(settings.task.model, first)
    done, model = kept.newest(settings.task.name, first)
    with (
        stoppable(),
        start(
            plan,
            settings.hub.address,
            identity=identity,
            model=model,
            layout=layout,
            base_model=bytes.fromhex(settings.task.base_model or "00" * 32),
            task=settings.task.name,
            aggregators=[Identity.load(folder) for folder in settings.hub.aggregators],
            policy=settings.policy.policy(),
            state=settings.party.state,
            attempts=settings.rounds.attempts,
            finish=settings.rounds.finish,
            engine=settings.hub.engine,
        ) as server,
    ):
        model = _resume(out, server, settings, kept, done, model)
        out.say(f"Listening on {server.address} as {identity.party}, for task {settings.task.name}.")
        out.record({"listening": server.address, "party": identity.party, "task": settings.task.name, "round": server.round})
        _run(out, server, settings, kept, model, parties=len(identity.roster.members))


def _resume(out: Output, server: Server, settings: CoordinatorSettings, results: ResultFolder, done: int, kept: State) -> State:
    """The model to go on from: the kept one, written before it is published, unless the hub remembers a later round."""
    from secagg.cli import tensors

    last = server.round - 1
    if last > done and server.unpublished is not None:
        out.say(f"Going on after round {last}, which the hub had opened when it stopped: its mean goes into the model now.")
        model = tensors.add(tensors.as_float32(server.model), server.unpublished, settings.rounds.rate)
        results.keep_mean(last, settings.task.name, server.unpublished)
        results.keep_model(last, settings.task.name, model)
        server.publish(model)
        return model
    if server.round > done + 1:
        out.say(f"Going on after round {server.round - 1}, as the hub's state remembers it.")
        return tensors.as_float32(server.model)
    if done:
        out.say(f"Going on after round {done}.")
        server.publish(kept)
    return kept


def _run(out: Output, server: Server, settings: CoordinatorSettings, kept: ResultFolder, model: State, *, parties: int) -> None:
    from secagg.cli import tensors
    from secagg.errors import SessionAborted

    rounds, task, failed = settings.rounds, settings.task.name, 0
    results: list[Result] = []
    while server.round <= rounds.count:
        number = server.round
        try:
            with out.progress(f"round {number} of {rounds.count}", lambda: f"({len(server.connected)} of {parties} parties are there)"):
                result = server.aggregate(deadline=rounds.deadline, wait=rounds.wait)
        except SessionAborted as aborted:
            failed += 1
            out.record({"round": number, "aborted": str(aborted), "answered": list(aborted.answered), "needed": aborted.needed})
            if failed > rounds.tolerate:
                raise
            out.warn(f"round {number} failed ({failed} of {rounds.tolerate} in a row): {aborted}")
            continue
        failed = 0
        model = tensors.add(model, result.mean, rounds.rate)
        kept.keep_mean(result.round, task, result.mean)
        receipt = kept.keep_receipt(result.receipt)
        kept.keep_model(result.round, task, model)
        server.publish(model)
        results.append(result)
        _say_round(out, result, receipt)
    out.table(f"Task {task}", _COLUMNS, [_row(result) for result in results])
    out.say(f"Models, means and receipts are in {kept.folder}.")
    out.record({"done": task, "rounds": len(results), "results": str(kept.folder)})


def _say_round(out: Output, result: Result, receipt: Path) -> None:
    left = f"; without {', '.join(f'{party} ({reason})' for party, reason in sorted(result.left.items()))}" if result.left else ""
    out.say(f"round {result.round}: {', '.join(result.included)} in {result.seconds:.1f} s{left}")
    out.record(
        {
            "round": result.round,
            "attempt": result.attempt,
            "included": list(result.included),
            "left": dict(result.left),
            "weight": result.weight,
            "bytes_up": dict(result.bytes_up),
            "bytes_down": dict(result.bytes_down),
            "seconds": result.seconds,
            "waited": result.waited,
            "receipt": str(receipt),
        }
    )


def _row(result: Result) -> tuple[object, ...]:
    up, down = sum(result.bytes_up.values()), sum(result.bytes_down.values())
    sizes = (f"{up / 1e6:.1f} MB", f"{down / 1e6:.1f} MB")
    return (
        result.round,
        result.attempt,
        len(result.included),
        len(result.left),
        result.weight,
        *sizes,
        f"{result.seconds:.1f}",
        f"{result.waited:.1f}",
    )
