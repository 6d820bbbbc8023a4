"""Writes ckks.json: `python -m tests.vectors.make_ckks`. HPKE and SEAL draw their own randomness: every run makes another valid file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols import ckks
from protocols.ckks import client, slots
from protocols.ckks.cipher import PRIMES, Packing, as_payload, read_residues, secret_key, uniform
from protocols.ckks.messages import Added, Encrypted, Key, Opened, Seed
from protocols.ckks.params import payload_digest
from secagg.crypto.stream import commitment
from secagg.endpoint import Endpoint
from secagg.envelope import Packet, pack
from secagg.ledger import Ledger
from secagg.math.ring import Ring
from secagg.payload import Blob, Payload, join
from secagg.policy import Policy
from secagg.roles import Message, Sum, Vector
from secagg.testing.conformance import body_of
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.testing.vectors import FORMAT, packet_to_json
from secagg.types import Context, PartyId, Secret
from tests.vectors.make_pairwise import at, keys_of

FILE = Path(__file__).with_name("ckks.json")
PLAN = ckks.Plan(clients=3, bits=8, max_weight=1, ring_bits=16)
VALUES = 5
HOLDER, HUB = PartyId("keyholder-0"), PartyId("coordinator")


def entropy_of(name: PartyId) -> InsecureEntropy:
    """The randomness of one party: SHA-256 of a seed and a counter."""
    return InsecureEntropy(f"vectors/{name}")


def vector_of(index: int) -> Vector:
    return np.arange(7 * index, 7 * index + VALUES + 2, dtype=np.uint16) * np.uint16(401)


def played(parties: Consortium) -> tuple[Table, Sum]:
    """A round in which the key holder has all seeds before it is asked for the sum."""
    everybody = (parties.coordinator, *parties.keyholders, *parties.clients)
    for seed in range(100):
        table = Table.lay(PLAN, parties.roster, everybody, terms(values=VALUES), seed=seed)
        for me in everybody:
            opened = table.endpoints[me.party].round
            role = PLAN.role(opened, me, policy=Policy(), ledger=Ledger(), entropy=entropy_of(me.party))
            table.endpoints[me.party] = Endpoint(role, opened, me, PLAN.CODEC)
        total = table.play({me.party: vector_of(index) for index, me in enumerate(parties.clients, 1)})
        kinds = [packet.header.kind for packet in table.heard]
        assert isinstance(total, Sum)
        if Seed.KIND not in kinds[kinds.index(Added.KIND) :]:
            return table, total
    raise LookupError("no such round in a hundred")


def main() -> None:
    parties = consortium(3, keyholders=1, now=NOW, entropy=InsecureEntropy("vectors"), kem=0x20)
    table, total = played(parties)
    content = {
        "format": FORMAT,
        "protocol": "ckks",
        "comment": "Secrets are in clear: never use these keys. Words are integers below 2^16; `slots` is a sum of three in SEAL's slots.",
        "keys": {me.party: keys_of(me) for me in (parties.coordinator, *parties.keyholders, *parties.clients)},
        "roster": parties.roster.raw.hex(),
        "description": table.opened.signed().hex(),
        "rd": table.opened.ctx.rd.hex(),
        "values": values(table, parties),
        "transcript": [packet_to_json(packet) for packet in table.heard],
        "included": list(total.included),
        "sum": [int(word) for word in total.vector],
        "failures": failures(table, parties),
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def values(table: Table, parties: Consortium) -> dict[str, object]:
    """What lies inside the transcript: the key's seed, the first numbers of its secret and of each c1, the vectors."""
    ctx, key = table.opened.ctx, Secret(entropy_of(HOLDER)(32))
    packing, one = Packing.of(table.opened.description), parties.clients[0].party
    told = Seed.from_wire(body_of(at(table, Seed, sender=one)[1]), None)
    return {
        "key seed": key.expose().hex(),
        "primes": list(PRIMES),
        "scale bits": packing.scale_bits,
        "lanes": packing.lanes,
        "secret": [[int(word) for word in plane[:8, 0]] for plane in secret_key(key, ctx)],
        "uniform": [[int(word) for word in plane[:8, 0]] for plane in next(uniform(Secret(told.seed), ctx, one, packing))],
        "vectors": {me.party: [int(word) for word in vector_of(index)] for index, me in enumerate(parties.clients, 1)},
        "slots": in_slots(ctx, key),
    }


def in_slots(ctx: Context, key: Secret) -> dict[str, object]:
    """Three vectors of which no other run has these ciphertexts, and their sum, which every implementation has to open."""
    scheme = slots.Slots(slots.SETS["n4096-q56"], Ring(32), VALUES, 3, 1 << 20)
    total, seeds, vectors = scheme.zero(), [], []
    for index in range(3):
        vector = (np.arange(VALUES, dtype=np.uint32) + np.uint32(1)) * np.uint32(1000 * index + 1)
        made = scheme.encrypt(vector, key, ctx=ctx, client=PartyId(f"client-{index}"), entropy=InsecureEntropy("unused"))
        scheme.add_into(total, made.c0)
        assert made.seeds is not None
        seeds.append(join(made.seeds).hex())
        vectors.append([int(word) for word in vector])
    return {
        "set": "n4096-q56",
        "largest": 1 << 20,
        "scale bits": scheme.numbers.scale_bits,
        "seeds": seeds,
        "c0": join(scheme.as_payload(total)).hex(),
        "sum": [sum(column) for column in zip(*vectors, strict=True)],
    }


