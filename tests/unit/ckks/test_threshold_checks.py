"""Every numbered check of `ckks-threshold`: the bad message is refused, and servers go on where they can."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols.ckks import threshold
from protocols.ckks.cipher import PRIMES
from protocols.ckks.params import payload_digest
from protocols.ckks.residues import CannotDecrypt
from protocols.ckks.threshold import client, dealing, keyholder, server
from protocols.ckks.threshold.messages import REPORT, Committed, Fixed, Offer, Report, Share, part_hash, root_hash
from protocols.ckks.threshold.params import Params
from secagg.crypto.seal import X25519, OpenKey
from secagg.crypto.stream import seal_stream
from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, MalformedMessage, SessionAborted, UnexpectedMessage
from secagg.ledger import Ledger
from secagg.payload import Blob, join
from secagg.policy import Policy
from secagg.receipt import sign_agreement
from secagg.roles import Message, Role, Sum
from secagg.round import Round
from secagg.snapshot import open_state, seal_state
from secagg.testing.conformance import body_of
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.types import PartyId, Secret
from tests.unit.ckks.threshold_stage import FIRST, HOLDERS, HUB, ONE, PLAN, SECOND, THIRD, TWO, Stage, made_up, opened_by


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return made_up()


@pytest.fixture
def stage(parties: Consortium) -> Stage:
    return Stage(parties)


def refuses(role: Role, sender: PartyId, message: Message, check: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        role.receive(sender, message)
    assert refused.value.check == check
    assert refused.value.culprits


# --- who takes part -------------------------------------------------------------------------------------------------------------


@pytest.mark.check("TH-P1", "TH-P2")
def test_a_round_without_all_key_holders_of_the_roster_is_refused(parties: Consortium) -> None:
    opened = opened_by(parties, parties.clients[0])
    for servers, check in (((FIRST,), "TH-P1"), ((FIRST, ONE), "TH-P1"), ((FIRST, SECOND), "TH-P2")):
        with pytest.raises(InvalidMessage) as refused:
            Params.of(replace(opened, description=replace(opened.description, servers=servers)))
        assert refused.value.check == check


@pytest.mark.check("TH-P3")
def test_two_key_holders_of_one_organisation_are_refused(parties: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = opened_by(parties, parties.clients[0])
    monkeypatch.setattr(Round, "organisations", lambda self, names: len(names) - 1)
    with pytest.raises(InvalidMessage) as refused:
        Params.of(opened)
    assert refused.value.check == "TH-P3"


@pytest.mark.check("TH-P4")
def test_another_protocol_version_or_a_ring_without_room_is_refused(parties: Consortium) -> None:
    described = PLAN.describe(terms(values=4), parties.roster)
    for wrong in (
        replace(described, version=2),
        replace(described, protocol="ckks"),
        replace(described, encoding=replace(described.encoding, ring_bits=64)),
    ):
        with pytest.raises(InvalidMessage) as refused:
            threshold.Plan.from_description(wrong)
        assert refused.value.check == "TH-P4"


@pytest.mark.parametrize(
    "arguments",
    [
        {"clients": 2},
        {"clients": 1901},
        {"clients": 4, "keyholders": 1},
        {"clients": 4, "keyholders": 17},
        {"clients": 4, "quorum": 2},
        {"clients": 4, "ring_bits": 64},
        {"clients": 30, "ring_bits": 48},
    ],
)
def test_a_plan_that_cannot_work_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        threshold.Plan(**arguments)  # type: ignore[arg-type]


def test_a_roster_that_does_not_fit_the_plan_is_refused(parties: Consortium) -> None:
    with pytest.raises(ConfigError, match="raise `clients`"):
        threshold.Plan(clients=3).describe(terms(values=4), parties.roster)
    with pytest.raises(ConfigError, match="3 key holders, the plan 2"):
        threshold.Plan(clients=4, keyholders=2).describe(terms(values=4), parties.roster)
    helped = consortium(4, 1, keyholders=3, now=NOW, entropy=InsecureEntropy("helped"), kem=0x20)
    with pytest.raises(ConfigError, match="is aggregator"):
        PLAN.role(opened_by(helped, helped.clients[0]), helped.aggregators[0], policy=Policy(), ledger=Ledger(), entropy=bytes)
    assert (PLAN.staleness_factor(0), PLAN.staleness_factor(1)) == (1, None)


def test_a_payload_may_be_as_long_as_a_ciphertext_or_a_sealed_part(stage: Stage) -> None:
    described = stage.opened.description
    assert PLAN.payload_limit(described) == stage.shares()[FIRST].payload.size > stage.reports[ONE].payload.size
    assert PLAN.payload_limit(replace(described, values=100_000)) == 750_060


# --- the client -----------------------------------------------------------------------------------------------------------------


@pytest.mark.check("TH-K1")
def test_a_second_offer_one_of_another_suite_and_another_holders_key_end_the_clients_round(stage: Stage) -> None:
    hybrid = Offer(OpenKey.generate(InsecureEntropy("hybrid")).seal_key())
    for message in (stage.offers[FIRST], stage.offers[SECOND], hybrid):
        role = stage.role(ONE)
        role.start()
        role.receive(SECOND, stage.offers[SECOND])
        sender = SECOND if message is stage.offers[FIRST] else FIRST
        refuses(role, sender, message, "TH-K1")
        assert role.phase == "failed"


def test_only_a_key_holder_can_end_a_clients_round(stage: Stage) -> None:
    role = stage.role(ONE)
    role.start()
    for sender in (HUB, TWO):
        with pytest.raises(UnexpectedMessage):
            role.receive(sender, stage.offers[FIRST])
    assert role.phase == "waiting"
    with pytest.raises(UnexpectedMessage):
        role.receive(FIRST, stage.reports[ONE])
    assert role.phase == "failed"


def test_keys_and_vector_may_come_in_any_order(stage: Stage) -> None:
    stage.ledgers[ONE] = Ledger()
    role = stage.role(ONE)
    role.start()
    sent = [*role.receive(FIRST, stage.offers[FIRST]), *role.contribute(stage.vector(ONE), version=0)]  # type: ignore[attr-defined]
    assert not sent
    assert role.phase == "holding"
    sent = [*role.receive(SECOND, stage.offers[SECOND]), *role.receive(THIRD, stage.offers[THIRD])]
    assert [type(item.message) for item in sent] == [Report]
    assert role.phase == "done"


def test_a_client_that_was_restarted_does_not_report_twice(stage: Stage) -> None:
    with pytest.raises(LocalProtocolError, match="not used twice"):
        stage.report(ONE, InsecureEntropy("after the crash"))


# --- the coordinator takes reports ----------------------------------------------------------------------------------------------


@pytest.mark.check("TH-S1")
def test_a_report_of_a_stranger_a_second_one_and_one_from_another_model_are_refused(stage: Stage) -> None:
    for wrong, sender in ((stage.reports[ONE], FIRST), (replace(stage.reports[ONE], version=7), ONE)):
        refuses(stage.hub, sender, wrong, "TH-S1")
    stage.hub.receive(ONE, stage.reports[ONE])
    refuses(stage.hub, ONE, stage.reports[ONE], "TH-S1")


@pytest.mark.check("TH-S2")
def test_a_report_that_is_not_signed_as_a_whole_is_refused(stage: Stage) -> None:
    one, two = stage.reports[ONE], stage.reports[TWO]
    for wrong in (
        replace(one, sealed=one.sealed[:2]),
        replace(one, sealed=(*one.sealed, one.sealed[0])),
        replace(one, sealed=(two.sealed[0], *one.sealed[1:])),
        replace(one, sealed=one.sealed[::-1]),
        replace(one, digest=two.digest),
        replace(one, signature=two.signature),
    ):
        refuses(stage.hub, ONE, wrong, "TH-S2")
    refuses(stage.hub, TWO, one, "TH-S2")


def signed(stage: Stage, name: PartyId, report: Report) -> Report:
    """`report` with all hashes right and its client's own signature: what a malicious client can send."""
    ctx = stage.opened.ctx
    digests = map(dealing.imprint_digest, report.imprints)
    parts = [part_hash(ctx, name, *part) for part in zip(HOLDERS, report.sealed, digests, strict=False)]
    root = root_hash(ctx, name, report.version, report.digest, parts)
    return replace(report, signature=stage.parties.identity(name).signing.sign(REPORT, root))


