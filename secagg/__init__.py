"""Privacy-preserving secure aggregation: organisations fine-tune one model together and show each other neither data nor updates.

Public names resolve on first use, so `import secagg` loads neither grpc nor torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secagg.encode.layout import Layout
    from secagg.errors import ConfigError, PeerError, SecAggError, SessionAborted
    from secagg.identity import Identity
    from secagg.ledger import Ledger
    from secagg.policy import Floors, Policy
    from secagg.receipt import Receipt
    from secagg.runtime import attend, join, serve
    from secagg.simulate import simulate

_HOMES = {
    "Layout": "secagg.encode.layout",
    "ConfigError": "secagg.errors",
    "PeerError": "secagg.errors",
    "SecAggError": "secagg.errors",
    "SessionAborted": "secagg.errors",
    "Identity": "secagg.identity",
    "Ledger": "secagg.ledger",
    "Floors": "secagg.policy",
    "Policy": "secagg.policy",
    "Receipt": "secagg.receipt",
    "attend": "secagg.runtime",
    "join": "secagg.runtime",
    "serve": "secagg.runtime",
    "simulate": "secagg.simulate",
}

__version__ = "0.1.0"
__all__ = [  # noqa: RUF022  # in the order in which a reader meets them
    "simulate",
    "serve",
    "join",
    "attend",
    "Identity",
    "Policy",
    "Floors",
    "Layout",
    "Ledger",
    "Receipt",
    "SecAggError",
    "ConfigError",
    "PeerError",
    "SessionAborted",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'secagg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
