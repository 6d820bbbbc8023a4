"""A sparse graph cut in two by clients that never sign: where the threshold is too low, the near side and a colluder have t shares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocols import pairwise
from protocols.pairwise import opening
from protocols.pairwise.blame import Doubts
from protocols.pairwise.degree import numbers
from protocols.pairwise.messages import Inbox
from protocols.pairwise.records import bitmap, places
from secagg.errors import InvalidMessage
from secagg.math import shamir
from secagg.roles import Vector
from secagg.tally import Tally
from secagg.types import Secret
from tests.unit.pairwise.rig import VALUES, crowd, vectors_of
from tests.unit.pairwise.stage import Stage

CLIENTS, DEGREE, COLLUDERS = 16, 6, 2


def cut_by_the_quiet(threshold: int) -> tuple[Vector, int]:
    """Two gaps of k/2 on the circle, a colluder in each. Who else stands there is not given the boxes from beyond, and never asked to sign.

    It masks with one side only. The other side, the near one and both colluders hold t shares of its self-mask.
    """
    stage = Stage.of(
        crowd(CLIENTS),
        pairwise.Plan(clients=CLIENTS, ring_bits=32),
        degree=DEGREE,
        threshold=threshold,
        quorum=12,
        spots=12,
        run=3,
        colluders=COLLUDERS,
    )
    inboxes = stage.until_inbox()
    graph = stage.server.state.session.graph  # type: ignore[union-attr]
    order = graph.order
    colluders, quiet, beyond = {order[0], order[10]}, {*order[1:3], *order[8:10]}, set(order[11:])
    own: dict[int, Secret] = {place: stage.clients[place].state.state.seeds.key for place in colluders}  # type: ignore[union-attr]
    for item in inboxes:
        place, message = stage.place(item), item.message
        assert isinstance(message, Inbox)
        if place in quiet:
            others = [other for other in graph.circle(place) if other != place]
            found = places(message.present, len(others), check="", culprit=stage.params.server)
            kept = [index for index in found if others[index] not in beyond]
            message = Inbox(bitmap(kept, len(others)), tuple(message.boxes[found.index(index)] for index in kept))
        stage.clients[place].receive(stage.params.server, message)
    named, vectors = [], list(vectors_of(stage.parties).values())
    for place, client in enumerate(stage.clients):
        (upload,) = client.contribute(vectors[place], version=0)
        stage.uploads[place] = upload.message  # type: ignore[assignment]
        named = stage.give(place, [upload])
    before = stage.confirming
    for item in named:
        if stage.place(item) not in quiet:
            stage.tell(item)
    rebuilt: dict[int, dict[int, Secret]] = {}
    for item in stage.server.expire():
        for owner, share in stage.shares(stage.place(item), before, item.message).items():
            rebuilt.setdefault(owner, {})[stage.place(item) + 1] = share
    part = frozenset({*order[3:8], *quiet})
    seeds = own | {owner: shamir.combine(rebuilt[owner], threshold) for owner in part}
    tally = Tally.zero(stage.params.ring, stage.params.length)
    for place in part:
        stage.params.ring.add_into(tally.words, stage.masked(place, before))
    wanted = replace(before.wanted, survivors=part, dropped=frozenset(colluders))
    known = opening.Rebuilt(seeds=seeds)
    tally.apply(opening.masks_to_remove(known, wanted, before.session.sid, stage.params, stage.opened.ctx, doubts=Doubts()))
    return tally.words, sum(1000 + place for place in part)


def test_clients_that_never_sign_do_not_cut_the_circle() -> None:
    least = DEGREE // 2 + 2 + COLLUDERS // 2
    part, expected = cut_by_the_quiet(least - 1)
    assert (part[:VALUES] == expected).all(), "with 2t > (k + 1) + x alone the server reads nine of the sixteen that were agreed on"
    with pytest.raises(InvalidMessage, match="PW-C8"):
        cut_by_the_quiet(least)


@pytest.mark.parametrize("clients", [500, 1000, 10_000])
def test_two_colluders_are_too_few_for_two_gaps(clients: int) -> None:
    found = numbers(clients, clients - clients // 10, COLLUDERS)
    assert found.threshold >= found.degree // 2 + 2 + COLLUDERS // 2
