"""Rounds of `pairwise` as seeded discrete events: losses, delays, repeats, reordering, drop-outs, crashes and restarts of anybody anywhere.

Inputs are one-hot, so a vector that is missing or counted twice shows. A round ends with the exact sum of its survivors or with
SessionAborted: never with a third thing. Most rounds run on toy primitives, which change nothing in the protocol's logic and are much
faster; some run on the real ones. `SECAGG_SIMULATION_ROUNDS=100000 pytest tests/simulation/test_pairwise_simulation.py` runs the long way;
a round that fails names its seed, and `SECAGG_SIMULATION_ROUNDS=1 SECAGG_SIMULATION_FIRST=seed` plays it again.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from protocols import pairwise
from protocols.pairwise import intake, keys, opening
from protocols.pairwise.messages import Reveal
from protocols.pairwise.reveal import Confirmed
from secagg.crypto import sign
from secagg.crypto.derive import derive, frame
from secagg.crypto.seal import CannotOpen, OpenKey, SealKey
from secagg.crypto.sign import SigningKey, VerifyKey
from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.errors import LocalProtocolError, PeerError, SessionAborted
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.roles import Sum, Vector
from secagg.round import Input, Round, sign_round
from secagg.snapshot import open_state, seal_state
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, terms
from secagg.types import PartyId, Secret

ROUNDS = int(os.environ.get("SECAGG_SIMULATION_ROUNDS", "1500"))
FIRST = int(os.environ.get("SECAGG_SIMULATION_FIRST", "0"))
SIZES = (3, 4, 5, 6, 7)
HUB = PartyId("coordinator")


@dataclass
class Faults:
    """What goes wrong in one round; all of it follows from the seed."""

    loss: int = 0
    repeat: int = 0
    latest: int = 1
    silent: dict[PartyId, int] = field(default_factory=dict)
    crash: dict[PartyId, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def rolled(cls, dice: InsecureEntropy, names: list[PartyId]) -> Faults:
        """Each kind of trouble in some rounds. Steps are counted by party: a crash at step 3 is at its third message."""
        faults = cls(latest=dice.choose([1, 1, 20]))
        if dice.chance(4):
            faults.loss = dice.choose([10, 30, 100])
        if dice.chance(2):
            faults.repeat = dice.choose([2, 5])
        for _ in range(dice.choose([0, 0, 1, 1, 2])):
            faults.silent[dice.choose(names)] = dice.below(5)
        for _ in range(dice.choose([0, 0, 1, 1, 2, 3])):
            faults.crash[dice.choose([HUB, *names])] = (dice.below(6), dice.choose(["saved", "saved", "unsent", "stale", "empty"]))
        return faults


class World:
    """A consortium whose ledgers last; every round is another one of the same task."""

    def __init__(self, clients: int) -> None:
        self.plan = pairwise.Plan(clients=clients, bits=8, max_weight=1, ring_bits=16)
        self.parties: Consortium = consortium(clients, now=NOW, entropy=InsecureEntropy(f"world/{clients}"), kem=0x20)
        self.ledgers = {me.party: Ledger() for me in (self.parties.coordinator, *self.parties.clients)}
        self.rounds = 0
        self.released: dict[tuple[int, ...], set[PartyId]] = {}
        """Whose shares went out, in all attempts of the round, by the set that they are for: what a server that keeps everything has."""

    def vectors(self) -> dict[PartyId, Vector]:
        size = len(self.parties.clients)
        made = {}
        for index, me in enumerate(self.parties.clients):
            made[me.party] = np.zeros(size + 2, np.uint16)
            made[me.party][index], made[me.party][size] = index + 1, 1
        return made

    def round(self, dice: InsecureEntropy, faults: Faults, *, attempt: int = 1) -> Sum | SessionAborted:
        """Another round; or another attempt of the last one, over the same model and with the same updates."""
        if attempt == 1:
            self.rounds, self.released = self.rounds + 1, {}
        of = terms(values=len(self.parties.clients), round=self.rounds, attempt=attempt)
        model = Input(0, self.rounds.to_bytes(32, "big"))
        described = self.plan.describe(replace(of, inputs=(model,)), self.parties.roster)
        return Simulation(self, sign_round(described, self.parties.coordinator), dice, faults).run()


class Simulation:
    """One round: a heap of events and the parties that they happen to."""

    def __init__(self, world: World, opened: Round, dice: InsecureEntropy, faults: Faults) -> None:
        self.world, self.opened, self.dice, self.faults = world, opened, dice, faults
        self.now, self.count = 0.0, 0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.steps: dict[PartyId, int] = {}
        self.outcome: Sum | SessionAborted | None = None
        self.ends = {me.party: self.fresh(me.party) for me in (world.parties.coordinator, *world.parties.clients)}
        self.away: set[PartyId] = set()
        self.since = ""

    def fresh(self, name: PartyId) -> Endpoint:
        """The party's machine, as after a start of its process."""
        me, world = self.world.parties.identity(name), self.world
        world.ledgers[name].enter(self.opened.ctx)
        role = world.plan.role(self.opened, me, policy=Policy(), ledger=world.ledgers[name], entropy=self.dice)
        return Endpoint(role, self.opened, me, world.plan.CODEC)

    def run(self) -> Sum | SessionAborted:
        vectors = self.world.vectors()
        for name in self.ends:
            self.at(self.dice.below(2), partial(self.act, name, self.ends[name].start))
        for name, vector in vectors.items():
            self.at(self.dice.below(8), partial(self.bring, name, vector))
        for _ in range(5000):
            if self.outcome is not None:
                return self.outcome
            if not self.events:
                return SessionAborted("nobody is left to act")
            self.now, _, event = heapq.heappop(self.events)
            event()
        raise AssertionError("the round does not end")

    def at(self, delay: float, event: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (self.now + delay, self.count, event))

    def bring(self, name: PartyId, vector: Vector) -> None:
        """The training of one client is over: at any time from its start on, also before its keys are there, or while it is away."""
        end = self.ends[name]
        if name in self.away or end.phase == "ready":
            if self.steps.get(name, 0) < self.faults.silent.get(name, 99) and self.now < 200:
                self.at(1, lambda: self.bring(name, vector))
        elif end.phase != "failed":
            self.act(name, lambda: end.contribute(vector, version=0))

    def act(self, name: PartyId, step: Callable[[], list[Packet]]) -> None:
        """One step of one party, with what may go wrong in it."""
        self.steps[name] = self.steps.get(name, -1) + 1
        if self.faults.silent.get(name, 99) <= self.steps[name]:
            self.away.add(name)
        if name in self.away or self.outcome is not None:
            return
        crash = self.faults.crash.get(name, (99, ""))
        crashing = crash[1] if crash[0] == self.steps[name] else ""
        before = self.saved(name) if crashing else b""
        stood: Any = getattr(self.ends[name].role.state, "state", None)
        try:
            packets = step()
        except (PeerError, LocalProtocolError):
            packets = []  # refused; a client has failed, the server goes on
        except SessionAborted as aborted:
            assert name == HUB, "only the server ends the round"
            self.outcome = aborted
            return
        if any(packet.header.kind == Reveal.KIND for packet in packets) and isinstance(stood, Confirmed):
            self.world.released.setdefault(stood.survivors, set()).add(name)
        if crashing:
            # saved: the state is on disk and its messages are out. unsent: on disk, not out. stale: out, not on disk. empty: no disk.
            self.crash(name, {"stale": before, "empty": b""}.get(crashing, self.saved(name)))
            packets = [] if crashing in ("unsent", "empty") else packets
        self.send(packets)
        self.watch()

    def saved(self, name: PartyId) -> bytes:
        me = self.world.parties.identity(name)
        return seal_state(self.ends[name].role.state, me=me, ctx=self.opened.ctx, entropy=self.dice)

    def crash(self, name: PartyId, snapshot: bytes) -> None:
        """The process dies and comes back after a while, from its snapshot or from nothing, with its ledger."""
        self.away.add(name)

        def back() -> None:
            self.away.discard(name)
            end = self.ends[name] = self.fresh(name)
            if not snapshot:
                self.act(name, end.start)
                return
            me = self.world.parties.identity(name)
            end.role.resume(open_state(snapshot, self.world.plan.STATES, me=me, ctx=self.opened.ctx))
            self.since = "" if name == HUB else self.since
            self.watch()

        self.at(self.dice.choose([0.5, 3, 40]), back)

    def send(self, packets: list[Packet]) -> None:
        for packet in packets:
            if self.faults.loss and self.dice.chance(self.faults.loss):
                continue
            copies = 2 if self.faults.repeat and self.dice.chance(self.faults.repeat) else 1
            for _ in range(copies):
                late = self.faults.latest if self.dice.chance(10) else 1
                delay = self.dice.below(1000) / 1000 * late
                self.at(delay, partial(self.hear, packet))

    def hear(self, packet: Packet) -> None:
        name = packet.header.recipient
        if name not in self.away:
            self.act(name, lambda: self.ends[name].receive(packet))

    def watch(self) -> None:
        """Take the sum if there is one, and wind the server's clock when its phase has changed."""
        server = self.ends[HUB]
        if server.result is not None:
            self.outcome = server.result
        if HUB in self.away or server.phase == self.since:
            return
        self.since = phase = server.phase
        if (patience := server.role.patience) is not None:
            self.at(patience, lambda: self.expire(server, phase))

    def expire(self, server: Endpoint, phase: str) -> None:
        if self.ends[HUB] is server and server.phase == phase:
            self.act(HUB, server.expire)
            self.watch()


