"""Attacks on `ckks`. Each first succeeds on a copy that was weakened on purpose, then fails on the real thing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from protocols import ckks
from protocols.ckks import cipher, keyholder, scheme, slots
from protocols.ckks.messages import Added, Encrypted, Seed, root_hash
from protocols.ckks.params import payload_digest
from secagg.crypto import ckks as seal
from secagg.crypto.expand import Stream
from secagg.errors import InvalidMessage, LocalProtocolError
from secagg.ledger import Ledger
from secagg.math.ring import Ring
from secagg.payload import Blob, join
from secagg.policy import Policy
from secagg.roles import Vector
from secagg.round import open_round, sign_round
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, terms
from secagg.types import Context, PartyId, Secret

PLAN = ckks.Plan(clients=4)
VALUES = 50
HOLDER, HUB = PartyId("keyholder-0"), PartyId("coordinator")


class Hub:
    """A malicious coordinator with all that it is sent, and the honest key holder's machine that it talks to."""

    def __init__(self) -> None:
        self.parties: Consortium = consortium(4, keyholders=1, now=NOW, entropy=InsecureEntropy("attacks"), kem=0x20)
        self.signed = sign_round(PLAN.describe(terms(values=VALUES), self.parties.roster), self.parties.coordinator).signed()
        self.holder = self.role(HOLDER)
        keys = {item.recipient: item.message for item in self.holder.start()}
        self.seeds: dict[PartyId, Seed] = {}
        self.reports: dict[PartyId, Encrypted] = {}
        for index, identity in enumerate(self.parties.clients):
            role = self.role(identity.party)
            role.start()
            role.receive(HOLDER, keys[identity.party])
            seed, report = role.contribute(self.vector(index), version=0)
            self.seeds[identity.party], self.reports[identity.party] = seed.message, report.message

    def role(self, name: PartyId):
        me = self.parties.identity(name)
        self.opened = open_round(self.signed, me, Policy(), now=NOW)
        return PLAN.role(self.opened, me, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy(name))

    @staticmethod
    def vector(index: int) -> Vector:
        return np.full(VALUES + 2, 1000 + index, PLAN.encoding.ring.dtype)

    def root(self, client: PartyId) -> bytes:
        told = self.seeds[client]
        return root_hash(self.opened.ctx, client, told.version, told.seed, told.digest)

    def told(self) -> Hub:
        for client, seed in self.seeds.items():
            self.holder.receive(client, seed)
        return self

    def asks_for(self, payload: Blob) -> Vector:
        """What the key holder gives for `payload` in place of the sum."""
        entries = tuple((client, self.root(client)) for client in sorted(self.seeds))
        given: list[Vector] = []
        genuine = keyholder._sealed

        def read(vector: Vector, included: tuple[PartyId, ...], roots: bytes, **named):
            given.append(vector)  # what would be sealed to the coordinator
            return genuine(vector, included, roots, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keyholder, "_sealed", read)
            self.holder.receive(HUB, Added(entries, payload_digest(payload), payload))
        return given[0]


def one_clients_ciphertext(hub: Hub) -> Blob:
    return Blob(join(hub.reports[PartyId("client-0")].payload))


# --- a coordinator that has one client's ciphertext decrypted in place of the sum ------------------------------------------------


def test_the_key_holder_decrypts_no_single_ciphertext_whatever_it_is_called(weak: pytest.MonkeyPatch) -> None:
    genuine = cipher.uniform

    def as_the_hub_says(seed: Secret, ctx: Context, client: PartyId, packing: cipher.Packing) -> Iterator[cipher.Key]:
        """A key holder that takes c1 from the coordinator, as those do that are handed whole ciphertexts."""
        for half in genuine(seed, ctx, client, packing):
            yield half if client == "client-0" else (np.zeros_like(half[0]), np.zeros_like(half[1]))

    weak.setattr(scheme, "uniform", as_the_hub_says)
    hub = Hub().told()
    assert (hub.asks_for(one_clients_ciphertext(hub)) == 1000).all(), "where c1 is the coordinator's word the attack works"
    weak.undo()
    hub = Hub().told()
    with pytest.raises(InvalidMessage) as refused:
        hub.asks_for(one_clients_ciphertext(hub))
    assert refused.value.check == "CK-H5"
    assert hub.holder.phase == "failed", "and there is no second try: the key is gone"


@pytest.mark.check("CK-H5")
def test_a_changed_sum_is_noticed_by_its_noise() -> None:
    hub = Hub().told()
    words = np.arange(packing().residues, dtype=np.uint32) * 7919 % cipher.PRIMES[1]
    with pytest.raises(InvalidMessage) as refused:
        hub.asks_for(cipher.as_payload(words))
    assert refused.value.check == "CK-H5"
    assert refused.value.culprits == (), "a client that encrypted under another key looks the same"


