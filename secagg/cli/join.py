"""`secagg join`: a client that trains, round after round, until the task is over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secagg.cli.options import Json
from secagg.cli.output import Output, begin

if TYPE_CHECKING:
    from secagg.cli.results import ResultFolder
    from secagg.cli.training import Trainer
    from secagg.config import ClientSettings
    from secagg.dp.accountant import Steps
    from secagg.runtime import Session


def join(file: Annotated[Path, typer.Argument(help="TOML file of the client.")], as_json: Json = False) -> None:
    """Take part as a client: train with the callable that the file names, and submit what changed."""
    from secagg.cli import plans
    from secagg.cli.results import ResultFolder
    from secagg.cli.signals import stoppable
    from secagg.cli.training import Trainer
    from secagg.config import ClientSettings, load
    from secagg.identity import Identity
    from secagg.runtime import join as dial

    out = begin(as_json)
    settings = load(file, ClientSettings)
    identity = Identity.load(settings.party.identity)
    aggregator = Identity.load(settings.party.aggregator) if settings.party.aggregator is not None else None
    kept = ResultFolder(settings.results.folder) if settings.results is not None else None
    purse = settings.budget.purse() if settings.budget is not None else None
    with out.progress(f"loading {settings.training.callable}"):
        trainer = Trainer(settings.training)
    with (
        stoppable(),
        dial(
            settings.hub.address,
            identity=identity,
            policy=settings.policy.policy(),
            base_model=trainer.base_model,
            layout=trainer.layout,
            plans=plans.spoken(),
            aggregator=aggregator,
            state=settings.party.state,
            budget=purse,
        ) as session,
    ):
        out.say(f"{identity.party} joins {settings.hub.address}; Ctrl-C leaves.")
        out.record({"joining": settings.hub.address, "party": identity.party})
        trained = _train(out, session, settings, trainer, kept)
        _report(out, session, trained, kept)


def _train(out: Output, session: Session, settings: ClientSettings, trainer: Trainer, kept: ResultFolder | None) -> dict[int, int]:
    """Examples by round."""
    from secagg.cli import tensors

    trained: dict[int, int] = {}
    for model in session.rounds(settings.hub.patience):
        number = session.round
        terms, state = session.privacy, tensors.as_float32(model)
        spent: tuple[Steps, ...] = ()
        with out.progress(f"round {number}: training"):
            if terms is None or terms.distributed:
                change, examples = trainer.train(state, number)
            else:
                change, examples, spent = trainer.train_privately(state, number, terms)
        # Under differential privacy every party counts alike: the sum of the weights has no noise in it.
        session.submit(change, weight=examples if terms is None else 1, spent=spent)
        trained[number] = examples
        if terms is not None:
            out.say(f"round {number}: {terms}")
        # The number of examples is said to this party only: what leaves the machine is inside the encoded sum.
        out.say(f"round {number}: trained on {examples} examples, submitted")
        out.record({"round": number, "examples": examples})
        _keep(session, kept)
    _keep(session, kept)
    return trained


def _keep(session: Session, kept: ResultFolder | None) -> None:
    if kept is not None:
        for receipt in session.receipts:
            kept.keep_receipt(receipt)


def _report(out: Output, session: Session, trained: dict[int, int], kept: ResultFolder | None) -> None:
    receipts = {receipt.round.description.round: receipt for receipt in session.receipts}
    missed = {item.round: item.reason for item in session.missed}
    rows = []
    for number, examples in sorted(trained.items()):
        receipt = receipts.get(number)
        state = missed.get(number) or ("in the sum" if receipt is not None else "no receipt seen")
        rows.append((number, examples, len(receipt.included) if receipt is not None else "", state))
    out.table("Rounds", ["round", "examples", "parties in the sum", "this party"], rows)
    final = session.model
    place = kept.keep_model(max(receipts, default=0), _task(session), final) if kept is not None and final is not None else None
    if place is not None:
        out.say(f"The last model is {place}.")
    out.record({"done": True, "rounds": len(trained), "missed": missed, "model": place and str(place)})


def _task(session: Session) -> str:
    return session.receipts[-1].round.description.task if session.receipts else ""
