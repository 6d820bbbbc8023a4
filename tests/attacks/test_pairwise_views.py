"""Clients that are shown different sets of survivors: the attack that the signatures for one set are there for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols import pairwise
from protocols.pairwise import opening, reveal
from secagg.errors import InvalidMessage
from secagg.math import shamir
from secagg.policy import Floors
from secagg.roles import Vector
from secagg.tally import Tally
from secagg.types import Secret
from tests.unit.pairwise.rig import crowd, vectors_of
from tests.unit.pairwise.stage import Stage, blank

CLIENTS, THRESHOLD = 12, 7
ALIVE, DROPPED = range(4), range(4, 12)


def view(place: int) -> set[int]:
    """The set that one client is shown: seven clients and itself among them, as every client demands.

    Five of the eight are left out, for each client another five, so that each of the eight is left out of seven of the twelve sets.
    """
    first = 5 * place if place in ALIVE else place - 4 + 1
    return set(range(CLIENTS)) - {4 + (first + step) % 8 for step in range(5)}


def sum_of_four() -> tuple[Vector, Vector]:
    """Seven give a key share of each of the eight, all twelve a self-mask share of each of the four: the four are summed alone."""
    parties = crowd(CLIENTS)
    plan = pairwise.Plan(clients=CLIENTS, threshold=THRESHOLD, ring_bits=32, floors=Floors(n_min=7))
    stage = Stage.of(parties, plan)
    stage.until_survivors()
    before, shares = stage.confirming, dict[int, dict[int, Secret]]()
    for place in range(CLIENTS):
        shown = view(place)
        for owner, share in stage.shares_of(place, stage.survivors(shown), blank(stage, THRESHOLD, sorted(shown))).items():
            if (owner in ALIVE) or owner not in shown:
                shares.setdefault(owner, {})[place + 1] = share
    seeds = {owner: shamir.combine(given, THRESHOLD) for owner, given in shares.items()}
    tally = Tally.zero(stage.params.ring, stage.params.length)
    for place in ALIVE:
        stage.params.ring.add_into(tally.words, stage.masked(place, before))
    wanted = replace(before.wanted, survivors=frozenset(ALIVE), dropped=frozenset(DROPPED))
    tally.apply(opening.masks_to_remove(seeds, wanted, before.session.sid, stage.params, stage.opened.ctx))
    return tally.words, sum(list(vectors_of(parties).values())[:4], np.zeros_like(tally.words))


def test_every_view_is_one_that_a_client_takes() -> None:
    assert all(place in view(place) and len(view(place)) == THRESHOLD for place in range(CLIENTS))
    assert all(sum(owner not in view(place) for place in range(CLIENTS)) >= THRESHOLD for owner in DROPPED)


def test_views_that_differ_never_open_a_set_below_the_floor() -> None:
    with pytest.MonkeyPatch.context() as weak:
        weak.setattr(reveal, "check_agreement", lambda *arguments, **named: None)
        opened, four = sum_of_four()
        assert np.array_equal(opened, four), "without signatures for one set, four are summed where every client demands seven"
    with pytest.raises(InvalidMessage, match="PW-C14"):
        sum_of_four()
