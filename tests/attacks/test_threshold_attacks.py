"""Attacks on `ckks-threshold`: each succeeds on a copy weakened on purpose, or on the textbook, before it fails on the real thing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols.ckks import cipher
from protocols.ckks.cipher import PRIMES, Key, Packing, add_keys, decrypt_under
from protocols.ckks.params import payload_digest
from protocols.ckks.residues import CannotDecrypt
from protocols.ckks.threshold import client, dealing, keyholder, server
from protocols.ckks.threshold.messages import REPORT, Entry, Fixed, Report, part_hash, root_hash
from protocols.ckks.threshold.params import DRAWS
from secagg.crypto.sign import VerifyKey
from secagg.errors import InvalidMessage, LocalProtocolError, SessionAborted
from secagg.ledger import Ledger
from secagg.math.ntt import Ntt
from secagg.roles import Role, Vector
from secagg.types import Context, PartyId, Secret
from tests.attacks.textbook_threshold import DELTA, Textbook, lifted, lowered, minus, over, plus, rounded, times
from tests.unit.ckks.threshold_stage import FIRST, HOLDERS, HUB, ONE, PLAN, SECOND, THIRD, TWO, Stage, made_up

VALUES = 50
SYBIL = PartyId("client-3")


@pytest.fixture(scope="module")
def parties():
    return made_up()


def packing_of(stage: Stage) -> Packing:
    return Packing.of(stage.opened.description, DRAWS)


def ciphertext(stage: Stage, name: PartyId) -> np.ndarray:
    return cipher.read_residues(stage.reports[name].payload, packing_of(stage))


def opened(stage: Stage, key: Key, total: np.ndarray, parties: int = 1) -> Vector:
    """What a key opens. Raises CannotDecrypt."""
    packing = packing_of(stage)
    return decrypt_under(key, total, packing, dealing.public_half(stage.opened.ctx, packing), parties)


def part_of(role: Role, stage: Stage, fixed: Fixed) -> Key:
    """The part of the key that a holder computes for a set, as the coordinator will learn it."""
    found: list[Key] = []
    genuine = keyholder.seal_share

    def read(part: Key, roots: bytes, **named):
        found.append(part)
        return genuine(part, roots, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyholder, "seal_share", read)
        role.receive(HUB, fixed)
    return found[0]


def joint(stage: Stage, asked: dict[PartyId, Fixed]) -> Key:
    """The key of a sum: what all holders give for it."""
    return add_keys([part_of(stage.holders[name], stage, fixed) for name, fixed in asked.items()])


def less(one: Key, two: Key) -> Key:
    return plus(one, minus(two))


def without(asked: dict[PartyId, Fixed], gone: PartyId) -> dict[PartyId, Fixed]:
    return {name: Fixed(tuple(entry for entry in fixed.entries if entry.client != gone)) for name, fixed in asked.items()}


# --- why there is no joint public key: the textbook against a client that makes its own c1 ----------------------------------------


def test_one_crafted_ciphertext_takes_the_joint_key_of_the_textbook() -> None:
    book = Textbook()
    updates = [book.dice.integers(-500, 500, cipher.DEGREE) for _ in range(3)]
    sent = [book.encrypt(update) for update in updates]
    big = np.zeros(cipher.DEGREE, np.int64)
    big[0] = 1 << 40
    crafted = (lifted(np.zeros(cipher.DEGREE)), lifted(big))
    c0, c1 = (plus(*column) for column in zip(*sent, crafted, strict=True))  # recomputed from signed ciphertexts by every holder
    phase = book.opened(c0, c1)
    rest = phase - rounded(phase) * DELTA
    guess = (rest + (1 << 39)) >> 40
    assert np.array_equal(guess, sum(book.secrets)), "the smudged answers show the key"
    for (one, two), update in zip(sent, updates, strict=True):
        assert np.array_equal(rounded(lowered(plus(one, times(two, lifted(guess))))), update), "and every recorded ciphertext opens"


def test_a_negated_sum_of_the_others_takes_one_update_from_the_textbook() -> None:
    book = Textbook()
    updates = [book.dice.integers(-500, 500, cipher.DEGREE) for _ in range(3)]
    sent = [book.encrypt(update) for update in updates]
    sybil = tuple(minus(plus(*column)) for column in zip(*sent[1:], strict=True))
    c0, c1 = (plus(*column) for column in zip(*sent, sybil, strict=True))
    assert np.array_equal(rounded(book.opened(c0, c1)), updates[0]), "the sum over four is one client's update"


def signed(stage: Stage, name: PartyId, report: Report) -> Report:
    """`report` with all hashes right and its sender's own signature: what a malicious client can send."""
    ctx = stage.opened.ctx
    report = replace(report, digest=payload_digest(report.payload))
    digests = map(dealing.imprint_digest, report.imprints)
    parts = [part_hash(ctx, name, *part) for part in zip(HOLDERS, report.sealed, digests, strict=True)]
    root = root_hash(ctx, name, report.version, report.digest, parts)
    return replace(report, signature=stage.parties.identity(name).signing.sign(REPORT, root))


