"""The numbers of the sparse graph: exact tails, safe thresholds, slow growth; and the graph that they shape."""

from __future__ import annotations

import re
from fractions import Fraction
from math import comb
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.pairwise import degree
from protocols.pairwise.degree import _most_marked, numbers, spot_checks
from protocols.pairwise.graph import Graph
from secagg.errors import ConfigError
from secagg.types import Context

CTX = Context(bytes(32), "graph", 1, 1)


def chance(population: int, marked: int, drawn: int, above: int) -> Fraction:
    """P[X > above], by its definition."""
    ways = sum(comb(marked, count) * comb(population - marked, drawn - count) for count in range(above + 1, min(marked, drawn) + 1))
    return Fraction(ways, comb(population, drawn))


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 40), st.data())
def test_the_tail_is_that_of_the_hypergeometric_distribution(population: int, data: st.DataObject) -> None:
    marked, drawn = data.draw(st.integers(0, population)), data.draw(st.integers(0, population))
    odds = data.draw(st.integers(2, 1 << 20))
    most = _most_marked(population, marked, drawn, odds)
    assert chance(population, marked, drawn, most) * odds <= 1
    assert most == max(0, drawn + marked - population) or chance(population, marked, drawn, most - 1) * odds > 1


@pytest.mark.parametrize("clients", [65, 100, 300, 1000, 10_000])
@pytest.mark.parametrize("share", [0, 20, 10, 5])
def test_the_numbers_are_safe_and_finish(clients: int, share: int) -> None:
    """Each of the five laws of docs/spec/pairwise.md, counted anew."""
    quorum, colluders = clients - clients // 10, max(1, clients // share if share else 1)
    found = numbers(clients, quorum, colluders)
    held, half, dropped = found.degree + 1, found.degree // 2, clients - quorum
    most = 2 * found.threshold - held - 1
    assert quorum * chance(quorum - 1, colluders, found.degree, most) <= Fraction(1, 1 << 42), "t of both kinds within reach"
    assert quorum * chance(quorum, colluders, half, found.run - 1) <= Fraction(1, 1 << 42), "a run of colluders"
    quiet = found.threshold - half - 1
    pairs = (quorum * chance(quorum, colluders, half, quiet - 1)) ** 2 / 2
    assert 2 * quiet > colluders or pairs <= Fraction(1, 1 << 43), "two runs in which colluders alone complete t shares"
    assert clients * chance(clients - 1, dropped, found.degree, found.degree - found.threshold) <= Fraction(1, 1 << 21)
    assert clients * chance(clients, dropped, half, half - found.run) <= Fraction(1, 1 << 21)
    assert found.degree % 2 == 0
    assert found.degree < quorum - 1


