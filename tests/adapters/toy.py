"""A stack in thirty lines: one process, one message at a time, and nothing survives between messages but what the stack stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from secagg.adapters.party import Party, Train
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.types import PartyId


@dataclass
class ToyStack:
    """`train` may raise: then this node has answered nothing, as in any stack whose node fails."""

    nodes: Mapping[str, Identity]
    train: Callable[[str], Train]
    stored: dict[str, bytes] = field(default_factory=dict)
    disks: dict[str, Ledger] = field(default_factory=dict)
    messages: list[tuple[str, bytes, bytes]] = field(default_factory=list)

    def exchange(self, bags: Mapping[PartyId, bytes], seconds: float) -> Iterator[bytes]:
        for name, bag in bags.items():
            ledger = self.disks.setdefault(name, Ledger())
            with Party(self.nodes[name], self.stored.get(name, b""), ledger=ledger) as party:  # a new process, as far as it can tell
                try:
                    back = party.answer(bag, self.train(name))
                except ConnectionError:
                    continue
                self.stored[name] = party.keep()
            self.messages.append((name, bag, back))
            yield back
