"""Attacks on `pairwise`. Each first succeeds on a copy that was weakened on purpose, then fails on the real thing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols import pairwise
from protocols.pairwise import keys, mask, opening, reveal
from protocols.pairwise.blame import Doubts
from protocols.pairwise.client import Client, upload_context
from protocols.pairwise.mask import mask_seed, opening_of, pair_keys, pair_sign, self_mask
from protocols.pairwise.messages import BOX, Advert, Adverts, Agreement, Complaint, Confirm, Inbox, Masked, Reveal, Shares
from protocols.pairwise.params import Params
from protocols.pairwise.records import Record, bitmap
from protocols.pairwise.server import Server
from secagg import round as rounds
from secagg.crypto import pairs
from secagg.crypto.agree import AgreementKey
from secagg.crypto.derive import derive
from secagg.crypto.expand import Stream
from secagg.crypto.pairs import Agreeing, join, open_box, part, seal_box
from secagg.endpoint import Endpoint
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, SessionAborted, UnexpectedMessage
from secagg.ledger import Ledger
from secagg.math import field, shamir
from secagg.policy import Floors, Policy
from secagg.roles import Sum, Vector
from secagg.round import Input, Round, open_round, sign_round
from secagg.tally import Mask, Tally
from secagg.testing.consortium import Consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.types import PartyId, Secret
from tests.unit.pairwise.rig import PLAN, VALUES, changing, crowd, lay, lose, vectors_of
from tests.unit.pairwise.stage import Stage, blank


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return crowd()


# --- different models to different clients (Pasquini et al. 2022) ---------------------------------------------------------------


def shown_another_model(parties: Consortium) -> tuple[Table, PartyId]:
    """The server shows client 0 a model of its own making; the round runs over what all of them answer."""
    common, victim = terms(values=VALUES), parties.clients[0]
    crafted = replace(common, inputs=(Input(0, b"\x66" * 32),))
    table = lay(parties)
    opened = open_round(sign_round(PLAN.describe(crafted, parties.roster), parties.coordinator).signed(), victim, Policy(), now=NOW)
    role = PLAN.role(opened, victim, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy("victim"))
    table.endpoints[victim.party] = Endpoint(role, opened, victim, PLAN.CODEC)
    table.play(vectors_of(parties))
    return table, victim.party


def test_a_client_shown_another_model_is_not_summed(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    genuine = rounds.round_digest

    def model_blind(raw: bytes) -> bytes:
        described = rounds.RoundDescription.parse(raw)
        return genuine(replace(described, inputs=(Input(0, bytes(32)),)).to_bytes())

    weak.setattr(rounds, "round_digest", model_blind)
    table, victim = shown_another_model(parties)
    assert table.result is not None
    assert victim in table.result.included, "without the model in rd the attack works"
    weak.undo()
    table, victim = shown_another_model(parties)
    assert table.result is not None
    assert victim not in table.result.included
    assert any(isinstance(error, UnexpectedMessage) for _, error in table.refused)


# --- different sets of survivors to different clients ---------------------------------------------------------------------------


def two_views(parties: Consortium, **changes: Any) -> tuple[Vector, Vector]:
    """Half of the clients are told that only they survived, and so are the others: the server reads two sums."""
    stage = Stage.of(parties, pairwise.Plan(clients=6, ring_bits=32), **changes)
    stage.until_survivors()
    sums = []
    for half in ((0, 1, 2), (3, 4, 5)):
        survivors = stage.survivors(half)
        signed = []
        for place in half:
            said = stage.clients[place].receive(stage.params.server, survivors)
            assert isinstance(said[0].message, Confirm)
            signed.append(said[0].message.signature)
        agreement = Agreement(bitmap(half, 6), tuple(signed))
        shares: dict[int, dict[int, Secret]] = {}
        for place in half:
            for owner, share in stage.shares(place, stage.confirming, agreement).items():
                shares.setdefault(owner, {})[place + 1] = share
        seeds = {owner: shamir.combine(given, 3) for owner, given in shares.items()}
        wanted = replace(stage.confirming.wanted, survivors=frozenset(half), dropped=frozenset(range(6)) - frozenset(half))
        tally = Tally.zero(stage.params.ring, stage.params.length)
        for place in half:
            stage.params.ring.add_into(tally.words, stage.masked(place))
        rebuilt, sid = opening.Rebuilt(seeds=seeds), stage.confirming.session.sid
        tally.apply(opening.masks_to_remove(rebuilt, wanted, sid, stage.params, stage.opened.ctx, doubts=Doubts()))
        sums.append(tally.words)
    return sums[0], sums[1]


def test_two_sets_are_never_both_opened() -> None:
    six = crowd(6)
    given = list(vectors_of(six).values())
    first, second = two_views(six, threshold=3, quorum=3, spots=3)
    assert np.array_equal(first, sum(given[:3])), "with 2t ≤ n + c each half of the clients is opened on its own"
    assert np.array_equal(second, sum(given[3:]))
    with pytest.raises(InvalidMessage, match="PW-C11"):
        two_views(six)
    description = pairwise.Plan(clients=6, ring_bits=32).describe(terms(values=VALUES), six.roster)
    with pytest.raises(InvalidMessage, match="PW-P3"):
        Params.of(sign_round(replace(description, floors=Floors(threshold=3), quorum=3), six.coordinator))


# --- both seeds of one client asked for -----------------------------------------------------------------------------------------


def asked_twice(parties: Consortium) -> Vector:
    """Every client is put back to an older state and asked again, once with the victim alive and once without: x of the victim."""
    stage = Stage.of(parties)
    stage.until_survivors()
    victim, others = 0, (1, 2, 3, 4)
    own: dict[int, Secret] = {}
    key: dict[int, Secret] = {}
    for place in others:
        older = stage.clients[place].state
        own[place + 1] = stage.shares_of(place, stage.survivors(range(5)), blank(stage, 5))[victim]
        again = Client(
            stage.params,
            stage.opened.ctx,
            parties.clients[place],
            ledger=stage.clients[place]._ledger,
            entropy=InsecureEntropy("again"),
        )
        again.resume(older)
        stage.clients[place] = again
        key[place + 1] = stage.shares_of(place, stage.survivors(others), blank(stage, 4))[victim]
    return stage.unmask(victim, shamir.combine(key, 4), shamir.combine(own, 4))


def test_both_seeds_of_a_client_are_never_given(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    weak.setattr(reveal, "check_agreement", lambda *arguments, **named: None)
    weak.setattr(Ledger, "use", lambda *arguments, **named: None)
    weak.setattr(Ledger, "release", lambda *arguments, **named: None)
    genuine = vectors_of(parties)[parties.clients[0].party]
    assert np.array_equal(asked_twice(parties), genuine), "without the ledger a rewound client gives both"
    weak.undo()
    weak.setattr(reveal, "check_agreement", lambda *arguments, **named: None)
    with pytest.raises(LocalProtocolError, match="used before"):
        asked_twice(parties)


def test_a_client_that_has_signed_holds_one_share_of_each(parties: Consortium) -> None:
    """Structure, not a check: after the signature there is nothing left to give the other kind from."""
    stage = Stage.of(parties)
    said = stage.until_survivors(silent=(4,))
    client = stage.clients[0]
    before = client.state.state
    stage.tell(said[0])
    after = client.state.state
    held = before.held  # type: ignore[union-attr]
    assert isinstance(after, reveal.Confirmed)
    assert after.kept == (*(held[place].self_mask for place in range(4)), held[4].key)
    assert not any(isinstance(getattr(after, name), keys.Pair | keys.Seeds) for name in after.__dataclass_fields__)


# --- keys put in the place of others --------------------------------------------------------------------------------------


def in_the_middle(parties: Consortium) -> Vector:
    """The server makes up everybody else's keys for client 0, takes its shares, and unmasks its vector."""
    stage, victim = Stage.of(parties), 0
    client, ctx, params = stage.clients[victim], stage.opened.ctx, stage.params
    own = client.start()[0].message
    assert isinstance(own, Advert)
    secrets = {place: (AgreementKey(Secret(bytes([place]) * 32)), AgreementKey(Secret(bytes([place + 100]) * 32))) for place in range(1, 5)}
    unsigned = {place: channel.public() + masking.public() + bytes(48) for place, (channel, masking) in secrets.items()}
    fakes = {place: Record(raw + bytes(64)) for place, raw in unsigned.items()}
    records = [Record(own.record), *fakes.values()]
    digests = tuple(record.digest(ctx, name) for record, name in zip(records, params.clients, strict=True))
    adverts = Adverts(bitmap(range(5), 5), digests, tuple(record.raw for record in records))
    shares = client.receive(params.server, adverts)[0].message
    assert isinstance(shares, Shares)
    sid, name = client.state.state.session.sid, params.clients[victim]  # type: ignore[union-attr]
    key: dict[int, Secret] = {}
    self_seed: dict[int, Secret] = {}
    boxes = []
    for (place, (channel, masking)), box in zip(secrets.items(), shares.boxes, strict=True):
        peer = params.clients[place]
        pair = ((name.encode(), peer.encode()), (peer.encode(), name.encode()))
        ((inward, outward),) = Agreeing(channel).keys([Record(own.record).channel], salt=sid, label="pairwise/channel", infos=[pair])
        opened = open_box(inward, box, context=keys._box_context(ctx, sid, name, peer))
        key[place + 1], self_seed[place + 1], _ = part(opened, shamir.SHARE, shamir.SHARE, 32)
        (told,) = pair_keys(Agreeing(masking), [Record(own.record).mask], sid, peer, [name])
        boxes.append(seal_box(outward, join((Secret(bytes(66)), told)), context=keys._box_context(ctx, sid, peer, name)))
    client.contribute(vectors_of(parties)[name], version=0)
    upload = client.receive(params.server, Inbox(bitmap(range(4), 4), tuple(boxes)))[0].message
    assert isinstance(upload, Masked)
    tally = Tally.zero(params.ring, params.length)
    context = upload_context(ctx, sid, name)
    tally.add(
        opening_of(parties.coordinator.opening.open(upload.sealed, purpose="pairwise/upload", context=context), context), upload.payload
    )
    agreeing = Agreeing(AgreementKey(mask_seed(shamir.combine(key, 4), ctx, name)))
    masks: list[Mask] = [(self_mask(shamir.combine(self_seed, 4), sid, name), -1)]
    for place, record in fakes.items():
        (key_of_pair,) = pair_keys(agreeing, [record.mask], sid, name, [params.clients[place]])
        masks.append((Stream(key_of_pair), -pair_sign(victim, place)))
    tally.apply(masks)
    return tally.words


