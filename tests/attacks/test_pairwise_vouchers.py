"""Tags that vouch for a set between two clients: forged, of another set, sent back, wrong or left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols.pairwise import keys, reveal
from protocols.pairwise.mask import tells
from protocols.pairwise.messages import Agreement, Confirm
from protocols.pairwise.records import bitmap
from secagg.errors import InvalidMessage
from secagg.roles import Outgoing, Sum
from secagg.testing.consortium import Consortium
from secagg.types import Secret
from tests.unit.pairwise.rig import changing, crowd, lay, vectors_of
from tests.unit.pairwise.stage import Stage

NO_SIGNATURE = bytes(64)


@pytest.fixture
def parties() -> Consortium:
    return crowd()


def confirmed(stage: Stage, place: int, chosen: Sequence[int]) -> Confirm:
    """What a client says for a set of the server's choice."""
    message = stage.clients[place].receive(stage.params.server, stage.survivors(chosen))[0].message
    assert isinstance(message, Confirm)
    return message


def asked(stage: Stage, own: Confirm, tags: Sequence[bytes]) -> list[Outgoing]:
    """Client 0 is asked for its shares, with tags but without a signature of anybody else."""
    signatures = (own.signature, *[NO_SIGNATURE] * len(tags))
    agreement = Agreement(bitmap(range(len(tags) + 1), stage.params.size), signatures, tuple(tags))
    return list(stage.clients[0].receive(stage.params.server, agreement))


def on_forged_tags(parties: Consortium) -> list[Outgoing]:
    stage = Stage.of(parties)
    stage.until_survivors()
    return asked(stage, confirmed(stage, 0, range(5)), [bytes(16)] * 3)


def test_a_tag_that_nobody_made_opens_no_share(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    weak.setattr(reveal, "vouches", lambda *arguments: True)
    assert on_forged_tags(parties), "a client that takes any tag gives its shares to a server that stands alone"
    weak.undo()
    with pytest.raises(InvalidMessage, match="PW-C14"):
        on_forged_tags(parties)


def on_tags_for_another_set(parties: Consortium) -> list[Outgoing]:
    """Clients 1 to 3 vouch for a set without client 4; client 0 is shown the set of all five, with their tags."""
    stage = Stage.of(parties)
    stage.until_survivors()
    own, *others = [confirmed(stage, place, range(4) if place else range(5)) for place in range(4)]
    return asked(stage, own, [other.tags[0] for other in others])


def test_tags_for_another_set_open_no_share(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    weak.setattr(reveal, "vouched_for", lambda ctx, roots: b"a set")
    assert on_tags_for_another_set(parties), "tags that name no set let the server show two"
    weak.undo()
    with pytest.raises(InvalidMessage, match="PW-C14"):
        on_tags_for_another_set(parties)


def on_its_own_tags(parties: Consortium) -> list[Outgoing]:
    stage = Stage.of(parties)
    stage.until_survivors()
    own = confirmed(stage, 0, range(5))
    return asked(stage, own, own.tags[:3])


def test_a_client_is_not_convinced_by_its_own_tags(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    genuine = keys._channels

    def undirected(agreeing: Any, records: Any, sid: bytes, *, seat: keys.Seat) -> Any:
        return [(min(pair, key=Secret.expose),) * 2 for pair in genuine(agreeing, records, sid, seat=seat)]

    weak.setattr(keys, "_channels", undirected)
    assert on_its_own_tags(parties), "with one key for both directions a client vouches to itself"
    weak.undo()
    with pytest.raises(InvalidMessage, match="PW-C14"):
        on_its_own_tags(parties)


@pytest.mark.parametrize("tags", [(bytes(16),) * 4, ()], ids=["wrong", "left out"])
def test_a_client_with_wrong_tags_or_none_stops_nobody(parties: Consortium, tags: tuple[bytes, ...]) -> None:
    table = lay(parties)
    changing(parties, table, Confirm, lambda message: replace(message, tags=tags), by=[1])
    outcome = table.play(vectors_of(parties))
    assert isinstance(outcome, Sum)
    assert len(outcome.included) == 5
    assert not table.refused


def test_tags_that_a_server_strips_are_not_needed(parties: Consortium) -> None:
    table = lay(parties)
    changing(parties, table, Agreement, lambda message: replace(message, tags=()))
    outcome = table.play(vectors_of(parties))
    assert isinstance(outcome, Sum)
    assert not table.refused


@pytest.mark.parametrize("count", [3, 5])
def test_a_number_of_tags_that_is_not_that_of_the_others_is_refused(parties: Consortium, count: int) -> None:
    table = lay(parties)
    changing(parties, table, Confirm, lambda message: replace(message, tags=(bytes(16),) * count), by=[1])
    table.play(vectors_of(parties))
    assert [error.check for _, error in table.refused if isinstance(error, InvalidMessage)] == ["PW-S9"]


def test_a_key_that_is_told_is_the_one_that_both_could_work_out(parties: Consortium) -> None:
    """So the server finds it from the seed of either, whoever of the two drops out."""
    for silent in range(5):
        stage = Stage.of(parties)
        for item in stage.until_survivors(silent=(silent,)):
            for agreement in stage.tell(item):
                for answer in stage.clients[stage.place(agreement)].receive(stage.params.server, agreement.message):
                    stage.give(stage.place(agreement), [answer])
        total, vectors = stage.server.result, list(vectors_of(parties).values())
        assert total is not None
        assert np.array_equal(total.vector, sum(vector for place, vector in enumerate(vectors) if place != silent))


def test_half_of_all_pairs_fall_to_each_client() -> None:
    for size in (2, 5, 100):
        told = [sum(tells(place, other) for other in range(size) if other != place) for place in range(size)]
        assert sum(told) == size * (size - 1) // 2
        assert max(told) - min(told) <= 1