def check(world: World, outcome: Sum | SessionAborted, seed: int) -> bool:
    """The exact sum of those included, at least t and F of them, or an abort. Whether there is a sum."""
    if isinstance(outcome, SessionAborted):
        return False
    expected = np.zeros(len(world.parties.clients) + 2, np.uint16)
    vectors = world.vectors()
    for name in outcome.included:
        expected += vectors[name]
    assert np.array_equal(outcome.vector, expected), f"seed {seed}: not the sum of {outcome.included}"
    least = max(world.plan.thresholds(len(world.parties.clients))[0], world.plan.floors.floor)
    assert len(set(outcome.included)) == len(outcome.included) >= least
    assert len(outcome.agreement) >= least
    return True


def check_releases(world: World, seed: int) -> None:
    """From one model at most one set has shares of t clients, in whatever attempt, even for a server that keeps all that went out."""
    threshold = world.plan.thresholds(len(world.parties.clients))[0]
    opened = [places for places, givers in world.released.items() if len(givers) >= threshold]
    assert len(opened) <= 1, f"seed {seed}: the sums over {opened} can both be opened"


class Worlds(dict[int, World]):
    """One world for each size, made when it is first needed."""

    def __missing__(self, size: int) -> World:
        self[size] = made = World(size)
        return made


