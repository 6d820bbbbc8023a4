"""Writes threshold.json: `python -m tests.vectors.make_threshold`.

HPKE draws its own randomness, so every run makes another, equally valid file. Imprints, 61,440 bytes each, follow from the seeds in it
and are left out.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from protocols.ckks import threshold
from protocols.ckks.params import payload_digest
from protocols.ckks.threshold.client import PART, part_context
from protocols.ckks.threshold.dealing import dealt_key, imprint, imprint_digest
from protocols.ckks.threshold.messages import REPORT, Committed, Entry, Fixed, Offer, Report, Share, part_hash, root_hash
from secagg.crypto.derive import digest
from secagg.envelope import pack
from secagg.identity import Identity
from secagg.payload import Blob, join
from secagg.receipt import sign_agreement, statement
from secagg.roles import Message, Sum, Vector
from secagg.testing.conformance import body_of
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.testing.vectors import FORMAT, packet_to_json
from secagg.types import Context, PartyId, Secret
from tests.vectors.make_additive import keys_of

FILE = Path(__file__).with_name("threshold.json")
PLAN = threshold.Plan(clients=3, keyholders=2, bits=8, max_weight=1, ring_bits=24)
VALUES = 5


def coins(name: PartyId, count: int, drawn: int) -> bytes:
    """What the party called `name` draws, as its `drawn`-th draw: the file says how, so that others can draw it again."""
    return InsecureEntropy(f"threshold/{name}/{drawn}")(count)


class Drawing:
    """The entropy of one party."""

    def __init__(self, name: PartyId) -> None:
        self._name, self._drawn = name, 0

    def __call__(self, count: int) -> bytes:
        self._drawn += 1
        return coins(self._name, count, self._drawn)


def vectors_of(parties: Consortium) -> dict[PartyId, Vector]:
    return {
        identity.party: (np.arange(7 * index, 7 * index + 7) ** 5 & 0x1FFFFF).astype(np.uint32)
        for index, identity in enumerate(parties.clients, 1)
    }


def main() -> None:
    parties = consortium(3, keyholders=2, now=NOW, entropy=InsecureEntropy("vectors"), kem=0x20)
    everybody = (parties.coordinator, *parties.keyholders, *parties.clients)
    table = Table.lay(PLAN, parties.roster, everybody, terms(values=VALUES))
    for name, end in table.endpoints.items():
        if hasattr(end.role, "_entropy"):
            end.role._entropy = Drawing(name)
    vectors = vectors_of(parties)
    total = table.play(vectors)
    assert isinstance(total, Sum)
    told = values(parties, vectors, total, table.opened.ctx)
    left_out = imprints(told, table.opened.ctx.rd)
    content = {
        "format": FORMAT,
        "protocol": "ckks-threshold",
        "comment": "Secrets are in clear: never use these keys. Words are integers below 2^24. Where an envelope is a list,"
        " 'imprint/CLIENT/HOLDER' stands for the imprint of the seed that the client deals to that key holder.",
        "keys": {identity.party: keys_of(identity) for identity in everybody},
        "roster": parties.roster.raw.hex(),
        "description": table.opened.signed().hex(),
        "rd": table.opened.ctx.rd.hex(),
        "values": told,
        "transcript": [packet_to_json(packet, left_out) for packet in table.heard],
        "included": list(total.included),
        "sum": [int(word) for word in total.vector],
        "failures": failures(table, parties, left_out),
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def values(parties: Consortium, vectors: dict[PartyId, Vector], total: Sum, ctx: Context) -> dict[str, object]:
    """What lies inside the transcript: the holders' keys of the attempt, the clients' seeds and vectors, the statement that was signed."""
    holders = [identity.party for identity in parties.keyholders]
    return {
        "keyholders": holders,
        "attempt_keys": {name: coins(name, 32, 1).hex() for name in holders},
        "clients": {
            name: {
                "vector": [int(word) for word in vector],
                "seeds": [coins(name, 32, 1 + index).hex() for index in range(len(holders))],
            }
            for name, vector in vectors.items()
        },
        "ring_element_key": digest("ckks-threshold/ring-element", ctx.rd).hex(),
        "roots": total.roots.hex(),
        "statement": statement(ctx.rd, total.included, total.roots).hex(),
    }


def imprints(values: dict[str, Any], rd: bytes) -> dict[str, bytes]:
    """What the file leaves out: the imprint of each client's seed for each key holder, in the order of a report."""
    ctx, found = Context(rd, "", 0, 0), dict[str, bytes]()  # of the context only the description's digest enters
    for client, one in values["clients"].items():
        for holder, raw in zip(values["keyholders"], one["seeds"], strict=True):
            seed = Secret(bytes.fromhex(raw))
            found[f"imprint/{client}/{holder}"] = imprint(seed, dealt_key(seed, ctx, client, holder), ctx, client, holder)
    return found


def failures(table: Table, parties: Consortium, left_out: dict[str, bytes]) -> list[dict[str, object]]:
    """One packet for each check that a peer's message can fail, signed as its sender would."""
    ctx, hub = table.opened.ctx, parties.coordinator
    first, second = parties.keyholders
    who, end = parties.clients[0], len(table.heard)
    names = tuple(identity.party for identity in parties.clients)
    found: list[dict[str, object]] = []

    def place(kind: type[Message], sender: PartyId, recipient: PartyId) -> tuple[int, Message]:
        for position, packet in enumerate(table.heard):
            if (packet.header.kind, packet.header.sender, packet.header.recipient) == (kind.KIND, sender, recipient):
                return position, kind.from_wire(body_of(packet), packet.payload)
        raise LookupError(f"no {kind.KIND} from {sender} to {recipient}")

    def add(name: str, check: str, after: int, sender: Identity, recipient: PartyId, message: Message, told: object = None) -> None:
        packet = packet_to_json(pack(sender, ctx, recipient, message), left_out)
        if told is not None:
            packet["payload"] = told
        found.append({"name": name, "check": check, "after": after, **packet})

    at, offer = place(Offer, first.party, who.party)
    assert isinstance(offer, Offer)
    hybrid = parties.keyholders[0].opening.generate(InsecureEntropy("hybrid")).seal_key()
    add("a key of another suite than the roster's", "TH-K1", at, first, who.party, Offer(hybrid))
    at, report = place(Report, who.party, hub.party)
    assert isinstance(report, Report)
    bare = replace(report, imprints=(), payload=Blob(b"\x00"))
    add("a model version that is not allowed", "TH-S1", at, who, hub.party, replace(bare, version=1))
    add("a report of a key holder", "TH-S1", at, first, hub.party, replace(report, imprints=(), payload=Blob(b"\x00")))
    add(
        "a report with a part too few",
        "TH-S2",
        at,
        who,
        hub.party,
        replace(bare, sealed=report.sealed[:1]),
    )
    add(
        "a signature over another report",
        "TH-S2",
        at,
        who,
        hub.party,
        replace(bare, digest=bytes(32)),
    )
    short = signed(replace(report, payload=Blob(b"\x00"), digest=payload_digest(Blob(b"\x00"))), who, ctx, (first.party, second.party))
    add("a ciphertext of one byte", "TH-S3", at, who, hub.party, short)
    beyond = Blob(bytes([255]) * report.payload.size)
    wide = signed(replace(report, payload=beyond, digest=payload_digest(beyond)), who, ctx, (first.party, second.party))
    add("a ciphertext with residues beyond their primes", "TH-S3", at, who, hub.party, wide)
    at, fixed = place(Fixed, hub.party, first.party)
    assert isinstance(fixed, Fixed)
    add("a set below the floor", "TH-H1", at, hub, first.party, Fixed(fixed.entries[:2]))
    forged = (replace(fixed.entries[0], digest=bytes(32)), *fixed.entries[1:])
    add("a report that its client did not sign", "TH-H2", at, hub, first.party, Fixed(forged))
    wrong = (mislaid(fixed, offer, who, ctx, first.party), *fixed.entries[1:])
    add("a part sealed for another client", "TH-H3", at, hub, first.party, Fixed(wrong))
    at, committed = place(Committed, second.party, first.party)
    assert isinstance(committed, Committed)
    add("a commitment that its sender did not sign", "TH-H4", at, second, first.party, replace(committed, roots=bytes(32)))
    assert at > place(Fixed, hub.party, first.party)[0], "in this order of delivery the set comes before the commitment"
    other = Committed(names, bytes(32), sign_agreement(second, ctx.rd, names, bytes(32)), bytes(32))
    add("a commitment to another set", "TH-H5", at, second, first.party, other)
    at, _ = place(Committed, second.party, hub.party)
    add("a commitment to a set that was not fixed", "TH-S5", at, second, hub.party, other)
    at, share = place(Share, first.party, hub.party)
    assert isinstance(share, Share)
    add("a part of the key of one byte", "TH-S6", at, first, hub.party, replace(share, payload=Blob(b"\x00")))
    assert at > place(Committed, first.party, hub.party)[0], "in this order of delivery the commitment comes before the part"
    moved = bytes(32) + join(share.payload)[32:]
    told = {"like": at, "starts": bytes(32).hex(), "ends": ""}
    add("another part than was committed to", "TH-S7", at, first, hub.party, replace(share, payload=Blob(moved)), told)
    add("a second, different report", "EV-C5", end, who, hub.party, replace(bare, digest=bytes(32)))
    return found


def signed(report: Report, who: Identity, ctx: Context, holders: tuple[PartyId, ...]) -> Report:
    """The report with its client's signature, as a malicious client would send it."""
    digests = map(imprint_digest, report.imprints)
    parts = [part_hash(ctx, who.party, *part) for part in zip(holders, report.sealed, digests, strict=True)]
    return replace(report, signature=who.signing.sign(REPORT, root_hash(ctx, who.party, report.version, report.digest, parts)))


def mislaid(fixed: Fixed, offer: Offer, who: Identity, ctx: Context, holder: PartyId) -> Entry:
    """The first client's entry with a seed sealed in the name of the second, and every hash and signature right."""
    entry = fixed.entries[0]
    sealed = offer.key.seal(Secret(bytes(32)), purpose=PART, context=part_context(ctx, fixed.entries[1].client, holder))
    parts = (part_hash(ctx, who.party, holder, sealed, entry.imprint), *entry.parts[1:])
    root = root_hash(ctx, who.party, entry.version, entry.digest, parts)
    return replace(entry, sealed=sealed, parts=parts, signature=who.signing.sign(REPORT, root))


if __name__ == "__main__":
    main()
