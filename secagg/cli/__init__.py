"""The command line: `secagg certs | serve | aggregate | join | receipt | template | demo`. Exit statuses: `secagg.cli.output`."""

from __future__ import annotations


def main() -> None:
    """The entry point `secagg`."""
    from secagg.cli.app import app

    app(prog_name="secagg")