def play(seed: int, worlds: Worlds) -> list[Sum | SessionAborted]:
    """The round of one seed, perhaps tried twice. All that happens in it follows from the seed, whatever was played before."""
    dice = InsecureEntropy(f"pairwise/{seed}")
    world = worlds[dice.choose(SIZES)]
    names = [me.party for me in world.parties.clients]
    try:
        outcomes = [world.round(dice, Faults.rolled(dice, names))]
        if dice.chance(3):
            # The round is tried again, whatever came of it: the ledgers know what they have given out.
            outcomes.append(world.round(dice, Faults.rolled(dice, names), attempt=2))
        for outcome in outcomes:
            check(world, outcome, seed)
        check_releases(world, seed)
    except Exception as error:
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    return outcomes


def rounds(count: int, first: int = 0) -> tuple[int, int]:
    """Play the rounds of `count` seeds. Gives how many had a sum the first time, and how many were aborted."""
    worlds = Worlds()
    sums = sum(isinstance(play(seed, worlds)[0], Sum) for seed in range(first, first + count))
    return sums, count - sums


# --- toy primitives ---------------------------------------------------------------------------------------------------------------

_PRIME = (1 << 61) - 1


class ToyAgreeing:
    """Diffie–Hellman in a group that a child could search."""

    def __init__(self, key: Any) -> None:
        self._exponent = int.from_bytes(sha256(key.seed.expose()).digest(), "big") % (_PRIME - 1)

    def public(self) -> bytes:
        return pow(3, self._exponent, _PRIME).to_bytes(32, "big")

    def keys(self, peers: Any, *, salt: bytes, label: str, infos: Any, length: int = 32) -> list[tuple[Secret, ...]]:
        shared = [Secret(pow(int.from_bytes(peer, "big"), self._exponent, _PRIME).to_bytes(32, "big")) for peer in peers]
        return [
            tuple(derive(one, salt=salt, label=label, info=info, length=length) for info in wanted)
            for one, wanted in zip(shared, infos, strict=True)
        ]


