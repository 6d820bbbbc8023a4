"""The command line: `secagg certs | serve | aggregate | join | receipt | template | demo`. Exit statuses: `secagg.cli.output`."""

from __future__ import annotations

import logging
import os


def main() -> None:
    """The entry point `secagg`."""
    # gRPC's own notes on connections that end are no news to a person, and it reads this once, when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from secagg.cli.app import app
    from secagg.cli.output import StandardError

    logging.basicConfig(level=logging.WARNING, handlers=[StandardError()])
    app(prog_name="secagg")