@pytest.mark.parametrize("crafted", ["a constant", "the negated others"])
def test_no_ciphertext_changes_what_a_key_holder_gives(parties, crafted: str) -> None:
    stage, honest = Stage(parties, values=VALUES), Stage(parties, values=VALUES)
    packing = packing_of(stage)
    primes = np.repeat(np.array(PRIMES, np.uint32), packing.coefficients)
    total = sum(ciphertext(stage, name).astype(np.uint64) for name in (TWO, PartyId("client-2")))
    words = np.full(packing.residues, 1 << 29) if crafted == "a constant" else (primes - total % primes) % primes
    stage.reports[SYBIL] = signed(stage, SYBIL, replace(stage.reports[SYBIL], payload=cipher.as_payload(words.astype(np.uint32))))
    key = joint(stage, stage.fixed())
    assert all(np.array_equal(one, two) for one, two in zip(key, joint(honest, honest.fixed()), strict=True))
    with pytest.raises(CannotDecrypt):
        opened(stage, key, ciphertext(stage, ONE))
    state = stage.hub.state
    assert isinstance(state, server.Opening)
    with pytest.raises(CannotDecrypt):
        opened(stage, key, state.total, 4)


# --- a key chosen after the others' -----------------------------------------------------------------------------------------------


def test_a_rogue_share_takes_the_joint_key_of_the_textbook() -> None:
    book = Textbook()
    mine = book.short(1)
    own = plus(minus(times(book.a, lifted(mine))), lifted(book.short(10)))  # type: ignore[arg-type]
    rogue = plus(own, minus(plus(*book.shares[:2])))
    update = book.dice.integers(-500, 500, cipher.DEGREE)
    c0, c1 = book.encrypt(update, plus(*book.shares[:2], rogue))
    assert np.array_equal(rounded(lowered(plus(c0, times(c1, lifted(mine))))), update), "the last holder decrypts alone"


def shifted(part: Key, stage: Stage, wanted: np.ndarray) -> Key:
    """A part that moves a sum of one polynomial by `wanted`, without a trace in the noise: Δ·wanted / a."""
    packing = packing_of(stage)
    (half,) = dealing.public_half(stage.opened.ctx, packing)
    return plus(part, over(lifted(wanted << packing.scale_bits), half))


def test_a_holder_that_has_seen_the_others_parts_cannot_choose_the_sum(parties, weak: pytest.MonkeyPatch) -> None:
    def rushing() -> Stage:
        stage = Stage(parties, values=VALUES)
        asked, parts = stage.fixed(), {}
        genuine = keyholder.seal_share

        def read(part: Key, roots: bytes, *, seat: keyholder.Seat, entropy):
            parts[seat.me.party] = part
            return genuine(part, roots, seat=seat, entropy=entropy)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keyholder, "seal_share", read)
            told: dict[PartyId, Any] = {name: stage.holders[name].receive(HUB, asked[name])[0].message for name in HOLDERS}
        shares = stage.shares(told)
        state = stage.hub.state
        assert isinstance(state, server.Opening)
        known = opened(stage, add_keys(parts.values()), state.total, 4)
        words = np.zeros(cipher.DEGREE, np.int64)
        words[: len(known)] = 7 - known.astype(np.int64)
        seat = stage.holders[THIRD]._seat  # type: ignore[attr-defined]
        shares[THIRD] = genuine(shifted(parts[THIRD], stage, words), told[THIRD].roots, seat=seat, entropy=bytes)
        for name in HOLDERS:
            stage.hub.receive(name, told[name])
            stage.hub.receive(name, shares[name])
        return stage

    weak.setattr(server, "check_share", lambda *_, **__: None)
    weak.setattr(server, "leaves", lambda *_: True)
    stage = rushing()
    assert stage.hub.result is not None
    assert (stage.hub.result.vector == 7).all(), "without commitments the sum is what the last one wants it to be"
    weak.undo()
    with pytest.raises(InvalidMessage) as refused:
        rushing()
    assert (refused.value.check, refused.value.culprits) == ("TH-S7", (THIRD,))