@pytest.mark.check("TH-S3")
def test_a_ciphertext_of_another_size_digest_or_range_never_touches_the_sum(stage: Stage) -> None:
    genuine, state = stage.reports[ONE], stage.hub.state
    assert isinstance(state, server.Gathering)
    words = np.frombuffer(join(genuine.payload), "<u4").copy()
    words[0] = 0xFFFFFFFF
    for payload in (Blob(join(genuine.payload)[:-1]), Blob(join(genuine.payload) + bytes(8)), Blob(words.tobytes())):
        refuses(stage.hub, ONE, signed(stage, ONE, replace(genuine, payload=payload, digest=payload_digest(payload))), "TH-S3")
    refuses(stage.hub, ONE, signed(stage, ONE, replace(genuine, digest=bytes(32))), "TH-S3")
    assert not state.total.any()
    assert not state.reports


@pytest.mark.check("TH-S4")
def test_the_coordinator_asks_for_no_sum_below_the_floor(stage: Stage) -> None:
    stage.hub.receive(ONE, stage.reports[ONE])
    with pytest.raises(SessionAborted, match="TH-S4"):
        stage.hub.expire()
    assert stage.hub.phase == "failed"
    assert stage.hub.patience is None


# --- the key holder -------------------------------------------------------------------------------------------------------------