# --- the same key used for two sums ----------------------------------------------------------------------------------------------


def packing() -> cipher.Packing:
    return cipher.Packing(PLAN.encoding.ring, VALUES + 2, 4)


def honest_sum(hub: Hub) -> Blob:
    total = np.zeros(packing().residues, np.uint32)
    for report in hub.reports.values():
        cipher.add_into(total, report.payload, packing())
    return cipher.as_payload(total)


def test_no_second_sum_is_decrypted_even_by_a_key_holder_put_back_to_before(weak: pytest.MonkeyPatch) -> None:
    weak.setattr(Ledger, "use", lambda *_: None)
    weak.setattr(Ledger, "release", lambda *_, **__: None)
    hub = Hub().told()
    before, first = hub.holder.state, hub.asks_for(honest_sum(hub))
    hub.holder._state = before
    assert np.array_equal(hub.asks_for(honest_sum(hub)), first), "without a ledger, a restored key holder answers as often as it is asked"
    weak.undo()
    hub = Hub().told()
    before, total = hub.holder.state, honest_sum(hub)
    assert (hub.asks_for(total) == 4006).all()
    hub.holder._state = before
    changed = np.frombuffer(join(total), "<u4").copy()
    changed[0] ^= 1
    with pytest.raises(LocalProtocolError, match="not used twice"):
        hub.asks_for(Blob(changed.tobytes()))


# --- a Sybil that hands in the victim's report as its own, so that it weighs twice -----------------------------------------------


def test_a_copied_report_does_not_decrypt_under_another_name(weak: pytest.MonkeyPatch) -> None:
    def copied() -> Vector:
        hub, victim, sybil = Hub(), PartyId("client-0"), PartyId("client-3")
        hub.reports[sybil], hub.seeds[sybil] = hub.reports[victim], hub.seeds[victim]
        return hub.told().asks_for(honest_sum(hub))

    genuine = cipher.uniform
    nameless = lambda seed, ctx, client, packing: genuine(seed, ctx, PartyId("any"), packing)  # noqa: E731
    weak.setattr(cipher, "uniform", nameless)
    weak.setattr(scheme, "uniform", nameless)
    assert (copied() == 2 * 1000 + 1001 + 1002).all(), "where the name is not in c1 the copy counts"
    weak.undo()
    with pytest.raises(InvalidMessage) as refused:
        copied()
    assert refused.value.check == "CK-H5"


# --- key recovery from what is released (Li and Micciancio 2021) -----------------------------------------------------------------


def recovered_secret(c0: np.ndarray, half: cipher.Key, message: np.ndarray, packing: cipher.Packing) -> np.ndarray:
    """s from a ciphertext and its phase, whose first residues are linear in s: a·s = phase − c0."""
    transform, prime = cipher._TRANSFORMS[0], np.uint64(cipher.PRIMES[0])
    product = (message.astype(np.int64) % np.int64(prime)).astype(np.uint64) + prime - c0[: cipher.DEGREE].astype(np.uint64)[:, None]
    inverses = np.array([[pow(int(value), -1, int(prime))] for value in half[0][:, 0]], np.uint64)
    return transform.inverse(transform.forward(product % prime) * inverses % prime)


def test_what_is_released_tells_nothing_of_the_key() -> None:
    packing, key, ctx, name = cipher.Packing(Ring(32), 4096, 3), Secret(b"k" * 32), Context(b"r" * 32, "t", 1, 1), PartyId("c")
    vector = np.arange(4096, dtype=np.uint32)
    seed = Secret(b"s" * 32)
    c0 = cipher.encrypt(vector, packing, key, seed, ctx=ctx, client=name, entropy=InsecureEntropy("lm"))
    (half,) = cipher.uniform(seed, ctx, name, packing)
    secret = cipher._TRANSFORMS[0].inverse(cipher.secret_key(key, ctx)[0])
    exact = cipher.decrypt(c0, [iter([half])], packing, key, ctx)
    phase = (exact.astype(np.int64) << packing.scale_bits)[:, None]
    unrounded = phase + cipher._noise(Stream.fresh(InsecureEntropy("lm")), 0, 1)
    assert np.array_equal(recovered_secret(c0, half, unrounded, packing), secret), "a phase with its noise gives the key away"
    guess = recovered_secret(c0, half, phase, packing)
    assert (guess == secret).mean() < 0.01, "integers without their noise do not"
    assert np.array_equal(exact, vector)


def test_a_report_is_bound_to_its_round() -> None:
    """The same seed and key stand for other polynomials in another round: nothing recorded before can be added again."""
    hub = Hub()
    other = replace(hub.opened.ctx, rd=b"\x01" * 32)
    packing, seed, name = cipher.Packing(Ring(32), 10, 3), Secret(b"s" * 32), PartyId("c")
    one, two = (next(cipher.uniform(seed, ctx, name, packing))[0] for ctx in (hub.opened.ctx, other))
    assert not np.array_equal(one, two)