def test_a_holder_cannot_move_the_mean_by_something_chosen_beforehand_and_is_named(parties, weak: pytest.MonkeyPatch) -> None:
    """A model that fits one polynomial: a part moved by Δ·x/a moves the sum by x, and its noise is that of an honest one."""

    def moved() -> Stage:
        stage = Stage(parties, values=VALUES)
        wanted = np.zeros(cipher.DEGREE, np.int64)
        wanted[: VALUES + 2] = 5
        genuine = keyholder.seal_share
        with pytest.MonkeyPatch.context() as patch:

            def seal(part: Key, roots: bytes, *, seat: keyholder.Seat, entropy):
                part = shifted(part, stage, wanted) if seat.me.party == THIRD else part
                return genuine(part, roots, seat=seat, entropy=entropy)

            patch.setattr(keyholder, "seal_share", seal)
            assert (stage.opened_sum() == 4006 + 5).all()
        return stage

    weak.setattr(server, "leaves", lambda *_: True)
    assert moved().hub.result is not None, "where parts are not checked, a wrong sum comes out as a right one"
    weak.undo()
    with pytest.raises(SessionAborted, match="TH-S10") as aborted:
        moved()
    assert aborted.value.culprits == (THIRD,)


def test_a_client_cannot_have_a_key_holder_blamed_for_it(parties, weak: pytest.MonkeyPatch) -> None:
    def framed() -> None:
        stage = Stage(parties, values=VALUES)
        stage.ledgers[SYBIL] = Ledger()
        other = stage.report(SYBIL, lambda count: b"\x01" * count)
        stage.reports[SYBIL] = signed(stage, SYBIL, replace(stage.reports[SYBIL], imprints=other.imprints))
        stage.opened_sum()

    weak.setattr(keyholder, "imprint_digest", lambda raw: Anything())
    with pytest.raises(SessionAborted, match="TH-S10") as aborted:
        framed()
    assert aborted.value.culprits == HOLDERS, "where key holders do not look at imprints, they are blamed for a client's lie"
    weak.undo()
    with pytest.raises(InvalidMessage, match="TH-H6") as refused:
        framed()
    assert refused.value.culprits == (SYBIL,)


class Anything(bytes):
    """Equal to everything."""

    def __ne__(self, other: object) -> bool:
        return False


# --- one holder asked twice -------------------------------------------------------------------------------------------------------


def test_answers_with_fresh_noise_average_to_the_key_in_the_textbook() -> None:
    book = Textbook(smudging=2)
    _, c1 = book.encrypt(np.zeros(cipher.DEGREE, np.int64))
    exact = lowered(times(c1, lifted(book.secrets[0])))
    asked = [lowered(book.answer(c1, 0)) for _ in range(250)]
    middle = np.rint(np.mean(np.array(asked) - asked[0], axis=0)).astype(np.int64) + asked[0]
    assert np.array_equal(middle, exact)
    assert np.array_equal(lowered(over(lifted(middle), c1)), book.secrets[0])


def test_a_part_of_the_key_has_no_noise_to_average(parties) -> None:
    stage = Stage(parties, values=VALUES)
    asked, before = stage.fixed(), stage.holders[FIRST].state
    one = part_of(stage.holders[FIRST], stage, asked[FIRST])
    stage.holders[FIRST]._state = before  # type: ignore[attr-defined]
    two = part_of(stage.holders[FIRST], stage, asked[FIRST])
    assert all(np.array_equal(first, second) for first, second in zip(one, two, strict=True)), (
        "asked again, even after a restart, it is the same"
    )