@pytest.mark.check("TH-H1")
def test_a_key_holder_commits_to_no_set_below_the_floor_or_with_strangers(stage: Stage) -> None:
    fixed = stage.fixed()[FIRST]
    refuses(stage.holders[FIRST], HUB, Fixed(fixed.entries[:2]), "TH-H1")
    refuses(stage.holders[FIRST], HUB, Fixed((*fixed.entries, replace(fixed.entries[0], client=HUB))), "TH-H1")
    assert stage.holders[FIRST].phase == "offering"


@pytest.mark.check("TH-H2")
def test_a_part_that_its_client_did_not_sign_for_is_not_opened(stage: Stage) -> None:
    asked = stage.fixed()
    first, second = asked[FIRST].entries[0], asked[SECOND].entries[0]
    other = asked[FIRST].entries[1]
    for wrong in (
        replace(first, sealed=second.sealed),
        replace(first, parts=first.parts[::-1]),
        replace(first, parts=first.parts[:2]),
        replace(first, version=7),
        replace(first, digest=bytes(32)),
        replace(first, signature=other.signature),
    ):
        refuses(stage.holders[FIRST], HUB, Fixed((wrong, *asked[FIRST].entries[1:])), "TH-H2")
    refuses(stage.holders[SECOND], HUB, asked[FIRST], "TH-H2")
    assert stage.holders[FIRST].phase == "offering"


@pytest.mark.check("TH-H3")
def test_a_part_sealed_for_another_or_of_another_length_ends_the_attempt_and_names_the_client(stage: Stage) -> None:
    offered, ctx = stage.offers[FIRST], stage.opened.ctx
    own = client.part_context(ctx, ONE, FIRST)
    bad = {
        "another client": offered.key.seal(Secret(bytes(32)), purpose=client.PART, context=client.part_context(ctx, TWO, FIRST)),
        "too short": offered.key.seal(Secret(b"short"), purpose=client.PART, context=own),
    }
    for sealed in bad.values():
        again = Stage(stage.parties)
        again.reports[ONE] = signed(again, ONE, replace(again.reports[ONE], sealed=(sealed, *again.reports[ONE].sealed[1:])))
        with pytest.raises(InvalidMessage) as refused:
            again.holders[FIRST].receive(HUB, again.fixed()[FIRST])
        assert (refused.value.check, refused.value.culprits) == ("TH-H3", (ONE,))
        assert again.holders[FIRST].phase == "failed", "the key is gone"


