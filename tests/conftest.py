"""What tests of every kind use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def weak() -> Iterator[pytest.MonkeyPatch]:
    """Weakens a piece of the library until `undo`: a test shows with it that the attack works where the defence is missing."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch
