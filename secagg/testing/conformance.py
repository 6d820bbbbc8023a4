"""The suite that every protocol passes, shipped so that a protocol written elsewhere can be held against it.

Four laws: the sum is the sum of those included; every message that is not due is refused; any drop-outs, repeats and reordering give the
exact sum or SessionAborted; a decoder on any bytes gives a message or MalformedMessage. Inputs are one-hot, so a double count shows.

A plan whose privacy terms ask for shares of noise is tried with them: each client's input then has its share, and the sum is the sum of
these to the bit. Where aggregators add noise as well, what is added lies within the head-room, and count and weight have none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from secagg.dp.sampler import sampler
from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.errors import MalformedMessage, PeerError, SecAggError, SessionAborted
from secagg.payload import Blob
from secagg.roles import Message, Plan, Sum, Vector
from secagg.round import RoundDescription
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.types import PartyId


@dataclass(frozen=True, slots=True)
class Case:
    """A protocol to be tried: its plan, who takes part, and which (phase, kind) pairs are due in which kind of party.

    Attributes:
        due: by role in the roster: the phases and message kinds that fit. Everything else must be refused.
        rare: a genuine message, with its sender, of each kind that a round without faults never sends.
    """

    plan: Plan
    parties: Consortium
    due: Mapping[str, frozenset[tuple[str, str]]]
    rare: Mapping[str, tuple[PartyId, Message]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        plan: Plan,
        *,
        clients: int,
        aggregators: int = 0,
        keyholders: int = 0,
        due: Mapping[str, frozenset[tuple[str, str]]],
        kem: int = 0x20,
        rare: Mapping[str, tuple[PartyId, Message]] | None = None,
    ) -> Case:
        entropy = InsecureEntropy("consortium")
        return cls(plan, consortium(clients, aggregators, keyholders=keyholders, now=NOW, entropy=entropy, kem=kem), due, rare or {})

    @property
    def extra(self) -> int:
        return self.plan.encoding.extra

    def vectors(self) -> dict[PartyId, Vector]:
        """One-hot: client i has i + 1 in coordinate i, and 1 in the count."""
        clients = self.parties.clients
        vectors: dict[PartyId, Vector] = {}
        for index, identity in enumerate(clients):
            words = np.zeros(len(clients) + self.extra, self.plan.encoding.ring.dtype)
            words[index], words[len(clients)] = index + 1, 1
            self._add_share(words[: len(clients)], identity.party)
            vectors[identity.party] = words
        return vectors

    def _add_share(self, coordinates: Vector, name: PartyId) -> None:
        """The share of noise that the plan's terms ask a client for; the same in every round."""
        noise = self.described.noise()
        if noise is not None:
            entropy = InsecureEntropy(f"share/{name}")
            sampler(noise.kind, round(noise.variance)).add_into(coordinates, self.plan.encoding.ring, entropy=entropy)

    @property
    def described(self) -> RoundDescription:
        """The description of its rounds."""
        return self.plan.describe(terms(values=len(self.parties.clients)), self.parties.roster)

    def table(self, seed: int = 0) -> Table:
        """A fresh round."""
        parties = self.parties
        everybody = (parties.coordinator, *parties.aggregators, *parties.keyholders, *parties.clients)
        return Table.lay(self.plan, parties.roster, everybody, terms(values=len(parties.clients)), seed=seed)


def check_outcome(case: Case, outcome: Sum | SessionAborted, vectors: Mapping[PartyId, Vector]) -> bool:
    """The exact sum of those included, or an abort: never a third thing. True for a sum. Raises AssertionError."""
    if isinstance(outcome, SessionAborted):
        return False
    ring = case.plan.encoding.ring
    expected = ring.zeros(len(case.parties.clients) + case.extra)
    for name in outcome.included:
        ring.add_into(expected, vectors[name])
    _check_sum(case, outcome, expected)
    floor = case.described.floors.floor
    if len(outcome.included) < floor or len(set(outcome.included)) != len(outcome.included):
        raise AssertionError(f"{len(outcome.included)} in the sum, below the floor of {floor}")
    return True


def _check_sum(case: Case, outcome: Sum, expected: Vector) -> None:
    encoding, promised = case.plan.encoding, case.described.privacy
    if promised is None or not promised.aggregator_noise:
        if not np.array_equal(outcome.vector, expected):
            raise AssertionError(f"the sum is not the sum of {', '.join(outcome.included)}")
        return
    over = outcome.vector.copy()
    encoding.ring.sub_into(over, expected)
    added = encoding.ring.center(over)
    coordinates = added[: len(case.parties.clients)]
    if added[len(coordinates) :].any() or np.abs(coordinates).max() > encoding.noise_tail:
        raise AssertionError(f"what stands over the sum of {', '.join(outcome.included)} is no noise of the aggregators")
    if not coordinates.any():
        raise AssertionError("the terms ask the aggregators for noise, and there is none in the sum")


def the_sum_is_the_sum_of_those_included(case: Case, *, rounds: int = 20) -> None:
    """Without faults, in any order of delivery, everybody is in the sum."""
    for seed in range(rounds):
        vectors = case.vectors()
        outcome = case.table(seed).play(vectors)
        if not check_outcome(case, outcome, vectors) or len(getattr(outcome, "included", ())) != len(vectors):
            raise AssertionError(f"seed {seed}: a round without faults did not include everybody: {outcome}")


