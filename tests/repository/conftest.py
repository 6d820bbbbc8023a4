"""Reports files that are near the limit of length, so that they are split before they fail."""

from __future__ import annotations

import pytest

from tests.repository.source import ROOT, library_files

LONG_FILE = 400


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for path in library_files():
        if (length := len(path.read_text(encoding="utf-8").splitlines())) > LONG_FILE:
            terminalreporter.write_line(f"long file: {path.relative_to(ROOT)}, {length} lines")
