"""The entry of every party's process: read who it is, then carry out commands until the demo closes the pipe."""

from __future__ import annotations

import logging
import sys
from importlib import import_module

from secagg.demo.parties.desk import Desk

ROLES = ("company", "aggregator", "hub", "judge", "pool")


def main(role: str, name: str) -> None:
    """Be the party `name` in `role` until the demo ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", stream=sys.stderr)
    desk = Desk.open(name)
    desk.run(import_module(f"secagg.demo.parties.{role}").commands(desk))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ROLES:
        sys.exit(f"usage: python -m secagg.demo.parties {'|'.join(ROLES)} NAME   (started by `secagg demo`)")
    main(sys.argv[1], sys.argv[2])