def _toy_signature(public: bytes, purpose: str, message: bytes) -> bytes:
    return sha256(public + frame(purpose, message)).digest() * 2


def _toy_fits(public: bytes, signature: bytes, framed: bytes) -> bool:
    return signature == sha256(public + framed).digest() * 2


def _toy_open(key: OpenKey, sealed: bytes, *, purpose: str, context: bytes) -> Secret:
    if sealed[:32] != sha256(frame(purpose, context)).digest():
        raise CannotOpen(purpose)
    return Secret(sealed[32:])


@contextmanager
def toy_primitives() -> Iterator[None]:
    """Signatures, agreements and sealing without any security, for the logic around them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SigningKey, "verify_key", lambda key: VerifyKey(sha256(key.seed.expose()).digest()))
        patch.setattr(SigningKey, "sign", lambda key, purpose, message: _toy_signature(key.verify_key().raw, purpose, message))
        patch.setattr(sign, "_fits", _toy_fits)
        patch.setattr(SealKey, "seal", lambda key, plain, *, purpose, context: sha256(frame(purpose, context)).digest() + plain.expose())
        patch.setattr(OpenKey, "open", _toy_open)
        patch.setattr(intake, "low_order", lambda public: False)
        for module in (keys, opening):
            patch.setattr(module, "Agreeing", ToyAgreeing)
        yield


# --- the laws ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300 + ROUNDS // 10)
def test_any_faults_give_the_exact_sum_or_an_abort() -> None:
    with toy_primitives():
        sums, aborts = rounds(ROUNDS, FIRST)
    print(f"seeds {FIRST} to {FIRST + ROUNDS - 1}: {sums} sums, {aborts} aborts")
    assert ROUNDS < 100 or sums > ROUNDS // 5, "the faults must leave some rounds alive, or nothing is tested"
    assert ROUNDS < 100 or aborts > ROUNDS // 20, "the faults must end some rounds, or nothing is tested"


@pytest.mark.slow
def test_any_faults_give_the_exact_sum_or_an_abort_on_the_real_primitives() -> None:
    sums, aborts = rounds(40, first=10_000_000)
    assert min(sums, aborts) > 4


@pytest.mark.slow
def test_up_to_n_minus_t_drop_outs_at_any_step_never_cost_the_round() -> None:
    with toy_primitives():
        for seed in range(150):
            dice = InsecureEntropy(f"drop-outs/{seed}")
            world = World(dice.choose(SIZES[1:]))
            names = [me.party for me in world.parties.clients]
            dice.shuffle(names)
            spare = len(names) - world.plan.thresholds(len(names))[0]
            faults = Faults(latest=1, silent={name: dice.below(6) for name in names[: dice.below(spare + 1)]})
            outcome = world.round(dice, faults)
            assert check(world, outcome, seed), f"seed {seed}: {len(faults.silent)} of {len(names)} dropped out: {outcome}"
            assert set(outcome.included) >= set(names) - faults.silent.keys()  # type: ignore[union-attr]


def test_a_mask_that_is_left_in_is_noticed() -> None:
    """The simulation itself can fail."""
    from protocols.pairwise import server

    genuine = opening.masks_to_remove
    with toy_primitives(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "masks_to_remove", lambda *arguments, **named: genuine(*arguments, **named)[1:])
        with pytest.raises(AssertionError, match="not the sum"):
            rounds(10)


def test_two_sums_from_one_model_are_noticed() -> None:
    """So can the law on attempts: without the ledger's rule two attempts are opened over two sets."""
    with toy_primitives(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "release", lambda *arguments, **named: None)
        with pytest.raises(AssertionError, match="can both be opened"):
            rounds(200)


def test_a_schedule_follows_from_its_seed_alone() -> None:
    def told(outcome: Sum | SessionAborted) -> object:
        return outcome.included if isinstance(outcome, Sum) else (outcome.answered, outcome.needed)

    with toy_primitives():
        together = Worlds()
        for seed in range(40):
            after_others = [told(outcome) for outcome in play(seed, together)]
            assert after_others == [told(outcome) for outcome in play(seed, Worlds())], seed