def moved_by_half(words: NDArray[np.uint32], packing: Packing) -> NDArray[np.uint32]:
    """The first coefficient of a small sum moved by Δ/2, as far from any integer as can be."""
    changed, primes = words.copy(), np.array(PRIMES, np.uint32)
    pair = [0, packing.coefficients]
    changed[pair] = (changed[pair] + np.uint32(1 << (packing.scale_bits - 1))) % primes
    return changed


def failures(table: Table, parties: Consortium) -> list[dict[str, object]]:
    """One packet for each check that a peer's message can fail, signed as its sender would."""
    ctx, first, second = table.opened.ctx, parties.clients[0], parties.clients[1]
    found: list[dict[str, object]] = []

    def add(name: str, check: str, genuine: tuple[int, Packet], message: Message) -> None:
        place, packet = genuine
        made = pack(parties.identity(packet.header.sender), ctx, packet.header.recipient, message)
        form: dict[str, object] = {"name": name, "check": check, "after": place, **packet_to_json(made)}
        if packet.payload is not None and made.payload is not None and made.payload.size > 1000:
            form |= {"payload": like(place, packet.payload, made.payload)}
        found.append(form)

    place = at(table, Key, recipient=first.party)
    short = first.member.sealing.seal(Secret(b"short"), purpose=client.KEY, context=client.key_context(ctx, HOLDER, first.party))
    add("a key of five bytes", "CK-K1", place, Key(short))
    other = Key.from_wire(body_of(at(table, Key, recipient=second.party)[1]), None)
    add("a key for somebody else", "CK-K1", place, other)
    place = at(table, Seed, sender=first.party)
    seed = Seed.from_wire(body_of(place[1]), None)
    add("a seed of another model version", "CK-H1", place, replace(seed, version=9))
    add("seeds beside the one seed", "CK-H6", place, replace(seed, seeds=Blob(bytes(64))))
    place = at(table, Encrypted, sender=first.party)
    encrypted = Encrypted.from_wire(body_of(place[1]), place[1].payload)
    add("a ciphertext of another model version", "CK-S1", place, replace(encrypted, version=9))
    high = Blob(b"\xff\xff\xff\xff" + join(encrypted.payload)[4:])
    add("a residue that is not below its prime", "CK-S2", place, replace(encrypted, payload=high, digest=payload_digest(high)))
    add("a ciphertext eight bytes too long", "CK-S2", place, replace(encrypted, payload=Blob(join(encrypted.payload) + bytes(8))))
    add("another digest", "CK-S2", place, replace(encrypted, digest=bytes(32)))
    place = at(table, Added)
    added, last = Added.from_wire(body_of(place[1]), place[1].payload), place[0]
    add("a sum of two", "CK-H2", place, replace(added, entries=added.entries[:2]))
    high = Blob(b"\xff\xff\xff\xff" + join(added.payload)[4:])
    add("a sum with a residue out of range", "CK-H3", place, replace(added, payload=high, digest=payload_digest(high)))
    add("a root that its client did not tell of", "CK-H4", place, replace(added, entries=((first.party, bytes(32)), *added.entries[1:])))
    packing = Packing.of(table.opened.description)
    moved = as_payload(moved_by_half(read_residues(added.payload, packing), packing))
    add("a sum with one coefficient moved", "CK-H5", place, replace(added, payload=moved, digest=payload_digest(moved)))
    place = at(table, Opened)
    opened = Opened.from_wire(body_of(place[1]), place[1].payload)
    add("a signature that is none", "CK-S4", place, replace(opened, signature=bytes(64)))
    add("another set", "CK-S4", place, replace(opened, included=opened.included[1:]))
    torn = Blob(bytes(opened.payload.size))
    add("a sum that does not open", "CK-S5", place, replace(opened, payload=torn, commitment=commitment(torn)))
    assert last < place[0]
    assert encrypted.payload.size == 60, "seven words, in sixteen residues at most"
    return found


def like(place: int, genuine: Payload, made: Payload) -> dict[str, object]:
    """A long payload, told by what differs from that of packet `place` of the transcript: its first bytes, or its length."""
    old, new = join(genuine), join(made)
    differs = next((index for index in reversed(range(min(len(old), len(new)))) if old[index] != new[index]), -1)
    return {"like": place, "starts": new[: differs + 1].hex(), "ends": new[len(old) :].hex()}


if __name__ == "__main__":
    main()