def test_two_sets_of_one_attempt_do_not_uncover_the_client_between_them(parties, weak: pytest.MonkeyPatch) -> None:
    def both() -> tuple[Stage, Key]:
        stage = Stage(parties, values=VALUES)
        asked, before = stage.fixed(), {name: role.state for name, role in stage.holders.items()}
        first = joint(stage, asked)
        for name, role in stage.holders.items():
            role._state = before[name]  # type: ignore[attr-defined]  # holders put back to before
        return stage, less(first, joint(stage, without(asked, ONE)))

    weak.setattr(Ledger, "use", lambda *_: None)
    stage, key = both()
    assert (opened(stage, key, ciphertext(stage, ONE)) == 1000).all(), "without a ledger the difference of two keys is one client's"
    weak.undo()
    with pytest.raises(LocalProtocolError, match="not used twice"):
        both()


def test_two_attempts_from_one_model_do_not_uncover_the_client_between_them(parties, weak: pytest.MonkeyPatch) -> None:
    def both() -> Vector:
        kept: dict[PartyId, Ledger] = {}
        first = Stage(parties, values=VALUES, ledgers=kept).opened_sum()
        second = Stage(parties, values=VALUES, attempt=2, ledgers=kept)
        del second.reports[ONE]
        for name, report in second.reports.items():
            second.hub.receive(name, report)
        asked = {item.recipient: item.message for item in second.hub.expire()}
        told: dict[PartyId, Any] = {name: second.holders[name].receive(HUB, message)[0].message for name, message in asked.items()}
        for name, share in second.shares(told).items():
            second.hub.receive(name, told[name])
            second.hub.receive(name, share)
        assert second.hub.result is not None
        return first - second.hub.result.vector

    weak.setattr(Ledger, "release", lambda *_, **__: None)
    assert (both() == 1000).all(), "two sums of the same updates differ in one of them"
    weak.undo()
    with pytest.raises(InvalidMessage) as refused:
        both()
    assert refused.value.check == "RD-C10"


# --- keys that outlive their attempt ----------------------------------------------------------------------------------------------


def test_secrets_are_not_used_again_after_an_abort_even_if_the_randomness_repeats(parties, weak: pytest.MonkeyPatch) -> None:
    def after_an_abort() -> Vector:
        one, two = Stage(parties, values=VALUES), Stage(parties, values=VALUES, attempt=2)
        for stage in (one, two):
            for name in stage.reports:
                stage.ledgers[name] = Ledger()
                stage.reports[name] = stage.report(name, lambda count: b"\x2a" * count)  # a cloned machine
        key = less(joint(one, one.fixed()), joint(two, without(two.fixed(), ONE)))
        return opened(one, key, ciphertext(one, ONE))

    genuine = dealing.dealt_key
    fixed = lambda seed, ctx, client, holder: genuine(seed, Context(bytes(32), "t", 1, 1), client, holder)  # noqa: E731
    for place in (client, keyholder):
        weak.setattr(place, "dealt_key", fixed)
    assert (after_an_abort() == 1000).all(), "where rd does not salt the secrets, two attempts uncover the client between them"
    weak.undo()
    with pytest.raises(CannotDecrypt):
        after_an_abort()


def test_a_replayed_part_opens_no_later_sum(parties, weak: pytest.MonkeyPatch) -> None:
    def replayed() -> Vector:
        one, two = Stage(parties, values=VALUES), Stage(parties, values=VALUES, attempt=2)
        for stage in (one, two):
            for name in stage.reports:
                stage.ledgers[name] = Ledger()
                stage.reports[name] = stage.report(name, lambda count: b"\x2a" * count)
        old = joint(one, one.fixed())
        two.fixed()
        state = two.hub.state
        assert isinstance(state, server.Opening)
        return opened(two, old, state.total, 4)  # no holder has been asked in the second attempt

    genuine = dealing.dealt_key
    fixed = lambda seed, ctx, client, holder: genuine(seed, Context(bytes(32), "t", 1, 1), client, holder)  # noqa: E731
    for place in (client, keyholder):
        weak.setattr(place, "dealt_key", fixed)
    assert (replayed() == 4006).all(), "where rd does not salt the secrets, an old key opens a new sum"
    weak.undo()
    with pytest.raises(CannotDecrypt):
        replayed()


def test_a_replayed_commitment_or_part_is_refused_in_another_attempt(parties) -> None:
    one, two = Stage(parties, values=VALUES), Stage(parties, values=VALUES, attempt=2)
    told, asked = one.committed(), two.fixed()
    two.holders[FIRST].receive(HUB, asked[FIRST])
    with pytest.raises(InvalidMessage) as refused:
        two.holders[FIRST].receive(SECOND, told[SECOND])
    assert refused.value.check == "TH-H4"
    share = one.shares(told)[FIRST]
    state = two.holders[FIRST].state
    assert isinstance(state, keyholder.Committing)
    two.hub.receive(FIRST, state.own)
    with pytest.raises(InvalidMessage) as refused:
        two.hub.receive(FIRST, share)
    assert refused.value.check == "TH-S7"