@pytest.mark.check("TH-H4")
def test_a_commitment_that_its_sender_did_not_sign_is_refused(stage: Stage) -> None:
    told = stage.committed()
    for wrong in (replace(told[SECOND], roots=bytes(32)), replace(told[SECOND], included=told[SECOND].included[1:]), told[THIRD]):
        refuses(stage.holders[FIRST], SECOND, wrong, "TH-H4")
    refuses(stage.holders[FIRST], ONE, told[SECOND], "TH-H4")
    assert stage.holders[FIRST].phase == "committing"
    stage.holders[FIRST].receive(SECOND, told[SECOND])
    for sender in (SECOND, FIRST):
        with pytest.raises(UnexpectedMessage, match="second commitment"):
            stage.holders[FIRST].receive(sender, told[sender])


def other_set(stage: Stage, name: PartyId) -> Committed:
    """A malicious key holder's commitment to a set of its own."""
    included = (PartyId("client-1"), PartyId("client-2"), PartyId("client-3"))
    me = stage.parties.identity(name)
    return Committed(included, bytes(32), sign_agreement(me, stage.opened.ctx.rd, included, bytes(32)), bytes(32))


@pytest.mark.check("TH-H5")
def test_no_part_leaves_before_all_have_committed_to_one_set(stage: Stage) -> None:
    told = stage.committed()
    assert not stage.holders[FIRST].receive(SECOND, told[SECOND]), "one commitment is missing"
    refuses(stage.holders[FIRST], THIRD, other_set(stage, THIRD), "TH-H5")
    assert stage.holders[FIRST].phase == "failed", "and the part is gone"


def test_a_commitment_may_overtake_the_set(stage: Stage) -> None:
    asked = stage.fixed()
    told = {name: stage.holders[name].receive(HUB, asked[name])[0].message for name in (SECOND, THIRD)}
    assert not [sent for name, message in told.items() for sent in stage.holders[FIRST].receive(name, message)]
    sent = stage.holders[FIRST].receive(HUB, asked[FIRST])
    assert [type(item.message) for item in sent] == [Committed, Committed, Committed, Share]
    assert stage.holders[FIRST].phase == "done"


def test_a_set_is_asked_for_once_and_by_the_coordinator_only(stage: Stage) -> None:
    asked = stage.fixed()[FIRST]
    with pytest.raises(UnexpectedMessage):
        stage.holders[FIRST].receive(ONE, asked)
    stage.holders[FIRST].receive(HUB, asked)
    with pytest.raises(UnexpectedMessage):
        stage.holders[FIRST].receive(HUB, asked)


def test_no_key_outlives_the_time_of_its_attempt(stage: Stage) -> None:
    waiting, committing = stage.holders[FIRST], stage.holders[SECOND]
    assert waiting.patience == 70
    committing.receive(HUB, stage.fixed()[SECOND])
    assert committing.patience == 10
    for role in (waiting, committing):
        with pytest.raises(SessionAborted, match="destroyed"):
            role.expire()
        assert isinstance(role.state, keyholder.Failed)
        assert role.patience is None
        assert not role.expire()


def test_a_key_holder_that_starts_again_offers_no_second_key(stage: Stage) -> None:
    with pytest.raises(LocalProtocolError, match="not used twice"):
        stage.role(FIRST, InsecureEntropy("again")).start()


# --- opening --------------------------------------------------------------------------------------------------------------------


