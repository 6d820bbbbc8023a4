"""Writes pairwise.json: `python -m tests.vectors.make_pairwise`. HPKE draws its own randomness: every run makes another valid file.

Client 3 makes a box for client 4 that does not open; client 4 complains and is a drop-out that has shared: its key seed is rebuilt.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from protocols import pairwise
from protocols.pairwise.client import upload_context
from protocols.pairwise.mask import opening_of
from protocols.pairwise.messages import (
    Advert,
    Adverts,
    Agreement,
    Complaint,
    Confirm,
    Inbox,
    Masked,
    Reveal,
    Shares,
    Survivors,
)
from protocols.pairwise.records import Record, bitmap, session_id
from protocols.pairwise.reveal import roots_hash
from secagg.endpoint import Endpoint
from secagg.envelope import Packet, pack
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.payload import Blob, join
from secagg.policy import Policy
from secagg.receipt import statement
from secagg.roles import Message, Sum, Vector
from secagg.tally import Tally
from secagg.testing.conformance import body_of
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.testing.vectors import FORMAT, packet_to_json
from secagg.types import PartyId
from tests.unit.pairwise.rig import changing

FILE = Path(__file__).with_name("pairwise.json")
PLAN = pairwise.Plan(clients=5, bits=8, max_weight=1, ring_bits=24)
VALUES = 5
SEEDS = ("key seed", "self-mask seed", "channel seed", "nonce")
"""What a client draws first, in this order; 32, 32, 32 and 16 bytes."""


def entropy_of(name: PartyId) -> InsecureEntropy:
    """The randomness of one client: SHA-256 of a seed and a counter."""
    return InsecureEntropy(f"vectors/{name}")


def vectors_of(parties: Consortium) -> dict[PartyId, Vector]:
    made: dict[PartyId, Vector] = {}
    for index, me in enumerate(parties.clients, 1):
        made[me.party] = np.arange(7 * index, 7 * index + VALUES + 2, dtype=np.uint32) ** np.uint32(5) & np.uint32(0xFFFFFF)
    return made


def spoil(message: Shares) -> Shares:
    """The last box with one bit flipped."""
    return Shares((*message.boxes[:3], message.boxes[3][:-1] + bytes([message.boxes[3][-1] ^ 1])))


def played(parties: Consortium) -> tuple[Table, Sum]:
    everybody = (parties.coordinator, *parties.clients)
    table = Table.lay(PLAN, parties.roster, everybody, terms(values=VALUES))
    for me in parties.clients:
        opened = table.endpoints[me.party].round
        role = PLAN.role(opened, me, policy=Policy(), ledger=Ledger(), entropy=entropy_of(me.party))
        table.endpoints[me.party] = Endpoint(role, opened, me, PLAN.CODEC)
    changing(parties, table, Shares, spoil, by=[3])
    total = table.play(vectors_of(parties))
    assert isinstance(total, Sum)
    assert total.included == tuple(me.party for me in parties.clients[:4])
    return table, total


def main() -> None:
    parties = consortium(5, now=NOW, entropy=InsecureEntropy("vectors"), kem=0x20)
    table, total = played(parties)
    content = {
        "format": FORMAT,
        "protocol": "pairwise",
        "comment": "Secrets are in clear: never use these keys. Words are integers below 2^24. Client 3 makes a bad box for client 4.",
        "keys": {me.party: keys_of(me) for me in (parties.coordinator, *parties.clients)},
        "roster": parties.roster.raw.hex(),
        "description": table.opened.signed().hex(),
        "rd": table.opened.ctx.rd.hex(),
        "values": values(table, parties, total),
        "transcript": [packet_to_json(packet) for packet in table.heard],
        "included": list(total.included),
        "sum": [int(word) for word in total.vector],
        "failures": failures(table, parties),
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def keys_of(identity: Identity) -> dict[str, str]:
    return {
        "signing": identity.signing.seed.expose().hex(),
        "opening": (bytes([identity.opening.kind]) + identity.opening.seed.expose()).hex(),
    }


def at(table: Table, kind: type[Message], *, sender: PartyId | None = None, recipient: PartyId | None = None) -> tuple[int, Packet]:
    """The first packet of a kind, and its place in the transcript."""
    for position, packet in enumerate(table.heard):
        header = packet.header
        if header.kind == kind.KIND and sender in (None, header.sender) and recipient in (None, header.recipient):
            return position, packet
    raise LookupError(f"no {kind.KIND}")


def values(table: Table, parties: Consortium, total: Sum) -> dict[str, object]:
    """What lies inside the transcript: seeds, keys, masked vectors, the statement that was signed."""
    before = table.endpoints[parties.coordinator.party]
    adverts = Adverts.from_wire(body_of(at(table, Adverts)[1]), None)
    survivors = Survivors.from_wire(body_of(at(table, Survivors)[1]), None)
    sid = session_id(table.opened.ctx, adverts.present, adverts.digests)
    assert before.result is total
    return {
        "threshold": PLAN.thresholds(5)[0],
        "sid": sid.hex(),
        "roots": roots_hash(sid, survivors).hex(),
        "statement": statement(table.opened.ctx.rd, total.included, total.roots).hex(),
        "clients": {me.party: client_values(table, parties, me, sid) for me in parties.clients},
    }


def client_values(table: Table, parties: Consortium, me: Identity, sid: bytes) -> dict[str, object]:
    entropy = entropy_of(me.party)
    drawn = {name: entropy(size).hex() for name, size in zip(SEEDS, (32, 32, 32, 16), strict=True)}
    found: dict[str, object] = {**drawn, "vector": [int(word) for word in vectors_of(parties)[me.party]]}
    try:
        _, packet = at(table, Masked, sender=me.party)
    except LookupError:
        return found
    message, context = Masked.from_wire(body_of(packet), packet.payload), upload_context(table.opened.ctx, sid, me.party)
    key = parties.coordinator.opening.open(message.sealed, purpose="pairwise/upload", context=context)
    tally = Tally.zero(PLAN.encoding.ring, VALUES + 2)
    tally.add(opening_of(key, context), message.payload)
    return {**found, "upload key": key.expose().hex(), "masked": [int(word) for word in tally.words]}


def failures(table: Table, parties: Consortium) -> list[dict[str, object]]:
    """One packet for each check that a peer's message can fail, signed as its sender would."""
    ctx, hub, first, second = table.opened.ctx, parties.coordinator, parties.clients[0], parties.clients[1]
    found: list[dict[str, object]] = []

    def add(name: str, check: str, genuine: tuple[int, Packet], message: Message) -> None:
        place, packet = genuine
        sender, recipient = parties.identity(packet.header.sender), packet.header.recipient
        found.append({"name": name, "check": check, "after": place, **packet_to_json(pack(sender, ctx, recipient, message))})

    def message(kind: type[Message], genuine: tuple[int, Packet]) -> Message:
        return kind.from_wire(body_of(genuine[1]), genuine[1].payload)

    place = at(table, Advert, sender=first.party)
    advert: Advert = message(Advert, place)  # type: ignore[assignment]
    record = Record(advert.record)
    add("an advert with a changed key", "PW-S1", place, Advert(b"\x00" + advert.record[1:]))
    weak = Record.sign(first, ctx, channel=bytes(32), mask=record.mask, commitment=record.commitment, nonce=bytes(16))
    add("an advert with a key of low order", "PW-S12", place, Advert(weak.raw))
    place = at(table, Adverts, recipient=first.party)
    adverts: Adverts = message(Adverts, place)  # type: ignore[assignment]
    add("a list without this client", "PW-C1", place, Adverts(bitmap(range(1, 5), 5), adverts.digests[1:], adverts.records[1:]))
    add("a list of three", "PW-C2", place, Adverts(bitmap(range(3), 5), adverts.digests[:3], adverts.records[:3]))
    add("two adverts that have changed places", "PW-C3", place, replace(adverts, records=(*adverts.records[:3], *adverts.records[:2:-1])))
    add("another advert of this client", "PW-C4", place, listing(table, adverts, 0, weak))
    forged = Record(adverts.records[1][:-1] + bytes([adverts.records[1][-1] ^ 1]))
    add("an advert that its owner did not sign", "PW-C5", place, listing(table, adverts, 1, forged))
    other = Record(adverts.records[2])
    doubled = Record.sign(second, ctx, channel=other.channel, mask=other.mask, commitment=other.commitment, nonce=bytes(16))
    add("one key in two adverts", "PW-C6", place, listing(table, adverts, 1, doubled))
    low = Record.sign(second, ctx, channel=bytes(32), mask=Record(adverts.records[1]).mask, commitment=bytes(32), nonce=bytes(16))
    add("a key of low order in the list", "PW-C7", place, listing(table, adverts, 1, low))
    place = at(table, Shares, sender=first.party)
    shares: Shares = message(Shares, place)  # type: ignore[assignment]
    add("a box too few", "PW-S3", place, Shares(shares.boxes[:-1]))
    place = at(table, Inbox, recipient=first.party)
    inbox: Inbox = message(Inbox, place)  # type: ignore[assignment]
    add("boxes of two others only", "PW-C8", place, Inbox(bitmap(range(2), 4), inbox.boxes[:2]))
    place = at(table, Masked, sender=first.party)
    masked: Masked = message(Masked, place)  # type: ignore[assignment]
    add("a vector one byte too long", "PW-S5", place, replace(masked, payload=Blob(join(masked.payload) + b"\x00")))
    changed = bytearray(join(masked.payload))
    changed[0] ^= 1
    add("a vector with one bit flipped", "PW-S6", place, replace(masked, payload=Blob(changed)))
    add("another commitment", "PW-S6", place, replace(masked, commitment=bytes(32)))
    add("a complaint about oneself", "PW-S7", place, Complaint(first.party))
    place = at(table, Survivors, recipient=first.party)
    survivors: Survivors = message(Survivors, place)  # type: ignore[assignment]
    add("a set without this client", "PW-C9", place, Survivors(bitmap(range(1, 4), 5), survivors.digests[1:]))
    add("a set with another upload of this client", "PW-C9", place, replace(survivors, digests=(bytes(32), *survivors.digests[1:])))
    add("a set of three", "PW-C11", place, Survivors(bitmap(range(3), 5), survivors.digests[:3]))
    place = at(table, Confirm, sender=first.party)
    add("a signature for another set", "PW-S9", place, Confirm(bytes(64)))
    place = at(table, Agreement, recipient=first.party)
    agreement: Agreement = message(Agreement, place)  # type: ignore[assignment]
    add("signatures of three", "PW-C13", place, Agreement(bitmap(range(3), 5), agreement.signatures[:3]))
    add("a signature that is none", "PW-C14", place, replace(agreement, signatures=(bytes(64), *agreement.signatures[1:])))
    place = at(table, Reveal, sender=first.party)
    reveal: Reveal = message(Reveal, place)  # type: ignore[assignment]
    add("shares in a box that does not open", "PW-S11", place, Reveal(reveal.box[::-1]))
    forged_packet = replace(place[1], envelope=place[1].envelope[:-1] + bytes([place[1].envelope[-1] ^ 1]))
    found.append({"name": "a body that was changed on the way", "check": "EV-C2", "after": place[0], **packet_to_json(forged_packet)})
    assert hub.party == at(table, Adverts)[1].header.sender
    return found


def listing(table: Table, adverts: Adverts, place: int, record: Record) -> Adverts:
    """The list with one record and its digest replaced."""
    name = table.opened.description.cohort[place]
    digests, records = list(adverts.digests), list(adverts.records)
    digests[place], records[place] = record.digest(table.opened.ctx, name), record.raw
    return Adverts(adverts.present, tuple(digests), tuple(records))


if __name__ == "__main__":
    main()
