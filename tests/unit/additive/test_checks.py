"""Every numbered check of `additive` that is not an attack of its own: the bad message is refused, and the party goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from protocols import additive
from protocols.additive import aggregator, client, collector, part, split
from protocols.additive.messages import Accepted, Agreed, Ahead, Close, Listed, Report, Share
from protocols.additive.params import Params
from secagg.crypto.derive import frame
from secagg.crypto.seal import CannotOpen
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, MalformedMessage, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.payload import Blob
from secagg.policy import Floors, Policy
from secagg.receipt import sign_agreement
from secagg.roles import Message, Role
from secagg.round import Round, open_round, sign_round
from secagg.tally import Tally
from secagg.testing.conformance import body_of
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.types import PartyId, Secret
from secagg.wire.v1 import additive_pb2 as pb

PLAN = additive.Plan(clients=4, aggregators=2)


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return consortium(4, 2, now=NOW, entropy=InsecureEntropy("checks"), kem=0x20)


def opened_by(parties: Consortium, me: Identity, **changes: object) -> Round:
    description = replace(PLAN.describe(terms(values=4), parties.roster), **changes)  # type: ignore[arg-type]
    return open_round(sign_round(description, parties.coordinator).signed(), me, Policy(), now=NOW)


def role_of(parties: Consortium, me: Identity) -> Role:
    role = PLAN.role(opened_by(parties, me), me, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy(me.party))
    role.start()
    return role


def seat_of(parties: Consortium, index: int) -> part.Seat:
    me = parties.aggregators[index]
    opened = opened_by(parties, me)
    return part.Seat(me, Params.of(opened), opened)


def reports_of(parties: Consortium, index: int) -> list[Report]:
    """Both parts of client `index`, the leader's first."""
    role = role_of(parties, parties.clients[index])
    vector = np.arange(6, dtype=PLAN.encoding.ring.dtype)
    return [item.message for item in sorted(role.contribute(vector, version=0), key=lambda item: item.recipient)]  # type: ignore[attr-defined]


def names(parties: Consortium) -> tuple[PartyId, ...]:
    return tuple(identity.party for identity in parties.clients)


def receipt_of(parties: Consortium, index: int, who: PartyId, root: bytes = bytes(32)) -> Accepted:
    me = parties.aggregators[index]
    rd = opened_by(parties, me).ctx.rd
    return Accepted(who, root, me.signing.sign(client.ACCEPTED, frame(client.ACCEPTED, rd, who.encode(), root)))


def agreed_of(parties: Consortium, index: int, included: tuple[PartyId, ...], roots: bytes = bytes(32)) -> Agreed:
    me = parties.aggregators[index]
    return Agreed(included, roots, sign_agreement(me, opened_by(parties, me).ctx.rd, included, roots))


# --- parameters


@pytest.mark.check("AD-P1")
def test_a_round_needs_two_aggregators_of_the_roster(parties: Consortium) -> None:
    me = parties.clients[0]
    for servers in ((parties.aggregators[0].party,), ()):
        with pytest.raises(InvalidMessage, match="AD-P1"):
            Params.of(opened_by(parties, me, servers=servers))


@pytest.mark.check("AD-P2")
def test_one_organisation_does_not_run_two_aggregators(parties: Consortium) -> None:
    from secagg.roster import Roster

    members = [replace(member, organisation="helper-0") if member.role == "aggregator" else member for member in parties.roster.members]
    roster = Roster.create("one owner", 1, dict(parties.roster.organisations), members)
    opened = replace(opened_by(parties, parties.clients[0]), roster=roster)
    with pytest.raises(InvalidMessage, match="AD-P2"):
        Params.of(opened)


@pytest.mark.check("AD-P4")
def test_a_coordinator_cannot_leave_out_an_aggregator() -> None:
    three = consortium(4, 3, now=NOW, entropy=InsecureEntropy("three"), kem=0x20)
    description = additive.Plan(clients=4, aggregators=3).describe(terms(values=4), three.roster)
    chosen = replace(description, servers=description.servers[:2])
    opened = open_round(sign_round(chosen, three.coordinator).signed(), three.clients[0], Policy(), now=NOW)
    with pytest.raises(InvalidMessage, match="AD-P4"):
        Params.of(opened)


