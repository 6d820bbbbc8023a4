"""The command line: `secagg certs | serve | aggregate | join | receipt | template | demo`. Exit statuses: `secagg.cli.output`."""

from __future__ import annotations

import logging
import os
import sys


def main() -> None:
    """The entry point `secagg`."""
    # gRPC's own notes on connections that end are no news to a person, and it reads this once, when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="secagg: %(message)s")
    from secagg.cli.app import app

    app(prog_name="secagg")
