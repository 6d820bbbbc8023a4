"""The processes of the demo: one for each party, told what to do over a pipe, ended with the demo however it ends.

Commands go in and events come out as one JSON object a line; whatever a party logs goes to a file of its own.

    demo ── {"id": 3, "do": "join", …} ──▶ party        party ── {"event": "trained", …} ──▶ demo
                                                        party ── {"id": 3, "gives": {…}} ──▶ demo
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from secagg.errors import SecAggError

Listener = Callable[[str, str, Mapping[str, Any]], None]
"""`listener(party, event, facts)`, called in the thread that waits."""

_TAIL = 12
_GRACE = 3.0
"""Seconds that parties have to leave before they are ended."""

_QUIET = {
    "OMP_NUM_THREADS": "1",  # three parties with two threads each on two cores would spend their time waiting for each other
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "GRPC_VERBOSITY": "NONE",
    "PYTHONUNBUFFERED": "1",
}


class PartyFailed(SecAggError):
    """A party of the demo ended or could not do what it was told."""

    def __init__(self, party: str, reason: str, log: Path) -> None:
        self.party, self.log = party, log
        super().__init__(f"{party} {reason}")

    @property
    def last_lines(self) -> list[str]:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return self.log.read_text("utf-8", "replace").splitlines()[-_TAIL:]
        return []


@dataclass(slots=True)
class Order:
    """A command that was given; `gives` is what came of it."""

    party: str
    do: str
    then: Callable[[dict[str, Any]], None] | None = None
    done: bool = False
    gives: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Party:
    name: str
    process: subprocess.Popen[bytes]
    log: Path
    orders: dict[int, Order]


class Crew:
    """All parties. Use it as a context manager: leaving it ends every process, also after an error or Ctrl-C."""

    def __init__(self, logs: Path, listener: Listener) -> None:
        self._logs, self._listener = logs, listener
        self._parties: dict[str, _Party] = {}
        self._mail: queue.SimpleQueue[tuple[str, dict[str, Any] | None]] = queue.SimpleQueue()
        self._numbers = iter(range(1, sys.maxsize))
        logs.mkdir(parents=True, exist_ok=True)

    def hire(self, name: str, role: str, facts: Mapping[str, Any]) -> int:
        """Start the process of party `name`, which plays `role` (a module of `secagg.demo.parties`). Returns its process id."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "secagg.demo.parties", role, name],  # the name, so that `ps` tells who is who
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **_QUIET},
                start_new_session=True,  # Ctrl-C reaches the demo only, which then ends the parties in order
            )
        self._parties[name] = _Party(name, process, log, {})
        self._send(name, facts)
        threading.Thread(target=self._listen, args=(name, process.stdout), name=f"crew-{name}", daemon=True).start()
        return process.pid

    def tell(self, name: str, do: str, *, then: Callable[[dict[str, Any]], None] | None = None, **arguments: Any) -> Order:
        """Give a command; a party carries out its commands one after the other.

        `then` is called with what came of it, in the thread that waits; it may give further commands.
        """
        number, order = next(self._numbers), Order(name, do, then)
        self._parties[name].orders[number] = order
        self._send(name, {"id": number, "do": do, "with": arguments})
        return order

    def ask(self, name: str, do: str, **arguments: Any) -> dict[str, Any]:
        """Give a command and wait for what comes of it."""
        order = self.tell(name, do, **arguments)
        self.wait(order)
        return order.gives

    def wait(self, *orders: Order) -> None:
        """Pass on events until all `orders` are done. Raises PartyFailed as soon as any party fails."""
        while not all(order.done for order in orders):
            self._take_mail()

    def settle(self) -> None:
        """Pass on events until every command is done, those given meanwhile included. Raises PartyFailed as soon as any party fails."""
        while any(party.orders for party in self._parties.values()):
            self._take_mail()

    def close(self) -> None:
        """End every process: by closing its pipe, then by signals. Safe to call twice."""
        running = [party.process for party in self._parties.values()]
        for process in running:
            with contextlib.suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]  # a pipe was asked for
        end = time.monotonic() + _GRACE
        for wait, number in ((end, signal.SIGTERM), (end + 1.0, signal.SIGKILL)):
            for process in running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, wait - time.monotonic()))
                if process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, number)
        for process in running:
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _send(self, name: str, line: Mapping[str, Any]) -> None:
        pipe = self._parties[name].process.stdin
        try:
            pipe.write(json.dumps(line).encode() + b"\n")  # type: ignore[union-attr]  # a pipe was asked for
            pipe.flush()  # type: ignore[union-attr]
        except OSError:
            self._has_left(name)

    def _take_mail(self) -> None:
        name, line = self._mail.get()
        party = self._parties[name]
        if line is None:
            self._has_left(name)
        elif "event" in line:
            self._listener(name, line["event"], line["facts"])
        elif "fails" in line:
            raise PartyFailed(name, f"could not {party.orders[line['id']].do}: {line['fails']}", party.log)
        else:
            order = party.orders.pop(line["id"])
            order.gives, order.done = line["gives"], True
            if order.then is not None:
                order.then(order.gives)

    def _listen(self, name: str, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                self._mail.put((name, json.loads(line)))
        self._mail.put((name, None))

    def _has_left(self, name: str) -> None:
        party = self._parties[name]
        with contextlib.suppress(subprocess.TimeoutExpired):
            party.process.wait(_GRACE)
        status = party.process.poll()
        how = f"was killed by {signal.Signals(-status).name}" if status is not None and status < 0 else f"ended with exit status {status}"
        raise PartyFailed(name, how, party.log)