def any_faults_give_the_sum_or_an_abort(case: Case, *, rounds: int = 200, first: int = 0) -> tuple[int, int]:
    """Drop-outs at any message, losses, repeats, any order. Returns how many rounds gave a sum and how many an abort."""
    sums = 0
    for seed in range(first, first + rounds):
        vectors, table = case.vectors(), case.table(seed)
        _plan_faults(table, InsecureEntropy(f"faults/{seed}"))
        try:
            sums += check_outcome(case, table.play(vectors), vectors)
        except SecAggError as leaked:
            raise AssertionError(f"seed {seed}: {type(leaked).__name__} left the round: {leaked}") from leaked
    return sums, rounds - sums


def _plan_faults(table: Table, dice: InsecureEntropy) -> None:
    parties = list(table.endpoints)
    leaving = {dice.below(60): dice.choose(parties) for _ in range(dice.below(3))}
    lossy, repeats = dice.chance(3), dice.chance(2)

    def fault(packet: Packet) -> list[Packet]:
        if (name := leaving.pop(len(table.heard), None)) is not None:
            table.gone.add(name)
        if lossy and dice.chance(25):
            return []
        return [packet, packet] if repeats and dice.chance(3) else [packet]

    table.fault = fault


def every_message_not_due_is_refused(case: Case, *, rounds: int = 6) -> int:
    """In every phase that any party reaches, each kind of message that is not due is refused. Returns how many pairs were tried."""
    tried: set[tuple[str, str, str]] = set()
    samples = _samples(case)
    for seed in range(rounds):
        for (role, phase, kind), message in _pairs(case, seed, samples):
            if (role, phase, kind) in tried or (phase, kind) in case.due.get(role, frozenset()):
                continue
            tried.add((role, phase, kind))
            _refuses(case, seed, role, phase, message)
    return len(tried)


def _samples(case: Case) -> dict[str, tuple[PartyId, Message]]:
    """One genuine message of every kind, with its sender."""
    table = case.table()
    table.play(case.vectors())
    kinds = case.plan.CODEC.kinds
    found: dict[str, tuple[PartyId, Message]] = dict(case.rare)
    for packet in table.heard:
        found.setdefault(packet.header.kind, (packet.header.sender, kinds[packet.header.kind].from_wire(body_of(packet), packet.payload)))
    if missing := kinds.keys() - found.keys():
        raise AssertionError(f"a round without faults never sends {', '.join(sorted(missing))}")
    return found


def body_of(packet: Packet) -> bytes:
    """The body inside a packet, unverified."""
    from secagg.wire.parse import parse  # only here and in tests
    from secagg.wire.v1 import common_pb2 as pb

    return parse(pb.Envelope, packet.envelope).body


def _pairs(
    case: Case, seed: int, samples: dict[str, tuple[PartyId, Message]]
) -> list[tuple[tuple[str, str, str], tuple[PartyId, Message]]]:
    """All (role, phase, kind) that a round with this seed comes by."""
    seen: set[tuple[str, str]] = set()
    table = case.table(seed)

    def watch(table: Table, _: Packet) -> None:
        seen.update((role_of(case, name), end.phase) for name, end in table.endpoints.items())

    table.watch = watch
    table.play(case.vectors())
    seen.update((role_of(case, name), end.phase) for name, end in table.endpoints.items())
    return [((role, phase, kind), sample) for role, phase in sorted(seen) for kind, sample in samples.items()]


def role_of(case: Case, name: PartyId) -> str:
    """The role of a party in the roster."""
    return case.parties.roster.member(name).role


def _refuses(case: Case, seed: int, role: str, phase: str, sample: tuple[PartyId, Message]) -> None:
    """Play again until a party of `role` is in `phase`, give it the message, and see it refused."""
    tried: list[str] = []
    table = case.table(seed)

    def probe(endpoint: Endpoint, name: PartyId) -> None:
        if role_of(case, name) != role or endpoint.phase != phase or tried:
            return
        tried.append(name)
        try:
            endpoint.role.receive(*sample)
        except PeerError:
            if role != "client" and endpoint.phase != phase:
                raise AssertionError(f"a refused {sample[1].KIND} moved {role} from {phase} to {endpoint.phase}") from None
            return
        raise AssertionError(f"{role} took {sample[1].KIND} in phase {phase!r}, where it is not due")

    def watch(table: Table, _: Packet) -> None:
        for name, endpoint in table.endpoints.items():
            probe(endpoint, name)

    table.watch = watch
    table.play(case.vectors())
    for name, endpoint in table.endpoints.items():
        probe(endpoint, name)


def decoders_give_a_message_or_malformed(case: Case, *, rounds: int = 2000) -> int:
    """Random bytes, and genuine bodies cut, flipped and stretched: a message or MalformedMessage. Returns how many still parsed."""
    dice, parsed = InsecureEntropy("decoders"), 0
    samples = {kind: message.to_wire() for kind, (_, message) in _samples(case).items()}
    for _ in range(rounds):
        kind = dice.choose(sorted(samples))
        body, payload = samples[kind]
        damaged = _damage(body, dice)
        try:
            case.plan.CODEC.kinds[kind].from_wire(damaged, payload if dice.chance(2) else Blob(dice(dice.below(64))))
            parsed += 1
        except MalformedMessage:
            continue
    return parsed


def _damage(body: bytes, dice: InsecureEntropy) -> bytes:
    choice = dice.below(4)
    if choice == 0 or not body:
        return dice(dice.below(200))
    at = dice.below(len(body))
    if choice == 1:
        return body[:at]
    if choice == 2:
        return body[:at] + bytes([body[at] ^ (1 << dice.below(8))]) + body[at + 1 :]
    return body + dice(1 + dice.below(20))
