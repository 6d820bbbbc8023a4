"""The only sockets, clocks and threads of the library: the memory network, the gRPC hub, and the parties that dial it.

    serve(plan, address, identity=…, model=…)   the hub: coordinator, and the aggregators that live with it
    join(address, identity=…)                   a client
    attend(address, identity=…)                 an aggregator or key holder elsewhere
"""

from __future__ import annotations

from secagg.runtime.attend import Attendance, attend
from secagg.runtime.client import Missed
from secagg.runtime.limits import Limits
from secagg.runtime.memory import MemoryNetwork
from secagg.runtime.result import Result
from secagg.runtime.server import Server, serve
from secagg.runtime.session import Session, join

__all__ = ["Attendance", "Limits", "MemoryNetwork", "Missed", "Result", "Server", "Session", "attend", "join", "serve"]