@pytest.mark.check("TH-S5")
def test_a_commitment_to_another_set_and_a_second_one_are_refused(stage: Stage) -> None:
    told = stage.committed()
    for wrong in (replace(told[FIRST], signature=bytes(64)), other_set(stage, FIRST)):
        refuses(stage.hub, FIRST, wrong, "TH-S5")
    refuses(stage.hub, ONE, told[FIRST], "TH-S5")
    stage.hub.receive(FIRST, told[FIRST])
    refuses(stage.hub, FIRST, told[FIRST], "TH-S5")


@pytest.mark.check("TH-S6")
def test_a_part_of_a_stranger_a_second_one_and_one_of_another_size_are_refused(stage: Stage) -> None:
    shares = stage.shares()
    refuses(stage.hub, ONE, shares[FIRST], "TH-S6")
    refuses(stage.hub, FIRST, replace(shares[FIRST], payload=Blob(bytes(9))), "TH-S6")
    stage.hub.receive(FIRST, shares[FIRST])
    refuses(stage.hub, FIRST, shares[FIRST], "TH-S6")


@pytest.mark.check("TH-S7")
def test_a_part_that_was_not_committed_to_is_refused_whichever_comes_first(stage: Stage) -> None:
    told = stage.committed()
    shares = stage.shares(told)
    stage.hub.receive(FIRST, told[FIRST])
    refuses(stage.hub, FIRST, shares[SECOND], "TH-S7")
    stage.hub.receive(SECOND, shares[THIRD])
    refuses(stage.hub, SECOND, told[SECOND], "TH-S7")


def sealed_share(stage: Stage, name: PartyId, plain: bytes, roots: bytes) -> Share:
    """What a malicious key holder seals in place of its part."""
    key, context = Secret(bytes(32)), keyholder.share_context(stage.opened.ctx, name, HUB, roots)
    payload = seal_stream(
        key,
        lambda at, buffer: buffer.__setitem__(slice(None), plain[at : at + len(buffer)]),
        len(plain),
        purpose=keyholder.SHARE,
        context=context,
    )
    return Share(stage.parties.coordinator.member.sealing.seal(key, purpose=keyholder.SHARE, context=context), Blob(payload))


@pytest.mark.check("TH-S8")
@pytest.mark.parametrize("plain", [bytes([255]) * dealing.SHARE_BYTES, None])
def test_a_part_that_does_not_open_or_is_out_of_range_ends_the_attempt(stage: Stage, plain: bytes | None) -> None:
    told = stage.committed()
    shares, roots = stage.shares(told), told[FIRST].roots
    bad = sealed_share(stage, FIRST, plain, roots) if plain else replace(shares[FIRST], sealed=bytes(80))
    shares[FIRST] = bad
    told[FIRST] = replace(told[FIRST], commitment=keyholder.share_commitment(stage.opened.ctx, FIRST, roots, bad))
    for name in HOLDERS:
        stage.hub.receive(name, told[name])
    for name in (FIRST, SECOND):
        stage.hub.receive(name, shares[name])
    with pytest.raises(SessionAborted, match="TH-S8") as aborted:
        stage.hub.receive(THIRD, shares[THIRD])
    assert aborted.value.culprits == (FIRST,)
    assert stage.hub.phase == "failed"


@pytest.mark.check("TH-S9")
def test_a_ciphertext_under_another_secret_than_the_dealt_one_opens_nothing_and_no_key_holder_is_blamed(stage: Stage) -> None:
    stage.reports[ONE] = signed(
        stage, ONE, replace(stage.reports[ONE], payload=stage.reports[TWO].payload, digest=stage.reports[TWO].digest)
    )
    with pytest.raises(SessionAborted, match="TH-S9: the parts of the key are right") as aborted:
        stage.opened_sum()
    assert aborted.value.culprits == ()
    assert (stage.hub.phase, stage.hub.result) == ("failed", None)


