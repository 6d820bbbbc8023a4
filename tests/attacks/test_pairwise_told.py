"""A client that tells others a wrong key of their mask and drops out: what they masked with is not what its seed gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from protocols import pairwise
from protocols.pairwise import keys, opening
from protocols.pairwise.mask import pair_sign, tells
from protocols.pairwise.messages import Masked, Reveal
from secagg.crypto.expand import Stream
from secagg.errors import SessionAborted
from secagg.math import shamir
from secagg.roles import Outgoing, Sum, Vector
from secagg.simulate import simulate
from secagg.tally import Tally
from secagg.testing.consortium import Consortium
from secagg.types import PartyId, Secret
from tests.unit.pairwise.rig import VALUES, changing, crowd, lay, lose, vectors_of
from tests.unit.pairwise.stage import Stage

LIAR = 0
WRONG = Secret(b"\x01" * 32)


@pytest.fixture
def parties() -> Consortium:
    return crowd()


def counting(parties: Consortium) -> dict[PartyId, Vector]:
    """Vectors that count themselves, as encoded updates do."""
    made = {me.party: np.full(VALUES + 2, 1000 + place, np.uint32) for place, me in enumerate(parties.clients)}
    for vector in made.values():
        vector[VALUES:] = 1
    return made


def the_sum(parties: Consortium, included: Iterable[PartyId]) -> Vector:
    return np.asarray(sum(counting(parties)[name].astype(np.uint64) for name in included)).astype(np.uint32)


def lying(patch: pytest.MonkeyPatch, liar: PartyId) -> None:
    """`liar` tells everybody a key of its own making."""
    genuine = keys._told

    def told(seeds: Any, records: Any, sid: bytes, *, seat: keys.Seat) -> dict[int, Secret]:
        honest = genuine(seeds, records, sid, seat=seat)
        return dict.fromkeys(honest, WRONG) if seat.me.party == liar else honest

    patch.setattr(keys, "_told", told)


def deaf(patch: pytest.MonkeyPatch) -> None:
    """A server that takes drop-outs' seeds at their word, whatever key others were told."""
    genuine = opening.Rebuilt.add

    def add(self: Any, holder: int, owners: Any, given: Any, told: Mapping[int, Secret]) -> None:
        genuine(self, holder, owners, given, {})

    patch.setattr(opening.Rebuilt, "add", add)


def told_and_gone(parties: Consortium) -> tuple[Sum, tuple[PartyId, ...]]:
    """The sum without the liar, and who is blamed."""
    table = lay(parties)
    changing(parties, table, Masked, lose, by=[LIAR])
    outcome = table.play(counting(parties))
    assert isinstance(outcome, Sum)
    server: Any = table.endpoints[parties.coordinator.party].role
    return outcome, server.blamed


