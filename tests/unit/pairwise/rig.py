"""A round of `pairwise` at the table in which one kind of message is changed on the way and signed again by its sender."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from protocols import pairwise
from protocols.pairwise.records import Record, bitmap, places
from secagg.envelope import Packet, pack
from secagg.errors import InvalidMessage, SessionAborted
from secagg.identity import Identity
from secagg.roles import Message, Vector
from secagg.round import Terms
from secagg.testing.conformance import body_of
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.types import PartyId

VALUES = 12
PLAN = pairwise.Plan(clients=5, ring_bits=32)
"""Five clients, t = 4, F = 3: one may drop out."""
LOW_ORDER = bytes(32)

Change = Callable[[Any], Message | None]
"""What becomes of a message; None loses it."""


def crowd(clients: int = 5, seed: str = "pairwise", **arguments: Any) -> Consortium:
    return consortium(clients, now=NOW, entropy=InsecureEntropy(seed), kem=0x20, **arguments)


def vectors_of(parties: Consortium, values: int = VALUES) -> dict[PartyId, Vector]:
    return {me.party: np.full(values + 2, 1000 + place, np.uint32) for place, me in enumerate(parties.clients)}


def lay(parties: Consortium, plan: pairwise.Plan = PLAN, of: Terms | None = None, **arguments: Any) -> Table:
    return Table.lay(plan, parties.roster, (parties.coordinator, *parties.clients), of or terms(values=VALUES), **arguments)


def changing(
    parties: Consortium,
    table: Table,
    kind: type[Message],
    change: Change,
    *,
    by: Iterable[int] | None = None,
    to: Iterable[int] | None = None,
) -> None:
    """Let `change` decide on every message of `kind`, or on those sent by or to the clients of these numbers."""
    named = {parties.clients[index].party for index in (by if by is not None else to if to is not None else ())}
    before = table.fault

    def fault(packet: Packet) -> Iterable[Packet]:
        header = packet.header
        concerned = (by is None and to is None) or (header.sender if by is not None else header.recipient) in named
        if header.kind != kind.KIND or not concerned:
            return before(packet)
        changed = change(kind.from_wire(body_of(packet), packet.payload))
        return [] if changed is None else [pack(parties.identity(header.sender), table.opened.ctx, header.recipient, changed)]

    table.fault = fault


def lose(message: object) -> None:
    """The change that loses a message."""


def refusals(table: Table) -> set[tuple[str, str]]:
    """Who refused by which check."""
    return {(name, error.check) for name, error in table.refused if isinstance(error, InvalidMessage)}


def play(parties: Consortium, kind: type[Message], change: Change, **where: Any) -> Table:
    """A whole round in which `change` was at work."""
    table = lay(parties)
    changing(parties, table, kind, change, **where)
    outcome = table.play(vectors_of(parties))
    if not isinstance(outcome, SessionAborted):
        vectors = vectors_of(parties)
        expected = sum((vectors[name].astype(np.uint64) for name in outcome.included), np.zeros(VALUES + 2, np.uint64))
        assert np.array_equal(outcome.vector, expected.astype(np.uint32)), "a sum that is not the sum of those included"
    return table


def record_of(me: Identity, table: Table, *, channel: bytes, mask: bytes) -> Record:
    """A record that `me` signs over keys of anybody's choice."""
    return Record.sign(me, table.opened.ctx, channel=channel, mask=mask, commitment=bytes(32), nonce=bytes(16))


def with_record(message: Any, table: Table, place: int, record: Record) -> Any:
    """The list of adverts with one record, and its digest, replaced."""
    clients = table.opened.description.cohort
    at = places(message.present, len(clients), check="", culprit=clients[0]).index(place)
    digests, records = list(message.digests), list(message.records)
    digests[at], records[at] = record.digest(table.opened.ctx, clients[place]), record.raw
    return type(message)(message.present, tuple(digests), tuple(records))


def only(kept: Iterable[int], items: tuple[bytes, ...], size: int = 5) -> tuple[bytes, tuple[bytes, ...]]:
    """A bitmap of `kept` and their items, of a list in which everybody stands."""
    chosen = list(kept)
    return bitmap(chosen, size), tuple(items[index] for index in chosen)
