"""`secagg aggregate`: an aggregator or key holder that takes part until the task is over."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secagg.cli.options import Json
from secagg.cli.output import Output, begin

if TYPE_CHECKING:
    from collections.abc import Callable

    from secagg.cli.results import ResultFolder
    from secagg.receipt import Receipt

_LOOK = 0.5
"""Seconds between two looks at what has been published."""


def aggregate(file: Annotated[Path, typer.Argument(help="TOML file of the aggregator or key holder.")], as_json: Json = False) -> None:
    """Attend the hub's rounds as an aggregator or key holder."""
    from secagg.cli import plans
    from secagg.cli.results import ResultFolder
    from secagg.cli.signals import stoppable
    from secagg.config import AggregatorSettings, load
    from secagg.identity import Identity
    from secagg.runtime import attend

    out = begin(as_json)
    settings = load(file, AggregatorSettings)
    identity = Identity.load(settings.party.identity)
    kept = ResultFolder(settings.results.folder) if settings.results is not None else None
    with (
        stoppable(),
        attend(
            settings.hub.address,
            identity=identity,
            policy=settings.policy.policy(),
            plans=plans.spoken(),
            state=settings.party.state,
        ) as attendance,
    ):
        out.say(f"{identity.party} attends {settings.hub.address}; Ctrl-C leaves.")
        out.record({"attending": settings.hub.address, "party": identity.party})
        with Watch(lambda: attendance.receipts, out, kept) as watch, out.progress("taking part"):
            attendance.wait()
    out.say(f"The task is over after {watch.seen} rounds.")
    out.record({"done": identity.party, "rounds": watch.seen})


class Watch:
    """Reports receipts as they come in, from a thread of its own while the main thread waits."""

    def __init__(self, receipts: Callable[[], tuple[Receipt, ...]], out: Output, kept: ResultFolder | None) -> None:
        self.seen = 0
        self._receipts, self._out, self._kept = receipts, out, kept
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="secagg-watch", daemon=True)

    def look(self) -> None:
        """Report what is new."""
        for receipt in self._receipts()[self.seen :]:
            self.seen += 1
            path = self._kept.keep_receipt(receipt) if self._kept is not None else None
            number = receipt.round.description.round
            self._out.say(f"round {number}: {', '.join(receipt.included)} summed" + (f", receipt in {path}" if path else ""))
            self._out.record({"round": number, "included": list(receipt.included), "receipt": path and str(path)})

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        self._thread.join()
        self.look()

    def _run(self) -> None:
        while not self._over.wait(_LOOK):
            self.look()