@pytest.mark.check("TH-H6")
def test_a_seed_of_which_another_imprint_was_signed_ends_the_attempt_and_names_the_client(stage: Stage) -> None:
    genuine = stage.reports[ONE].imprints
    stage.reports[ONE] = signed(stage, ONE, replace(stage.reports[ONE], imprints=(genuine[1], *genuine[1:])))
    asked = stage.fixed()
    with pytest.raises(InvalidMessage) as refused:
        stage.holders[FIRST].receive(HUB, asked[FIRST])
    assert (refused.value.check, refused.value.culprits) == ("TH-H6", (ONE,))
    assert stage.holders[FIRST].phase == "failed", "the key is gone"
    assert [type(item.message) for item in stage.holders[SECOND].receive(HUB, asked[SECOND])] == [Committed] * 3


@pytest.mark.check("TH-S2", "TH-S3")
def test_an_imprint_too_few_or_with_residues_out_of_range_never_touches_the_sums(stage: Stage) -> None:
    genuine, state = stage.reports[ONE], stage.hub.state
    assert isinstance(state, server.Gathering)
    refuses(stage.hub, ONE, signed(stage, ONE, replace(genuine, imprints=genuine.imprints[:2])), "TH-S2")
    beyond = (*genuine.imprints[:2], bytes([255]) * dealing.IMPRINT_BYTES)
    refuses(stage.hub, ONE, signed(stage, ONE, replace(genuine, imprints=beyond)), "TH-S3")
    assert not any(words.any() for words in (state.total, *state.imprints))
    with pytest.raises(MalformedMessage, match="imprint"):
        Report.from_wire(replace(genuine, imprints=(b"short",)).to_wire()[0], genuine.payload)


@pytest.mark.check("TH-S10")
def test_a_part_that_is_not_the_sum_of_what_was_dealt_opens_nothing_and_its_holder_is_named(stage: Stage) -> None:
    told = stage.committed()
    shares, roots = stage.shares(told), told[FIRST].roots
    shares[FIRST] = sealed_share(stage, FIRST, bytes(dealing.SHARE_BYTES), roots)
    told[FIRST] = replace(told[FIRST], commitment=keyholder.share_commitment(stage.opened.ctx, FIRST, roots, shares[FIRST]))
    for name in HOLDERS:
        stage.hub.receive(name, told[name])
    for name in (FIRST, SECOND):
        stage.hub.receive(name, shares[name])
    with pytest.raises(SessionAborted, match="TH-S10: keyholder-0 gave") as aborted:
        stage.hub.receive(THIRD, shares[THIRD])
    assert aborted.value.culprits == (FIRST,)
    assert stage.hub.phase == "failed"
    assert stage.hub.result is None


def test_a_key_holder_that_is_late_ends_the_round_and_is_named(stage: Stage) -> None:
    told = stage.committed()
    shares = stage.shares(told)
    assert stage.hub.patience == 10
    stage.hub.receive(FIRST, told[FIRST])
    stage.hub.receive(FIRST, shares[FIRST])
    with pytest.raises(SessionAborted, match="keyholder-1, keyholder-2 gave no part"):
        stage.hub.expire()
    assert not stage.hub.expire()


def test_the_sum_is_exact_and_signed_by_all_key_holders(stage: Stage) -> None:
    assert (stage.opened_sum() == 1000 + 1001 + 1002 + 1003).all()
    assert stage.hub.result is not None
    assert [name for name, _ in stage.hub.result.agreement] == list(HOLDERS)
    assert [type(role.state) for role in stage.holders.values()] == [keyholder.Done] * 3


# --- machines, bytes, snapshots -------------------------------------------------------------------------------------------------


def test_a_step_that_is_not_due_is_refused(stage: Stage) -> None:
    vector = stage.vector(ONE)
    stage.ledgers[ONE] = Ledger()
    role = stage.role(ONE)
    with pytest.raises(LocalProtocolError):
        role.contribute(vector, version=0)  # type: ignore[attr-defined]
    role.start()
    for fresh in (role, stage.hub, stage.holders[FIRST]):
        with pytest.raises(LocalProtocolError):
            fresh.start()
        with pytest.raises(LocalProtocolError):
            fresh.resume(fresh.state)
    for bad, version in ((vector[1:], 0), (vector.astype(np.uint16), 0), (vector, 3)):
        with pytest.raises(ConfigError):
            role.contribute(bad, version=version)  # type: ignore[attr-defined]
    assert (role.patience, role.result, stage.holders[FIRST].result) == (None, None, None)
    with pytest.raises(LocalProtocolError):
        role.expire()


