"""The plain loop: one client of the task. `python loop.py PKI-FOLDER CLIENT-NUMBER HUB`."""

from __future__ import annotations

import sys
from pathlib import Path

import task

import secagg
from secagg.lora import adapter_state, delta, load_adapter


def main(folder: Path, number: int, hub: str) -> None:
    """Train in every round until the hub ends the task."""
    model, (x, y) = task.make_model(), task.make_data(number)
    with secagg.join(hub, identity=secagg.Identity.load(folder / f"client-{number}"), like=adapter_state(model)) as session:
        for adapter in session.rounds():
            load_adapter(model, adapter)
            task.fit(model, x, y)
            session.submit(delta(adapter_state(model), adapter), weight=len(y))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
