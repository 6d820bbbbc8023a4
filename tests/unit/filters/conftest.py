"""The filters use no network: every test of this folder runs with sockets that refuse."""

from __future__ import annotations

import socket
from typing import Any, NoReturn

import pytest

from secagg.filters import Policy, Sanitizer
from secagg.filters.policy import Names


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **named: object) -> NoReturn:
        raise AssertionError("a filter opened a socket")

    real = socket.socket

    def local_only(family: int = -1, *args: Any, **named: Any) -> socket.socket:
        """Processes of one machine may speak to each other, as those of `datasets` do; nothing beyond it is reached."""
        return real(family, *args, **named) if family == socket.AF_UNIX else refuse()

    monkeypatch.setattr(socket, "socket", local_only)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def rules() -> Sanitizer:
    """The built-in rules without the names model."""
    return Sanitizer(Policy(names=Names(model=False)))
