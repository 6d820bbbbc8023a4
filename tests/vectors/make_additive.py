"""Writes additive.json: `python -m tests.vectors.make_additive`.

HPKE draws its own randomness, so every run makes another, equally valid file.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from protocols import additive
from protocols.additive import client, split
from protocols.additive.messages import Agreed, Listed, Report, Share
from secagg.envelope import Packet, pack
from secagg.identity import Identity
from secagg.payload import Blob, join
from secagg.receipt import sign_agreement, statement
from secagg.roles import Message, Sum, Vector
from secagg.tally import Tally
from secagg.testing.conformance import body_of
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.testing.vectors import FORMAT, packet_to_json
from secagg.types import Context, PartyId, Secret

FILE = Path(__file__).with_name("additive.json")
PLAN = additive.Plan(clients=3, aggregators=3, bits=8, max_weight=1, ring_bits=24)
VALUES = 5


class Recording:
    """Fixed entropy that remembers what it gave, so that the file can name the secrets."""

    def __init__(self, seed: str) -> None:
        self._source, self.given = InsecureEntropy(seed), list[bytes]()

    def __call__(self, count: int) -> bytes:
        self.given.append(self._source(count))
        return self.given[-1]


def main() -> None:
    parties = consortium(3, 3, now=NOW, entropy=InsecureEntropy("vectors"), kem=0x20)
    everybody = (parties.coordinator, *parties.aggregators, *parties.clients)
    recording = Recording("additive")
    table = Table.lay(PLAN, parties.roster, everybody, terms(values=VALUES), entropy=recording)
    vectors: dict[PartyId, Vector] = {
        identity.party: (np.arange(7 * index, 7 * index + 7) ** 5 & 0xFFFFFF).astype(np.uint32)
        for index, identity in enumerate(parties.clients, 1)
    }
    total = table.play(vectors)
    assert isinstance(total, Sum)
    content = {
        "format": FORMAT,
        "protocol": "additive",
        "comment": "Secrets are in clear: never use these keys. Words are integers below 2^24.",
        "keys": {identity.party: keys_of(identity) for identity in everybody},
        "roster": parties.roster.raw.hex(),
        "description": table.opened.signed().hex(),
        "rd": table.opened.ctx.rd.hex(),
        "values": values(table, vectors, recording.given),
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


def report_at(table: Table, sender: PartyId, recipient: PartyId) -> tuple[int, Packet, Report]:
    for position, packet in enumerate(table.heard):
        if (packet.header.kind, packet.header.sender, packet.header.recipient) == (Report.KIND, sender, recipient):
            return position, packet, Report.from_wire(body_of(packet), packet.payload)
    raise LookupError(f"no report from {sender} to {recipient}")


def values(table: Table, vectors: dict[PartyId, Vector], given: list[bytes]) -> dict[str, object]:
    """What lies inside the transcript: seeds, masks, hashes, the statement that was signed."""
    servers, ctx = table.opened.description.servers, table.opened.ctx
    clients = {name: client_values(table, name, vector, ctx, given) for name, vector in vectors.items()}
    agreed = next(Agreed.from_wire(body_of(packet), None) for packet in table.heard if packet.header.kind == Agreed.KIND)
    return {
        "aggregators": list(servers),
        "clients": clients,
        "roots": agreed.roots.hex(),
        "statement": statement(ctx.rd, agreed.included, agreed.roots).hex(),
    }


def client_values(table: Table, name: PartyId, vector: Vector, ctx: Context, given: list[bytes]) -> dict[str, object]:
    servers = table.opened.description.servers
    _, _, report = report_at(table, name, servers[0])
    start = given.index(report.report)
    secrets = given[start + 1 : start + 1 + len(servers)]
    masks = []
    for index in range(1, len(servers)):
        tally = Tally.zero(PLAN.encoding.ring, len(vector))
        tally.apply([(split.mask(Secret(secrets[index]), ctx, name, report.report, index), 1)])
        masks.append(tally.words)
    first = (vector - sum(masks)) & 0xFFFFFF
    return {
        "vector": [int(word) for word in vector],
        "report": report.report.hex(),
        "key": secrets[0].hex(),
        "seeds": [seed.hex() for seed in secrets[1:]],
        "shares": [[int(word) for word in share] for share in (first, *masks)],
        "parts": [part.hex() for part in report.parts],
        "root": split.root_hash(ctx, name, report.report, report.version, report.parts).hex(),
    }


def failures(table: Table, parties: Consortium) -> list[dict[str, object]]:
    """One packet for each check that a peer's message can fail, signed as its sender would."""
    ctx, leader, second = table.opened.ctx, parties.aggregators[0], parties.aggregators[1]
    who, names = parties.clients[0], tuple(identity.party for identity in parties.clients)
    at, packet, report = report_at(table, who.party, leader.party)
    end = len(table.heard)
    found: list[dict[str, object]] = []

    def add(name: str, check: str, after: int, sender: Identity, recipient: PartyId, message: Message) -> None:
        found.append({"name": name, "check": check, "after": after, **packet_to_json(pack(sender, ctx, recipient, message))})

    add("a list with one hash too few", "AD-A2", at, who, leader.party, replace(report, parts=report.parts[:2]))
    add("the key of another part", "AD-A2", at, who, leader.party, replace(report, sealed=report.sealed[::-1]))
    add("a model version that is not allowed", "AD-A3", at, who, leader.party, replace(report, version=1))
    assert report.payload is not None
    longer = Blob(join(report.payload) + b"\x00")
    add("a vector one byte too long", "AD-A4", at, who, leader.party, replace(report, payload=longer))
    changed = bytearray(join(report.payload))
    changed[0] ^= 1
    add("a vector with one bit flipped", "AD-A6", at, who, leader.party, replace(report, payload=Blob(changed)))
    add("a part sealed for another client", "AD-A5", at, who, leader.party, resealed(report, parties, ctx))
    add("a report of an aggregator", "AD-A1", at, second, leader.party, report)
    add("a second, different report", "EV-C5", end, who, leader.party, replace(report, report=bytes(16)))
    lists = [
        position for position, item in enumerate(table.heard) if item.header.kind == Listed.KIND and item.header.recipient == leader.party
    ]
    add(
        "a list with a client outside the cohort",
        "AD-A8",
        lists[0],
        parties.aggregators[1],
        leader.party,
        Listed(((PartyId("nobody"), bytes(32)),)),
    )
    agreed = [
        position for position, item in enumerate(table.heard) if item.header.kind == Agreed.KIND and item.header.recipient == leader.party
    ]
    unsigned = Agreed(names, bytes(32), bytes(64))
    sender = parties.identity(table.heard[agreed[0]].header.sender)
    add("a set that its sender did not sign", "AD-A11", agreed[0], sender, leader.party, unsigned)
    # The leader's: the others' vectors went ahead.
    shares = [position for position, item in enumerate(table.heard) if item.header.kind == Share.KIND and item.payload is not None]
    position = shares[0]
    owner = parties.identity(table.heard[position].header.sender)
    share = Share.from_wire(body_of(table.heard[position]), table.heard[position].payload)
    collector = parties.coordinator.party
    assert share.payload is not None
    add("a share one byte too short", "AD-C4", position, owner, collector, replace(share, payload=Blob(join(share.payload)[:-1])))
    opened = next((place, item) for place, item in enumerate(table.heard) if item.header.kind == Share.KIND and item.payload is None)
    behind = Share.from_wire(body_of(opened[1]), None)
    owner = parties.identity(opened[1].header.sender)
    add("a key for another share than the one sent ahead", "AD-C6", opened[0], owner, collector, replace(behind, commitment=bytes(32)))
    closes = next(
        position for position, item in enumerate(table.heard) if item.header.kind == Agreed.KIND and item.header.recipient == collector
    )
    first = parties.identity(table.heard[closes].header.sender)
    small = Agreed(names[:2], bytes(32), sign_agreement(first, ctx.rd, names[:2], bytes(32)))
    add("a set below the floor", "AD-C3", closes, first, collector, small)
    forged = replace(packet, envelope=packet.envelope[:-1] + bytes([packet.envelope[-1] ^ 1]))
    found.append({"name": "a body that was changed on the way", "check": "EV-C2", "after": at, **packet_to_json(forged)})
    return found


def resealed(report: Report, parties: Consortium, ctx: Context) -> Report:
    """A leader's part whose key was sealed in the name of another client, with all hashes right."""
    who, leader = parties.clients[0].party, parties.aggregators[0]
    context = client.seal_context(ctx, parties.clients[1].party, leader.party, report.report)
    sealed = leader.member.sealing.seal(Secret(bytes(32)), purpose=client.PART, context=context)
    own = split.part_hash(ctx, who, report.report, 0, sealed=sealed, committed=report.commitment)
    return replace(report, sealed=sealed, parts=(own, *report.parts[1:]))


if __name__ == "__main__":
    main()
