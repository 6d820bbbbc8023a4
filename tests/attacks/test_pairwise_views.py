"""Clients that are shown different sets of survivors: what the signatures for one set, and thresholds over all colluders, are there for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocols import pairwise
from protocols.pairwise import opening, params, plan, reveal
from protocols.pairwise.blame import Doubts
from protocols.pairwise.messages import Agreement
from protocols.pairwise.records import bitmap
from secagg.errors import ConfigError, InvalidMessage
from secagg.math import shamir
from secagg.policy import Floors
from secagg.receipt import sign_agreement
from secagg.roles import Vector
from secagg.tally import Tally
from secagg.testing.table import terms
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
    strict = pairwise.Plan(clients=CLIENTS, threshold=THRESHOLD, ring_bits=32, floors=Floors(n_min=7))
    stage = Stage.of(parties, strict)
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
    masks = opening.masks_to_remove(
        opening.Rebuilt(seeds=seeds), wanted, before.session.sid, stage.params, stage.opened.ctx, doubts=Doubts()
    )
    tally.apply(masks)
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


# --- an organisation with many clients ----------------------------------------------------------------------------------------


def read_by_a_cartel() -> tuple[Vector, Vector]:
    """One organisation runs four of ten clients and colludes with the server: its clients sign two sets, with the victim and without."""
    owners = ["victim", *(f"honest-{index}" for index in range(5)), *["cartel"] * 4]
    parties = crowd(10, organisations=owners)
    stage = Stage.of(parties, pairwise.Plan(clients=10, ring_bits=32))
    stage.until_survivors()
    victim, cartel, everybody = 0, range(6, 10), set(range(10))
    held: Any = {place: stage.clients[place].state.state for place in cartel}
    seeds = []
    for told, shown, kind in (((0, 1, 2), everybody, "self_mask"), ((3, 4, 5), everybody - {victim}, "key")):
        named = stage.survivors(shown)
        roots, names = reveal.roots_hash(stage.confirming.session.sid, named), stage.params.names(tuple(sorted(shown)))
        for place in told:
            stage.clients[place].receive(stage.params.server, named)
        signers = sorted((*told, *cartel))
        signed = tuple(sign_agreement(parties.clients[place], stage.opened.ctx.rd, names, roots) for place in signers)
        agreement = Agreement(bitmap(signers, 10), signed)
        shares = {place + 1: getattr(held[place].held[victim], kind) for place in cartel}
        shares |= {place + 1: stage.shares(place, stage.confirming, agreement)[victim] for place in told}
        seeds.append(shamir.combine(shares, 7))
    return stage.unmask(victim, seeds[1], seeds[0]), vectors_of(parties)[parties.clients[victim].party]


def test_an_organisation_colludes_with_all_its_clients() -> None:
    with pytest.MonkeyPatch.context() as weak:
        for module in (params, plan):
            weak.setattr(module, "colluding", lambda organisations, colluders: colluders)
        read, genuine = read_by_a_cartel()
        assert np.array_equal(read, genuine), "with c counted in single clients, one organisation with four of ten reads an update"
    with pytest.raises(InvalidMessage, match="PW-C13"):
        read_by_a_cartel()


def test_the_clients_of_the_largest_organisations_count_as_colluders() -> None:
    assert params.colluding(["a", "b", "c", "d"], 1) == 1
    assert params.colluding(["a", "b", "b", "c", "c", "c"], 2) == 5
    assert params.colluding(["a", "a", "a"], 1) == 2, "one client is honest, or there is nothing to protect"
    assert params.colluding(["a", "b", "c"], 0) == 0
    described = pairwise.Plan(clients=10).describe(terms(values=4), crowd(10, organisations=["a"] * 4 + list("bcdefg")).roster)
    assert (described.floors.threshold, described.quorum, described.floors.colluders) == (8, 8, 1)
    with pytest.raises(ConfigError, match="4 may collude"):
        pairwise.Plan(clients=10, threshold=7).describe(terms(values=4), crowd(10, organisations=["a"] * 4 + list("bcdefg")).roster)