@pytest.mark.check("AD-P3")
def test_a_plan_is_made_only_from_descriptions_of_its_protocol(parties: Consortium) -> None:
    description = opened_by(parties, parties.clients[0]).description
    assert additive.Plan.from_description(description).encoding == replace(PLAN.encoding, ring_bits=PLAN.encoding.ring.bits)
    for changes in ({"protocol": "pairwise"}, {"version": 2}):
        with pytest.raises(InvalidMessage, match="AD-P3"):
            additive.Plan.from_description(replace(description, **changes))
    with pytest.raises(InvalidMessage, match="AD-P3"):
        additive.Plan.from_description(replace(description, servers=description.servers[:1]))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"clients": 2}, "floor of 3"),
        ({"clients": 5, "aggregators": 1}, "between 2 and 16"),
        ({"clients": 5, "aggregators": 17}, "between 2 and 16"),
        ({"clients": 5, "quorum": 2}, "quorum=2"),
        ({"clients": 5, "staleness": ()}, "staleness"),
        ({"clients": 5, "staleness": (4, 0)}, "staleness"),
        ({"clients": 17, "bits": 20, "max_weight": 1, "ring_bits": 24}, "use ring_bits=32"),
        ({"clients": 5, "floors": Floors(n_min=6)}, "floor of 6"),
    ],
)
def test_a_plan_refuses_numbers_that_do_not_fit_with_the_reason(numbers: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        additive.Plan(**numbers)  # type: ignore[arg-type]


def test_a_plan_and_its_roster_must_agree(parties: Consortium) -> None:
    with pytest.raises(ConfigError, match="2 aggregators, the plan 3"):
        additive.Plan(clients=4, aggregators=3).describe(terms(values=4), parties.roster)
    with pytest.raises(ConfigError, match="raise `clients`"):
        additive.Plan(clients=3).describe(terms(values=4), parties.roster)


# --- aggregator


def damaged(check: str, parties: Consortium, damage: Callable[[Report], Report], *, sender: PartyId | None = None, index: int = 1) -> None:
    seat = seat_of(parties, index)
    state = aggregator.Accepting(Tally.zero(seat.params.ring, seat.params.length), {}, {})
    message = damage(reports_of(parties, 0)[index])
    with pytest.raises(InvalidMessage, match=check):
        aggregator.accept(state, message, sender or names(parties)[0], seat=seat, ledger=Ledger(), entropy=InsecureEntropy("accept"))
    assert not state.tally.words.any()


@pytest.mark.check("AD-A1")
def test_a_report_of_a_party_that_is_no_client_is_refused(parties: Consortium) -> None:
    damaged("AD-A1", parties, lambda report: report, sender=parties.aggregators[0].party)


@pytest.mark.check("AD-A2")
def test_a_part_that_is_not_in_its_list_is_refused(parties: Consortium) -> None:
    damaged("AD-A2", parties, lambda report: replace(report, parts=report.parts[:1]))
    damaged("AD-A2", parties, lambda report: replace(report, parts=(*report.parts, bytes(32))))
    damaged("AD-A2", parties, lambda report: replace(report, report=bytes(16)))


@pytest.mark.check("AD-A3")
def test_a_report_from_another_input_model_is_refused(parties: Consortium) -> None:
    damaged("AD-A3", parties, lambda report: replace(report, version=7))


@pytest.mark.check("AD-A4")
def test_a_vector_of_another_size_or_in_the_wrong_place_is_refused(parties: Consortium) -> None:
    damaged("AD-A4", parties, lambda report: replace(report, payload=None), index=0)
    damaged("AD-A4", parties, lambda report: replace(report, payload=Blob(bytes(10))), index=0)
    damaged("AD-A4", parties, lambda report: replace(report, payload=Blob(bytes(10))), index=1)


def resealed(parties: Consortium, secret: Secret) -> Callable[[Report], Report]:
    """The part for aggregator 1 with another secret inside, all hashes right."""
    seat, who = seat_of(parties, 1), names(parties)[0]

    def damage(report: Report) -> Report:
        context = client.seal_context(seat.ctx, who, seat.me.party, report.report)
        sealed = seat.me.member.sealing.seal(secret, purpose=client.PART, context=context)
        own = split.part_hash(seat.ctx, who, report.report, 1, sealed=sealed, committed=b"")
        return replace(report, sealed=sealed, parts=(report.parts[0], own))

    return damage


@pytest.mark.check("AD-A5")
def test_a_part_that_was_not_sealed_for_this_aggregator_is_refused(parties: Consortium) -> None:
    seat, who = seat_of(parties, 1), names(parties)[0]

    def foreign(report: Report) -> Report:
        context = client.seal_context(seat.ctx, who, seat.me.party, report.report)
        sealed = parties.aggregators[0].member.sealing.seal(Secret(bytes(32)), purpose=client.PART, context=context)
        own = split.part_hash(seat.ctx, who, report.report, 1, sealed=sealed, committed=b"")
        return replace(report, sealed=sealed, parts=(report.parts[0], own))

    damaged("AD-A5", parties, foreign)
    damaged("AD-A5", parties, resealed(parties, Secret(bytes(31))))


@pytest.mark.check("AD-A6")
def test_a_vector_that_does_not_open_is_refused_and_taken_back(parties: Consortium) -> None:
    def flip_last(report: Report) -> Report:
        payload = report.payload
        assert payload is not None
        raw = bytearray(payload.chunk(0))
        raw[-1] ^= 1
        return replace(report, payload=Blob(raw))

    damaged("AD-A6", parties, flip_last, index=0)


def test_a_long_vector_with_one_bad_chunk_leaves_the_tally_as_it_was() -> None:
    ring = PLAN.encoding.ring
    vector = np.arange(700_000, dtype=ring.dtype)
    key = Secret(bytes(range(32)))
    sealed, _ = split.seal_masked(vector, [], ring, key, b"context")
    raw = bytearray(b"".join(bytes(sealed.chunk(index)) for index in range(3)))
    raw[2 * (1 << 20) + 5] ^= 1
    tally = Tally.zero(ring, len(vector))
    tally.words[:] = 7
    with pytest.raises(CannotOpen, match="chunk 2 of 3"):
        tally.add(split.opening_of(key, b"context"), Blob(raw), 1)
    assert (tally.words == 7).all()
    tally.add(split.opening_of(key, b"context"), sealed, 1)
    assert np.array_equal(tally.words, vector + 7)
    tally.add(split.opening_of(key, b"context"), sealed, -1)
    assert (tally.words == 7).all()
    assert repr(tally) == "Tally(700000 words of 32 bits)", "what is being added up is not shown"


@pytest.mark.check("AD-A7")
def test_a_client_reports_once_even_if_the_aggregator_was_restarted(parties: Consortium) -> None:
    seat, ledger = seat_of(parties, 1), Ledger()
    first, second = reports_of(parties, 0)[1], replace(reports_of(parties, 0)[1])
    fresh = aggregator.Accepting(Tally.zero(seat.params.ring, seat.params.length), {}, {})
    after, _ = aggregator.accept(fresh, first, names(parties)[0], seat=seat, ledger=ledger, entropy=InsecureEntropy("accept"))
    with pytest.raises(InvalidMessage, match="AD-A7"):
        aggregator.accept(after, second, names(parties)[0], seat=seat, ledger=ledger, entropy=InsecureEntropy("accept"))
    restarted = aggregator.Accepting(Tally.zero(seat.params.ring, seat.params.length), {}, {})
    other = resealed(parties, Secret(bytes(32)))(second)
    with pytest.raises(InvalidMessage, match="AD-A7"):
        aggregator.accept(restarted, other, names(parties)[0], seat=seat, ledger=ledger, entropy=InsecureEntropy("accept"))


@pytest.mark.check("AD-A8")
def test_a_list_that_does_not_fit_the_round_is_refused(parties: Consortium) -> None:
    role = role_of(parties, parties.aggregators[0])
    for sender, listed in [
        (names(parties)[0], Listed(())),
        (parties.aggregators[1].party, Listed(((PartyId("stranger"), bytes(32)),))),
    ]:
        with pytest.raises(InvalidMessage, match="AD-A8"):
            role.receive(sender, listed)
    assert role.phase == "accepting"


@pytest.mark.check("AD-A9")
def test_an_aggregator_ends_the_round_below_the_floor(parties: Consortium) -> None:
    role = role_of(parties, parties.aggregators[0])
    role.receive(parties.coordinator.party, Close())
    with pytest.raises(SessionAborted, match=r"AD-A9: 0 organisations .* 3 needed"):
        role.receive(parties.aggregators[1].party, Listed(()))
    assert role.phase == "failed"


def agreeing(parties: Consortium) -> tuple[Role, tuple[PartyId, ...], bytes]:
    """The leader, waiting for the other's signature."""
    role, entries = role_of(parties, parties.aggregators[0]), []
    seat = seat_of(parties, 0)
    for index, name in enumerate(names(parties)):
        report = reports_of(parties, index)[0]
        role.receive(name, report)
        entries.append((name, split.root_hash(seat.ctx, name, report.report, 0, report.parts)))
    role.receive(parties.coordinator.party, Close())
    role.receive(parties.aggregators[1].party, Listed(tuple(entries)))
    return role, names(parties), split.roots_hash(tuple(entries))


@pytest.mark.check("AD-A10")
def test_signatures_over_different_sets_end_the_round(parties: Consortium) -> None:
    role, included, roots = agreeing(parties)
    with pytest.raises(InvalidMessage, match="AD-A10"):
        role.receive(parties.aggregators[1].party, agreed_of(parties, 1, included[:3], roots))
    assert role.phase == "failed"


@pytest.mark.check("AD-A11")
def test_a_set_that_its_sender_did_not_sign_is_refused_and_the_right_one_still_taken(parties: Consortium) -> None:
    role, included, roots = agreeing(parties)
    genuine = agreed_of(parties, 1, included, roots)
    for sender, message in [
        (parties.aggregators[1].party, replace(genuine, signature=bytes(64))),
        (names(parties)[0], genuine),
    ]:
        with pytest.raises(InvalidMessage, match="AD-A11"):
            role.receive(sender, message)
    assert [type(item.message) for item in role.receive(parties.aggregators[1].party, genuine)] == [Share]


def test_an_aggregator_whose_partners_are_silent_gives_up_with_their_names(parties: Consortium) -> None:
    role, _, _ = agreeing(parties)
    with pytest.raises(SessionAborted, match="did not answer in Agreeing") as ended:
        role.expire()
    assert ended.value.answered == (parties.aggregators[0].party,)
    assert ended.value.needed == 2
    assert (role.phase, role.patience, role.expire()) == ("failed", None, [])


# --- client and collector


@pytest.mark.check("AD-K1")
@pytest.mark.parametrize("wrong", ["sender", "client", "root", "signature"])
def test_a_client_knows_a_foreign_receipt(parties: Consortium, wrong: str) -> None:
    me = parties.clients[0]
    role = role_of(parties, me)
    vector = np.arange(6, dtype=PLAN.encoding.ring.dtype)
    report = role.contribute(vector, version=0)[0].message  # type: ignore[attr-defined]
    seat = seat_of(parties, 0)
    root = split.root_hash(seat.ctx, me.party, report.report, 0, report.parts)
    message = receipt_of(parties, 0, me.party, root)
    sender = parties.aggregators[0].party
    if wrong == "sender":
        sender = parties.aggregators[1].party
    elif wrong == "client":
        message = receipt_of(parties, 0, parties.clients[1].party, root)
    elif wrong == "root":
        message = receipt_of(parties, 0, me.party)
    else:
        message = replace(message, signature=bytes(64))
    with pytest.raises(InvalidMessage, match="AD-K1"):
        role.receive(sender, message)


def test_only_an_aggregator_can_end_a_clients_round(parties: Consortium) -> None:
    me = parties.clients[0]
    role = role_of(parties, me)
    role.contribute(np.arange(6, dtype=PLAN.encoding.ring.dtype), version=0)  # type: ignore[attr-defined]
    for sender in (parties.clients[1].party, parties.coordinator.party):
        with pytest.raises(UnexpectedMessage, match="no aggregator"):
            role.receive(sender, Close())
    assert role.phase == "reported"


def test_a_client_refuses_a_vector_that_is_not_of_the_round(parties: Consortium) -> None:
    role = role_of(parties, parties.clients[0])
    for vector, version, message in [
        (np.zeros(5, PLAN.encoding.ring.dtype), 0, "words"),
        (np.zeros(6, np.uint16), 0, "words"),
        (np.zeros(6, PLAN.encoding.ring.dtype), 3, "version 3"),
    ]:
        with pytest.raises(ConfigError, match=message):
            role.contribute(vector, version=version)  # type: ignore[attr-defined]
    role.contribute(np.zeros(6, PLAN.encoding.ring.dtype), version=0)  # type: ignore[attr-defined]
    with pytest.raises(LocalProtocolError, match="not due"):
        role.contribute(np.zeros(6, PLAN.encoding.ring.dtype), version=0)  # type: ignore[attr-defined]


def test_a_client_that_was_restarted_does_not_report_twice(parties: Consortium) -> None:
    me, ledger = parties.clients[0], Ledger()
    opened = opened_by(parties, me)
    for attempt, seed in enumerate(("before", "after")):
        role = PLAN.role(opened, me, policy=Policy(), ledger=ledger, entropy=InsecureEntropy(seed))
        role.start()
        if attempt == 0:
            role.contribute(np.zeros(6, PLAN.encoding.ring.dtype), version=0)  # type: ignore[attr-defined]
            continue
        with pytest.raises(LocalProtocolError, match="not used twice"):
            role.contribute(np.zeros(6, PLAN.encoding.ring.dtype), version=0)  # type: ignore[attr-defined]


@pytest.mark.check("AD-C1")
def test_the_collector_counts_only_genuine_receipts(parties: Consortium) -> None:
    role = role_of(parties, parties.coordinator)
    genuine = receipt_of(parties, 0, names(parties)[0])
    for sender, message in [
        (names(parties)[0], genuine),
        (parties.aggregators[1].party, genuine),
        (parties.aggregators[0].party, receipt_of(parties, 0, PartyId("stranger"))),
    ]:
        with pytest.raises(InvalidMessage, match="AD-C1"):
            role.receive(sender, message)


@pytest.mark.check("AD-C2")
def test_the_collector_does_not_close_below_the_floor(parties: Consortium) -> None:
    role = role_of(parties, parties.coordinator)
    for index in range(2):
        role.receive(parties.aggregators[index].party, receipt_of(parties, index, names(parties)[0]))
    second, *others = names(parties)[1:]
    role.receive(parties.aggregators[0].party, receipt_of(parties, 0, second))
    with pytest.raises(SessionAborted, match=r"AD-C2: 1 organisations .* 3 needed") as ended:
        role.expire()
    assert ended.value.answered == (names(parties)[0],)
    gaps = [f"{second} not to {parties.aggregators[1].party}", *(f"{name} to nobody" for name in others)]
    assert str(ended.value).endswith(f"3 needed; {'; '.join(gaps)}")


def test_a_quorum_of_clients_of_one_organisation_does_not_close_the_batch() -> None:
    crowd = consortium(5, 2, now=NOW, entropy=InsecureEntropy("quorum"), kem=0x20, organisations=["m", "m", "m", "a", "b"])
    plan = additive.Plan(clients=5, aggregators=2, quorum=3)
    opened = open_round(
        sign_round(plan.describe(terms(values=4), crowd.roster), crowd.coordinator).signed(), crowd.coordinator, Policy(), now=NOW
    )
    role = plan.role(opened, crowd.coordinator, policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy("x"))
    role.start()

    def reported(index: int) -> None:
        who = crowd.clients[index].party
        for me in crowd.aggregators:
            signature = me.signing.sign(client.ACCEPTED, frame(client.ACCEPTED, opened.ctx.rd, who.encode(), bytes(32)))
            role.receive(me.party, Accepted(who, bytes(32), signature))

    for index in range(3):
        reported(index)
    assert role.phase == "gathering"
    reported(3)
    reported(4)
    assert role.phase == "closing"


def closing(parties: Consortium) -> Role:
    role = role_of(parties, parties.coordinator)
    for name in names(parties):
        for index in range(2):
            role.receive(parties.aggregators[index].party, receipt_of(parties, index, name))
    assert role.phase == "closing"
    return role


@pytest.mark.check("AD-C3")
def test_the_collector_takes_one_set_signed_by_all(parties: Consortium) -> None:
    role, included = closing(parties), names(parties)
    first, second = (identity.party for identity in parties.aggregators)
    role.receive(first, agreed_of(parties, 0, included))
    for sender, message in [
        (first, agreed_of(parties, 1, included)),
        (second, agreed_of(parties, 1, included[:3])),
        (second, agreed_of(parties, 1, included, b"\x01" * 32)),
    ]:
        with pytest.raises(InvalidMessage, match="AD-C3"):
            role.receive(sender, message)
    with pytest.raises(InvalidMessage, match="AD-C3"):
        closing(parties).receive(first, agreed_of(parties, 0, included[:2]))


@pytest.mark.check("AD-C4")
def test_a_share_of_another_size_or_sender_is_refused(parties: Consortium) -> None:
    role, size = closing(parties), seat_of(parties, 0).params.payload_size
    for sender, payload in [
        (parties.aggregators[0].party, Blob(bytes(size + 1))),
        (names(parties)[0], Blob(bytes(size))),
        (parties.aggregators[0].party, Blob(bytes(size))),
    ]:
        with pytest.raises(InvalidMessage, match="AD-C4"):
            role.receive(sender, Share(bytes(32), b"key", bytes(32), payload))


def genuine_share(parties: Consortium) -> tuple[Table, Share]:
    """A share that an aggregator really sent, with the table of its round."""
    table = Table.lay(PLAN, parties.roster, (parties.coordinator, *parties.aggregators, *parties.clients), terms(values=4))
    table.play({name: np.ones(6, PLAN.encoding.ring.dtype) for name in names(parties)})
    leader = parties.aggregators[0].party
    packet = next(packet for packet in table.heard if (packet.header.kind, packet.header.sender) == (Share.KIND, leader))
    return table, Share.from_wire(body_of(packet), packet.payload)


@pytest.mark.check("AD-C5")
@pytest.mark.parametrize("damage", ["roots", "key"])
def test_a_share_that_does_not_open_for_its_set_is_refused(parties: Consortium, damage: str) -> None:
    role, included = closing(parties), names(parties)
    sender = parties.aggregators[0].party
    _, share = genuine_share(parties)
    role.receive(sender, agreed_of(parties, 0, included, share.roots))
    bad = {
        "roots": replace(share, roots=b"\x02" * 32),
        "key": replace(share, sealed=b"not a key"),
    }[damage]
    with pytest.raises(InvalidMessage, match="AD-C5"):
        role.receive(sender, bad)


def test_a_share_may_overtake_its_senders_signature(parties: Consortium) -> None:
    """A transport may reorder: the share waits until the set it is for is known."""
    desk = collector.Desk(parties.coordinator, seat_of(parties, 0).params, opened_by(parties, parties.coordinator))
    assert desk.complete(collector.Gathering({})) == ()
    role = closing(parties)
    _, share = genuine_share(parties)
    role.receive(parties.aggregators[0].party, share)
    assert parties.aggregators[0].party in role.state.waiting  # type: ignore[attr-defined]


def test_the_collector_gives_up_when_a_share_is_missing(parties: Consortium) -> None:
    role = closing(parties)
    with pytest.raises(SessionAborted, match="not every aggregator") as ended:
        role.expire()
    assert (ended.value.answered, ended.value.needed, role.phase) == ((), 2, "failed")


@pytest.mark.parametrize("who", ["client", "aggregator", "coordinator"])
def test_a_machine_starts_once_and_waits_as_long_as_the_description_says(parties: Consortium, who: str) -> None:
    me = {"client": parties.clients[0], "aggregator": parties.aggregators[0], "coordinator": parties.coordinator}[who]
    role = role_of(parties, me)
    with pytest.raises(LocalProtocolError, match="started already"):
        role.start()
    assert role.patience == {"client": None, "aggregator": 70.0, "coordinator": 60.0}[who]
    assert role.result is None


def test_a_party_without_a_part_in_additive_gets_no_machine(parties: Consortium) -> None:
    crowd = consortium(4, 2, keyholders=1, now=NOW, entropy=InsecureEntropy("keyholder"), kem=0x20)
    opened = opened_by(crowd, crowd.clients[0])
    with pytest.raises(ConfigError, match="keyholder"):
        PLAN.role(opened, crowd.keyholders[0], policy=Policy(), ledger=Ledger(), entropy=InsecureEntropy("x"))


def test_a_receipt_that_crosses_with_the_close_is_taken_and_changes_nothing(parties: Consortium) -> None:
    role = closing(parties)
    before = role.state
    assert role.receive(parties.aggregators[0].party, receipt_of(parties, 0, names(parties)[0])) == []
    with pytest.raises(InvalidMessage, match="AD-C1"):
        role.receive(names(parties)[0], receipt_of(parties, 0, names(parties)[0]))
    assert role.state is before
    with pytest.raises(UnexpectedMessage, match="Report is not due in closing"):
        role.receive(names(parties)[0], reports_of(parties, 0)[0])


def test_time_means_nothing_to_a_machine_that_has_ended(parties: Consortium) -> None:
    table, _ = genuine_share(parties)
    for identity in (parties.coordinator, *parties.aggregators):
        role = table.endpoints[identity.party].role
        assert (role.phase, role.patience, role.expire()) == ("done", None, [])
    with pytest.raises(LocalProtocolError, match="waits for nobody"):
        table.endpoints[names(parties)[0]].role.expire()
    for machine in (role_of(parties, parties.aggregators[0]), role_of(parties, parties.coordinator)):
        with pytest.raises(LocalProtocolError, match="goes on from one of its own states"):
            machine.resume(object())


def test_a_client_keeps_the_receipts_it_got(parties: Consortium) -> None:
    table, _ = genuine_share(parties)
    role = table.endpoints[names(parties)[0]].role
    assert [name for name, _ in sorted(role.receipts)] == [identity.party for identity in parties.aggregators]  # type: ignore[attr-defined]
    assert role_of(parties, parties.clients[0]).receipts == ()  # type: ignore[attr-defined]


def test_an_old_input_model_has_no_factor_once_it_is_too_old() -> None:
    plan = additive.Plan(clients=4, staleness=(8, 6, 4))
    assert [plan.staleness_factor(age) for age in (-1, 0, 1, 2, 3)] == [None, 8, 6, 4, None]
    assert plan.encoding.max_weight == 8 * additive.Plan(clients=4).max_weight


@pytest.mark.parametrize(
    ("kind", "body", "payload"),
    [
        (Close, b"", Blob(b"payload")),
        (Accepted, b"", None),
        (Share, pb.AdditiveShare(roots=bytes(32), sealed=b"", commitment=bytes(32)).SerializeToString(), None),
        (Ahead, pb.AdditiveAhead(roots=bytes(32), commitment=bytes(32)).SerializeToString(), None),
        (Ahead, pb.AdditiveAhead(roots=bytes(31), commitment=bytes(32)).SerializeToString(), Blob(b"payload")),
        (Report, pb.AdditiveReport(report=bytes(16), sealed=b"key").SerializeToString(), Blob(b"payload")),
        (Report, pb.AdditiveReport(report=bytes(16), sealed=b"key" * 2000).SerializeToString(), None),
        (Report, pb.AdditiveReport(report=bytes(15), sealed=b"key").SerializeToString(), None),
        (Listed, pb.AdditiveListed(entries=[pb.AdditiveEntry(client=name, root=bytes(32)) for name in "ba"]).SerializeToString(), None),
        (Agreed, pb.AdditiveAgreed(included=["a", "a"], roots=bytes(32), signature=bytes(64)).SerializeToString(), None),
    ],
)
def test_a_body_that_is_no_message_is_malformed(kind: type[Message], body: bytes, payload: Blob | None) -> None:
    with pytest.raises(MalformedMessage):
        kind.from_wire(body, payload)


def test_messages_survive_their_bytes(parties: Consortium) -> None:
    table, _ = genuine_share(parties)
    seen: set[type[Message]] = set()
    for packet in table.heard:
        kind = PLAN.CODEC.kinds[packet.header.kind]
        message = kind.from_wire(body_of(packet), packet.payload)
        assert message.to_wire() == (body_of(packet), packet.payload)
        seen.add(kind)
    assert seen == set(PLAN.CODEC.kinds.values())
