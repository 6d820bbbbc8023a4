"""Attacks on `additive`. Each first succeeds on a copy that was weakened on purpose, then fails on the real thing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols import additive
from protocols.additive import aggregator, client, part, split
from protocols.additive.messages import Accepted, Agreed, Close, Listed, Report, Share
from protocols.additive.params import Params
from secagg import round as rounds
from secagg.crypto.derive import digest
from secagg.crypto.sign import SigningKey
from secagg.endpoint import Endpoint
from secagg.envelope import Packet, pack
from secagg.errors import ConfigError, InvalidMessage, PeerError, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.payload import Blob, join
from secagg.policy import Floors, Policy
from secagg.receipt import sign_agreement
from secagg.roles import Vector
from secagg.roster import Roster
from secagg.round import Input, Round, Terms, open_round, sign_round
from secagg.tally import Tally
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.types import Context, PartyId, Secret

PLAN = additive.Plan(clients=4, aggregators=2, ring_bits=32)
VALUES = 50


@pytest.fixture
def parties() -> Consortium:
    return consortium(4, 2, now=NOW, entropy=InsecureEntropy("attacks"), kem=0x20)


def vectors(parties: Consortium, *, length: int = VALUES + 2) -> dict[PartyId, Vector]:
    made = {}
    for index, identity in enumerate(parties.clients):
        made[identity.party] = np.full(length, 1000 + index, np.uint32)
    return made


def everybody(parties: Consortium) -> tuple[Identity, ...]:
    return (parties.coordinator, *parties.aggregators, *parties.clients)


def lay(parties: Consortium, of: Terms | None = None, **arguments: object) -> Table:
    return Table.lay(PLAN, parties.roster, everybody(parties), of or terms(values=VALUES), **arguments)  # type: ignore[arg-type]


def opened_round(parties: Consortium, of: Terms, me: Identity) -> Round:
    signed = sign_round(PLAN.describe(of, parties.roster), parties.coordinator).signed()
    return open_round(signed, me, Policy(), now=NOW)


def report_of(parties: Consortium, of: Terms, index: int, vector: Vector, seed: str = "report") -> list[Packet]:
    """Client `index` reports in the round that `of` describes to it."""
    me = parties.clients[index]
    opened = opened_round(parties, of, me)
    role = PLAN.role(opened, me, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy(seed))
    endpoint = Endpoint(role, opened, me, PLAN.CODEC)
    endpoint.start()
    return sorted(endpoint.contribute(vector, version=0), key=lambda packet: packet.header.recipient)  # the leader's first


def first_message(packets: list[Packet]) -> Report:
    from secagg.testing.conformance import body_of

    return Report.from_wire(body_of(packets[0]), packets[0].payload)


# --- different models to different clients (Pasquini et al. 2022) ------------------------------------------------------------


def shown_another_model(parties: Consortium) -> tuple[Table, PartyId]:
    """The hub shows client 0 a model of its own making; the round runs over what the client answers."""
    common = terms(values=VALUES)
    crafted = replace(common, inputs=(Input(0, b"\x66" * 32),))
    table, given = lay(parties, common), vectors(parties)
    victim = parties.clients[0].party
    table.under_way.extend(report_of(parties, crafted, 0, given[victim]))
    table.play({name: vector for name, vector in given.items() if name != victim})
    return table, victim


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


# --- shares used again in another round, attempt or report ---------------------------------------------------------------------


def masked_twice(parties: Consortium, of: tuple[Terms, Terms], ring: object) -> Vector:
    """What the leader reads if a client's randomness repeats: the difference of the two long shares."""
    shares = []
    for number, described in enumerate(of):
        vector = np.full(VALUES + 2, 1000 * (number + 1), np.uint32)
        report = first_message(report_of(parties, described, 0, vector, seed="the same again"))
        opened = opened_round(parties, described, parties.aggregators[0])
        params = Params.of(opened)
        seat = part.Seat(parties.aggregators[0], params, opened)
        key = part.open_part(report, parties.clients[0].party, seat)
        tally = Tally.zero(params.ring, params.length)
        part.tally_part(tally, part.Held(report.report, b"", key, report.payload, report.commitment), parties.clients[0].party, seat, 1)
        shares.append(tally.words)
    return shares[1] - shares[0]


