"""Clients that mask with a part of the others and never sign: the server withholds boxes and still names them in the set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols import pairwise
from protocols.pairwise import opening
from protocols.pairwise.blame import Doubts
from protocols.pairwise.degree import numbers
from protocols.pairwise.graph import Graph
from protocols.pairwise.messages import Inbox
from protocols.pairwise.params import Params
from protocols.pairwise.records import bitmap, places
from secagg.errors import InvalidMessage
from secagg.math import shamir
from secagg.roles import Vector
from secagg.tally import Tally
from secagg.types import Secret
from tests.unit.pairwise.rig import VALUES, crowd, vectors_of
from tests.unit.pairwise.stage import Stage

DEGREE, COLLUDERS = 6, 2


def graph_of(stage: Stage) -> Graph:
    return stage.server.state.session.graph  # type: ignore[union-attr]


def read(stage: Stage, part: set[int], *, quiet: set[int], colluders: set[int], withheld: set[int]) -> Vector:
    """The quiet are given no boxes of the withheld and are not asked to sign. What the server then makes of the vectors of `part`."""
    inboxes, graph = stage.until_inbox(), graph_of(stage)
    own: dict[int, Secret] = {place: stage.clients[place].state.state.seeds.key for place in colluders}  # type: ignore[union-attr]
    for item in inboxes:
        place, message = stage.place(item), item.message
        assert isinstance(message, Inbox)
        if place in quiet:
            others = [other for other in graph.circle(place) if other != place]
            found = places(message.present, len(others), check="", culprit=stage.params.server)
            kept = [index for index in found if others[index] not in withheld]
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
    seeds = own | {owner: shamir.combine(rebuilt[owner], stage.params.threshold) for owner in part}
    tally = Tally.zero(stage.params.ring, stage.params.length)
    for place in part:
        stage.params.ring.add_into(tally.words, stage.masked(place, before))
    wanted = replace(before.wanted, survivors=frozenset(part), dropped=frozenset(colluders))
    known = opening.Rebuilt(seeds=seeds)
    tally.apply(opening.masks_to_remove(known, wanted, before.session.sid, stage.params, stage.opened.ctx, doubts=Doubts()))
    return tally.words


# --- on the complete graph -----------------------------------------------------------------------------------------------------


def alone(withheld: set[int]) -> Vector:
    """Client 0 of five, where client 4 colludes and the other three sign a set with both in it."""
    stage = Stage.of(crowd(), pairwise.Plan(clients=5, ring_bits=32))
    return read(stage, {0}, quiet={0}, colluders={4}, withheld=withheld)


def test_a_client_masks_with_too_many_to_be_read_alone() -> None:
    with pytest.MonkeyPatch.context() as weak:
        weak.setattr(Params, "enough", lambda self, chosen, least: True)
        assert (alone({1, 2, 3})[:VALUES] == 1000).all(), "who masks with colluders only is read, though three honest ones have signed"
    for withheld in ({1, 2, 3}, {1, 2}):
        with pytest.raises(InvalidMessage, match="PW-C8"):
            alone(withheld)
    assert len(np.unique(alone({1}))) == VALUES + 2, "who masks with t is masked by an honest one that has signed"


# --- on a sparse graph ---------------------------------------------------------------------------------------------------------


def cut_in_two(threshold: int) -> tuple[Vector, int]:
    """Two gaps of k/2 on the circle, a colluder in each. Who else stands there masks with one side only.

    That side, the first of the other side and the colluder hold t shares of its self-mask.
    """
    numbered: dict[str, Any] = {"degree": DEGREE, "threshold": threshold, "quorum": 12, "spots": 12, "run": 3, "colluders": COLLUDERS}
    stage, order = Stage.of(crowd(16), pairwise.Plan(clients=16, ring_bits=32), **numbered), order_of(numbered)
    quiet = {*order[1:3], *order[8:10]}
    part = {*order[3:8], *quiet}
    words = read(stage, part, quiet=quiet, colluders={order[0], order[10]}, withheld=set(order[11:]))
    return words, sum(1000 + place for place in part)


def order_of(numbered: dict[str, Any]) -> tuple[int, ...]:
    """How the same clients stand on the circle: it follows from their adverts."""
    stage = Stage.of(crowd(16), pairwise.Plan(clients=16, ring_bits=32), **numbered)
    stage.until_inbox()
    return graph_of(stage).order


def test_clients_that_never_sign_do_not_cut_the_circle() -> None:
    least = DEGREE // 2 + 2 + COLLUDERS // 2
    part, expected = cut_in_two(least - 1)
    assert (part[:VALUES] == expected).all(), "with 2t > (k + 1) + x alone the server reads nine of the sixteen that were agreed on"
    with pytest.raises(InvalidMessage, match="PW-C8"):
        cut_in_two(least)


@pytest.mark.parametrize("clients", [500, 1000, 10_000])
def test_two_colluders_are_too_few_for_two_gaps(clients: int) -> None:
    found = numbers(clients, clients - clients // 10, COLLUDERS)
    assert found.threshold >= found.degree // 2 + 2 + COLLUDERS // 2