def test_a_wrong_key_told_by_a_drop_out_spoils_no_sum_and_names_it(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    lying(weak, parties.clients[LIAR].party)
    with pytest.MonkeyPatch.context() as weaker:
        deaf(weaker)
        outcome, blamed = told_and_gone(parties)
        assert not np.array_equal(outcome.vector, the_sum(parties, outcome.included)), "masks that its seed does not give stay in the sum"
        assert int(outcome.vector[VALUES]) != len(outcome.included), "only the count shows it"
        assert not blamed
    outcome, blamed = told_and_gone(parties)
    assert len(outcome.included) == 4
    assert np.array_equal(outcome.vector, the_sum(parties, outcome.included))
    assert blamed == (parties.clients[LIAR].party,)


def test_a_key_of_ones_own_making_changes_nothing_while_both_use_it(weak: pytest.MonkeyPatch) -> None:
    lying(weak, PartyId("client-0"))
    updates = [{"a": np.full(VALUES, 0.1 * place, np.float32)} for place in range(5)]
    plan = pairwise.Plan(clients=5, max_weight=1, clip=4.0)
    assert np.allclose(simulate(plan, updates).mean["a"], 0.2, atol=1e-3)
    result = simulate(plan, updates, drop={0: "pairwise/Masked"})
    assert np.allclose(result.mean["a"], 0.25, atol=1e-3)
    assert "lied" in result.left[PartyId("client-0")], "who runs the round hears of it"


def test_a_wrong_key_is_never_released_where_its_victims_cannot_say_so(weak: pytest.MonkeyPatch) -> None:
    lying(weak, PartyId("client-0"))
    updates = [{"a": np.full(VALUES, 0.1 * place, np.float32)} for place in range(8)]
    victim = next(place for place in range(1, 8) if tells(LIAR, place))
    with pytest.raises(SessionAborted, match="TR-C7"):
        simulate(pairwise.Plan(clients=8, max_weight=1, clip=4.0), updates, drop={LIAR: "pairwise/Masked", victim: "pairwise/Reveal"})


def revealing(parties: Consortium, plan: pairwise.Plan, last: int) -> tuple[Stage, list[list[Outgoing]]]:
    """All of ten but the liar have signed their set; what they reveal, that of client `last` after the others."""
    stage = Stage.of(parties, plan)
    asked = [stage.tell(item) for item in stage.until_survivors(silent=(LIAR,))][-1]
    given = {stage.place(item): list(stage.clients[stage.place(item)].receive(stage.params.server, item.message)) for item in asked}
    return stage, [[*given[place]] for place in sorted(given, key=lambda place: (place == last, place))]


def opened_after(stage: Stage, reveals: list[list[Outgoing]], places: list[int]) -> int:
    """After how many reveals the sum is open."""
    for count, (place, said) in enumerate(zip(places, reveals, strict=True), start=1):
        stage.give(place, said)
        if stage.server.result is not None:
            return count
    return 0


def test_the_server_waits_for_a_victim_while_the_count_is_wrong_and_no_longer(weak: pytest.MonkeyPatch) -> None:
    ten, plan = crowd(10), pairwise.Plan(clients=10, ring_bits=32)
    weak.setattr("tests.unit.pairwise.stage.vectors_of", counting)
    victim = next(place for place in range(1, 10) if tells(LIAR, place))
    order = [*(place for place in range(1, 10) if place != victim), victim]
    stage, reveals = revealing(ten, plan, victim)
    assert stage.params.threshold == 7
    assert opened_after(stage, reveals, order) == 7, "with an honest drop-out the sum opens with the threshold"
    lying(weak, ten.clients[LIAR].party)
    stage, reveals = revealing(ten, plan, victim)
    assert opened_after(stage, reveals, order) == 9, "with a liar, once its last victim has said what it was told"
    assert stage.server.result is not None
    assert np.array_equal(stage.server.result.vector, the_sum(ten, stage.server.result.included))
    assert stage.server.blamed == (ten.clients[LIAR].party,)
    stage, reveals = revealing(ten, plan, victim)
    for place, said in zip(order[:-1], reveals[:-1], strict=True):
        stage.give(place, said)
    stage.server.expire()
    assert stage.server.result is not None, "the time of the phase ends the wait"
    assert int(stage.server.result.vector[VALUES]) != 9


def test_a_survivor_that_claims_to_have_been_told_another_key_accuses_nobody_for_good(
    parties: Consortium, weak: pytest.MonkeyPatch
) -> None:
    """It spoils the sum, as it could with its vector. Against the drop-out stands one, and c = 1 may lie."""
    genuine = opening.Rebuilt.add
    accuser = next(place for place in range(1, 5) if tells(LIAR, place))

    def add(self: Any, holder: int, owners: Any, given: Any, told: Mapping[int, Secret]) -> None:
        genuine(self, holder, owners, given, dict.fromkeys(told, WRONG) if holder == accuser else told)

    weak.setattr(opening.Rebuilt, "add", add)
    outcome, blamed = told_and_gone(parties)
    assert int(outcome.vector[VALUES]) != len(outcome.included)
    assert blamed == ()


def test_a_client_gives_back_only_keys_that_drop_outs_told_it(parties: Consortium) -> None:
    """Those of survivors would take a mask off their pair; they are gone before the set is signed."""
    table, sizes = lay(parties), dict[PartyId, int]()

    def measured(message: Reveal) -> Reveal:
        sizes[PartyId(str(len(sizes)))] = len(message.box)
        return message

    changing(parties, table, Reveal, measured)
    assert isinstance(table.play(counting(parties)), Sum)
    assert set(sizes.values()) == {16 + 5 * 33}, "nobody dropped out: shares and nothing else"
    stage = Stage.of(parties)
    for item in stage.until_survivors(silent=(LIAR,)):
        stage.clients[stage.place(item)].receive(stage.params.server, item.message)
        state: Any = stage.clients[stage.place(item)].state.state
        assert len(state.kept) == 5 + tells(LIAR, stage.place(item))


def test_keys_that_survivors_told_would_read_each_of_them_and_are_gone_before_the_set_is_signed(parties: Consortium) -> None:
    stage = Stage.of(parties)
    said = stage.until_survivors()
    states: list[Any] = [client.state.state for client in stage.clients]
    told = {frozenset((holder, teller)): key for holder, state in enumerate(states) for teller, key in state.told.items()}
    own = shamir.combine({place + 1: state.held[0].self_mask for place, state in enumerate(states)}, stage.params.threshold)
    tally = Tally.of(stage.params.ring, stage.unmask(0, None, own))
    tally.apply([(Stream(told[frozenset((0, other))]), -pair_sign(0, other)) for other in range(1, 5)])
    assert (tally.words == vectors_of(parties)[parties.clients[0].party]).all(), "with what all were told, a client is read out of the sum"
    for item in said:
        stage.clients[stage.place(item)].receive(stage.params.server, item.message)
        left: Any = stage.clients[stage.place(item)].state.state
        assert not {key.expose() for key in left.kept} & {key.expose() for key in told.values()}
