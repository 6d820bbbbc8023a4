"""A party's end of the pipe: commands come in here and are carried out one after the other."""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any, Self

Command = Callable[..., Mapping[str, Any] | None]

log = logging.getLogger("secagg.demo")


class Desk:
    """Reads commands, runs them, and tells the demo what comes of it.

    Attributes:
        name: who this party is.
        facts: what the run looks like, from the first line.
    """

    def __init__(self, name: str, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self.name = name
        self._incoming, self._outgoing = incoming, outgoing
        self.facts: dict[str, Any] = json.loads(incoming.readline())
        self._waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._commands: Mapping[str, Command] = {}

    @classmethod
    def open(cls, name: str) -> Self:
        """Take standard input and output for the pipe; what libraries print goes to the log instead."""
        outgoing = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        return cls(name, sys.stdin.buffer, outgoing)

    def tell(self, event: str, **facts: Any) -> None:
        """Tell the demo that something has happened. Any thread may."""
        self._write({"event": event, "facts": facts})

    def run(self, commands: Mapping[str, Command]) -> None:
        """Carry out commands until the demo closes the pipe, or dies."""
        self._commands = commands
        threading.Thread(target=self._read, name="desk", daemon=True).start()
        while True:
            self._carry_out(self._waiting.get())

    def _read(self) -> None:
        for line in self._incoming:
            self._waiting.put(json.loads(line))
        logging.shutdown()
        os._exit(0)  # nobody is left to tell: a party does not outlive the demo, whatever its other threads are doing

    def _carry_out(self, command: Mapping[str, Any]) -> None:
        log.info("%s %s", command["do"], command["with"])
        try:
            gives = self._commands[command["do"]](**command["with"])
        except Exception as error:
            log.exception("%s failed", command["do"])
            self._write({"id": command["id"], "fails": f"{type(error).__name__}: {error}"})
        else:
            self._write({"id": command["id"], "gives": dict(gives or {})})

    def _write(self, line: Mapping[str, Any]) -> None:
        with self._lock:
            self._outgoing.write(json.dumps(line).encode() + b"\n")
            self._outgoing.flush()