@pytest.mark.parametrize("kind", [Report, Share])
def test_a_message_without_its_payload_is_malformed(stage: Stage, kind: type[Message]) -> None:
    genuine: Message = stage.reports[ONE] if kind is Report else stage.shares()[FIRST]
    with pytest.raises(MalformedMessage):
        kind.from_wire(genuine.to_wire()[0], None)


def test_an_offered_key_of_low_order_is_malformed() -> None:
    from secagg.wire.v1 import ckks_threshold_pb2 as pb

    with pytest.raises(MalformedMessage, match="offer"):
        Offer.from_wire(pb.ThresholdOffer(key=bytes([X25519]) + bytes(32)).SerializeToString(), None)


def test_a_part_is_read_back_as_it_was_written_and_nothing_else_is_read() -> None:
    rising = np.arange(4096, dtype=np.uint64)[:, None]
    part = (rising, PRIMES[1] - 1 - rising)
    assert all(np.array_equal(one, two) for one, two in zip(dealing.read_share(bytes(dealing.share_bytes(part))), part, strict=True))
    with pytest.raises(CannotDecrypt, match="expected"):
        dealing.read_share(bytes(8))


def test_no_state_shows_a_secret_and_nothing_in_the_clear_does(parties: Consortium) -> None:
    everybody = (parties.coordinator, *parties.keyholders, *parties.clients)
    drawn: list[bytes] = []
    source = InsecureEntropy("shown")

    def entropy(count: int) -> bytes:
        drawn.append(source(count))
        return drawn[-1]

    table = Table.lay(PLAN, parties.roster, everybody, terms(values=4), entropy=entropy)
    seen: list[object] = []
    table.watch = lambda table, _: seen.extend(end.role.state for end in table.endpoints.values())
    table.play({identity.party: np.ones(6, PLAN.encoding.ring.dtype) for identity in parties.clients})
    assert len(drawn) == 3 + 4 * 4 + 3
    shown = "".join(map(repr, seen))
    assert not any(secret.hex() in shown or repr(secret)[2:-1] in shown for secret in drawn)
    heard = b"".join(body_of(packet) + (join(packet.payload) if packet.payload else b"") for packet in table.heard)
    assert not any(secret in heard for secret in drawn)


@pytest.mark.parametrize("seed", range(3))
def test_a_round_survives_being_put_away_between_any_two_messages(parties: Consortium, seed: int) -> None:
    everybody = (parties.coordinator, *parties.keyholders, *parties.clients)
    ledgers = {identity.party: Ledger() for identity in everybody}
    table = Table.lay(PLAN, parties.roster, everybody, terms(values=4), seed=seed, ledgers=ledgers)

    def put_away(table: Table, packet: Packet) -> None:
        name = packet.header.recipient
        end, me = table.endpoints[name], parties.identity(name)
        sealed = seal_state(end.role.state, me=me, ctx=table.opened.ctx, entropy=InsecureEntropy("away"))
        role = PLAN.role(end.round, me, policy=Policy(), ledger=ledgers[name], entropy=InsecureEntropy("back"))
        role.resume(open_state(sealed, PLAN.STATES, me=me, ctx=table.opened.ctx))
        table.endpoints[name] = Endpoint(role, end.round, me, PLAN.CODEC)

    table.watch = put_away
    total = table.play({identity.party: np.ones(6, PLAN.encoding.ring.dtype) for identity in parties.clients})
    assert isinstance(total, Sum)
    assert (total.vector == 4).all()
    assert not table.refused
