"""`pairwise`: one client and the server against raw keystreams, a complete graph, and cohorts that grow.

Times are ratios to what OpenSSL and NumPy take for the same volume in the same run. `python -m benchmarks.pairwise`, for the goals with
`--values 1e7`; `--part` runs one part alone.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from nacl.bindings import crypto_sign, crypto_sign_keypair, crypto_sign_open

from benchmarks.measure import Line, arguments, on_threads, show
from protocols import pairwise
from protocols.pairwise.client import Client
from protocols.pairwise.params import Params
from protocols.pairwise.server import Server
from secagg.crypto.expand import SEGMENT
from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.roles import Sum, Vector
from secagg.round import Round, open_round, sign_round
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.table import NOW, terms
from secagg.types import PartyId

Clock = Callable[[], float]


def keystreams(count: int, volume: int) -> float:
    """Milliseconds of processor time for `count` keystreams of `volume` bytes, into a reused buffer."""
    zeros, out = memoryview(bytes(SEGMENT)), memoryview(bytearray(SEGMENT))
    began = time.process_time()
    for _ in range(count):
        cipher = Cipher(algorithms.AES(bytes(32)), modes.CTR(bytes(16))).encryptor()
        for start in range(0, volume, SEGMENT):
            part = min(SEGMENT, volume - start)
            cipher.update_into(zeros[:part], out)
    return (time.process_time() - began) * 1000


def keystreams_on_two(count: int, volume: int) -> float:
    """Milliseconds on the wall for as many, on two threads: what this machine leaves of its second core while others use it."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda size: keystreams(1, size), (SEGMENT, SEGMENT)))
        began = time.perf_counter()
        list(pool.map(lambda part: keystreams(part, volume), (count - count // 2, count // 2)))
        return (time.perf_counter() - began) * 1000


def passes(count: int, words: Vector) -> float:
    """Milliseconds for adding `count` vectors to one, out of memory."""
    total, began = np.zeros_like(words), time.process_time()
    for _ in range(count):
        np.add(total, words, out=total)
    return (time.process_time() - began) * 1000


@dataclass
class Rehearsal:
    """One round in this process, with the time of every party and the bytes of every client counted apart."""

    parties: Consortium
    opened: Round
    params: Params
    clock: Clock = time.process_time
    spent: dict[PartyId, float] = field(default_factory=dict)
    steps: dict[tuple[PartyId, str], float] = field(default_factory=dict)
    sent: dict[PartyId, int] = field(default_factory=dict)
    received: dict[PartyId, int] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: pairwise.Plan, parties: Consortium, values: int, **changes: object) -> Rehearsal:
        signed = sign_round(plan.describe(terms(values=values), parties.roster), parties.coordinator).signed()
        opened = open_round(signed, parties.clients[0], Policy(), now=NOW)
        return cls(parties, opened, replace(Params.of(opened), **changes))  # type: ignore[arg-type]

    def play(self, vector: Vector, gone: Collection[PartyId] = ()) -> Sum:
        """Run to the sum. Those in `gone` share their keys and then send nothing."""
        hub, codec = self.parties.coordinator, pairwise.Plan.CODEC
        server = Endpoint(Server(self.params, self.opened, hub, ledger=Ledger(), entropy=os.urandom), self.opened, hub, codec)
        queue: deque[Packet] = deque()
        ends = {hub.party: server}
        self._timed(hub.party, "start", server.start)
        for me in self.parties.clients:
            client = Client(self.params, self.opened.ctx, me, ledger=Ledger(), entropy=os.urandom)
            end = ends[me.party] = Endpoint(client, self.opened, me, codec)
            queue.extend(self._timed(me.party, "Advert", end.start))
            if me.party not in gone:
                end.contribute(vector, version=0)
        while server.result is None:
            if not queue:
                queue.extend(self._timed(hub.party, "expire", server.expire))
            # The newest first, so that an upload is added before the next one is made: only one lies in memory.
            packet = queue.pop() if queue[-1].payload is not None else queue.popleft()
            name = packet.header.recipient
            self._count(packet)
            if packet.payload is not None:
                ends[packet.header.sender]._answered.clear()  # the client's own copy of its upload is not the server's memory
            queue.extend(
                self._timed(name, packet.header.kind.partition("/")[2], lambda name=name, packet=packet: ends[name].receive(packet))
            )
        return server.result

    def client(self, gone: Collection[PartyId] = ()) -> float:
        """Milliseconds of the median client that stayed."""
        stayed = [spent for name, spent in self.spent.items() if name != self.parties.coordinator.party and name not in gone]
        return float(np.median(stayed)) * 1000

    def server(self) -> float:
        return self.spent[self.parties.coordinator.party] * 1000

    def step(self, kind: str) -> float:
        """Milliseconds of the median client on one kind of message."""
        return float(np.median([spent for (_, step), spent in self.steps.items() if step == kind])) * 1000

    def _timed(self, name: PartyId, step: str, act: Callable[[], list[Packet]]) -> list[Packet]:
        began = self.clock()
        packets = act()
        took = self.clock() - began
        self.spent[name] = self.spent.get(name, 0.0) + took
        self.steps[name, step] = self.steps.get((name, step), 0.0) + took
        return packets

    def _count(self, packet: Packet) -> None:
        size = len(packet.envelope) + (packet.payload.size if packet.payload is not None else 0)
        self.sent[packet.header.sender] = self.sent.get(packet.header.sender, 0) + size
        self.received[packet.header.recipient] = self.received.get(packet.header.recipient, 0) + size


def made_up(clients: int) -> Consortium:
    return consortium(clients, now=NOW, entropy=os.urandom, kem=0x20)


def a_vector(values: int) -> Vector:
    return (np.arange(values + 2, dtype=np.uint64) * 2654435761).astype(np.uint32)


def client_lines(values: int, repeats: int) -> list[Line]:
    """One client with 20 neighbours: on one thread, and on two."""
    parties, vector = made_up(21), a_vector(values)
    plan = pairwise.Plan(clients=21, bits=16, max_weight=1, ring_bits=32)
    one, two, limit, both = [], [], [], []
    for _ in range(repeats):
        limit.append(keystreams(21, vector.nbytes) + passes(1, vector))
        both.append(keystreams_on_two(21, vector.nbytes))
        with on_threads(1):
            one.append(upload_time(plan, parties, vector, time.process_time))
        with on_threads(2):
            two.append(upload_time(plan, parties, vector, time.perf_counter))
    against = "21 keystreams + 1 pass"
    return [
        Line("client, 20 neighbours: agree, mask, seal", min(one), against, min(limit), 1.3),
        Line("client on two threads", min(two), against, min(limit), 0.75, clock="wall"),
        Line("client on two threads", min(two), "21 keystreams on two threads", min(both), clock="wall"),
    ]


def upload_time(plan: pairwise.Plan, parties: Consortium, vector: Vector, clock: Clock) -> float:
    """Milliseconds of the first client from the boxes to the sealed upload."""
    rehearsal = Rehearsal.of(plan, parties, len(vector) - 2)
    rehearsal.clock = clock
    gone = [me.party for me in parties.clients[1:]]
    try:
        rehearsal.play(vector, gone)
    except Exception as ended:  # too few stay: only the first client's upload is wanted
        del ended
    return rehearsal.steps[parties.clients[0].party, "Inbox"] * 1000


def server_lines(values: int) -> tuple[list[Line], dict[str, object]]:
    """100 clients with 20 neighbours each, 10 of whom drop out after sharing their keys."""
    parties, vector = made_up(100), a_vector(values)
    plan = pairwise.Plan(clients=100, bits=16, max_weight=1, ring_bits=32)
    rehearsal = Rehearsal.of(plan, parties, values, degree=20, threshold=12, run=2, quorum=88, spots=60)
    gone = [me.party for me in parties.clients[::10]]
    before = _resident() // 1024
    total = rehearsal.play(vector, gone)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    expected = (vector.astype(np.uint64) * len(total.included)).astype(np.uint32)
    assert np.array_equal(total.vector, expected), "the sum is not the sum"
    masks = 90 + 10 * 18
    limit = keystreams(masks, vector.nbytes) + passes(90, vector)
    line = Line("server, 100 clients, 20 neighbours, 10 drop-outs", rehearsal.server(), f"{masks} keystreams + 90 passes", limit, 1.3)
    return [line], {"process peak beyond the start / vector": f"{peak / vector.nbytes:.2f}"}


def primitives(verified: int, agreed: int, masks: int, volume: int) -> float:
    """Milliseconds for so many Ed25519 verifications, X25519 exchanges and keystreams, each as libsodium and OpenSSL run them."""
    public, secret = crypto_sign_keypair()
    signed = crypto_sign(bytes(200), secret)
    private, peer = X25519PrivateKey.generate(), X25519PrivateKey.generate().public_key()
    began = time.process_time()
    for _ in range(verified):
        crypto_sign_open(signed, public)
    for _ in range(agreed):
        private.exchange(peer)
    return (time.process_time() - began) * 1000 + keystreams(masks, volume)


def complete_lines(values: int) -> list[Line]:
    """100 clients, everybody everybody's neighbour; and the sparse graph that is the default for as many."""
    parties, vector = made_up(100), a_vector(values)
    plan = pairwise.Plan(clients=100, threshold=67, bits=16, max_weight=1, ring_bits=32)
    with on_threads(1):
        rehearsal = Rehearsal.of(plan, parties, values)
        rehearsal.play(vector)
    with on_threads(2):
        two = Rehearsal.of(plan, parties, values)
        two.clock = time.perf_counter
        two.play(vector)
    sparse = Rehearsal.of(pairwise.Plan(clients=100, bits=16, max_weight=1, ring_bits=32), parties, values)
    sparse.play(vector)
    limit = primitives(99, 99 + 50, 100, vector.nbytes)
    served = primitives(100 * 7, 200, 100, vector.nbytes)
    return [
        Line("complete graph of 100: client", rehearsal.client(), "20 ms", 20.0, 1.0),
        Line("complete graph of 100: client on two threads", two.client(), "20 ms", 20.0, 1.0, clock="wall"),
        Line("complete graph of 100: client", rehearsal.client(), "99 verifications, 149 agreements, 100 keystreams", limit),
        Line("complete graph of 100: server", rehearsal.server(), "150 ms", 150.0, 1.0),
        Line("complete graph of 100: server", rehearsal.server(), "700 verifications, 200 agreements, 100 keystreams", served),
        Line(f"sparse graph of 100 (degree {sparse.params.degree}): client", sparse.client(), "20 ms", 20.0, 1.0),
        Line(f"sparse graph of 100 (degree {sparse.params.degree}): server", sparse.server(), "150 ms", 150.0, 1.0),
    ]


FIXED = {"degree": 24, "threshold": 14, "run": 2}
"""The numbers of the smallest cohort, kept for all: they show what grows with n where the graph does not. No round would take them."""


def growth_lines(values: int, cohorts: list[int]) -> tuple[list[Line], dict[str, object]]:
    """Sparse graphs of growing cohorts; one client in ten drops out.

    The degree is the least that is safe for one colluder, 2^-40 and 2^-20, so it grows with log n and the client's work with it. Divided
    by the degree, and at one degree for all cohorts, that work is flat.
    """
    lines, facts = list[Line](), dict[str, object]()
    first: dict[str, float] = {}
    for clients in cohorts:
        say(f"{clients} clients: their keys, a round on the safe graph, one at degree 24")
        parties, vector = made_up(clients), a_vector(values)
        plan = pairwise.Plan(clients=clients, bits=12, max_weight=1, ring_bits=32)
        gone = [me.party for me in parties.clients[::10]]
        before = _resident()
        began = time.perf_counter()
        rehearsal = Rehearsal.of(plan, parties, values)
        rehearsal.play(vector, gone)
        facts[f"wall of {clients} clients and the server, in one process"] = f"{time.perf_counter() - began:.1f} s"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        facts[f"peak memory of {clients} clients and the server"] = f"{peak / 1e6:.0f} MB, {peak / vector.nbytes:.0f} vectors"
        say(f"{clients} clients: summed in {time.perf_counter() - began:.0f} s")
        fixed = Rehearsal.of(plan, parties, values, **FIXED)
        fixed.play(vector, gone)
        degree, up = rehearsal.params.degree, np.median(list(rehearsal.sent.values())) / (4 * values)
        down = np.median(list(rehearsal.received.values()))
        costs = {
            "client": (rehearsal.client(gone), f"degree {degree}; {up:.3f} × vector up, {down:.0f} B down"),
            "client, per member of its circle": (rehearsal.client(gone) / (degree + 1), f"{degree + 1} members"),
            "client, degree 24 for all": (fixed.client(gone), "not safe for more clients"),
            "server, per client": (rehearsal.server() / clients, f"degree {degree}"),
        }
        for what, (cost, note) in costs.items():
            lines.append(Line(f"{clients} clients: {what}", cost, f"among {cohorts[0]}; {note}", first.setdefault(what, cost)))
    return lines, facts


def say(what: str) -> None:
    """Progress of what takes minutes, beside the table."""
    print(what, file=sys.stderr, flush=True)


def _resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def main() -> None:
    parser = arguments(__doc__, 1e6)
    parser.add_argument("--part", choices=("client", "server", "complete", "growth"), help="one part alone")
    parser.add_argument("--cohorts", default="100,300,1000", help="cohort sizes of the last part")
    parser.add_argument("--small", type=float, default=1e5, help="values in the last two parts")
    options = parser.parse_args()
    lines, facts, small = list[Line](), dict[str, object](values=options.values), int(options.small)
    if options.part in (None, "client"):
        lines += client_lines(options.values, options.repeats)
    if options.part in (None, "server"):
        found, more = server_lines(options.values)
        lines, facts = lines + found, facts | more
    if options.part in (None, "complete"):
        lines += complete_lines(small)
    if options.part in (None, "growth"):
        with on_threads(1):
            found, more = growth_lines(small, [int(size) for size in options.cohorts.split(",")])
        lines, facts = lines + found, facts | more
    show("pairwise", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
