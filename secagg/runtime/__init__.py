"""The only sockets, clocks and threads of the library: the memory network, the gRPC hub, and the parties that dial it.

    serve(plan, address, identity=…, model=…)   the hub: coordinator, and the aggregators that live with it
    join(address, identity=…)                   a client
    attend(address, identity=…)                 an aggregator or key holder elsewhere

Names resolve on first use: whoever needs only the memory network does not load grpc.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secagg.runtime.attendance import Attendance, attend
    from secagg.runtime.client import Missed
    from secagg.runtime.limits import Limits
    from secagg.runtime.memory import MemoryNetwork
    from secagg.runtime.result import Result
    from secagg.runtime.server import Server
    from secagg.runtime.serving import serve
    from secagg.runtime.session import Session, join

_HOMES = {
    "Attendance": "attendance",
    "Limits": "limits",
    "MemoryNetwork": "memory",
    "Missed": "client",
    "Result": "result",
    "Server": "server",
    "Session": "session",
    "attend": "attendance",
    "join": "session",
    "serve": "serving",
}

__all__ = ["Attendance", "Limits", "MemoryNetwork", "Missed", "Result", "Server", "Session", "attend", "join", "serve"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'secagg.runtime' has no attribute {name!r}")
    return getattr(import_module(f"secagg.runtime.{_HOMES[name]}"), name)