# --- a coordinator that makes up the other clients --------------------------------------------------------------------------------


def dealt(stage: Stage, entry: Entry, holder: PartyId, seeds: dict[tuple[PartyId, PartyId], Secret]) -> Entry:
    """The entry of a client with a seed that the coordinator has chosen, under the client's old signature."""
    ctx = stage.opened.ctx
    seeds[entry.client, holder] = seed = Secret(entry.client.encode().ljust(32, b"."))
    sealed = stage.offers[holder].key.seal(seed, purpose=client.PART, context=client.part_context(ctx, entry.client, holder))
    key = dealing.dealt_key(seed, ctx, entry.client, holder)
    imprint = dealing.imprint_digest(dealing.imprint(seed, key, ctx, entry.client, holder))
    parts = tuple(part_hash(ctx, entry.client, holder, sealed, imprint) if name == holder else bytes(32) for name in HOLDERS)
    return replace(entry, sealed=sealed, imprint=imprint, parts=parts)


def test_a_coordinator_cannot_deal_in_the_name_of_clients(parties, weak: pytest.MonkeyPatch) -> None:
    """All but one of the set are clients whose secrets the coordinator knows: the key of the sum less those is the victim's."""

    def made_up_set() -> tuple[Stage, Key]:
        stage, seeds = Stage(parties, values=VALUES), dict[tuple[PartyId, PartyId], Secret]()
        asked = stage.fixed()
        ctx = stage.opened.ctx
        for holder, fixed in asked.items():
            asked[holder] = Fixed(tuple(entry if entry.client == ONE else dealt(stage, entry, holder, seeds) for entry in fixed.entries))
        known = add_keys([dealing.dealt_key(seed, ctx, who, holder) for (who, holder), seed in seeds.items()])
        return stage, less(joint(stage, asked), known)

    weak.setattr(VerifyKey, "verify", lambda *_: None)
    stage, key = made_up_set()
    assert (opened(stage, key, ciphertext(stage, ONE)) == 1000).all(), "where clients sign nothing the coordinator isolates one"
    weak.undo()
    with pytest.raises(InvalidMessage) as refused:
        made_up_set()
    assert refused.value.check == "TH-H2"


def test_a_sybil_that_hands_in_the_victims_report_adds_nothing(parties, weak: pytest.MonkeyPatch) -> None:
    def copied() -> Vector:
        stage = Stage(parties, values=VALUES)
        victim = stage.reports[ONE]
        stage.reports[SYBIL] = signed(stage, SYBIL, victim)
        key = joint(stage, stage.fixed())
        state = stage.hub.state
        assert isinstance(state, server.Opening)
        return opened(stage, key, state.total, 4)

    genuine, context = dealing.dealt_key, client.part_context
    nameless = lambda seed, ctx, client, holder: genuine(seed, ctx, ONE, holder)  # noqa: E731
    for place in (client, keyholder):
        weak.setattr(place, "dealt_key", nameless)
        weak.setattr(place, "part_context", lambda ctx, client, holder: context(ctx, ONE, holder))
        weak.setattr(place, "imprint", lambda seed, dealt, ctx, client, holder: dealing.imprint(seed, dealt, ctx, ONE, holder))
    assert (copied() == 2 * 1000 + 1001 + 1002).all(), "where the name is not in the parts the victim counts twice"
    weak.undo()
    with pytest.raises(InvalidMessage) as refused:
        copied()
    assert (refused.value.check, refused.value.culprits) == ("TH-H3", (SYBIL,))


# --- smudging: what the opened sum tells of the errors ----------------------------------------------------------------------------


def solved(rows: list[list[int]], right: list[int], prime: int) -> list[int] | None:
    """The solution of a linear system modulo a prime, if there are enough equations."""
    size, table = len(rows[0]) if rows else 1, [[*row, value] for row, value in zip(rows, right, strict=True)]
    for column in range(size):
        pivot = next((index for index in range(column, len(table)) if table[index][column] % prime), None)
        if pivot is None:
            return None
        table[column], table[pivot] = table[pivot], table[column]
        scale = pow(table[column][column], -1, prime)
        table[column] = [value * scale % prime for value in table[column]]
        for index, row in enumerate(table):
            if index != column and row[column]:
                table[index] = [(one - row[column] * two) % prime for one, two in zip(row, table[column], strict=True)]
    return [table[index][size] for index in range(size)]


