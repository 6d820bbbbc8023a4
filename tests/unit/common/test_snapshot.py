"""Snapshots: a round whose every party is put away and restored between any two messages ends with the same sum."""

from __future__ import annotations

import numpy as np
import pytest

from protocols import additive
from secagg.crypto.derive import derive
from secagg.endpoint import Endpoint
from secagg.errors import ConfigError, LocalProtocolError
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.roles import Sum
from secagg.snapshot import open_state, seal_state
from secagg.testing.conformance import Case
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import Table
from secagg.types import Context, PartyId, Secret

ENTROPY = InsecureEntropy("snapshot")


def put_away_and_restore(case: Case, table: Table, name: PartyId) -> None:
    """What an FL framework does between two messages: only bytes survive."""
    end, me, ctx = table.endpoints[name], case.parties.identity(name), table.opened.ctx
    sealed = seal_state(end.role.state, me=me, ctx=ctx, entropy=ENTROPY)
    role = case.plan.role(end.round, me, policy=Policy(), ledger=Ledger(), entropy=ENTROPY)
    role.resume(open_state(sealed, case.plan.STATES, me=me, ctx=ctx))
    table.endpoints[name] = Endpoint(role, end.round, me, case.plan.CODEC)


@pytest.mark.parametrize("seed", range(4))
def test_a_round_survives_being_put_away_between_any_two_messages(seed: int) -> None:
    case = Case.of(additive.Plan(clients=4, aggregators=3), clients=4, aggregators=3, due={})
    table, vectors = case.table(seed), case.vectors()
    table.watch = lambda table, packet: put_away_and_restore(case, table, packet.header.recipient)
    total = table.play(vectors)
    assert isinstance(total, Sum)
    assert np.array_equal(total.vector, sum(vectors.values()))
    assert not table.refused


def secret_state() -> tuple[Case, Table, object]:
    case = Case.of(additive.Plan(clients=3, aggregators=2), clients=3, aggregators=2, due={})
    table = case.table()
    held: list[object] = []

    def keep(table: Table, packet: object) -> None:
        role = table.endpoints[case.parties.aggregators[1].party].role
        if getattr(role.state, "held", None):
            held.append(role.state)

    table.watch = keep
    table.play(case.vectors())
    return case, table, held[0]


def test_a_snapshot_shows_no_secret_and_opens_for_its_party_and_round_only() -> None:
    case, table, state = secret_state()
    me, other, ctx = case.parties.aggregators[1], case.parties.aggregators[0], table.opened.ctx
    sealed = seal_state(state, me=me, ctx=ctx, entropy=ENTROPY)
    held = next(iter(state.held.values()))  # type: ignore[attr-defined]
    assert held.secret.expose() not in sealed
    open_state(sealed, case.plan.STATES, me=me, ctx=ctx)
    later = Context(b"\x01" * 32, ctx.task, ctx.round, ctx.attempt)
    for opener, when in ((other, ctx), (me, later)):
        with pytest.raises(ConfigError, match="not a snapshot"):
            open_state(sealed, case.plan.STATES, me=opener, ctx=when)
    with pytest.raises(ConfigError, match="not a snapshot"):
        open_state(sealed[:-1], case.plan.STATES, me=me, ctx=ctx)
    with pytest.raises(ConfigError, match="does not know"):
        open_state(sealed, (), me=me, ctx=ctx)


def test_only_values_with_a_form_can_be_put_away() -> None:
    case, table, _ = secret_state()
    with pytest.raises(LocalProtocolError, match="cannot stand in a snapshot"):
        seal_state(object(), me=case.parties.clients[0], ctx=table.opened.ctx, entropy=ENTROPY)


def test_a_role_resumes_its_own_states_and_only_when_fresh() -> None:
    case, table, state = secret_state()
    client = table.endpoints[case.parties.clients[0].party].role
    with pytest.raises(LocalProtocolError):
        client.resume(state)


def test_a_secret_prints_and_pickles_nothing() -> None:
    import copy
    import pickle

    secret = Secret(b"very secret bytes")
    assert "very" not in f"{secret!r} {secret} {[secret]}"
    assert secret == Secret(b"very secret bytes") != Secret(b"other")
    for act in (pickle.dumps, copy.copy, hash):
        with pytest.raises(TypeError):
            act(secret)
    assert derive(secret, salt=b"a", label="x") != derive(secret, salt=b"b", label="x") != derive(secret, salt=b"b", label="y")