def test_keys_put_in_the_place_of_others_are_refused(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    weak.setattr(keys, "verify_records", lambda *arguments, **named: None)
    genuine = vectors_of(parties)[parties.clients[0].party]
    assert np.array_equal(in_the_middle(parties), genuine), "without signatures the server reads all"
    weak.undo()
    with pytest.raises(InvalidMessage, match="PW-C5"):
        in_the_middle(parties)


# --- masks of two rounds --------------------------------------------------------------------------------------------------------


def two_rounds(parties: Consortium) -> Vector:
    """What the server reads if a client's randomness repeats: the difference of its two uploads."""
    words = []
    for number in (1, 2):
        stage = Stage.of(parties, seed="the same again", round=number)
        stage.until_survivors()
        words.append(stage.masked(0))
    return words[1] - words[0]


def test_masks_of_two_rounds_never_cancel_even_if_the_randomness_repeats(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    def unsalted(secret: Secret, *, salt: bytes, label: str, info: tuple[bytes, ...] = (), length: int = 32) -> Secret:
        return derive(secret, salt=b"", label=label, info=info, length=length)

    weak.setattr(mask, "derive", unsalted)
    weak.setattr(pairs, "derive", unsalted)
    assert not two_rounds(parties).any(), "without the round in the keys the masks cancel"
    weak.undo()
    assert len(np.unique(two_rounds(parties))) > VALUES // 2


# --- small cohorts, Sybils, differencing, cuts ----------------------------------------------------------------------------------


def test_no_sum_of_two_is_ever_opened(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    two = crowd(2)

    def only_two() -> Sum | SessionAborted:
        plan = pairwise.Plan(clients=2, ring_bits=32)
        return lay(two, plan).play(vectors_of(two))

    weak.setattr(Floors, "floor", property(lambda self: 2))
    outcome = only_two()
    assert isinstance(outcome, Sum), "with a lower floor two clients are summed, and each knows the other's update"
    weak.undo()
    with pytest.raises(ConfigError, match="floor"):
        only_two()


def test_a_floor_is_not_reached_by_many_clients_of_one_organisation(weak: pytest.MonkeyPatch) -> None:
    sybils = crowd(5, organisations=["victim", "hub", "hub", "hub", "hub"])
    weak.setattr(Round, "organisations", lambda self, names: len(names))
    weak.setattr(Params, "enough", lambda self, places, least: len(places) >= least)
    assert isinstance(lay(sybils).play(vectors_of(sybils)), Sum), "counting parties, four Sybils uncover the fifth client"
    weak.undo()
    with pytest.raises(InvalidMessage, match="RD-C6"):
        lay(sybils)
    weak.setattr(Round, "organisations", lambda self, names: len(names))
    table = lay(sybils)
    assert isinstance(table.play(vectors_of(sybils)), SessionAborted), "the steps count organisations themselves"


def differenced(parties: Consortium, again: dict[str, Any]) -> Vector:
    """Two sums over one model, the second without client 0: the difference is its update."""
    ledgers = {me.party: Ledger() for me in (parties.coordinator, *parties.clients)}
    given, sums = vectors_of(parties), []
    for number, of in enumerate((terms(values=VALUES), terms(values=VALUES, **again))):
        table = lay(parties, of=of, ledgers=ledgers, seed=number)
        if number == 1:
            changing(parties, table, Masked, lose, by=[0])
        outcome = table.play(given)
        if isinstance(outcome, SessionAborted):
            raise outcome
        sums.append(outcome.vector)
    return sums[0] - sums[1]


@pytest.mark.parametrize("again", [{"attempt": 2}, {"round": 2}, {"task": "another"}], ids=["attempt", "round", "task"])
def test_two_sums_over_one_model_do_not_uncover_the_client_between_them(
    parties: Consortium, weak: pytest.MonkeyPatch, again: dict[str, Any]
) -> None:
    weak.setattr(Ledger, "release", lambda *arguments, **named: None)
    genuine = vectors_of(parties)[parties.clients[0].party]
    assert np.array_equal(differenced(parties, again), genuine), "without the rule the difference is one update"
    weak.undo()
    with pytest.raises(SessionAborted, match="RD-C10"):
        differenced(parties, again)


def cut_in_two(run: int) -> tuple[Vector, int]:
    """The server lets two gaps of k/2 drop out: the survivors between them share no mask with the rest, and are a sum of their own."""
    twelve, plan = crowd(12), pairwise.Plan(clients=12, ring_bits=32)
    stage = Stage.of(twelve, plan, degree=4, threshold=3, quorum=8, spots=8, run=run)
    careless = replace(stage.params, run=0)
    stage.server = Server(careless, stage.opened, twelve.coordinator, ledger=Ledger(), entropy=InsecureEntropy("server"))
    adverts = [stage.give(place, client.start()) for place, client in enumerate(stage.clients)][-1]
    order = stage.server.state.session.graph.order  # type: ignore[union-attr]
    gone, part = {order[index] for index in (0, 1, 6, 7)}, [order[index] for index in (2, 3, 4, 5)]
    said = stage.until_survivors(silent=gone, adverts=adverts)
    before, agreed = stage.confirming, [stage.tell(item) for item in said][-1]
    rebuilt: dict[int, dict[int, Secret]] = {}
    for item in agreed:
        for owner, share in stage.shares(stage.place(item), before, item.message).items():
            rebuilt.setdefault(owner, {})[stage.place(item) + 1] = share
    seeds = {owner: shamir.combine(shares, 3) for owner, shares in rebuilt.items() if owner in {*part, *gone}}
    tally = Tally.zero(stage.params.ring, stage.params.length)
    for place in part:
        stage.params.ring.add_into(tally.words, stage.masked(place, before))
    wanted = replace(before.wanted, survivors=frozenset(part), dropped=frozenset(gone))
    masks = opening.masks_to_remove(
        opening.Rebuilt(seeds=seeds), wanted, before.session.sid, stage.params, stage.opened.ctx, doubts=Doubts()
    )
    tally.apply(masks)
    return tally.words, sum(1000 + place for place in part)


def test_the_survivors_cannot_be_cut_in_two() -> None:
    part, expected = cut_in_two(run=0)
    assert (part[:VALUES] == expected).all(), "without the check on runs the server reads four of the eight survivors"
    with pytest.raises(InvalidMessage, match="PW-C12"):
        cut_in_two(run=2)


# --- malicious shares, complaints, late vectors ---------------------------------------------------------------------------------


def lied_to(parties: Consortium) -> Table:
    """Client 3 gives back random shares."""
    table, liar = lay(parties, seed=3), parties.clients[3]

    def lie(message: Reveal) -> Reveal:
        before: Any = table.endpoints[parties.coordinator.party].role.state.before  # type: ignore[attr-defined]
        key = reveal.reveal_key(before.uploads[3].key, before.session.sid)
        lies = join(Secret(field.encode(value >> 8)) for value in field.uniform(5, InsecureEntropy("lies")))
        return Reveal(seal_box(key, lies, context=reveal.reveal_context(table.opened.ctx, before.roots, liar.party)))

    changing(parties, table, Reveal, lie, by=[3])
    table.play(vectors_of(parties))
    return table


def test_wrong_shares_never_give_a_wrong_sum(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    right = sum(vectors_of(parties).values())
    weak.setattr(opening, "fits", lambda *arguments, **named: True)
    table = lied_to(parties)
    assert table.result is not None
    assert not np.array_equal(table.result.vector, right), "without the commitments a wrong share gives a wrong sum"
    weak.undo()
    table = lied_to(parties)
    assert table.result is not None
    assert np.array_equal(table.result.vector, right)


def test_a_box_that_does_not_open_costs_one_client_and_is_held_against_two(parties: Consortium) -> None:
    def spoil(message: Shares) -> Shares:
        return Shares((message.boxes[0][:-1] + bytes([message.boxes[0][-1] ^ 1]), *message.boxes[1:]))

    table = lay(parties)
    changing(parties, table, Shares, spoil, by=[4])
    outcome = table.play(vectors_of(parties))
    assert isinstance(outcome, Sum)
    assert outcome.included == tuple(me.party for me in parties.clients[1:])
    assert [packet.header.sender for packet in table.heard if packet.header.kind == Complaint.KIND] == ["client-0"]


def test_a_dealer_that_cheats_two_is_guilty(parties: Consortium) -> None:
    def spoil(message: Shares) -> Shares:
        return Shares((bytes(BOX), bytes(BOX), *message.boxes[2:]))

    table = lay(parties)
    changing(parties, table, Shares, spoil, by=[4])
    blamed: set[PartyId] = set()
    server: Any = table.endpoints[parties.coordinator.party].role

    def watch(table: Table, _: object) -> None:
        blamed.update(server.blamed)

    table.watch = watch
    assert isinstance(table.play(vectors_of(parties)), SessionAborted)
    assert blamed == {parties.clients[4].party}


class Unreadable:
    """A payload that must not be looked at."""

    def __init__(self, size: int) -> None:
        self.size = size

    def chunk(self, index: int) -> memoryview:
        raise AssertionError("a late vector was read")


def test_a_late_vector_is_refused_unread(parties: Consortium) -> None:
    stage = Stage.of(parties)
    stage.until_survivors(silent=(4,))
    late = Masked(0, b"sealed", bytes(32), Unreadable(stage.params.payload_size))
    with pytest.raises(UnexpectedMessage):
        stage.server.receive(parties.clients[4].party, late)


def test_a_drop_outs_late_vector_stays_masked(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    """The server learns a drop-out's key seed; its vector, kept and read late, has the self-mask on it still."""

    def kept_for_later(*, leaking: bool) -> tuple[Vector, Vector]:
        stage, victim = Stage.of(parties), 4
        stage.until_survivors()
        key: dict[int, Secret] = {}
        own: dict[int, Secret] = {}
        for place in range(4):
            client = stage.clients[place]
            signed = stage.survivors(range(4))
            pair = client.state.state.held[victim]  # type: ignore[union-attr]
            key[place + 1] = stage.shares_of(place, signed, blank(stage, 4))[victim]
            own[place + 1] = pair.self_mask if leaking else Secret(bytes(33))
        seed, b = shamir.combine(key, 4), shamir.combine(own, 4)
        return stage.unmask(victim, seed, b), vectors_of(parties)[parties.clients[victim].party]

    weak.setattr(reveal, "check_agreement", lambda *arguments, **named: None)
    read, genuine = kept_for_later(leaking=True)
    assert np.array_equal(read, genuine), "with the other kind of share too, the late vector is read"
    read, genuine = kept_for_later(leaking=False)
    assert not np.isin(genuine, read).any()


def test_secrets_are_gone_from_a_client_that_is_done(parties: Consortium) -> None:
    stage = Stage.of(parties)
    said = stage.until_survivors()
    for item in said:
        agreed = stage.tell(item)
    stage.tell(agreed[0])
    client = stage.clients[0]
    assert client.phase == "done"
    assert "Secret" not in repr(client.state)
    assert not any(isinstance(value, Secret | np.ndarray) for value in (client.state.vector, *vars(client).values()))


def test_no_state_shows_a_secret_or_a_vector(parties: Consortium) -> None:
    stage = Stage.of(parties)
    client = stage.clients[0]
    client.start()
    client.contribute(np.full(VALUES + 2, 123456789, np.uint32), version=0)
    assert "123456789" not in repr(client.state)
    assert "<redacted>" in repr(client.state)