def test_the_degree_grows_with_the_logarithm_of_the_cohort() -> None:
    degrees = [numbers(clients, clients - clients // 10, 1).degree for clients in (100, 1000, 10_000)]
    assert degrees == sorted(degrees)
    assert degrees[-1] <= 2 * degrees[0] + 2


def test_more_colluders_and_stricter_bounds_need_more_neighbours() -> None:
    assert numbers(1000, 900, 1).degree < numbers(1000, 900, 50).degree < numbers(1000, 900, 100).degree
    assert numbers(1000, 900, 100).degree < numbers(1000, 900, 100, security_bits=80).degree
    assert numbers(1000, 900, 1).degree < numbers(1000, 800, 1).degree


def test_the_table_in_the_docstring_is_what_the_function_gives() -> None:
    rows = re.findall(r"^ +(\d+) {4}(\d.*)$", degree.__doc__ or "", re.MULTILINE)
    assert len(rows) == 8
    for row, cells in rows:
        clients = int(row)
        for cell, colluders in zip(re.split(r"  +", cells.strip()), (1, clients // 20, clients // 10, clients // 5), strict=True):
            found = numbers(clients, clients - clients // 10, colluders)
            assert cell == f"{found.degree}, {found.threshold}, {found.run}", (clients, colluders)


def test_the_table_in_the_specification_is_what_the_functions_give() -> None:
    page = (Path(__file__).parents[3] / "docs/spec/pairwise.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d,]+) \| (\d+, \d+, .*) \|$", page, re.MULTILINE)
    assert [int(row.replace(",", "")) for row, _ in rows] == [65, 100, 200, 500, 1000, 2000, 5000, 10_000]
    for row, cells in rows:
        clients = int(row.replace(",", ""))
        quorum = clients - clients // 10
        for cell, colluders in zip(cells.split(" | "), (1, clients // 20, clients // 10, clients // 5), strict=True):
            found, drawn = numbers(clients, quorum, colluders), spot_checks(clients, quorum, colluders)
            assert cell == f"{found.degree}, {found.threshold}, {found.run} · {drawn}", (clients, colluders)


def test_where_no_sparse_graph_will_do_it_says_so() -> None:
    with pytest.raises(ConfigError, match="complete graph"):
        numbers(70, 63, 30)
    with pytest.raises(ConfigError, match="colluders < quorum"):
        numbers(70, 63, 63)


@pytest.mark.parametrize(("clients", "quorum", "colluders"), [(65, 58, 1), (1000, 900, 100), (10_000, 9000, 2000)])
def test_enough_signatures_are_drawn(clients: int, quorum: int, colluders: int) -> None:
    drawn = spot_checks(clients, quorum, colluders)
    passed = Fraction(clients + colluders, 2 * quorum)
    assert drawn == quorum or clients * passed**drawn <= Fraction(1, 1 << 41)
    assert clients * passed ** (drawn - 1) > Fraction(1, 1 << 41)


def test_two_lists_that_could_both_be_signed_are_refused() -> None:
    with pytest.raises(ConfigError, match="both be signed"):
        spot_checks(100, 50, 1)


def circle(members: int, neighbours: int, sid: bytes = b"\x01" * 32) -> Graph:
    return Graph.of(range(members), neighbours, sid, CTX)


def test_neighbours_are_mutual_and_everybody_has_as_many() -> None:
    graph = circle(30, 6)
    circles = {place: set(graph.circle(place)) for place in range(30)}
    assert all(len(members) == 7 and place in members for place, members in circles.items())
    assert all(place in circles[other] for place, members in circles.items() for other in members)
    assert sorted(graph.order) == list(range(30))


def test_the_circle_follows_from_the_adverts_and_nothing_else() -> None:
    assert circle(30, 6).order == circle(30, 6).order
    assert circle(30, 6).order != circle(30, 6, b"\x02" * 32).order
    assert Graph.of(range(30), 6, b"\x01" * 32, Context(b"\x09" * 32, "graph", 1, 1)).order != circle(30, 6).order


def test_a_graph_of_few_is_complete() -> None:
    graph = circle(7, 6)
    assert graph.complete
    assert graph.circle(3) == tuple(range(7))
    assert graph.fewest_in_a_run([0, 1]) == 2


@settings(deadline=None, max_examples=60)
@given(st.sets(st.integers(0, 19), min_size=1))
def test_the_fewest_survivors_of_any_run_are_counted(alive: set[int]) -> None:
    graph = circle(20, 8)
    runs = [[graph.order[(start + step) % 20] for step in range(4)] for start in range(20)]
    assert graph.fewest_in_a_run(sorted(alive)) == min(len(alive & set(run)) for run in runs)


@settings(deadline=None, max_examples=60)
@given(st.sets(st.integers(0, 19), min_size=2))
def test_survivors_without_a_gap_are_connected(alive: set[int]) -> None:
    graph = circle(20, 8)
    if graph.fewest_in_a_run(sorted(alive)) < 1:
        return
    reached = {min(alive)}
    while fresh := {other for place in reached for other in graph.circle(place) if other in alive} - reached:
        reached |= fresh
    assert reached == alive
