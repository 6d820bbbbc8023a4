"""uvicorn, told where to listen and asked where it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import uvicorn

from secagg.errors import TransportError


class Server(uvicorn.Server):
    """Says its address once it listens; `started` and `should_exit` are uvicorn's."""

    def __init__(self, app: Any, host: str, port: int, ready: Callable[[str], None]) -> None:
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "ws": "none"}
        super().__init__(uvicorn.Config(app, host=host, port=port, timeout_graceful_shutdown=5, **quiet))
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.started and not self.should_exit:
            name = self.servers[0].sockets[0].getsockname()
            host = f"[{name[0]}]" if ":" in name[0] else name[0]
            self._ready(f"http://{host}:{name[1]}")


def listen(app: Any, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted. Raises TransportError: the place is taken."""
    server = Server(app, host, port, ready)
    try:
        server.run()
    except SystemExit as error:  # uvicorn logs why, and leaves
        raise TransportError(f"cannot listen on {host}:{port}: is the port taken?") from error