# --- slots: the same attacks on SEAL's ciphertexts -------------------------------------------------------------------------------

SLOTS = ckks.Plan(clients=4, slots="n4096-q56", max_weight=16)


@pytest.fixture
def in_slots(weak: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tenseal")
    weak.setitem(globals(), "PLAN", SLOTS)


def test_slots_of_one_client_are_decrypted_for_nobody(in_slots: None) -> None:
    genuine = slots.Slots.decrypt

    def as_the_hub_says(self, c0, reports, key, ctx):
        """A key holder that takes whole ciphertexts, here that of client-0, from the coordinator."""
        return genuine(self, c0, reports[:1], key, ctx)

    hub = Hub().told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots.Slots, "decrypt", as_the_hub_says)
        assert (hub.asks_for(one_clients_ciphertext(hub)) == 1000).all(), "where c1 is the coordinator's word the attack works"
    hub = Hub().told()
    with pytest.raises(InvalidMessage) as refused:
        hub.asks_for(one_clients_ciphertext(hub))
    assert refused.value.check == "CK-H5"
    assert hub.holder.phase == "failed"


@pytest.mark.check("CK-H7")
def test_copied_slots_do_not_count_their_client_twice(in_slots: None, weak: pytest.MonkeyPatch) -> None:
    """A seed of SEAL's knows neither round nor client: where seeds may repeat, the copy of a report is a report."""

    def copied() -> Vector:
        hub, victim, sybil = Hub(), PartyId("client-0"), PartyId("client-3")
        hub.reports[sybil], hub.seeds[sybil] = hub.reports[victim], hub.seeds[victim]
        cut = slots.Slots.of("n4096-q56", hub.opened.description)
        total = cut.zero()
        for report in hub.reports.values():
            cut.add_into(total, report.payload)
        return hub.told().asks_for(Blob(join(cut.as_payload(total))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyholder, "repeats_seeds", lambda *_: False)
        assert (copied() == 2 * 1000 + 1001 + 1002).all()
    with pytest.raises(InvalidMessage) as refused:
        copied()
    assert refused.value.check == "CK-H7"


def key_from_reals(reals: np.ndarray, c0: np.ndarray, seed: np.ndarray, numbers: seal.Numbers) -> list[int]:
    """s = (phase − c0) / c1 in SEAL's transformed domain, where the phase is what encodes to the reals that were released."""
    engine, prime = seal._engine(numbers.degree, numbers.prime), numbers.prime
    plain = engine.seal.Plaintext()
    engine.encoder.encode(reals.view(np.complex128).tolist(), 2.0**numbers.scale_bits, plain)
    with seal._File() as file:
        plain.save(file.path)
        phase = np.frombuffer(engine._unpacked(file)[-8 * numbers.degree :], "<u8")
        engine.put_together(file, c0, seed, 2.0**numbers.scale_bits).save(file.path)
        c1 = np.frombuffer(engine._unpacked(file)[-8 * numbers.degree :], "<u8")
    return [(int(p) - int(c)) * pow(int(a), -1, prime) % prime for p, c, a in zip(phase, c0, c1, strict=True)]


def test_reals_before_rounding_give_the_key_away_and_the_released_integers_do_not() -> None:
    """Li and Micciancio 2021."""
    pytest.importorskip("tenseal")
    cut, key = slots.Slots(slots.SETS["n4096-q56"], Ring(32), 4096, 3, 1 << 24), Secret(b"k" * 32)
    ctx, numbers = Context(b"r" * 32, "t", 1, 1), cut.numbers
    vector = np.arange(4096, dtype=np.uint32) % 1000
    report = cut.encrypt(vector, key, ctx=ctx, client=PartyId("c"), entropy=InsecureEntropy("lm"))
    assert report.seeds is not None
    told = Seed(0, report.seed, bytes(32), report.seeds)
    c0, seeds = cut._read(report.c0), np.frombuffer(join(report.seeds), np.uint8).reshape(-1, 64)
    engine = seal._engine(numbers.degree, numbers.prime)
    with seal._File() as file:
        engine.secret(slots._secret(key, ctx)).save(file.path)
        secret = np.frombuffer(engine._unpacked(file)[-8 * numbers.degree :], "<u8").tolist()
    reals = seal.decrypt(c0, [seeds], numbers, slots._secret(key, ctx))[0]
    assert key_from_reals(reals, c0[0], seeds[0], numbers) == secret, "reals with their noise give the key away"
    released = cut.decrypt(report.c0, [(PartyId("c"), told)], key, ctx)
    assert np.array_equal(released, vector)
    guess = key_from_reals(released.astype(np.float64), c0[0], seeds[0], numbers)
    assert sum(one == other for one, other in zip(guess, secret, strict=True)) < 41, "a hundredth, and no more than by chance"