def taken_from_a_sum(coins: int, blocks: int) -> bool:
    """Whether the sum of two errors, where it is as large as can be, gives one client's secret away. A small ring: the law is the same."""
    size, prime, dice = 32, PRIMES[0], np.random.default_rng(coins)
    ring = Ntt(prime, size)
    errors = dice.binomial(coins, 0.5, (2, blocks, size)) - dice.binomial(coins, 0.5, (2, blocks, size))
    secret = dice.integers(0, prime, (size, 1), dtype=np.uint64)
    rows: list[list[int]] = []
    right: list[int] = []
    for block in range(blocks):
        a = dice.integers(0, prime, (size, 1), dtype=np.uint64)
        product = ring.inverse(ring.forward(a) * ring.forward(secret) % np.uint64(prime))[:, 0].astype(object)
        seen = (product + errors[0, block]) % prime  # the first client's ciphertext of a part of the update that is known to be zero
        told = errors.sum(axis=0)[block]  # what the sum tells
        for place in np.flatnonzero(np.abs(told) == 2 * coins):
            rows.append([int(a[(place - j) % size, 0]) * (1 if j <= place else -1) for j in range(size)])
            right.append(int(seen[place]) - int(np.sign(told[place])) * coins)
    return len(rows) >= size and solved(rows, right, prime) == [int(value) for value in secret[:, 0]]


def test_errors_too_narrow_are_told_by_their_sum_and_give_the_secret() -> None:
    assert taken_from_a_sum(1, 40), "with one coin each, one coordinate in eight is told exactly, and the rest is linear algebra"
    assert not taken_from_a_sum(cipher.NOISE * DRAWS, 400), "with 42 no coordinate of 12,800 is"


def test_without_errors_one_known_polynomial_gives_the_secret(parties, weak: pytest.MonkeyPatch) -> None:
    """A layer that was not trained is zero, and known to be: without an error it shows the secret, which opens the layers that were."""

    def from_the_zeros() -> Vector:
        packing = Packing(PLAN.encoding.ring, 2 * cipher.DEGREE, 4, DRAWS)
        ctx, vector = Context(b"r" * 32, "t", 1, 1), np.zeros(2 * cipher.DEGREE, PLAN.encoding.ring.dtype)
        vector[1::2] = 77  # two polynomials lie side by side: coefficient j of the second is word 2·j + 1
        secret = dealing.dealt_key(Secret(b"s" * 32), ctx, ONE, FIRST)
        words = cipher.encrypt_under(secret, vector, packing, dealing.public_half(ctx, packing), lambda count: b"\x07" * count)
        (a,) = dealing.public_half(ctx, packing)
        planes = words.astype(np.uint64).reshape(2, cipher.DEGREE, 2)
        zeros = tuple(transform.forward(plane[:, :1].copy()) for transform, plane in zip(cipher._TRANSFORMS, planes, strict=True))
        guess = over(minus(zeros), tuple(part[:, :1] for part in a))  # type: ignore[arg-type]
        return decrypt_under(guess, words, packing, dealing.public_half(ctx, packing), 1)

    weak.setattr(cipher, "_noise", lambda coins, start, count, draws: np.zeros((cipher.DEGREE, count), np.int64))
    assert (from_the_zeros()[1::2] == 77).all(), "no error, no secret"
    weak.undo()
    with pytest.raises(CannotDecrypt):
        from_the_zeros()


# --- what is left for a liar ------------------------------------------------------------------------------------------------------


def test_a_client_that_deals_other_seeds_ends_the_attempt_and_shows_nothing(parties) -> None:
    stage = Stage(parties, values=VALUES)
    stage.ledgers[SYBIL] = Ledger()
    other = stage.report(SYBIL, lambda count: b"\x01" * count)
    stage.reports[SYBIL] = signed(stage, SYBIL, replace(other, payload=stage.reports[SYBIL].payload))
    with pytest.raises(SessionAborted, match="TH-S9") as aborted:
        stage.opened_sum()
    assert aborted.value.culprits == (), "that no key holder lied is shown; which client did is not"
