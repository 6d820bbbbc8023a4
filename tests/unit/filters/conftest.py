"""The filters use no network: every test of this folder runs with sockets that refuse."""

from __future__ import annotations

import socket

import pytest

from secagg.filters import Policy, Sanitizer
from secagg.filters.policy import Names


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **named: object) -> None:
        raise AssertionError("a filter opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def rules() -> Sanitizer:
    """The built-in rules without the names model."""
    return Sanitizer(Policy(names=Names(model=False)))