def test_masks_of_two_rounds_never_cancel_even_if_the_randomness_repeats(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    two = (terms(values=VALUES, round=1), terms(values=VALUES, round=2))
    from secagg.crypto.derive import derive as genuine

    weak.setattr(split, "derive", lambda secret, *, salt, label, info=(): genuine(secret, salt=b"", label=label, info=info))
    assert (masked_twice(parties, two, PLAN.encoding.ring) == 1000).all(), "without the round in the key the masks cancel"
    weak.undo()
    assert len(np.unique(masked_twice(parties, two, PLAN.encoding.ring))) > VALUES // 2


def sealed_twice(parties: Consortium) -> bytes:
    """XOR of what the hub carries to the leader in two rounds, if a client's randomness repeats."""
    payloads = []
    for number in (1, 2):
        vector = np.full(VALUES + 2, 1000 * number, np.uint32)
        payload = first_message(report_of(parties, terms(values=VALUES, round=number), 0, vector, seed="the same again")).payload
        assert payload is not None
        payloads.append(join(payload)[:-16])
    return bytes(one ^ other for one, other in zip(*payloads, strict=True))


def test_vectors_of_two_rounds_are_never_sealed_under_one_key_even_if_the_randomness_repeats(
    parties: Consortium, weak: pytest.MonkeyPatch
) -> None:
    from secagg.crypto.derive import derive as genuine

    weak.setattr(split, "derive", lambda secret, *, salt, label, info=(): genuine(secret, salt=b"", label=label, info=info))
    expected = np.full(VALUES + 2, 1000, np.uint32)
    masked = np.frombuffer(sealed_twice(parties), np.uint32)
    repeated = sum(np.array_equal(masked[i : i + 1], masked[:1]) for i in range(len(masked)))
    assert len(np.unique(masked)) < len(expected), f"one keystream seals both: {repeated} words of the difference agree"
    weak.undo()
    assert len(np.unique(np.frombuffer(sealed_twice(parties), np.uint32))) == len(expected)


# --- parts of two reports mixed -------------------------------------------------------------------------------------------------


def mixed_parts(parties: Consortium) -> tuple[Table, Vector]:
    """A client's first try is cut off, it reports again after losing its ledger, and the hub pairs parts of both reports."""
    table, given = lay(parties), vectors(parties)
    mixed = parties.clients[0].party
    described = terms(values=VALUES)
    first = report_of(parties, described, 0, given[mixed], seed="first")
    second = report_of(parties, described, 0, given[mixed], seed="second")
    table.under_way.extend([first[0], second[1]])
    table.play({name: vector for name, vector in given.items() if name != mixed})
    assert table.result is not None
    expected: Vector = np.zeros(VALUES + 2, np.uint32)
    for name in table.result.included:
        expected += given[name]
    return table, table.result.vector - expected


def test_parts_of_two_reports_are_not_summed(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    weak.setattr(part, "root_hash", lambda ctx, who, *rest: digest("weak", who.encode()))
    _, error = mixed_parts(parties)
    assert error.any(), "without the root over all parts the sum is garbage"
    weak.undo()
    table, error = mixed_parts(parties)
    assert not error.any()
    assert table.result is not None
    assert parties.clients[0].party not in table.result.included


# --- different sets to different aggregators -------------------------------------------------------------------------------------


def two_sets(parties: Consortium) -> list[Packet]:
    """A malicious second aggregator signs another set than the leader; gives what the leader then sends the collector."""
    described = terms(values=VALUES)
    leader, rogue = parties.aggregators
    opened = opened_round(parties, described, leader)
    role = PLAN.role(opened, leader, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy("leader"))
    endpoint = Endpoint(role, opened, leader, PLAN.CODEC)
    endpoint.start()
    entries = []
    for index, identity in enumerate(parties.clients):
        packets = report_of(parties, described, index, vectors(parties)[identity.party])
        report = first_message(packets)
        entries.append((identity.party, split.root_hash(opened.ctx, identity.party, report.report, 0, report.parts)))
        endpoint.receive(packets[0])
    endpoint.receive(pack(parties.coordinator, opened.ctx, leader.party, Close()))
    endpoint.receive(pack(rogue, opened.ctx, leader.party, Listed(tuple(entries))))
    smaller = tuple(entries[:3])
    names, roots = tuple(name for name, _ in smaller), split.roots_hash(smaller)
    signature = sign_agreement(rogue, opened.ctx.rd, names, roots)
    return endpoint.receive(pack(rogue, opened.ctx, leader.party, Agreed(names, roots, signature)))


def test_an_aggregator_gives_its_share_only_for_the_set_that_all_signed(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    def unchecked(state: aggregator.Agreeing, **arguments: object) -> object:
        return genuine(replace(state, agreed={}), **arguments)  # type: ignore[arg-type]

    genuine = aggregator.share
    weak.setattr(aggregator, "share", unchecked)
    assert [packet.header.kind for packet in two_sets(parties)] == [Share.KIND], "without the comparison the share goes out"
    weak.undo()
    with pytest.raises(InvalidMessage, match="AD-A10"):
        two_sets(parties)


# --- small cohorts, Sybils, differencing -----------------------------------------------------------------------------------------


def test_no_sum_below_the_floor_leaves_an_aggregator(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    def only_two(parties: Consortium) -> Table:
        table, given = lay(parties), vectors(parties)
        two = dict(list(given.items())[:2])
        table.play(two)
        return table

    weak.setattr(Floors, "floor", property(lambda self: 2))
    table = only_two(parties)
    assert table.result is not None
    assert len(table.result.included) == 2, "with a lower floor two clients are summed, and each knows the other's update"
    weak.undo()
    table = only_two(parties)
    assert table.result is None
    assert any(isinstance(error, SessionAborted) and error.needed == 3 for _, error in table.refused)


def test_a_floor_is_not_reached_by_many_clients_of_one_organisation(weak: pytest.MonkeyPatch) -> None:
    crowd = consortium(4, 2, now=NOW, entropy=InsecureEntropy("sybil"), kem=0x20, organisations=["victim", "hub", "hub", "hub"])
    weak.setattr(Round, "organisations", lambda self, names: len(names))
    table = lay(crowd)
    assert not isinstance(table.play(vectors(crowd)), SessionAborted), "counting parties, three Sybils uncover the fourth client"
    weak.undo()
    with pytest.raises(InvalidMessage, match="RD-C6"):
        lay(crowd)


def two_sums(parties: Consortium, *, later: Terms, without: int | None = None, plan: additive.Plan = PLAN) -> tuple[Vector, Vector]:
    """The same aggregators open a sum over everybody, then one that the coordinator would like to subtract from it."""
    ledgers = {identity.party: Ledger() for identity in everybody(parties)}
    given = vectors(parties)
    first = lay(parties, terms(values=VALUES), ledgers=ledgers)
    first.play(given)
    second = Table.lay(plan, parties.roster, everybody(parties), later, ledgers=ledgers, seed=1)
    missing = None if without is None else parties.clients[without].party
    second.play({name: vector for name, vector in given.items() if name != missing})
    assert first.result is not None
    if second.result is None:
        raise SessionAborted("no second sum")
    return first.result.vector, second.result.vector


@pytest.mark.parametrize(("round", "attempt", "task"), [(1, 2, "table"), (2, 1, "table"), (1, 1, "another name")])
def test_two_sums_from_one_model_do_not_uncover_the_client_between_them(
    parties: Consortium, weak: pytest.MonkeyPatch, round: int, attempt: int, task: str
) -> None:
    """The coordinator names rounds, attempts and tasks as it likes: what counts is the model that the updates start from."""
    later = terms(values=VALUES, round=round, attempt=attempt, task=task)
    weak.setattr(Ledger, "release", lambda self, *arguments, **named: None)
    first, second = two_sums(parties, later=later, without=0)
    assert np.array_equal(first - second, vectors(parties)[parties.clients[0].party]), "without the rule the difference is one update"
    weak.undo()
    with pytest.raises(SessionAborted):
        two_sums(parties, later=later, without=0)


def test_two_sums_under_different_clips_are_not_opened(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    """A clip that only one client's update passes would show that update's direction in the difference of two sums over one set."""
    later, other = terms(values=VALUES, attempt=2), replace(PLAN, clip=0.5)
    weak.setattr(rounds.RoundDescription, "substance", property(lambda self: b"blind to the terms"))
    two_sums(parties, later=later, plan=other)
    weak.undo()
    with pytest.raises(SessionAborted):
        two_sums(parties, later=later, plan=other)
    two_sums(parties, later=later)  # the same set under the same terms may be summed again


def test_the_coordinator_does_not_choose_who_holds_the_shares(weak: pytest.MonkeyPatch) -> None:
    """Of three aggregators it names only the two that it has bought."""
    three = consortium(4, 3, now=NOW, entropy=InsecureEntropy("bought"), kem=0x20)
    plan = additive.Plan(clients=4, aggregators=3)

    def read_by_two() -> Vector:
        described = plan.describe(terms(values=VALUES), three.roster)
        chosen = replace(described, servers=described.servers[:2])
        signed = sign_round(chosen, three.coordinator).signed()
        me, sent = three.clients[0], vectors(three)[three.clients[0].party]
        opened = open_round(signed, me, Policy(), now=NOW)
        role = plan.role(opened, me, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy("victim"))
        endpoint = Endpoint(role, opened, me, plan.CODEC)
        endpoint.start()
        total = Tally.zero(plan.encoding.ring, VALUES + 2)
        for packet in endpoint.contribute(sent, version=0):
            seat = part.Seat(three.identity(packet.header.recipient), Params.of(opened), opened)
            report = first_message([packet])
            key = part.open_part(report, me.party, seat)
            part.tally_part(total, part.Held(report.report, b"", key, report.payload, report.commitment), me.party, seat, 1)
        return total.words - sent

    weak.setattr(Params, "of", classmethod(unchecked_params))
    assert not read_by_two().any(), "the two that were named read the update"
    weak.undo()
    with pytest.raises(InvalidMessage, match="AD-P4"):
        read_by_two()


def unchecked_params(cls: type[Params], opened: Round) -> Params:
    """`Params.of` without a look at the roster."""
    described = opened.description
    return Params(
        aggregators=described.servers,
        clients=described.cohort,
        collector=described.coordinator,
        ring=described.encoding.ring,
        length=described.values + described.encoding.extra,
        floor=described.floors.floor,
        quorum=described.quorum,
        versions=frozenset(item.version for item in described.inputs),
        submit_seconds=described.submit_seconds,
        finish_seconds=described.finish_seconds,
    )


def test_a_round_over_several_models_is_only_for_those_who_allow_it(parties: Consortium) -> None:
    """Shown one crafted model each and summed in one buffered batch, clients would be told apart by their models."""
    crafted = replace(terms(values=VALUES), inputs=tuple(Input(version, bytes([version] * 32)) for version in range(3)))
    lay(parties, crafted, policy=Policy(max_inputs=3))
    with pytest.raises(InvalidMessage, match="RD-C7"):
        lay(parties, crafted)


# --- keys, replays, reflections ----------------------------------------------------------------------------------------------------


def test_a_key_that_stands_twice_in_a_roster_is_refused(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    first, second, *rest = parties.roster.members
    doubled = [first, replace(second, signing=first.signing), *rest]
    weak.setattr(Roster, "_check", lambda self: None)
    Roster.create("weak", 1, dict(parties.roster.organisations), doubled)
    weak.undo()
    with pytest.raises(ConfigError, match="RO-C3"):
        Roster.create("real", 1, dict(parties.roster.organisations), doubled)


def test_a_report_signed_with_another_key_is_refused(parties: Consortium) -> None:
    impostor = object.__new__(Identity)
    for field in ("party", "opening", "roster", "folder"):
        object.__setattr__(impostor, field, getattr(parties.clients[0], field))
    object.__setattr__(impostor, "signing", SigningKey.generate(InsecureEntropy("impostor")))
    table = lay(parties)
    with pytest.raises(InvalidMessage, match="EV-C1"):
        table.endpoints[parties.aggregators[0].party].receive(
            pack(impostor, table.opened.ctx, parties.aggregators[0].party, Report(bytes(16), 0, (), b"x", b""))
        )


def replayed(parties: Consortium) -> None:
    """A report of round 1 is given to the aggregators of round 2."""
    packets = report_of(parties, terms(values=VALUES, round=1), 0, vectors(parties)[parties.clients[0].party])
    table = lay(parties, terms(values=VALUES, round=2))
    table.endpoints[parties.aggregators[0].party].receive(packets[0])


def test_a_report_of_another_round_is_refused_twice_over(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnexpectedMessage, match="replayed or late"):
        replayed(parties)
    weak.setattr("secagg.endpoint.check_round", lambda header, ctx: None)
    with pytest.raises(InvalidMessage, match="AD-A2"):
        replayed(parties)
    same = Context(bytes(32), "table", 0, 0)
    weak.setattr("secagg.round.Context", lambda *_: same)
    replayed(parties)  # with neither the header nor rd checked, the replay is taken


def test_a_message_reflected_to_its_sender_or_another_party_is_refused(parties: Consortium) -> None:
    packets = report_of(parties, terms(values=VALUES), 0, vectors(parties)[parties.clients[0].party])
    table = lay(parties)
    with pytest.raises(UnexpectedMessage, match="reached"):
        table.endpoints[parties.aggregators[1].party].receive(packets[0])


def test_the_same_report_again_gets_the_same_receipt_and_another_is_refused(parties: Consortium) -> None:
    given = vectors(parties)[parties.clients[0].party]
    table, leader = lay(parties), parties.aggregators[0].party
    first = report_of(parties, terms(values=VALUES), 0, given, seed="one")
    other = report_of(parties, terms(values=VALUES), 0, given, seed="two")
    receipts = table.endpoints[leader].receive(first[0])
    assert [packet.envelope for packet in table.endpoints[leader].receive(first[0])] == [packet.envelope for packet in receipts]
    with pytest.raises(InvalidMessage, match="EV-C5"):
        table.endpoints[leader].receive(other[0])


# --- what the wire shows -------------------------------------------------------------------------------------------------------------


def share_words(parties: Consortium, vector: Vector, seed: str) -> Vector:
    """The long share of `vector` as the leader sees it."""
    report = first_message(report_of(parties, terms(values=len(vector) - 2), 0, vector, seed))
    opened = opened_round(parties, terms(values=len(vector) - 2), parties.aggregators[0])
    params = Params.of(opened)
    seat = part.Seat(parties.aggregators[0], params, opened)
    tally = Tally.zero(params.ring, params.length)
    key = part.open_part(report, parties.clients[0].party, seat)
    part.tally_part(tally, part.Held(report.report, b"", key, report.payload, report.commitment), parties.clients[0].party, seat, 1)
    return tally.words


def byte_bias(words: Vector) -> float:
    """How far the worst of the four byte positions is from uniform: chi-squared over 256 values, in standard deviations."""
    worst = 0.0
    for position in range(4):
        counts = np.bincount(words.view(np.uint8)[position::4], minlength=256)
        expected = len(words) / 256
        worst = max(worst, float(((counts - expected) ** 2 / expected).sum() - 255) / np.sqrt(2 * 255))
    return worst


def test_a_share_is_uniform_whatever_it_hides(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    small = np.arange(20_002, dtype=np.uint32) % 7
    float_masks = np.random.default_rng(0).normal(0, 1000, len(small)).astype(np.int64).astype(np.uint32)
    assert byte_bias(small + float_masks) > 50, "a float mask leaves the high bytes 00 or ff"
    assert byte_bias(share_words(parties, small, "uniform")) < 5
    correlation = np.corrcoef(share_words(parties, small, "again") & 7, small)[0, 1]
    assert abs(correlation) < 5 / np.sqrt(len(small))


def test_nothing_on_the_wire_depends_on_the_weight(parties: Consortium) -> None:
    """The weight is a coordinate of the vector; sizes and clear fields are the same for every weight."""
    light, heavy = np.ones(VALUES + 2, np.uint32), np.full(VALUES + 2, 4096, np.uint32)
    one, other = (report_of(parties, terms(values=VALUES), 0, vector, seed="weight") for vector in (light, heavy))
    assert [len(packet.envelope) for packet in one] == [len(packet.envelope) for packet in other]
    assert first_message(one).report == first_message(other).report
    assert join(one[0].payload) != join(other[0].payload)  # type: ignore[arg-type]


# --- hostile parts ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("AD-A2", lambda report: replace(report, parts=report.parts[:1])),
        ("AD-A2", lambda report: replace(report, sealed=report.sealed[:-1] + b"\x00")),
        ("AD-A3", lambda report: replace(report, version=9)),
        ("AD-A4", lambda report: replace(report, payload=Blob(bytes(report.payload.size + 1)))),
        ("AD-A4", lambda report: replace(report, payload=None)),
        ("AD-A6", lambda report: replace(report, payload=Blob(bytes(report.payload.size)))),
    ],
)
def test_a_hostile_report_is_refused_and_leaves_the_tally_alone(parties: Consortium, check: str, damage: object) -> None:
    described = terms(values=VALUES)
    me, sender = parties.aggregators[0], parties.clients[0].party
    opened = opened_round(parties, described, me)
    seat = part.Seat(me, Params.of(opened), opened)
    state = aggregator.Accepting(Tally.zero(seat.params.ring, seat.params.length), {}, {})
    report = damage(first_message(report_of(parties, described, 0, vectors(parties)[sender])))  # type: ignore[operator]
    with pytest.raises(InvalidMessage, match=check):
        aggregator.accept(state, report, sender, seat=seat, ledger=Ledger(), entropy=InsecureEntropy("accept"))
    assert not state.tally.words.any()


def test_secrets_are_gone_from_a_client_that_has_reported(parties: Consortium) -> None:
    me = parties.clients[0]
    opened = opened_round(parties, terms(values=VALUES), me)
    role = client.Client(Params.of(opened), opened.ctx, me, ledger=Ledger(), entropy=InsecureEntropy("gone"))
    role.start()
    role.contribute(vectors(parties)[me.party], version=0)
    state = role._state
    assert not any(isinstance(getattr(state, name), Secret | np.ndarray) for name in state.__dataclass_fields__)


def test_a_client_that_met_a_bad_receipt_has_failed_for_good(parties: Consortium) -> None:
    me = parties.clients[0]
    opened = opened_round(parties, terms(values=VALUES), me)
    role = client.Client(Params.of(opened), opened.ctx, me, ledger=Ledger(), entropy=InsecureEntropy("bad"))
    role.start()
    role.contribute(vectors(parties)[me.party], version=0)
    with pytest.raises(InvalidMessage, match="AD-K1"):
        role.receive(parties.aggregators[0].party, Accepted(me.party, bytes(32), bytes(64)))
    with pytest.raises(PeerError):
        role.receive(parties.aggregators[1].party, Accepted(me.party, bytes(32), bytes(64)))
    assert role.phase == "failed"
