"""One client of `additive` from encoded vector to packets, and one aggregator that takes them, against raw keystreams and AES-GCM.

Sizes are exact and gated; times are ratios to what OpenSSL takes for the same volume in the same run. `python -m benchmarks.additive`.
"""

from __future__ import annotations

import os
import tracemalloc

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.encode import keystream
from benchmarks.measure import Line, Work, arguments, best, on_threads, show
from protocols import additive
from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.ledger import Ledger
from secagg.payload import CHUNK
from secagg.policy import Policy
from secagg.roles import Vector
from secagg.round import Round, open_round, sign_round
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.table import NOW, terms
from secagg.types import PartyId

CLIENTS = 12
SEEDS = 8
THREADS = 2


def opened(plan: additive.Plan, parties: Consortium, values: int) -> Round:
    signed = sign_round(plan.describe(terms(values=values), parties.roster), parties.coordinator).signed()
    return open_round(signed, parties.clients[0], Policy(), now=NOW)


def endpoint(plan: additive.Plan, parties: Consortium, a_round: Round, name: PartyId) -> Endpoint:
    me = parties.identity(name)
    end = Endpoint(plan.role(a_round, me, policy=Policy(), ledger=Ledger(), entropy=os.urandom), a_round, me, plan.CODEC)
    end.start()
    return end


def size(packet: Packet) -> int:
    return len(packet.envelope) + (packet.payload.size if packet.payload is not None else 0)


def gcm(volume: int) -> Work:
    """AES-256-GCM of as many bytes, in chunks, into a reused buffer."""
    cipher, plain, sealed = AESGCM(bytes(32)), bytes(CHUNK), bytearray(CHUNK + 16)

    def run() -> None:
        for index in range(-(-volume // CHUNK)):
            cipher.encrypt_into(index.to_bytes(12, "big"), plain, b"", sealed)

    return run


def peak_while(work: Work) -> int:
    """Most bytes that Python and NumPy held at once during `work`, beyond what they held before."""
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def aggregator_peak(plan: additive.Plan, parties: Consortium, a_round: Round, vector: Vector, clients: int) -> int:
    """Peak memory of the leader over `clients` reports, whose ciphertexts the transport holds."""
    leader = endpoint(plan, parties, a_round, parties.aggregators[0].party)
    packets = [endpoint(plan, parties, a_round, who.party).contribute(vector, version=0)[-1] for who in parties.clients[:clients]]
    return peak_while(lambda: [leader.receive(packet) for packet in packets])


def main() -> None:
    parser = arguments(__doc__, 1e7)
    parser.add_argument("--aggregators", type=int, default=3, help="parties that hold a share")
    parser.add_argument("--ring-bits", type=int, default=32, help="bits of a word")
    options = parser.parse_args()
    bits = 16 if options.ring_bits >= 32 else 8
    plan = additive.Plan(clients=CLIENTS, aggregators=options.aggregators, bits=bits, max_weight=1, ring_bits=options.ring_bits)
    parties = consortium(CLIENTS, options.aggregators, now=NOW, entropy=os.urandom)
    a_round, ring = opened(plan, parties, options.values), plan.encoding.ring
    vector: Vector = np.arange(options.values + 2, dtype=np.uint64).astype(ring.dtype)
    ring.reduce_into(vector)
    words, packed = vector.nbytes, ring.packed_size(len(vector))
    packets: list[Packet] = []

    def client() -> None:
        packets[:] = endpoint(plan, parties, a_round, parties.clients[0].party).contribute(vector, version=0)

    def leader() -> None:
        endpoint(plan, parties, a_round, parties.aggregators[0].party).receive(packets[-1])

    seeds = [
        endpoint(plan, parties, a_round, who.party).contribute(vector, version=0)[0] for who in parties.clients[:SEEDS]
    ]  # an aggregator expands so many in one pass

    def seed_holder() -> None:
        end = endpoint(plan, parties, a_round, parties.aggregators[1].party)
        for packet in seeds:
            end.receive(packet)

    client()
    others = options.aggregators - 1
    works: dict[str, Work] = {"aes": keystream(others * words), "one aes": keystream(words), "gcm": gcm(packed)}
    with on_threads(1):
        times = best({**works, "client": client, "leader": leader, "seed": seed_holder}, options.repeats).cpu
    with on_threads(THREADS):
        shared = best({"client": client, "leader": leader, "seed": seed_holder}, options.repeats).wall
    limit, millions = times["aes"] + times["gcm"], options.values / 1e7
    up = sum(size(packet) for packet in packets)
    few, many = (aggregator_peak(plan, parties, a_round, vector[:], clients) for clients in (3, CLIENTS))
    lines = [
        Line(
            f"client: split, pack, seal, sign for {options.aggregators} aggregators",
            times["client"],
            f"{others} keystreams + AES-GCM",
            limit,
        ),
        Line("client", times["client"], "20 ms per 1e7 values", 20 * millions, 1.0),
        Line(f"client, {THREADS} threads", shared["client"], "20 ms per 1e7 values", 20 * millions, 1.0, clock="wall"),
        Line("leader: open and add a report", times["leader"], "AES-GCM", times["gcm"]),
        Line(f"leader, {THREADS} threads", shared["leader"], "AES-GCM", times["gcm"], clock="wall"),
        Line("other aggregator: expand and add a seed", times["seed"] / SEEDS, "1 keystream", times["one aes"]),
        Line(f"other aggregator, {THREADS} threads", shared["seed"] / SEEDS, "1 keystream", times["one aes"], clock="wall"),
    ]
    facts = {
        "values": options.values,
        "ring": options.ring_bits,
        "bytes up": up,
        "bytes up / packed vector": f"{up / packed:.6f}",
        "aggregator's peak over 3 clients": few,
        f"over {CLIENTS}": many,
        "ratio": f"{many / few:.3f}",
    }
    show("additive", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
