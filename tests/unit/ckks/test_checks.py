"""Every numbered check of `ckks` that is not an attack of its own: the bad message is refused, and servers go on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols import ckks
from protocols.ckks import client, keyholder, server
from protocols.ckks.cipher import secret_key
from protocols.ckks.messages import Added, Encrypted, Key, Opened, Seed
from protocols.ckks.params import Params, payload_digest
from secagg.crypto.stream import commitment
from secagg.endpoint import Endpoint
from secagg.envelope import Packet
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, MalformedMessage, SessionAborted, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.payload import Blob, join
from secagg.policy import Policy
from secagg.roles import Message, Role, Sum
from secagg.round import Round, open_round, sign_round
from secagg.snapshot import open_state, seal_state
from secagg.testing.conformance import body_of
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, Table, terms
from secagg.types import PartyId, Secret

PLAN = ckks.Plan(clients=4)
HOLDER, HUB = PartyId("keyholder-0"), PartyId("coordinator")
ONE, TWO = PartyId("client-0"), PartyId("client-1")


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return consortium(4, keyholders=1, now=NOW, entropy=InsecureEntropy("checks"), kem=0x20)


def opened_by(parties: Consortium, me: Identity, plan: ckks.Plan = PLAN, **changes: object) -> Round:
    description = replace(plan.describe(terms(values=4), parties.roster), **changes)  # type: ignore[arg-type]
    return open_round(sign_round(description, parties.coordinator).signed(), me, Policy(), now=NOW)


def role_of(parties: Consortium, name: PartyId, ledger: Ledger | None = None) -> Role:
    me = parties.identity(name)
    return PLAN.role(opened_by(parties, me, PLAN), me, policy=Policy(), ledger=ledger or Ledger(), entropy=InsecureEntropy(name))


class Stage:
    """One round, step by step: its roles, and the genuine message of each kind and sender."""

    def __init__(self, parties: Consortium) -> None:
        self.parties = parties
        self.holder, self.hub = role_of(parties, HOLDER), role_of(parties, HUB)
        self.hub.start()
        self.keys = {item.recipient: item.message for item in self.holder.start()}
        self.seeds: dict[PartyId, Message] = {}
        self.encrypted: dict[PartyId, Encrypted] = {}
        for identity in parties.clients:
            role = role_of(parties, identity.party)
            role.start()
            role.receive(HOLDER, self.keys[identity.party])
            seed, encrypted = role.contribute(np.ones(6, PLAN.encoding.ring.dtype), version=0)  # type: ignore[attr-defined]
            self.seeds[identity.party], self.encrypted[identity.party] = seed.message, encrypted.message

    def seeded(self) -> Stage:
        for name, seed in self.seeds.items():
            self.holder.receive(name, seed)
        return self

    def added(self) -> Added:
        for name, message in self.encrypted.items():
            sent = self.hub.receive(name, message)
        added = sent[0].message
        assert isinstance(added, Added)
        return added

    def opened(self) -> Opened:
        (sent,) = self.seeded().holder.receive(HUB, self.added())
        assert isinstance(sent.message, Opened)
        return sent.message


@pytest.fixture
def stage(parties: Consortium) -> Stage:
    return Stage(parties)


def refuses(role: Role, sender: PartyId, message: Message, check: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        role.receive(sender, message)
    assert refused.value.check == check
    assert refused.value.culprits


@pytest.mark.check("CK-P1")
def test_a_round_without_exactly_one_key_holder_is_refused(parties: Consortium) -> None:
    for servers in ((), (TWO,)):
        with pytest.raises(InvalidMessage) as refused:
            Params.of(replace_servers(parties, servers))
        assert refused.value.check == "CK-P1"


def replace_servers(parties: Consortium, servers: tuple[PartyId, ...]) -> Round:
    opened = opened_by(parties, parties.clients[0])
    return replace(opened, description=replace(opened.description, servers=servers))


@pytest.mark.check("CK-P2")
def test_a_key_holder_of_the_coordinators_organisation_is_refused(parties: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = opened_by(parties, parties.clients[0])
    monkeypatch.setattr(Round, "organisations", lambda self, names: 1)
    with pytest.raises(InvalidMessage) as refused:
        Params.of(opened)
    assert refused.value.check == "CK-P2"


@pytest.mark.check("CK-P3")
def test_another_protocol_version_or_a_ring_without_room_is_refused(parties: Consortium) -> None:
    described = PLAN.describe(terms(values=4), parties.roster)
    for wrong in (
        replace(described, version=2),
        replace(described, protocol="additive"),
        replace(described, encoding=replace(described.encoding, ring_bits=64)),
    ):
        with pytest.raises(InvalidMessage) as refused:
            ckks.Plan.from_description(wrong)
        assert refused.value.check == "CK-P3"


@pytest.mark.parametrize(
    "arguments",
    [{"clients": 2}, {"clients": 4, "quorum": 2}, {"clients": 4, "ring_bits": 64}, {"clients": 60, "ring_bits": 48}],
)
def test_a_plan_that_cannot_work_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        ckks.Plan(**arguments)  # type: ignore[arg-type]


def test_a_roster_that_does_not_fit_the_plan_is_refused(parties: Consortium) -> None:
    with pytest.raises(ConfigError, match="raise `clients`"):
        ckks.Plan(clients=3).describe(terms(values=4), parties.roster)
    without = consortium(4, now=NOW, entropy=InsecureEntropy("none"), kem=0x20)
    with pytest.raises(ConfigError, match="0 key holders"):
        PLAN.describe(terms(values=4), without.roster)
    helped = consortium(4, 1, keyholders=1, now=NOW, entropy=InsecureEntropy("helped"), kem=0x20)
    with pytest.raises(ConfigError, match="is aggregator"):
        PLAN.role(opened_by(helped, helped.clients[0]), helped.aggregators[0], policy=Policy(), ledger=Ledger(), entropy=bytes)
    assert (PLAN.staleness_factor(0), PLAN.staleness_factor(1)) == (1, None)


@pytest.mark.check("CK-K1")
def test_a_key_for_somebody_else_or_of_another_length_ends_the_clients_round(stage: Stage) -> None:
    role = role_of(stage.parties, ONE)
    role.start()
    refuses(role, HOLDER, stage.keys[TWO], "CK-K1")
    assert role.phase == "failed"
    me, other = stage.parties.identity(ONE), role_of(stage.parties, ONE)
    opened = opened_by(stage.parties, me)
    short = me.member.sealing.seal(Secret(b"short"), purpose=client.KEY, context=client.key_context(opened.ctx, HOLDER, ONE))
    other.start()
    refuses(other, HOLDER, Key(short), "CK-K1")


def test_every_round_attempt_and_roster_has_a_key_of_its_own_even_if_the_key_holders_randomness_repeats(parties: Consortium) -> None:
    """Nothing has to be rotated after so many rounds, or when somebody leaves: no key is used twice."""
    smaller, me = consortium(3, keyholders=1, now=NOW, entropy=InsecureEntropy("checks"), kem=0x20), parties.identity(ONE)
    first, *others = (
        opened_by(parties, me),
        opened_by(parties, me, round=2),
        opened_by(parties, me, attempt=2),
        opened_by(smaller, smaller.identity(ONE)),
    )
    seed = Secret(b"the same in every round, 32 byte")
    genuine = secret_key(seed, first.ctx)[0]
    for other in others:
        assert not np.array_equal(genuine, secret_key(seed, other.ctx)[0])
        assert client.key_context(first.ctx, HOLDER, ONE) != client.key_context(other.ctx, HOLDER, ONE), "and a sealed one opens in none"


def test_only_the_key_holder_can_end_a_clients_round(stage: Stage) -> None:
    role = role_of(stage.parties, ONE)
    role.start()
    with pytest.raises(UnexpectedMessage):
        role.receive(HUB, stage.keys[ONE])
    assert role.phase == "waiting"


@pytest.mark.check("CK-S1", "CK-H1")
def test_a_report_of_a_stranger_a_second_one_and_one_from_another_model_are_refused(stage: Stage) -> None:
    for wrong, sender in ((stage.encrypted[ONE], HOLDER), (replace(stage.encrypted[ONE], version=7), ONE)):
        refuses(stage.hub, sender, wrong, "CK-S1")
    stage.hub.receive(ONE, stage.encrypted[ONE])
    refuses(stage.hub, ONE, stage.encrypted[ONE], "CK-S1")
    seed = stage.seeds[ONE]
    assert isinstance(seed, Seed)
    for other, sender in ((seed, HUB), (replace(seed, version=7), ONE)):
        refuses(stage.holder, sender, other, "CK-H1")
    stage.holder.receive(ONE, seed)
    refuses(stage.holder, ONE, seed, "CK-H1")


@pytest.mark.check("CK-S2")
def test_a_ciphertext_of_another_size_digest_or_range_never_touches_the_sum(stage: Stage) -> None:
    genuine, state = stage.encrypted[ONE], stage.hub.state
    assert isinstance(state, server.Gathering)
    words = np.frombuffer(join(genuine.payload), "<u4").copy()
    words[0] = 0xFFFFFFFF
    out_of_range = Blob(words.tobytes())
    for wrong in (
        replace(genuine, payload=Blob(join(genuine.payload)[:-1])),
        replace(genuine, payload=Blob(join(genuine.payload) + bytes(8))),
        replace(genuine, digest=bytes(32)),
        replace(genuine, payload=out_of_range, digest=payload_digest(out_of_range)),
    ):
        refuses(stage.hub, ONE, wrong, "CK-S2")
    assert not state.total.any()
    assert not state.roots


@pytest.mark.check("CK-S3")
def test_the_coordinator_asks_for_no_sum_below_the_floor(stage: Stage) -> None:
    stage.hub.receive(ONE, stage.encrypted[ONE])
    with pytest.raises(SessionAborted, match="CK-S3"):
        stage.hub.expire()
    assert stage.hub.phase == "failed"


@pytest.mark.check("CK-H2")
def test_the_key_holder_opens_no_set_below_the_floor_or_with_strangers(stage: Stage) -> None:
    added = stage.seeded().added()
    refuses(stage.holder, HUB, replace(added, entries=added.entries[:2]), "CK-H2")
    refuses(stage.holder, HUB, replace(added, entries=(*added.entries, (HUB, bytes(32)))), "CK-H2")
    assert stage.holder.phase == "keeping"


@pytest.mark.check("CK-H3")
def test_a_sum_of_another_size_digest_or_range_is_refused(stage: Stage) -> None:
    added = stage.seeded().added()
    out_of_range = Blob(bytes([255]) * added.payload.size)
    for wrong in (
        replace(added, payload=Blob(bytes(8))),
        replace(added, digest=bytes(32)),
        replace(added, payload=out_of_range, digest=payload_digest(out_of_range)),
    ):
        refuses(stage.holder, HUB, wrong, "CK-H3")
    assert stage.holder.phase == "keeping"


@pytest.mark.check("CK-H4")
def test_a_report_that_its_client_did_not_tell_of_is_not_opened(stage: Stage) -> None:
    added = stage.seeded().added()
    with pytest.raises(InvalidMessage) as refused:
        stage.holder.receive(HUB, replace(added, entries=((ONE, bytes(32)), *added.entries[1:])))
    assert refused.value.check == "CK-H4"
    assert refused.value.culprits == (), "a coordinator that lies about a client does not have it named"
    assert stage.holder.phase == "failed", "the key is gone"


def test_a_sum_waits_for_the_seeds_that_are_still_under_way(stage: Stage) -> None:
    assert not stage.holder.receive(HUB, stage.added())
    sent = [stage.holder.receive(name, seed) for name, seed in stage.seeds.items()]
    assert [len(messages) for messages in sent] == [0, 0, 0, 1]


def test_a_sum_is_asked_for_once_and_by_the_coordinator_only(stage: Stage) -> None:
    added = stage.added()
    with pytest.raises(UnexpectedMessage):
        stage.holder.receive(ONE, added)
    stage.holder.receive(HUB, added)
    with pytest.raises(UnexpectedMessage):
        stage.holder.receive(HUB, added)


@pytest.mark.check("CK-S4")
def test_a_sum_over_another_set_or_without_signature_is_refused(stage: Stage) -> None:
    opened = stage.opened()
    for wrong in (replace(opened, included=opened.included[1:]), replace(opened, roots=bytes(32)), replace(opened, signature=bytes(64))):
        refuses(stage.hub, HOLDER, wrong, "CK-S4")
    refuses(stage.hub, ONE, opened, "CK-S4")
    stage.hub.receive(HOLDER, opened)
    assert isinstance(stage.hub.result, Sum)
    assert (stage.hub.result.vector == 4).all()


@pytest.mark.check("CK-S5")
def test_a_sum_that_does_not_open_is_refused(stage: Stage) -> None:
    opened = stage.opened()
    torn = Blob(bytes(opened.payload.size))
    for wrong in (
        replace(opened, payload=Blob(b"short")),
        replace(opened, commitment=bytes(32)),
        replace(opened, payload=torn, commitment=commitment(torn)),
        replace(opened, sealed=bytes(64)),
    ):
        refuses(stage.hub, HOLDER, wrong, "CK-S5")
    assert stage.hub.phase == "opening"


def test_a_step_that_is_not_due_is_refused(stage: Stage) -> None:
    vector = np.ones(6, PLAN.encoding.ring.dtype)
    role = role_of(stage.parties, ONE)
    with pytest.raises(LocalProtocolError):
        role.contribute(vector, version=0)  # type: ignore[attr-defined]
    for fresh in (role, stage.hub, stage.holder):
        if fresh is role:
            fresh.start()
        with pytest.raises(LocalProtocolError):
            fresh.start()
        with pytest.raises(LocalProtocolError):
            fresh.resume(fresh.state)
    for bad, version in ((vector[1:], 0), (vector.astype(np.uint16), 0), (vector, 3)):
        with pytest.raises(ConfigError):
            role.contribute(bad, version=version)  # type: ignore[attr-defined]
    for waits in (role, stage.holder):
        assert waits.patience is None
        assert waits.result is None
        with pytest.raises(LocalProtocolError):
            waits.expire()


def test_a_key_holder_that_is_late_ends_the_round(stage: Stage) -> None:
    stage.added()
    assert stage.hub.patience == 10
    with pytest.raises(SessionAborted, match="did not open"):
        stage.hub.expire()
    assert stage.hub.patience is None
    assert stage.hub.result is None
    assert not stage.hub.expire()


def test_a_key_holder_that_starts_again_makes_no_second_key(parties: Consortium) -> None:
    ledger = Ledger()
    role_of(parties, HOLDER, ledger).start()
    with pytest.raises(LocalProtocolError, match="not used twice"):
        role_of(parties, HOLDER, ledger).start()


@pytest.mark.parametrize("kind", [Encrypted, Added, Opened])
def test_a_message_without_its_payload_is_malformed(stage: Stage, kind: type[Message]) -> None:
    added: Message = stage.added()
    genuine = {Encrypted: stage.encrypted[ONE], Added: added}.get(kind) or stage.seeded().holder.receive(HUB, added)[0].message
    body, _ = genuine.to_wire()
    with pytest.raises(MalformedMessage):
        kind.from_wire(body, None)


def test_an_empty_sealed_key_is_malformed() -> None:
    with pytest.raises(MalformedMessage, match="sealed key"):
        Key.from_wire(Key(b"").to_wire()[0], None)


def test_no_state_shows_a_key_and_the_coordinator_holds_none(parties: Consortium) -> None:
    everybody = (parties.coordinator, *parties.keyholders, *parties.clients)
    table = Table.lay(PLAN, parties.roster, everybody, terms(values=4))
    seen: list[object] = []
    table.watch = lambda table, _: seen.extend(end.role.state for end in table.endpoints.values())
    table.play({identity.party: np.ones(6, PLAN.encoding.ring.dtype) for identity in parties.clients})
    keys = {state.key.expose() for state in seen if isinstance(state, keyholder.Keeping)}
    assert len(keys) == 1
    assert not any(key.hex() in repr(state) or repr(key) in repr(state) for key in keys for state in seen)
    heard = b"".join(body_of(packet) for packet in table.heard)
    assert not any(key in heard for key in keys)
    assert all(
        isinstance(getattr(state, name), np.ndarray | dict | tuple | bytes | Sum)
        for state in seen
        if isinstance(state, server.State)
        for name in state.__slots__
    )


def test_a_key_holder_never_sees_a_ciphertext(parties: Consortium) -> None:
    everybody = (parties.coordinator, *parties.keyholders, *parties.clients)
    table = Table.lay(PLAN, parties.roster, everybody, terms(values=4))
    table.play({identity.party: np.ones(6, PLAN.encoding.ring.dtype) for identity in parties.clients})
    heard = [(packet.header.sender, packet.header.kind) for packet in table.heard if packet.header.recipient == HOLDER]
    assert sorted(heard) == sorted([(HUB, "ckks/Added"), *((one.party, "ckks/Seed") for one in parties.clients)])
    assert all(packet.payload is None for packet in table.heard if packet.header.kind == "ckks/Seed")


@pytest.mark.parametrize("slots", [None, "n4096-q56"])
@pytest.mark.parametrize("seed", range(3))
def test_a_round_survives_being_put_away_between_any_two_messages(parties: Consortium, seed: int, slots: str | None) -> None:
    if slots:
        pytest.importorskip("tenseal")
    plan = ckks.Plan(clients=4, slots=slots, max_weight=16)
    everybody = (parties.coordinator, *parties.keyholders, *parties.clients)
    ledgers = {identity.party: Ledger() for identity in everybody}
    table = Table.lay(plan, parties.roster, everybody, terms(values=4), seed=seed, ledgers=ledgers)

    def put_away(table: Table, packet: Packet) -> None:
        name = packet.header.recipient
        end, me = table.endpoints[name], parties.identity(name)
        sealed = seal_state(end.role.state, me=me, ctx=table.opened.ctx, entropy=InsecureEntropy("away"))
        role = plan.role(end.round, me, policy=Policy(), ledger=ledgers[name], entropy=InsecureEntropy("back"))
        role.resume(open_state(sealed, plan.STATES, me=me, ctx=table.opened.ctx))
        table.endpoints[name] = Endpoint(role, end.round, me, plan.CODEC)

    table.watch = put_away
    total = table.play({identity.party: np.ones(6, plan.encoding.ring.dtype) for identity in parties.clients})
    assert isinstance(total, Sum)
    assert (total.vector == 4).all()
    assert not table.refused
