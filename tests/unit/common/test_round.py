"""The round description: what a party refuses to take part in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocols import additive
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, MalformedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Floors, Policy
from secagg.round import Round, RoundDescription, open_round, round_digest, sign_round
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, terms
from secagg.types import Context, PartyId
from secagg.wire.v1 import common_pb2 as pb

PLAN = additive.Plan(clients=4, aggregators=2)


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return consortium(4, 2, now=NOW, entropy=InsecureEntropy("round"), kem=0x20)


def described(parties: Consortium, **changes: object) -> RoundDescription:
    return replace(PLAN.describe(terms(values=10), parties.roster), **changes)  # type: ignore[arg-type]


def opened(
    parties: Consortium, description: RoundDescription, policy: Policy | None = None, *, now: float = NOW, by: Identity | None = None
) -> Round:
    signed = sign_round(description, by or parties.coordinator).signed()
    return open_round(signed, parties.clients[0], policy or Policy(), now=now)


def test_a_description_survives_its_bytes(parties: Consortium) -> None:
    description = described(parties)
    assert RoundDescription.parse(description.to_bytes()) == replace(
        description, encoding=replace(description.encoding, ring_bits=description.encoding.ring.bits)
    )
    assert opened(parties, description).ctx.rd == round_digest(description.to_bytes())


@pytest.mark.check("RD-C1")
def test_a_round_for_another_roster_is_refused(parties: Consortium) -> None:
    with pytest.raises(InvalidMessage, match="RD-C1"):
        opened(parties, described(parties, roster_hash=bytes(32)))


@pytest.mark.check("RD-C2")
def test_only_the_coordinator_describes_rounds(parties: Consortium) -> None:
    with pytest.raises(InvalidMessage, match="RD-C2"):
        opened(parties, described(parties), by=parties.aggregators[0])
    with pytest.raises(InvalidMessage, match=r"RD-C2.*not the coordinator"):
        opened(parties, described(parties, coordinator=parties.aggregators[0].party), by=parties.aggregators[0])


@pytest.mark.check("RD-C3")
def test_a_party_joins_only_rounds_that_name_it(parties: Consortium) -> None:
    without = tuple(identity.party for identity in parties.clients[1:])
    with pytest.raises(InvalidMessage, match="RD-C3"):
        opened(parties, described(parties, cohort=without, quorum=3))


@pytest.mark.check("RD-C4")
def test_every_party_of_a_round_has_its_role_in_the_roster(parties: Consortium) -> None:
    clients, aggregators = [identity.party for identity in parties.clients], [identity.party for identity in parties.aggregators]
    with pytest.raises(InvalidMessage, match="RD-C4"):
        opened(parties, described(parties, cohort=(*clients[:3], aggregators[0])))
    with pytest.raises(InvalidMessage, match="RD-C4"):
        opened(parties, described(parties, servers=(aggregators[0], clients[3])))
    with pytest.raises(InvalidMessage, match="RO-C1"):
        opened(parties, described(parties, cohort=(*clients[:3], PartyId("stranger"))))
    with pytest.raises(InvalidMessage, match="RO-C2"):
        opened(parties, described(parties), now=NOW + 400 * 86_400)


@pytest.mark.check("RD-C5")
@pytest.mark.parametrize("own", [Floors(n_min=4), Floors(colluders=2), Floors(h_min=3), Floors(threshold=3)])
def test_a_party_aborts_rather_than_lower_its_floors(parties: Consortium, own: Floors) -> None:
    with pytest.raises(InvalidMessage, match="RD-C5"):
        opened(parties, described(parties), Policy(floors=own))


@pytest.mark.check("RD-C6")
def test_a_cohort_below_the_floor_is_refused(parties: Consortium) -> None:
    with pytest.raises(InvalidMessage, match="RD-C6"):
        opened(parties, described(parties, floors=Floors(n_min=5)))


@pytest.mark.check("RD-C7")
@pytest.mark.parametrize(
    "policy",
    [
        Policy(protocols=frozenset({"pairwise"})),
        Policy(tasks=frozenset({"other"})),
        Policy(min_bits=20),
        Policy(min_servers=3),
        Policy(max_values=9),
        Policy(max_inputs=0),
    ],
)
def test_a_round_outside_the_partys_policy_is_refused(parties: Consortium, policy: Policy) -> None:
    with pytest.raises(InvalidMessage, match="RD-C7"):
        opened(parties, described(parties), policy)


def context(round: int, attempt: int, rd: bytes = bytes(32)) -> Context:
    return Context(rd, "task", round, attempt)


@pytest.mark.check("RD-C8")
def test_rounds_and_attempts_only_move_forward() -> None:
    ledger = Ledger()
    ledger.enter(context(2, 1))
    ledger.enter(context(2, 2))
    assert ledger.latest("task") == (2, 2)
    for earlier in (context(1, 9), context(2, 1)):
        with pytest.raises(InvalidMessage, match="RD-C8"):
            ledger.enter(earlier)


@pytest.mark.check("RD-C9")
def test_a_second_description_for_a_round_is_refused_after_a_restart_too(tmp_path: object) -> None:
    path = f"{tmp_path}/ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.enter(context(1, 1))
        ledger.enter(context(1, 1))
    with Ledger(path) as ledger, pytest.raises(InvalidMessage, match="RD-C9"):
        ledger.enter(context(1, 1, rd=b"\x01" * 32))


def release(
    ledger: Ledger, names: str, *, attempt: int = 1, model: bytes = b"m", terms: bytes = b"t", roots: bytes = bytes(32), round: int = 1
) -> None:
    ledger.release(context(round, attempt), [PartyId(name) for name in names], roots, model=model, terms=terms)


@pytest.mark.check("RD-C10")
def test_from_one_model_only_one_set_is_summed_under_one_encoding() -> None:
    ledger = Ledger()
    release(ledger, "abcdef")
    release(ledger, "abcdef", attempt=2, roots=b"\x01" * 32)
    for names, under in (("abcde", b"t"), ("abcdefg", b"t"), ("uvwxyz", b"t"), ("abcdef", b"another clip")):
        with pytest.raises(InvalidMessage, match="RD-C10"):
            release(ledger, names, attempt=3, terms=under)
        with pytest.raises(InvalidMessage, match="RD-C10"):
            release(ledger, names, round=2, terms=under)
    release(ledger, "abcde", round=2, model=b"the next model")


@pytest.mark.check("RD-C11")
def test_a_batch_is_collected_once(tmp_path: object) -> None:
    path = f"{tmp_path}/ledger.sqlite"
    with Ledger(path) as ledger:
        release(ledger, "abc")
    with Ledger(path) as ledger:
        release(ledger, "abc")
        with pytest.raises(InvalidMessage, match="RD-C11"):
            release(ledger, "abc", roots=b"\x01" * 32)


def test_a_ledger_that_cannot_be_written_says_so_before_anything_is_sent(tmp_path: object) -> None:
    ledger = Ledger(f"{tmp_path}/ledger.sqlite")
    ledger._db.execute("PRAGMA query_only=ON")
    with pytest.raises(ConfigError, match="nothing was sent"):
        ledger.enter(context(1, 1))
    ledger.close()
    with pytest.raises(ConfigError, match="nothing was sent"):
        ledger.use(context(1, 1), "slot", b"digest")


def test_the_substance_of_a_description_is_all_but_names_times_and_cohort(parties: Consortium) -> None:
    description = described(parties)
    same = replace(description, attempt=9, round=7, task="other", nonce=b"\x01" * 16, submit_seconds=1, finish_seconds=2, quorum=3)
    assert same.substance == description.substance
    encoding = replace(description.encoding, clip=2.0)
    for other in (
        replace(description, encoding=encoding),
        replace(description, layout=b"\x01" * 32),
        replace(description, floors=Floors(colluders=2)),
    ):
        assert other.substance != description.substance


def test_a_slot_is_used_once_and_remembered(tmp_path: object) -> None:
    path = f"{tmp_path}/ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.use(context(1, 1), "report", b"one")
    with Ledger(path) as ledger:
        assert ledger.used(context(1, 1), "report") == b"one"
        ledger.use(context(1, 1), "report", b"one")
        with pytest.raises(LocalProtocolError, match="not used twice"):
            ledger.use(context(1, 1), "report", b"two")
    with pytest.raises(ConfigError, match="cannot open the ledger"):
        Ledger(f"{tmp_path}/no/such/folder/ledger.sqlite")


@pytest.mark.parametrize("floors", [{"n_min": 2}, {"h_min": 1}, {"colluders": -1}])
def test_floors_that_would_uncover_a_party_cannot_be_set(floors: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="n_min must be at least 3"):
        Floors(**floors)


@pytest.mark.parametrize(
    "damage",
    [
        lambda wire: wire.ClearField("inputs"),
        lambda wire: wire.inputs.append(wire.inputs[0]),
        lambda wire: setattr(wire, "quorum", 99),
        lambda wire: setattr(wire, "nonce", b"short"),
        lambda wire: setattr(wire, "layout", b"short"),
        lambda wire: setattr(wire, "submit_ms", 0),
        lambda wire: setattr(wire.floors, "n_min", 1),
        lambda wire: setattr(wire.encoding, "ring_bits", 16),
        lambda wire: setattr(wire.encoding, "bits", 60),
        lambda wire: setattr(wire.encoding, "max_parties", 3),
        lambda wire: wire.cohort.append(wire.cohort[0]),
    ],
)
def test_a_description_out_of_range_is_malformed(parties: Consortium, damage: object) -> None:
    wire = pb.RoundDescription.FromString(described(parties).to_bytes())
    damage(wire)  # type: ignore[operator]
    with pytest.raises(MalformedMessage):
        RoundDescription.parse(wire.SerializeToString(deterministic=True))


def test_a_parameter_set_is_a_short_name_that_the_hash_covers(parties: Consortium) -> None:
    plain, named = (described(parties, parameters=name) for name in ("", "n4096-q56"))
    assert RoundDescription.parse(named.to_bytes()).parameters == "n4096-q56"
    assert plain.substance != named.substance
    for bad in ("N4096", "a" * 33, "-a", "n4096 q56", "n4096\n"):
        with pytest.raises(MalformedMessage, match="parameter set"):
            RoundDescription.parse(described(parties, parameters=bad).to_bytes())
