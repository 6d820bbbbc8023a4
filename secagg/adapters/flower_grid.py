"""Flower's nodes as parties: who is behind which node, and how a bag travels in a message."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid

from secagg.crypto.derive import frame
from secagg.crypto.sign import BadSignature
from secagg.errors import ConfigError, PeerError
from secagg.roster import Roster
from secagg.types import PartyId

log = logging.getLogger("flwr.secagg")  # shown where Flower shows its own

RECORD = "secagg"
"""The record that holds a bag, or asks who is there."""

_HELLO = 60.0
_SOONEST, _LATEST = 0.01, 0.5
"""Seconds between two looks for replies: they grow while nothing comes."""


HELLO = "flower/hello"


def hello(nonce: bytes, node: int, party: PartyId) -> bytes:
    """What a node signs to speak for a party in one run."""
    return frame(HELLO, nonce, str(node).encode(), party.encode())


def record_of(bag: bytes) -> ArrayRecord:
    """A bag as an array of bytes: Flower carries large arrays in pieces."""
    return ArrayRecord({"bag": Array(np.frombuffer(bag, np.uint8))})


def bag_of(message: Message) -> memoryview | None:
    """The bag in a message, if it holds one."""
    record = message.content.get(RECORD)
    if not isinstance(record, ArrayRecord) or "bag" not in record:
        return None
    return np.ascontiguousarray(record["bag"].numpy(), np.uint8).data


class Nodes(Grid):
    """The grid as strategies see it: only nodes that are clients of the roster; the plan's other servers are not sampled.

    A node says once for whom it speaks, and signs it with the party's key: no other node can draw a party's messages to itself.
    """

    def __init__(self, grid: Grid, roster: Roster) -> None:
        self._grid, self._roster = grid, roster
        self._party: dict[int, PartyId] = {}
        self._role: dict[int, str] = {}
        self._node: dict[PartyId, int] = {}

    def party(self, node: int) -> PartyId:
        """Who is behind a node. Raises ConfigError."""
        if node not in self._party:
            self._ask([node])
        if node not in self._party:
            raise ConfigError(f"node {node} does not say for which party it speaks: its ClientApp needs SecureMod")
        return self._party[node]

    def knows(self, party: PartyId) -> bool:
        """Whether a node speaks for this party."""
        return party in self._node

    def message(self, party: PartyId, bag: bytes, asked: Message | None = None) -> Message:
        """A message with this bag, on top of the strategy's own if there is one."""
        if party not in self._node:
            raise ConfigError(f"no node speaks for {party}, which the plan needs: start one with its identity, or run it beside")
        content = RecordDict(dict(asked.content.items()) if asked is not None else {})
        content[RECORD] = record_of(bag)
        more: dict[str, Any] = {}
        if asked is not None:
            more = {"ttl": asked.metadata.ttl, "group_id": asked.metadata.group_id}
        kind = asked.metadata.message_type if asked is not None else MessageType.TRAIN
        return Message(content, dst_node_id=self._node[party], message_type=kind, **more)

    def get_node_ids(self) -> Iterator[int]:
        there = list(self._grid.get_node_ids())
        self._ask([node for node in there if node not in self._party])
        return iter([node for node in there if self._role.get(node) == "client"])

    def _ask(self, nodes: list[int]) -> None:
        """Ask nodes for whom they speak. The newest node of a party is the one that is meant: it may have come back under another id."""
        nonce = os.urandom(16)
        question = RecordDict({RECORD: ConfigRecord({"nonce": nonce})})
        asked = [Message(question, dst_node_id=node, message_type=MessageType.TRAIN) for node in nodes]
        silent = set(nodes)
        for reply in self.send_and_receive(asked, timeout=_HELLO) if asked else ():
            silent.discard(reply.metadata.src_node_id)
            if reply.has_error() or not isinstance(said := reply.content.get(RECORD), ConfigRecord):
                log.warning("node %d has no SecureMod or no identity, and takes no part", reply.metadata.src_node_id)
                continue
            node = reply.metadata.src_node_id
            try:
                member = self._roster.member(PartyId(str(said.get("party", ""))))
                member.signing.verify(cast(bytes, said.get("signature", b"")), HELLO, hello(nonce, node, member.party))
            except (PeerError, BadSignature) as refused:
                log.warning("node %d speaks for nobody in the roster, and takes no part: %s", node, refused)
                continue
            self._party[node], self._role[node] = member.party, member.role
            self._node[member.party] = node
        for node in sorted(silent):
            log.warning("node %d did not say in %.0f s for whom it speaks, and takes no part until it does", node, _HELLO)

    # The rest is the grid's own.

    def set_run(self, run: Any) -> None:
        self._grid.set_run(run)

    @property
    def run(self) -> Any:
        return self._grid.run

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        return self._grid.create_message(*args, **kwargs)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        ids: Iterable[str] = self._grid.push_messages(messages)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        messages: Iterable[Message] = self._grid.pull_messages(message_ids)
        return messages

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """As the grid does it, but looking for replies more often than every three seconds: a secure round is a few short exchanges."""
        waiting = set(self._grid.push_messages(messages))
        replies: list[Message] = []
        until, pause = float("inf") if timeout is None else time.monotonic() + timeout, _SOONEST
        while True:
            came = list(self._grid.pull_messages(waiting))
            waiting -= {reply.metadata.reply_to_message_id for reply in came}
            replies += came
            if not waiting or time.monotonic() >= until:
                return replies
            pause = _SOONEST if came else min(2 * pause, _LATEST)
            time.sleep(min(pause, max(until - time.monotonic(), 0)))
